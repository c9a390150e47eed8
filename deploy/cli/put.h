/**
 * @file put.h
 * @brief One record to a topic, and the newest ones of a compacted topic.
 */
#ifndef PUT_H
#define PUT_H

#include "avro/desc.h"
#include "cli.h"

/**
 * @brief Write a record and wait until the brokers have it (acks=all).
 * @param value struct of desc; NULL = a null value: what the key stood for is gone
 * @return MILL_OK; MILL_E_NOENT (no such topic); MILL_E_IO (not written, or nobody knows)
 */
enum mill_code put_record(struct cli *cli, const char *topic, struct mill_str key,
                          const struct mill_desc *desc, const void *value, struct mill_map headers,
                          struct mill_err *err) MILL_NODISCARD;
/** @brief key → decoded value of each key's newest record. @own new in *out */
enum mill_code put_newest(struct cli *cli, const char *topic, json_t **out,
                          struct mill_err *err) MILL_NODISCARD;
/** @brief Who is at the keyboard; may be empty. */
struct mill_str put_user(void);

#endif
