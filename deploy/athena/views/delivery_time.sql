-- From the request's acceptance to its delivery, by provider and day: the value that so many of a hundred mails
-- do not exceed (nearest rank, exact: the same in each engine).
SELECT provider, day, COUNT(*) AS mails,
       MIN(CASE WHEN place * 100 >= mails * 50 THEN latency_ms END) AS p50_ms,
       MIN(CASE WHEN place * 100 >= mails * 95 THEN latency_ms END) AS p95_ms,
       MIN(CASE WHEN place * 100 >= mails * 99 THEN latency_ms END) AS p99_ms,
       MAX(latency_ms) AS longest_ms
FROM (
    SELECT provider, day, latency_ms, COUNT(*) OVER (PARTITION BY provider, day) AS mails,
           ROW_NUMBER() OVER (PARTITION BY provider, day ORDER BY latency_ms) AS place
    FROM (
        SELECT provider, message_id, recipient, DATE_TRUNC('day', MIN(occurred_at)) AS day,
               MIN(latency_ms) AS latency_ms
        FROM event
        WHERE type = 'DELIVERED' AND latency_ms IS NOT NULL
        GROUP BY provider, message_id, recipient
    ) AS first_delivery
) AS ranked
GROUP BY provider, day
