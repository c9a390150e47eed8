/**
 * @file registry.h
 * @brief Client of a Confluent-compatible schema registry.
 *
 * Model: schemas by id never change, so they are cached for the process's life, failures never.
 * Blocking calls with a timeout; one registry object may be used by one thread at a time.
 * @own schema texts are borrowed from the registry object until it is freed.
 */
#ifndef MILL_REGISTRY_H
#define MILL_REGISTRY_H

#include "base/err.h"

struct mill_registry;

/** @param url base URL, e.g. http://127.0.0.1:19081/apis/ccompat/v7; user:password@ is honoured
 *  @own new */
enum mill_code mill_registry_new(struct mill_registry **out, const char *url, uint32_t timeout_ms,
                                 struct mill_err *err) MILL_NODISCARD;
void mill_registry_free(struct mill_registry *r);
/** @brief Schema text of an id. @return MILL_OK; MILL_E_NOENT (the registry does not know it);
 *  MILL_E_IO (not reachable, 5xx, timeout); MILL_E_AUTH */
enum mill_code mill_registry_schema(struct mill_registry *r, int32_t id, struct mill_str *json,
                                    struct mill_err *err) MILL_NODISCARD;
/** @brief Register under a subject (idempotent) and give its id. @return MILL_OK; MILL_E_SCHEMA
 *  (incompatible or refused); MILL_E_IO; MILL_E_AUTH */
enum mill_code mill_registry_register(struct mill_registry *r, const char *subject,
                                      struct mill_str json, int32_t *id,
                                      struct mill_err *err) MILL_NODISCARD;
/** @brief Newest schema of a subject; MILL_E_NOENT if there is none. */
enum mill_code mill_registry_latest(struct mill_registry *r, const char *subject, int32_t *id,
                                    struct mill_str *json, struct mill_err *err) MILL_NODISCARD;
/** @brief Set a subject's compatibility, e.g. "FULL_TRANSITIVE". */
enum mill_code mill_registry_compatibility(struct mill_registry *r, const char *subject,
                                           const char *level, struct mill_err *err) MILL_NODISCARD;

#endif
