-- What could not be done, as mail.dlq has it: who failed, on what, why. `sendmill dlq show PARTITION/OFFSET` has the
-- bytes; swept and redriven letters are in it, too.
SELECT "partition", "offset", "timestamp" AS failed_at,
       FROM_UTF8(ELEMENT_AT(FILTER(headers, h -> h."key" = 'mill.stage'), 1)."value") AS stage,
       FROM_UTF8(ELEMENT_AT(FILTER(headers, h -> h."key" = 'mill.class'), 1)."value") AS class,
       FROM_UTF8(ELEMENT_AT(FILTER(headers, h -> h."key" = '__connect.errors.topic'), 1)."value") AS topic,
       FROM_UTF8(ELEMENT_AT(FILTER(headers, h -> h."key" = '__connect.errors.exception.message'), 1)."value") AS reason,
       dt
FROM mail_dlq
