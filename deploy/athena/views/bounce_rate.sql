-- Of the mails of an hour, by the recipient's domain: how many were taken, bounced, complained of. Mails are
-- counted in the hour (UTC) in which the provider first said what became of them.
SELECT domain, hour, COUNT(*) AS mails,
       SUM(delivered) AS delivered, SUM(bounced) AS bounced, SUM(dropped) AS dropped, SUM(complained) AS complained,
       CAST(SUM(bounced) AS DOUBLE) / COUNT(*) AS bounce_rate,
       CAST(SUM(complained) AS DOUBLE) / COUNT(*) AS complaint_rate
FROM (
    SELECT LOWER(SUBSTR(recipient, STRPOS(recipient, '@') + 1)) AS domain, message_id, recipient,
           DATE_TRUNC('hour', MIN(occurred_at)) AS hour,
           MAX(CASE WHEN type = 'DELIVERED' THEN 1 ELSE 0 END) AS delivered,
           MAX(CASE WHEN type = 'BOUNCED' THEN 1 ELSE 0 END) AS bounced,
           MAX(CASE WHEN type = 'DROPPED' THEN 1 ELSE 0 END) AS dropped,
           MAX(CASE WHEN type = 'COMPLAINED' THEN 1 ELSE 0 END) AS complained
    FROM event
    WHERE type IN ('DELIVERED', 'BOUNCED', 'DROPPED', 'COMPLAINED') AND message_id IS NOT NULL
    GROUP BY message_id, recipient
) AS each_mail
GROUP BY domain, hour
