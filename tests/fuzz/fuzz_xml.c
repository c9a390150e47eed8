/* The XML scanner and what is read with it: S3 listings, STS credentials. */
#include "net/aws_in.h"
#include "net/s3_in.h"
#include "net/xml.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool on_key(void *arg, const char *key, uint64_t bytes)
{
    (void)bytes;
    if (!key[0])
        abort();
    return ++*(size_t *)arg < 100;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mill_str doc = {(const char *)data, size}, s;
    struct mill_aws_creds creds = {0};
    struct mill_buf next;
    struct mill_xml x;
    enum mill_xml_event event;
    size_t n = 0;
    bool more;

    mill_xml_init(&x, doc);
    while ((event = mill_xml_next(&x, &s)) != MILL_XML_DONE && event != MILL_XML_BAD)
        if (s.p < doc.p || s.p + s.n > doc.p + size || x.depth > MILL_XML_DEPTH)
            abort();
    mill_buf_init(&next, 256);
    if (!mill_s3_list_page(doc, on_key, &n, &next, &more, NULL) && event == MILL_XML_BAD && more)
        abort(); /* a listing taken whole must be well-formed */
    if (!mill_aws_sts_xml(doc, &creds, NULL) && (!creds.key_id[0] || !creds.secret[0]))
        abort();
    mill_buf_release(&next);
    return 0;
}
