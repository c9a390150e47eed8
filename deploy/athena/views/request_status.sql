-- How each message of a request stands. Copies of a mail (replays, redrives) tell of their own, so that is not always
-- what was said last: the provider's word stands over our call, SENT over all but the word of a later call, and what
-- failed may be tried again (schemas/status.avsc has the rule; `sendmill trace` follows the same).
SELECT request_id, message_id, tenant, state, class, reason, provider, attempt, at AS since
FROM (
    SELECT called.*, ROW_NUMBER() OVER (
        PARTITION BY message_id
        ORDER BY CASE WHEN state IN ('DELIVERED', 'BOUNCED') THEN 3
                      WHEN state IN ('SENT', 'FAILED') THEN 2
                      WHEN state IN ('OTHER', 'DUPLICATE', 'TOO_LATE') THEN 0
                      WHEN last_call = 'FAILED' THEN 2
                      ELSE 1 END DESC,
                 CASE WHEN state = 'SENT' AND last_call = 'SENT' THEN attempt ELSE -1 END DESC,
                 at DESC, CASE WHEN state = 'FAILED' THEN 0 ELSE 1 END, state) AS place
    FROM (
        SELECT s.*, FIRST_VALUE(state) OVER (
            PARTITION BY message_id
            ORDER BY CASE WHEN state IN ('SENT', 'FAILED') THEN 0 ELSE 1 END, attempt DESC,
                     CASE WHEN state = 'FAILED' THEN 0 ELSE 1 END) AS last_call
        FROM mail_status s
    ) AS called
) AS each_state
WHERE place = 1
