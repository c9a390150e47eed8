/** @file http_call.c  @brief One call on one libcurl easy handle: set-up, callbacks, verdict. */
#include "net/http_call.h"

#include "base/clock.h"
#include <ctype.h>
#include <stdlib.h>

enum {
    CALL_PAIRS_MAX = 4096,
    CALL_PAIR_BYTES_MAX = 256 * 1024,
    CALL_TIMEOUT_MS = 30000,
    CALL_CONNECT_MS = 5000,
    CALL_BIG_BODY_BYTES = 1024 * 1024,
    CALL_BIG_UPLOAD_BYTES = 512 * 1024,
};

struct http_call *http_call_new(uint64_t reply_max_bytes)
{
    struct http_call *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    mill_buf_init(&c->reply, (size_t)reply_max_bytes);
    mill_arena_init(&c->mem);
    c->easy = curl_easy_init();
    if (!c->easy) {
        free(c);
        return NULL;
    }
    return c;
}

void http_call_free(struct http_call *c)
{
    if (!c)
        return;
    curl_easy_cleanup(c->easy);
    curl_slist_free_all(c->headers);
    curl_slist_free_all(c->rcpt);
    mill_buf_release(&c->reply);
    mill_arena_release(&c->mem);
    free(c->pairs);
    free(c);
}

void http_call_reset(struct http_call *c)
{
    curl_easy_reset(c->easy);
    curl_slist_free_all(c->headers);
    curl_slist_free_all(c->rcpt);
    c->headers = c->rcpt = NULL;
    c->body = (struct mill_str){0};
    c->given = 0;
    c->smtp_code = 0;
    c->command[0] = '\0';
    c->reason[0] = '\0';
    c->n_pairs = c->pair_bytes = 0;
    c->done = NULL;
    mill_arena_reset(&c->mem);
    mill_buf_reset(&c->reply);
}

/* There is no seek function on purpose: when a kept connection dies under a request, libcurl would
 * send it again silently; without a way to rewind it must give up (65), and the call is LOST. */
static size_t call_read(char *to, size_t size, size_t count, void *arg)
{
    struct http_call *c = arg;
    size_t n = c->body.n - c->given;

    if (n > size * count)
        n = size * count;
    if (n)
        memcpy(to, c->body.p + c->given, n);
    c->given += n;
    if (c->smtp && c->command[0] != '.') {
        memcpy(c->command, ".", 2);
        c->smtp_code = 0;
    }
    return n;
}

static size_t call_write(char *p, size_t size, size_t count, void *arg)
{
    struct http_call *c = arg;
    size_t n = size * count;
    size_t room = c->reply.cap - c->reply.n;

    mill_buf_add(&c->reply, p, n < room ? n : room);
    return c->reply.failed ? 0 : n;
}

/* Over the limits, lines are dropped, not the call. */
static void call_add_pair(struct http_call *c, struct mill_str name, struct mill_str value)
{
    struct mill_pair pair;

    if (c->n_pairs == CALL_PAIRS_MAX || c->pair_bytes + name.n + value.n > CALL_PAIR_BYTES_MAX)
        return;
    if (c->n_pairs == c->pairs_size) {
        size_t size = c->pairs_size ? 2 * c->pairs_size : 32;
        struct mill_pair *more = realloc(c->pairs, size * sizeof *more);
        if (!more)
            return;
        c->pairs = more;
        c->pairs_size = size;
    }
    pair.key = mill_arena_dup(&c->mem, name);
    pair.value = mill_arena_dup(&c->mem, value);
    if (!pair.key.p || !pair.value.p)
        return;
    c->pairs[c->n_pairs++] = pair;
    c->pair_bytes += name.n + value.n;
}

static size_t call_header(char *p, size_t size, size_t count, void *arg)
{
    struct http_call *c = arg;
    size_t n = size * count;
    const char *colon = memchr(p, ':', n);

    if (n > 5 && !memcmp(p, "HTTP/", 5)) {
        c->n_pairs = c->pair_bytes = 0; /* the reply after a 1xx one */
        mill_arena_reset(&c->mem);
    } else if (colon) {
        size_t at = (size_t)(colon - p);
        call_add_pair(c, mill_str_trim((struct mill_str){p, at}),
                      mill_str_trim((struct mill_str){colon + 1, n - at - 1}));
    }
    return n;
}

/* A reply line of the SMTP server. */
static void call_smtp_in(struct http_call *c, const char *p, size_t n)
{
    struct mill_str line = mill_str_trim((struct mill_str){p, n});

    if (!strcmp(c->command, "QUIT") || line.n < 3 || !isdigit((unsigned char)p[0]) ||
        !isdigit((unsigned char)p[1]) || !isdigit((unsigned char)p[2]))
        return;
    c->smtp_code = (p[0] - '0') * 100 + (p[1] - '0') * 10 + (p[2] - '0');
    call_add_pair(c, mill_str(c->command), line);
}

/* A command that went to the SMTP server: keep its verb only, what follows AUTH is secret. */
static void call_smtp_out(struct http_call *c, const char *p, size_t n)
{
    static const char *const verbs[] = {"EHLO", "HELO", "MAIL", "RCPT",
                                        "DATA", "QUIT", "AUTH", "STAR" /* TTLS */};

    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (n >= 4 && !memcmp(p, verbs[i], 4)) {
            memcpy(c->command, verbs[i], 4);
            c->command[4] = '\0';
            if (strcmp(c->command, "QUIT"))
                c->smtp_code = 0;
            return;
        }
    }
}

static int call_debug(CURL *easy, curl_infotype type, char *p, size_t n, void *arg)
{
    (void)easy;
    if (type == CURLINFO_HEADER_IN)
        call_smtp_in(arg, p, n);
    else if (type == CURLINFO_HEADER_OUT)
        call_smtp_out(arg, p, n);
    return 0;
}

static bool call_has_control(struct mill_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 && s.p[i] != '\t')
            return true;
    return memchr(s.n ? s.p : "", '\x7f', s.n) != NULL;
}

static enum mill_code call_list_add(struct curl_slist **list, const char *line,
                                    struct mill_err *err)
{
    struct curl_slist *more = curl_slist_append(*list, line);

    if (!more)
        return mill_fail(err, MILL_E_NOMEM, "http", "out of memory");
    *list = more;
    return MILL_OK;
}

static enum mill_code call_add_header(struct http_call *c, const struct mill_pair *h,
                                      struct mill_err *err)
{
    struct mill_str line;

    if (!h->key.n || call_has_control(h->key) || memchr(h->key.p, ':', h->key.n) ||
        call_has_control(h->value))
        return mill_fail(err, MILL_E_CONFIG, "headers", "header \"%.*s\" has bytes it may not have",
                         MILL_FMT(h->key));
    line = h->value.n
               ? mill_arena_printf(&c->mem, "%.*s: %.*s", MILL_FMT(h->key), MILL_FMT(h->value))
               : mill_arena_printf(&c->mem, "%.*s;", MILL_FMT(h->key));
    if (!line.p)
        return mill_fail(err, MILL_E_NOMEM, "http", "out of memory");
    return call_list_add(&c->headers, line.p, err);
}

#define SET(option, value)                                                                         \
    do {                                                                                           \
        if (!rc)                                                                                   \
            rc = curl_easy_setopt(c->easy, (option), (value));                                     \
    } while (0)

static enum mill_code call_code(CURLcode rc, struct mill_err *err)
{
    if (!rc)
        return MILL_OK;
    return mill_fail(err, rc == CURLE_OUT_OF_MEMORY ? MILL_E_NOMEM : MILL_E_CONFIG, "http", "%s",
                     curl_easy_strerror(rc));
}

static enum mill_code call_setup_http(struct http_call *c, const struct mill_http_call *call,
                                      bool http2, struct mill_err *err)
{
    const char *method = call->method ? call->method : "GET";
    bool post = !strcmp(method, "POST");
    bool typed = false;
    enum mill_code code = MILL_OK;
    CURLcode rc = CURLE_OK;

    for (size_t i = 0; i < call->headers.n && !code; i++) {
        code = call_add_header(c, &call->headers.v[i], err);
        typed = typed || mill_str_ieq(call->headers.v[i].key, MILL_STR("content-type"));
    }
    /* No "Expect": a 417 would make libcurl send again. With SigV4 no header may be taken out
     * (7.88 signs it all the same), and a conditional PUT may be repeated. */
    if (!code && !call->sigv4)
        code = call_list_add(&c->headers, "Expect:", err);
    if (!code && !call->sigv4 && !typed)
        code = call_list_add(&c->headers, "Content-Type:", err);
    if (code)
        return code;

    if (call->body.n || post) { /* POST mode for all: in PUT mode 7.88 always sends "Expect" */
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.n);
        SET(CURLOPT_FRESH_CONNECT, call->body.n ? 0L : 1L);
    }
    if (!strcmp(method, "HEAD"))
        SET(CURLOPT_NOBODY, 1L);
    else if (call->body.n || strcmp(method, "GET"))
        SET(CURLOPT_CUSTOMREQUEST, method);
    SET(CURLOPT_HTTPHEADER, c->headers);
    SET(CURLOPT_HEADERFUNCTION, call_header);
    SET(CURLOPT_HEADERDATA, c);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_USERAGENT, "sendmill");
    SET(CURLOPT_HTTP_VERSION, http2 ? (long)CURL_HTTP_VERSION_2TLS : (long)CURL_HTTP_VERSION_1_1);
    if (http2)
        SET(CURLOPT_PIPEWAIT, 1L);
    if (call->sigv4)
        SET(CURLOPT_AWS_SIGV4, call->sigv4);
    else if (call->user)
        SET(CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
    return call_code(rc, err);
}

static enum mill_code call_setup_smtp(struct http_call *c, const struct mill_http_call *call,
                                      struct mill_err *err)
{
    enum mill_code code = MILL_OK;
    CURLcode rc = CURLE_OK;

    if (!call->body.n || !call->mail_from || !call->rcpt || !call->rcpt[0])
        return mill_fail(err, MILL_E_CONFIG, "smtp", "a mail needs a sender, a recipient, a body");
    if (call_has_control(mill_str(call->mail_from)))
        return mill_fail(err, MILL_E_CONFIG, "mail_from", "control character in the address");
    for (size_t i = 0; call->rcpt[i] && !code; i++) {
        if (call_has_control(mill_str(call->rcpt[i])))
            return mill_fail(err, MILL_E_CONFIG, "rcpt", "control character in an address");
        code = call_list_add(&c->rcpt, call->rcpt[i], err);
    }
    if (code)
        return code;
    SET(CURLOPT_UPLOAD, 1L);
    SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)call->body.n);
    SET(CURLOPT_MAIL_FROM, call->mail_from);
    SET(CURLOPT_MAIL_RCPT, c->rcpt);
    SET(CURLOPT_MAIL_RCPT_ALLLOWFAILS, 1L);
    SET(CURLOPT_USE_SSL, call->tls_required ? (long)CURLUSESSL_ALL : (long)CURLUSESSL_TRY);
    /* The debug callback alone tells commands and reply lines in their order. */
    SET(CURLOPT_DEBUGFUNCTION, call_debug);
    SET(CURLOPT_DEBUGDATA, c);
    SET(CURLOPT_VERBOSE, 1L);
    return call_code(rc, err);
}

enum mill_code http_call_setup(struct http_call *c, const struct mill_http_call *call, bool http2,
                               struct mill_err *err)
{
    struct mill_str url = mill_str(call->url);
    CURLcode rc = CURLE_OK;
    enum mill_code code;

    if (!url.n)
        return mill_fail(err, MILL_E_CONFIG, "url", "no address to call");
    c->smtp = mill_str_starts(url, "smtp://") || mill_str_starts(url, "smtps://");
    c->body = call->body;
    c->done = call->done;
    c->arg = call->arg;
    c->started_ms = mill_tick_ms();
    code = c->smtp ? call_setup_smtp(c, call, err) : call_setup_http(c, call, http2, err);
    if (code)
        return code;
    SET(CURLOPT_URL, call->url);
    SET(CURLOPT_PROTOCOLS_STR, "http,https,smtp,smtps");
    SET(CURLOPT_PATH_AS_IS, 1L); /* "a/../b" is a name of an S3 object */
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_TIMEOUT_MS, (long)(call->timeout_ms ? call->timeout_ms : CALL_TIMEOUT_MS));
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)(call->connect_ms ? call->connect_ms : CALL_CONNECT_MS));
    SET(CURLOPT_READFUNCTION, call_read);
    SET(CURLOPT_READDATA, c);
    if (call->body.n > CALL_BIG_BODY_BYTES)
        SET(CURLOPT_UPLOAD_BUFFERSIZE, (long)CALL_BIG_UPLOAD_BYTES);
    SET(CURLOPT_WRITEFUNCTION, call_write);
    SET(CURLOPT_WRITEDATA, c);
    SET(CURLOPT_ERRORBUFFER, c->reason);
    SET(CURLOPT_PRIVATE, c);
    if (call->user)
        SET(CURLOPT_USERNAME, call->user);
    if (call->password)
        SET(CURLOPT_PASSWORD, call->password);
    if (call->tls_ca)
        SET(CURLOPT_CAINFO, call->tls_ca);
    if (call->direct)
        SET(CURLOPT_NOPROXY, "*");
    return call_code(rc, err);
}

/* UNSENT only where the peer cannot have had the whole request. */
static enum mill_http_end call_end(const struct http_call *c, CURLcode rc)
{
    bool all_given = c->given == c->body.n;
    long sent = 0;

    if (rc == CURLE_OK)
        return MILL_HTTP_REPLIED;
    if (c->smtp && c->smtp_code >= 400)
        return MILL_HTTP_REPLIED;
    if (c->body.n)
        return all_given ? MILL_HTTP_LOST : MILL_HTTP_UNSENT;
    curl_easy_getinfo(c->easy, CURLINFO_REQUEST_SIZE, &sent);
    return sent > 0 ? MILL_HTTP_LOST : MILL_HTTP_UNSENT;
}

void http_call_result(struct http_call *c, CURLcode rc, struct mill_http_reply *out)
{
    long status = 0;

    if (c->smtp)
        status = c->smtp_code;
    else
        curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    *out = (struct mill_http_reply){
        .end = call_end(c, rc),
        .status = status >= 200 ? status : 0,
        .body = mill_buf_view(&c->reply),
        .headers = {c->pairs, c->n_pairs},
        .reason = c->reason[0] ? c->reason : curl_easy_strerror(rc),
        .took_ms = mill_tick_ms() - c->started_ms,
    };
}
