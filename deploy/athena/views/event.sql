-- One row for each thing that happened to a mail: providers tell some of them twice.
SELECT event_id, message_id, request_id, tenant, matched, provider, provider_id, type, provider_event, recipient,
       occurred_at, received_at, latency_ms, bounce_class, machine_open, url, reason, ip, user_agent, categories,
       metadata, "group", dt
FROM (
    SELECT e.*, ROW_NUMBER() OVER (PARTITION BY event_id ORDER BY received_at, dt) AS told
    FROM mail_events e
) AS each_telling
WHERE told = 1
