/**
 * @file quota.h
 * @brief How many mails of each tenant are in flight, and no more than so many.
 *
 * Model: a tenant is known while it has mail in flight. Whoever is below the limit gets all it
 * asks for at once (a batch is never split), so a tenant is over it by one batch at most.
 */
#ifndef INGEST_QUOTA_H
#define INGEST_QUOTA_H

#include "base/str.h"

struct ingest_quota;

/** @own new; NULL when out of memory */
struct ingest_quota *ingest_quota_new(uint32_t limit) MILL_NODISCARD;
/** @brief NULL-safe. */
void ingest_quota_free(struct ingest_quota *q);
/** @return false: the tenant is at its limit (or memory is out), nothing was taken. @thread any */
bool ingest_quota_take(struct ingest_quota *q, const char *tenant, uint32_t n) MILL_NODISCARD;
/** @brief Give back what take gave. @thread any */
void ingest_quota_give(struct ingest_quota *q, const char *tenant, uint32_t n);

#endif
