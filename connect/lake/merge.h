/**
 * @file merge.h
 * @brief Several files of one Hive path into one: the same rows, in order of their offsets.
 *
 * Model: mill_merge_fits widens the columns by one part after the other; then the writer is opened
 * and each part's rows are added in the same order. The bytes leave by the sink as they are made,
 * so a merge takes the memory of a row group, not of the file. Its footer has, beside the range,
 * sendmill.parts: [{"object":name,"rows":n,"plan":…,"siblings":[…],"rejected":[…]},…], what each
 * part's own footer said; siblings are left out where a part was alone, rejected where there were
 * none. One thread.
 */
#ifndef MILL_LAKE_MERGE_H
#define MILL_LAKE_MERGE_H

#include "lake/file.h"
#include "lake/footer.h"
#include "lake/object.h"

struct mill_merge;

/** @param conf borrowed for the merge's life @own new */
enum mill_code mill_merge_new(struct mill_merge **out, const struct mill_lake_conf *conf,
                              struct mill_err *err) MILL_NODISCARD;
/** @brief NULL-safe; what was not finished has no footer. */
void mill_merge_free(struct mill_merge *m);
/** @brief Take the columns of one more part in. @return MILL_E_SCHEMA: they do not go with those
 *  before, the part stays outside; MILL_E_IO (the source said so); MILL_E_DATA; MILL_E_NOMEM */
enum mill_code mill_merge_fits(struct mill_merge *m, const struct mill_pq_source *part,
                               struct mill_err *err) MILL_NODISCARD;
/** @param rows of all parts together @param sink takes the file's bytes */
enum mill_code mill_merge_open(struct mill_merge *m, int64_t rows, mill_pq_sink_fn sink, void *arg,
                               struct mill_err *err) MILL_NODISCARD;
/** @brief Add the rows of a part. @return also MILL_E_DATA: it has not the rows that its footer
 *  says */
enum mill_code mill_merge_add(struct mill_merge *m, struct mill_str key,
                              const struct mill_footer *footer, const struct mill_pq_source *part,
                              struct mill_err *err) MILL_NODISCARD;
/** @brief Close the file. @param o what it is */
enum mill_code mill_merge_finish(struct mill_merge *m, const struct mill_object *o,
                                 struct mill_err *err) MILL_NODISCARD;

#endif
