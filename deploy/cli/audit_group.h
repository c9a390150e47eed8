/**
 * @file audit_group.h
 * @brief What the sink's group has committed, as claims of an audit.
 */
#ifndef AUDIT_GROUP_H
#define AUDIT_GROUP_H

#include "cli.h"
#include "compact/scan.h"
#include "lake/audit.h"

/** @brief For the topic that was named, else for each that has objects. A commit that is not the
 *  sink's, or of another life of the topic, claims nothing, and that is said on stderr. */
enum mill_code audit_group(struct cli *cli, struct mill_audit *audit, const struct mill_scan *scan,
                           struct mill_err *err);

#endif
