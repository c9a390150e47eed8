/**
 * @file address.h
 * @brief Mail addresses: a strict RFC 5321/6531 Mailbox scanner, A-labels, and "Name <a@b>".
 *
 * Model: the scanner accepts every Mailbox (Dot-string or Quoted-string @ Domain or address
 * literal, UTF-8 as RFC 6531 has it) and nothing else: no comments, no folding, no controls, no
 * routes, no trailing dot. Limits are those of RFC 5321: local part 64, label 63, domain 255, path
 * 256 octets with its angle brackets. No DNS. A reason is a static text without the address in it,
 * so that it may be logged. Thread-safe.
 */
#ifndef MILL_ADDRESS_H
#define MILL_ADDRESS_H

#include "base/arena.h"
#include "mail/records.h"

enum {
    MILL_LOCAL_MAX = 64,    /**< octets */
    MILL_LABEL_MAX = 63,    /**< octets */
    MILL_DOMAIN_MAX = 255,  /**< octets */
    MILL_MAILBOX_MAX = 254, /**< octets: a path of 256 without its brackets */
};

/** The reason that is none: memory ran out, so nothing can be said. Compare the pointer. */
extern const char mill_why_nomem[];

/** Narrow the scanner to what mail providers take: no quoted local part, no literal, a domain with
 *  a dot, a top level that is not all digits, valid A-labels, a local part in NFC without C1
 *  controls and noncharacters. */
enum { MILL_MAILBOX_DELIVERABLE = 1u << 0 };

struct mill_mailbox {
    struct mill_str local;  /**< as written, with its quotes */
    struct mill_str domain; /**< as written, with its brackets */
    bool quoted;            /**< the local part is a Quoted-string */
    bool literal;           /**< the domain is an address literal */
    size_t alabels_n;       /**< bytes of alabels; 0 when the domain is ASCII as written */
    char alabels[MILL_DOMAIN_MAX + 1]; /**< the domain as A-labels, when it is not ASCII */
};

/**
 * @brief Take an address apart.
 * @param flags MILL_MAILBOX_… or 0
 * @param out   may be NULL; filled only on success; @own borrows from text
 * @return NULL when text is a Mailbox, else why it is none (static)
 */
const char *mill_mailbox_scan(struct mill_str text, unsigned flags,
                              struct mill_mailbox *out) MILL_NODISCARD;

/**
 * @brief A domain name as A-labels. ASCII names are checked and copied as they are.
 * @param check_alabels also refuse ASCII labels that start with xn-- and are no A-labels
 * @param out  MILL_DOMAIN_MAX + 1 bytes, NUL-terminated
 * @return NULL, or why it is no domain name (static)
 */
const char *mill_domain_ascii(struct mill_str name, bool check_alabels, char *out,
                              size_t *out_n) MILL_NODISCARD;

/**
 * @brief The same mailbox with its domain as A-labels.
 * @param text a Mailbox (already scanned)
 * @return text itself when it is ASCII; p == NULL when out of memory or text is no Mailbox
 * @own borrowed from text or arena
 */
struct mill_str mill_mailbox_ascii(struct mill_str text, struct mill_arena *arena) MILL_NODISCARD;

/**
 * @brief `a@b`, `<a@b>`, `Name <a@b>` or `"Quoted, name" <a@b>` into name and address. The address
 * is not scanned here.
 * @return NULL, or why the text has none of these forms (static)
 * @own borrowed from text, or from arena where a quoted name had escapes
 */
const char *mill_address_split(struct mill_str text, struct mill_arena *arena,
                               struct mill_address *out) MILL_NODISCARD;

#endif
