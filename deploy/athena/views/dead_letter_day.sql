-- Dead letters by day, stage, class and reason; numbers in a reason do not make it another one.
SELECT dt, stage, class, REGEXP_REPLACE(reason, '[0-9]+', '#') AS reason, COUNT(*) AS letters, MIN(failed_at) AS first_at,
       MAX(failed_at) AS last_at
FROM dead_letter
GROUP BY dt, stage, class, REGEXP_REPLACE(reason, '[0-9]+', '#')
