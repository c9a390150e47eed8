/**
 * @file xml.h
 * @brief A small strict scanner for the XML that AWS services answer with.
 *
 * Model: elements, text, the five named entities and character references. Attributes are skipped.
 * DOCTYPE, CDATA, comments and processing instructions (but for the first line's) do not occur
 * there and are refused. Nothing is allocated; names and texts are borrowed from the input.
 */
#ifndef MILL_XML_H
#define MILL_XML_H

#include "base/buf.h"

enum { MILL_XML_DEPTH = 16 };

enum mill_xml_event {
    MILL_XML_DONE,  /**< the root element was closed; nothing but white space follows */
    MILL_XML_OPEN,  /**< name of an element */
    MILL_XML_CLOSE, /**< name of the element that ends */
    MILL_XML_TEXT,  /**< text as written, entities and all; see mill_xml_decode */
    MILL_XML_BAD,   /**< malformed or beyond what is taken; from now on always */
};

struct mill_xml {
    const char *p, *end;
    struct mill_str open[MILL_XML_DEPTH]; /**< names of the open elements */
    unsigned depth;                       /**< how many */
    bool begun, bad, empty;               /**< inside; empty: <x/> has its CLOSE still to come */
};

/** @param text borrowed while x is used */
void mill_xml_init(struct mill_xml *x, struct mill_str text);
/** @param out name or text, borrowed from the input */
enum mill_xml_event mill_xml_next(struct mill_xml *x, struct mill_str *out);
/** @brief Append text with its entities replaced. @return false when one is unknown or not a
 *  character, or the buffer failed */
bool mill_xml_decode(struct mill_str text, struct mill_buf *out) MILL_NODISCARD;
/** @brief Text of the first element of that name, at any depth, decoded and appended.
 *  @return false when there is none or the document is malformed before its end */
bool mill_xml_find(struct mill_str doc, const char *name, struct mill_buf *out) MILL_NODISCARD;

#endif
