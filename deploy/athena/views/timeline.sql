-- The way of a mail: WHERE request_id = '…' ORDER BY happened_at. States are of Sendmill, calls of the ledger, events of
-- the provider (its clock may have whole seconds only).
SELECT request_id, CAST(NULL AS VARCHAR) AS message_id, accepted_at AS happened_at, 'request' AS source, 'ACCEPTED' AS what,
       CAST(NULL AS VARCHAR) AS provider, subject AS detail, dt
FROM mail_requests
UNION ALL
SELECT request_id, message_id, at AS happened_at, 'state' AS source, state AS what, provider, reason AS detail, dt
FROM mail_status
UNION ALL
SELECT request_id, message_id, at AS happened_at, 'call' AS source,
       CASE WHEN kind = 'OUTCOME' THEN outcome ELSE kind END AS what, provider, provider_id AS detail, dt
FROM mail_ledger
WHERE kind <> 'CLAIM'
UNION ALL
SELECT request_id, message_id, occurred_at AS happened_at, 'event' AS source, type AS what, provider,
       COALESCE(reason, url) AS detail, dt
FROM event
WHERE matched
