/**
 * @file aws_in.h
 * @brief Inside of aws_creds: what its files share. Not for others.
 *
 * A provider says MILL_E_NOENT when it is not set up; the search then goes on.
 */
#ifndef MILL_AWS_IN_H
#define MILL_AWS_IN_H

#include "net/aws_creds.h"
#include "net/http_client.h"

struct aws_source {
    struct mill_http *http;
    const char *region; /**< may be NULL */
};

/** @brief A variable that is set and not empty; else NULL. @own borrowed from the environment */
const char *mill_aws_env(const char *name);
/** @brief The whole file, NUL-terminated. */
enum mill_code mill_aws_file(const char *path, struct mill_buf *out,
                             struct mill_err *err) MILL_NODISCARD;
/** @brief Keys of one section of an INI text. @param section as it stands between the brackets
 *  @return MILL_OK; MILL_E_NOENT (no such section, or no key in it); MILL_E_CONFIG */
enum mill_code mill_aws_profile(struct mill_str text, const char *section,
                                struct mill_aws_creds *out, struct mill_err *err) MILL_NODISCARD;
/** @brief The JSON of container and instance metadata. */
enum mill_code mill_aws_json(struct mill_str text, struct mill_aws_creds *out,
                             struct mill_err *err) MILL_NODISCARD;
/** @brief The XML of AssumeRoleWithWebIdentity. */
enum mill_code mill_aws_sts_xml(struct mill_str text, struct mill_aws_creds *out,
                                struct mill_err *err) MILL_NODISCARD;

enum mill_code mill_aws_from_files(struct aws_source *s, struct mill_aws_creds *out,
                                   struct mill_err *err) MILL_NODISCARD;
enum mill_code mill_aws_from_web_identity(struct aws_source *s, struct mill_aws_creds *out,
                                          struct mill_err *err) MILL_NODISCARD;
enum mill_code mill_aws_from_container(struct aws_source *s, struct mill_aws_creds *out,
                                       struct mill_err *err) MILL_NODISCARD;
enum mill_code mill_aws_from_imds(struct aws_source *s, struct mill_aws_creds *out,
                                  struct mill_err *err) MILL_NODISCARD;

#endif
