/**
 * @file topology.h
 * @brief The topics that the topology files declare, merged in order.
 */
#ifndef TOPOLOGY_H
#define TOPOLOGY_H

#include "base/json.h"

struct topology_topic {
    const char *name;
    int32_t partitions;
    const char *joined;   /**< NULL = stands alone */
    char schema[1024];    /**< path of the .avsc; "" = raw bytes */
    const json_t *config; /**< object of strings; NULL = none */
};

struct topology {
    json_t *merged;    /**< owns all texts of topics */
    json_t *processes; /**< name → what the files say of it */
    struct topology_topic *topics;
    size_t n;
};

/**
 * @brief Read a path list, a.json:b.json; a later file overrides fields of the topics it names
 * again.
 * @param paths NULL: deploy/topology.json of the folder one stands in, else the installed one
 * @return MILL_OK; MILL_E_CONFIG (where = file or topic). @own new in *t (topology_release)
 */
enum mill_code topology_read(struct topology *t, const char *paths,
                             struct mill_err *err) MILL_NODISCARD;
void topology_release(struct topology *t);
/** @brief The topics of a joined set must have one partition count. */
enum mill_code topology_check(const struct topology *t, struct mill_err *err) MILL_NODISCARD;

/** @brief The stages that read a topic, as they are called. @param out,most room for so many
 *  @return how many there are. @own borrowed from t */
size_t topology_readers(const struct topology *t, const char *topic, const char **out, size_t most);

#endif
