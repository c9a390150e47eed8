/** @file stage_test.h  @brief For stages' tests: cmocka, emits as text, reference files. */
#ifndef MILL_STAGE_TEST_H
#define MILL_STAGE_TEST_H

#include "cases.h"
#include "fake_ctx.h"
#include <jansson.h>
#include <stdio.h>
#include <string.h>

/**
 * @brief All emits as text, a line each: `PORT KEY {json}`, fields in the schema's order, absent
 * and empty ones left out, a field `at` shown as "now"; a forward is `> TOPIC PARTITION KEY`, then
 * its headers as name=value. @own until the next call
 */
const char *stage_text(const struct mill_ctx *ctx, const struct mill_stage *spec);

/** @brief A golden comparison that shows both texts when they differ. */
void stage_expect(const struct mill_ctx *ctx, const struct mill_stage *spec, const char *want);

/** @brief JSON of a reference file, which lies beside the checkout (or in MILL_SHARED). @own new;
 *  NULL, and said so, where it is missing */
json_t *stage_reference(const char *name);

#define STAGE_ROWS(rows) (sizeof(rows) / sizeof((rows)[0]))

#endif
