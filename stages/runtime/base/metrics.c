#include "base/metrics.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

static const double bounds[] = {0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25,
                                0.5,   0.75, 1,     2.5,  5,     7.5, 10};
enum { BOUNDS = sizeof bounds / sizeof *bounds, HIST_SLOTS = BOUNDS + 2 /* above all; sum */ };

static const char *const type_names[] = {
    [MILL_COUNTER] = "counter", [MILL_GAUGE] = "gauge", [MILL_HISTOGRAM] = "histogram"};

struct mill_metrics {
    const struct mill_metric *table;
    const char *stage;
    size_t rows;
    size_t *first;           /**< first slot of each row */
    _Atomic uint64_t *slots; /**< counters; gauges and histogram sums as the bits of a double */
};

static size_t metric_labels(const struct mill_metric *row)
{
    size_t n = 0;

    if (!row->label)
        return 1;
    while (row->values && row->values[n])
        n++;
    return n;
}

static size_t metric_width(const struct mill_metric *row)
{
    return row->type == MILL_HISTOGRAM ? HIST_SLOTS : 1;
}

struct mill_metrics *mill_metrics_new(const struct mill_metric *table, const char *stage)
{
    struct mill_metrics *m = calloc(1, sizeof *m);
    size_t n = 0;

    if (!m)
        return NULL;
    m->table = table;
    m->stage = stage;
    while (table && table[m->rows].name)
        m->rows++;
    m->first = calloc(m->rows + 1, sizeof *m->first);
    if (!m->first)
        goto fail;
    for (size_t i = 0; i < m->rows; i++) {
        m->first[i] = n;
        n += metric_labels(&table[i]) * metric_width(&table[i]);
    }
    m->first[m->rows] = n;
    m->slots = calloc(n + 1, sizeof *m->slots);
    if (!m->slots)
        goto fail;
    return m;
fail:
    mill_metrics_free(m);
    return NULL;
}

void mill_metrics_free(struct mill_metrics *m)
{
    if (!m)
        return;
    free(m->slots);
    free(m->first);
    free(m);
}

/* First slot of a row's label; NULL when the row has no such type or label. */
static _Atomic uint64_t *metric_slot(const struct mill_metrics *m, size_t row, size_t label,
                                     enum mill_metric_type type)
{
    size_t at;

    if (!m || row >= m->rows || m->table[row].type != type)
        return NULL;
    at = m->first[row] + label * metric_width(&m->table[row]);
    return at < m->first[row + 1] ? &m->slots[at] : NULL;
}

static double metric_double(uint64_t bits)
{
    double v;

    memcpy(&v, &bits, sizeof v);
    return v;
}

static uint64_t metric_bits(double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof bits);
    return bits;
}

void mill_metric_add(struct mill_metrics *m, size_t row, size_t label, uint64_t n)
{
    _Atomic uint64_t *slot = metric_slot(m, row, label, MILL_COUNTER);

    if (slot)
        atomic_fetch_add_explicit(slot, n, memory_order_relaxed);
}

void mill_metric_set(struct mill_metrics *m, size_t row, size_t label, double v)
{
    _Atomic uint64_t *slot = metric_slot(m, row, label, MILL_GAUGE);

    if (slot)
        atomic_store_explicit(slot, metric_bits(v), memory_order_relaxed);
}

void mill_metric_observe(struct mill_metrics *m, size_t row, size_t label, double seconds)
{
    _Atomic uint64_t *slot = metric_slot(m, row, label, MILL_HISTOGRAM);
    size_t i = 0;
    uint64_t sum;

    if (!slot)
        return;
    while (i < BOUNDS && seconds > bounds[i])
        i++;
    atomic_fetch_add_explicit(&slot[i], 1, memory_order_relaxed);
    sum = atomic_load_explicit(&slot[BOUNDS + 1], memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&slot[BOUNDS + 1], &sum,
                                                  metric_bits(metric_double(sum) + seconds),
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
}

double mill_metric_value(const struct mill_metrics *m, size_t row, size_t label)
{
    const _Atomic uint64_t *slot = metric_slot(m, row, label, MILL_COUNTER);

    if (slot)
        return (double)atomic_load_explicit(slot, memory_order_relaxed);
    slot = metric_slot(m, row, label, MILL_GAUGE);
    return slot ? metric_double(atomic_load_explicit(slot, memory_order_relaxed)) : 0;
}

/* Help and label values may hold any text. */
static void metric_escape(struct mill_buf *out, const char *z, bool quote)
{
    for (; *z; z++) {
        if (*z == '\\')
            mill_buf_puts(out, "\\\\");
        else if (*z == '\n')
            mill_buf_puts(out, "\\n");
        else if (*z == '"' && quote)
            mill_buf_puts(out, "\\\"");
        else
            mill_buf_putc(out, *z);
    }
}

static void metric_number(struct mill_buf *out, double v)
{
    if (isnan(v))
        mill_buf_puts(out, "NaN");
    else if (isinf(v))
        mill_buf_puts(out, v < 0 ? "-Inf" : "+Inf");
    else
        mill_buf_printf(out, "%.15g", v);
}

/* name[suffix]{stage="…",label="…"[,le="…"]} and the space before the value. */
static void metric_head(const struct mill_metrics *m, const struct mill_metric *row, size_t label,
                        const char *suffix, const char *le, struct mill_buf *out)
{
    mill_buf_printf(out, "%s%s{stage=\"", row->name, suffix);
    metric_escape(out, m->stage ? m->stage : "", true);
    mill_buf_putc(out, '"');
    if (row->label) {
        mill_buf_printf(out, ",%s=\"", row->label);
        metric_escape(out, row->values[label], true);
        mill_buf_putc(out, '"');
    }
    if (le)
        mill_buf_printf(out, ",le=\"%s\"", le);
    mill_buf_puts(out, "} ");
}

static void metric_histogram(const struct mill_metrics *m, size_t row, size_t label,
                             struct mill_buf *out)
{
    const struct mill_metric *r = &m->table[row];
    const _Atomic uint64_t *slot = metric_slot(m, row, label, MILL_HISTOGRAM);
    uint64_t total = 0;
    char le[32];

    for (size_t i = 0; i <= BOUNDS; i++) {
        total += atomic_load_explicit(&slot[i], memory_order_relaxed);
        if (i < BOUNDS)
            snprintf(le, sizeof le, "%.15g", bounds[i]);
        metric_head(m, r, label, "_bucket", i < BOUNDS ? le : "+Inf", out);
        mill_buf_printf(out, "%llu\n", (unsigned long long)total);
    }
    metric_head(m, r, label, "_sum", NULL, out);
    metric_number(out,
                  metric_double(atomic_load_explicit(&slot[BOUNDS + 1], memory_order_relaxed)));
    mill_buf_putc(out, '\n');
    metric_head(m, r, label, "_count", NULL, out);
    mill_buf_printf(out, "%llu\n", (unsigned long long)total);
}

static void metric_row(const struct mill_metrics *m, size_t row, struct mill_buf *out)
{
    const struct mill_metric *r = &m->table[row];

    mill_buf_printf(out, "# HELP %s ", r->name);
    metric_escape(out, r->help ? r->help : "", false);
    mill_buf_printf(out, "\n# TYPE %s %s\n", r->name, type_names[r->type]);
    for (size_t label = 0; label < metric_labels(r); label++) {
        if (r->type == MILL_HISTOGRAM) {
            metric_histogram(m, row, label, out);
            continue;
        }
        metric_head(m, r, label, "", NULL, out);
        if (r->type == MILL_COUNTER)
            mill_buf_printf(out, "%llu\n",
                            (unsigned long long)atomic_load_explicit(
                                &m->slots[m->first[row] + label], memory_order_relaxed));
        else {
            metric_number(out, mill_metric_value(m, row, label));
            mill_buf_putc(out, '\n');
        }
    }
}

bool mill_metrics_text(const struct mill_metrics *m, struct mill_buf *out)
{
    for (size_t i = 0; m && i < m->rows; i++)
        metric_row(m, i, out);
    return !out->failed;
}

static void metric_describe_row(const struct mill_metric *row, struct mill_buf *b)
{
    mill_buf_puts(b, "{\"name\":");
    mill_buf_json(b, mill_str(row->name));
    mill_buf_printf(b, ",\"type\":\"%s\",\"label\":", type_names[row->type]);
    if (row->label)
        mill_buf_json(b, mill_str(row->label));
    else
        mill_buf_puts(b, "null");
    mill_buf_puts(b, ",\"values\":[");
    for (size_t i = 0; row->label && i < metric_labels(row); i++) {
        mill_buf_puts(b, i ? "," : "");
        mill_buf_json(b, mill_str(row->values[i]));
    }
    mill_buf_puts(b, "],\"help\":");
    mill_buf_json(b, mill_str(row->help ? row->help : ""));
    mill_buf_putc(b, '}');
}

bool mill_metrics_describe(const struct mill_metric *const *tables, FILE *to)
{
    bool first = true, ok;
    struct mill_buf b;

    mill_buf_init(&b, 1 << 20);
    mill_buf_putc(&b, '[');
    for (; *tables; tables++) {
        for (const struct mill_metric *row = *tables; row->name; row++) {
            mill_buf_puts(&b, first ? "" : ",");
            first = false;
            metric_describe_row(row, &b);
        }
    }
    ok = mill_buf_putc(&b, ']') && fwrite(b.p, 1, b.n, to) == b.n;
    mill_buf_release(&b);
    return ok;
}
