/**
 * @file metrics.h
 * @brief Counters, gauges and histograms in static tables; Prometheus text out.
 *
 * Model: a metric is a row of a const table plus one slot per label value; slots are C11 atomics,
 * so that any thread may add. Labels are bounded: a row names its label and lists its values.
 * No metric ever carries an address or an id.
 */
#ifndef MILL_METRICS_H
#define MILL_METRICS_H

#include "base/buf.h"
#include <stdio.h>

enum mill_metric_type { MILL_COUNTER = 1, MILL_GAUGE, MILL_HISTOGRAM };

struct mill_metric {
    const char *name; /**< mill_<noun>_<unit>[_total] */
    enum mill_metric_type type;
    const char *help;
    const char *label;         /**< NULL = none */
    const char *const *values; /**< label values, ends with NULL; NULL with label NULL */
};

struct mill_metrics; /**< a registry: one table with its slots */

/** @param table ends with {0}; borrowed for ever. @param stage label on every line, borrowed.
 *  @own new; NULL when out of memory */
struct mill_metrics *mill_metrics_new(const struct mill_metric *table,
                                      const char *stage) MILL_NODISCARD;
void mill_metrics_free(struct mill_metrics *m);
/** @brief Add to a counter. @param row index in the table @param label index in values, 0 if none
 *  @thread any */
void mill_metric_add(struct mill_metrics *m, size_t row, size_t label, uint64_t n);
/** @brief Set a gauge. @thread any */
void mill_metric_set(struct mill_metrics *m, size_t row, size_t label, double v);
/** @brief Put seconds into a histogram (bounds 5 ms … 10 s as OTel has them). @thread any */
void mill_metric_observe(struct mill_metrics *m, size_t row, size_t label, double seconds);
/** @brief Value of a counter or gauge, for tests and --describe. */
double mill_metric_value(const struct mill_metrics *m, size_t row, size_t label);
/** @brief Prometheus text exposition, appended. @return false when the buffer failed */
bool mill_metrics_text(const struct mill_metrics *m, struct mill_buf *out);
/** @brief Rows of the tables as a JSON array for --describe. @param tables ends with NULL
 *  @return false when writing failed */
bool mill_metrics_describe(const struct mill_metric *const *tables, FILE *to);

#endif
