/**
 * @file test_routes.c
 * @brief The choice of a provider: health by a clock of the test's own, weights, orders, pacing.
 */
#include "cases.h"
#include "send/routes.h"
#include <stdio.h>
#include <string.h>

/* ---- health: a script of steps, one letter each, and the state behind it ---- */

static const struct send_health_conf conf = {.failures = 3,
                                             .percent = 50,
                                             .open_ms = 100,
                                             .open_max_ms = 300,
                                             .pause_ms = 50,
                                             .throttle_ms = 20,
                                             .throttle_max = 1000};

/**
 * a accepted, p permanent, f transient, u unknown, c credentials, t throttled (no time named),
 * T throttled for 500 ms, M too many of this mail alone,
 * F as f, but it says for 500 ms: calls that are taken and answered at once;
 * lower case x: taken and not called; =: nobody may be called; .: 10 ms pass.
 */
static const struct step {
    const char *name, *script;
    enum send_breaker state;
    int64_t ready_ms; /**< from the end of the script */
} steps[] = {
    {"new", "", SEND_CLOSED, 0},
    {"two failures", "ff", SEND_CLOSED, 0},
    {"three in a row", "fff=", SEND_OPEN, 100},
    {"three, not in a row", "ffaff", SEND_CLOSED, 0},
    {"a permanent refusal is an answer", "ffpff", SEND_CLOSED, 0},
    {"nobody knows counts", "fuu=", SEND_OPEN, 100},
    {"throttling counts for nothing", "fft..f=", SEND_OPEN, 100},
    {"no share of fewer than 32", "affaffaffaffaffaffaffaffaffaffa", SEND_CLOSED, 0},
    {"more than half of 32", "affaffaffaffaffaffaffaffaffaffaf=", SEND_OPEN, 100},
    {"probe is due", "fff..........", SEND_HALF_OPEN, 0},
    {"probe succeeds", "fff..........aff", SEND_CLOSED, 0},
    {"probe fails: twice as long", "fff..........f=", SEND_OPEN, 200},
    {"and again, to the most", "fff..........f....................f=", SEND_OPEN, 300},
    {"no longer than that",
     "fff..........f....................f..............................f=", SEND_OPEN, 300},
    {"closed anew: short again", "fff..........f....................afff=", SEND_OPEN, 100},
    {"probe is throttled: it answers", "fff..........t=", SEND_CLOSED, 20},
    {"probe not called: the next is one", "fff..........xf=", SEND_OPEN, 200},
    {"probe meets refused credentials", "fff..........c=", SEND_PAUSED, 50},
    {"credentials", "c=", SEND_PAUSED, 50},
    {"credentials, still", "c.....c=", SEND_PAUSED, 50},
    {"credentials mended", "c.....a", SEND_CLOSED, 0},
    {"credentials, then it fails", "c.....f=", SEND_OPEN, 100},
    {"throttled", "t=", SEND_CLOSED, 20},
    {"throttled, over", "t..", SEND_CLOSED, 0},
    {"throttled for a time", "T=", SEND_CLOSED, 500},
    {"a shorter time does not cut a longer", "T..", SEND_CLOSED, 480},
    {"one mail was too many", "M", SEND_CLOSED, 0},
    {"away for a time, it says", "F=", SEND_CLOSED, 500},
};

static void health_row(void **state)
{
    const struct step *row = *state;
    struct send_health h = {0};
    int64_t now = 1000000;

    for (const char *s = row->script; *s; s++) {
        static const char letters[] = "apfuctTMF";
        static const enum mill_outcome outcomes[] = {
            MILL_OUTCOME_ACCEPTED,  MILL_OUTCOME_PERMANENT,  MILL_OUTCOME_TRANSIENT,
            MILL_OUTCOME_UNKNOWN,   MILL_OUTCOME_CREDENTIAL, MILL_OUTCOME_THROTTLED,
            MILL_OUTCOME_THROTTLED, MILL_OUTCOME_THROTTLED,  MILL_OUTCOME_TRANSIENT};
        bool probe = false;

        if (*s == '.') {
            now += 10;
            continue;
        }
        if (*s == '=') {
            assert_true(send_health_ready(&h, &conf, now) > now);
            assert_false(send_health_allows(&h, false, now));
            continue;
        }
        assert_true(send_health_ready(&h, &conf, now) <= now);
        probe = send_health_take(&h, &conf, now);
        assert_int_equal(probe, h.state != SEND_CLOSED);
        assert_true(send_health_allows(&h, probe, now));
        if (probe) /* one at a time */
            assert_true(send_health_ready(&h, &conf, now) == INT64_MAX);
        if (*s == 'x')
            send_health_give_back(&h, &conf, probe);
        else
            send_health_note(&h, &conf, outcomes[strchr(letters, *s) - letters], probe,
                             *s == 'T' || *s == 'F' ? 500
                             : *s == 'M'            ? -1
                                                    : 0,
                             now);
    }
    assert_int_equal(send_health_state(&h, now), row->state);
    if (row->ready_ms)
        assert_int_equal(send_health_ready(&h, &conf, now) - now, row->ready_ms);
    else
        assert_true(send_health_ready(&h, &conf, now) <= now);
}

/** Calls begun before the breaker opened end while it is open: they change nothing. */
static void late_answers(void **state)
{
    struct send_health h = {0};

    (void)state;
    for (int i = 0; i < 3; i++)
        send_health_note(&h, &conf, MILL_OUTCOME_TRANSIENT, false, 0, 10);
    send_health_note(&h, &conf, MILL_OUTCOME_ACCEPTED, false, 0, 20);
    send_health_note(&h, &conf, MILL_OUTCOME_TRANSIENT, false, 0, 30);
    assert_int_equal(h.state, SEND_OPEN);
    assert_int_equal(send_health_ready(&h, &conf, 30), 110);
    /* Nor are they a probe's answer. */
    assert_true(send_health_take(&h, &conf, 110));
    send_health_note(&h, &conf, MILL_OUTCOME_TRANSIENT, false, 0, 115);
    assert_true(h.probing);
    assert_true(send_health_allows(&h, true, 115));
    assert_false(send_health_allows(&h, false, 115));
    assert_true(send_health_note(&h, &conf, MILL_OUTCOME_ACCEPTED, true, 0, 120));
    assert_int_equal(h.state, SEND_CLOSED);
}

static const struct rate {
    const char *name;
    uint32_t rate, burst;
    int64_t every_ms, until_ms; /**< somebody asks so often, for so long */
    int want;                   /**< calls */
} rates[] = {
    {"no limit", 0, 0, 1, 1000, 1000},
    {"a second's worth at once, then the rate", 10, 0, 1, 1000, 19},
    {"no burst", 10, 1, 1, 1000, 10},
    {"asked seldom, nothing is saved beyond the burst", 10, 2, 500, 5000, 10},
    {"fast", 500, 1, 1, 1000, 500},
};

static void rate_row(void **state)
{
    const struct rate *row = *state;
    struct send_health_conf c = {.rate = row->rate, .burst = row->burst};
    struct send_health h = {0};
    int calls = 0;

    for (int64_t now = 5000; now < 5000 + row->until_ms; now += row->every_ms) {
        if (send_health_ready(&h, &c, now) > now) {
            assert_true(send_health_tokens(&h, &c, now) < 1);
            continue;
        }
        assert_true(!row->rate || send_health_tokens(&h, &c, now) >= 1);
        (void)!send_health_take(&h, &c, now);
        calls++;
    }
    assert_in_range(calls, row->want - (row->rate > 100), row->want + (row->rate > 100));
}

static void rate_given_back(void **state)
{
    struct send_health_conf c = {.rate = 1, .burst = 1};
    struct send_health h = {0};

    (void)state;
    for (int i = 0; i < 10; i++) {
        assert_true(send_health_ready(&h, &c, 5000) <= 5000);
        (void)!send_health_take(&h, &c, 5000);
        assert_int_equal(send_health_ready(&h, &c, 5000), 6000);
        send_health_give_back(&h, &c, false);
    }
}

/* ---- routes ---- */

static struct send_routes_conf routes_conf(const char *providers)
{
    return (struct send_routes_conf){.providers = providers, .health = conf};
}

static union mill_account_room accounts[MILL_PROVIDERS_N];

static int fill(void **state)
{
    (void)state;
    for (size_t i = 0; i < MILL_PROVIDERS_N; i++)
        accounts[i].base = (struct mill_account){.url = "http://127.0.0.1:1", .secret = "SG.fake"};
    return 0;
}

static void open_routes(struct send_routes *rs, const struct send_routes_conf *c)
{
    struct mill_err err = {0};

    *rs = (struct send_routes){0};
    if (send_routes_open(rs, c, accounts, &err))
        fail_msg("%s: %s", err.where, err.text);
}

static char letter(const struct send_choice *c)
{
    return c->route ? c->route->provider->name[1] : '-'; /* e sendgrid, m smtp */
}

#define NOW 1000

/** The providers that n messages go to, by the second letter of their names. */
static const char *go(struct send_routes *rs, const char *tenant, const struct mill_provider *avoid,
                      int n)
{
    static char out[64];
    int i = 0;

    for (; i < n; i++) {
        struct send_choice c = send_routes_take(rs, mill_str(tenant), 0, avoid, NOW);
        out[i] = letter(&c);
    }
    out[i] = '\0';
    return out;
}

static void weights(void **state)
{
    struct send_routes_conf c = routes_conf(" sendgrid:3 , smtp : 1");
    struct send_routes rs;

    (void)state;
    open_routes(&rs, &c);
    assert_string_equal(go(&rs, "t", NULL, 8), "eemeeeme"); /* spread, not three and then one */
    assert_string_equal(go(&rs, "t", &mill_provider_sendgrid, 3), "mmm");
    rs.v[0].health.throttled_ms = NOW + 50;
    assert_string_equal(go(&rs, "t", NULL, 3), "mmm");
    assert_string_equal(go(&rs, "t", &mill_provider_smtp, 2), "mm"); /* better than nobody */
    send_routes_close(&rs);
    send_routes_close(&rs);
    send_routes_close(NULL);
}

static void stand_by(void **state)
{
    struct send_routes_conf c = routes_conf("sendgrid,smtp");
    struct send_routes rs;

    (void)state;
    open_routes(&rs, &c);
    assert_string_equal(go(&rs, "t", NULL, 3), "eee");
    rs.v[0].health.state = SEND_OPEN;
    rs.v[0].health.until_ms = NOW + 1;
    assert_string_equal(go(&rs, "t", NULL, 3), "mmm");
    rs.v[0].health.until_ms = NOW;
    assert_string_equal(go(&rs, "t", NULL, 3), "emm"); /* one is the probe */
    send_routes_close(&rs);
}

static void tenants(void **state)
{
    static const struct mill_pair own[] = {
        {MILL_STR_INIT("acme"), MILL_STR_INIT("smtp")},
        {MILL_STR_INIT("b"), MILL_STR_INIT("smtp:1,sendgrid:1")}};
    struct send_routes_conf c = routes_conf("sendgrid");
    struct send_choice got;
    struct send_routes rs;

    (void)state;
    c.tenants = (struct mill_map){own, 2};
    open_routes(&rs, &c);
    assert_int_equal(rs.n, 2);
    assert_string_equal(go(&rs, "acme", NULL, 2), "mm");
    assert_string_equal(go(&rs, "b", NULL, 4), "meme");
    assert_string_equal(go(&rs, "someone", NULL, 2), "ee");
    assert_string_equal(go(&rs, NULL, NULL, 2), "ee");
    /* Its only provider is away: it steps aside, the others go on. */
    rs.v[1].health.state = SEND_OPEN;
    rs.v[1].health.until_ms = NOW + 70;
    got = send_routes_take(&rs, MILL_STR("acme"), 0, NULL, NOW);
    assert_null(got.route);
    assert_true(got.others);
    assert_int_equal(got.until_ms, NOW + 70);
    assert_int_equal(send_routes_ready(&rs, NOW), 0);
    /* Nobody at all. */
    rs.v[0].health.throttled_ms = NOW + 30;
    got = send_routes_take(&rs, MILL_STR("acme"), 0, NULL, NOW);
    assert_null(got.route);
    assert_false(got.others);
    assert_int_equal(send_routes_ready(&rs, NOW), NOW + 30);
    send_routes_close(&rs);
}

/** Nobody may be called for want of tokens alone: the next calls get their times, 5 s ahead at
 * most.
 */
static void paced(void **state)
{
    struct send_routes_conf c = routes_conf("sendgrid");
    struct send_routes rs;
    struct send_choice got;

    (void)state;
    accounts[MILL_PROVIDER_sendgrid].base.rate = 10;
    accounts[MILL_PROVIDER_sendgrid].base.burst = 2;
    open_routes(&rs, &c);
    for (int i = 0; i < 52; i++) {
        got = send_routes_take(&rs, MILL_STR("t"), 0, NULL, NOW);
        assert_non_null(got.route);
        assert_int_equal(got.start_ms, i < 2 ? 0 : NOW + 100 * (i - 1));
        assert_false(got.probe);
    }
    got = send_routes_take(&rs, MILL_STR("t"), 0, NULL, NOW);
    assert_null(got.route);
    assert_false(got.others);
    assert_int_equal(got.until_ms, NOW + 5100);
    /* Not towards one that is left alone. */
    rs.v[0].health.throttled_ms = NOW + 6000;
    got = send_routes_take(&rs, MILL_STR("t"), 0, NULL, NOW + 5100);
    assert_null(got.route);
    fill(NULL);
    send_routes_close(&rs);
}

static void probe_out(void **state)
{
    struct send_routes_conf c = routes_conf("sendgrid");
    struct send_routes rs;
    struct send_choice got;

    (void)state;
    open_routes(&rs, &c);
    rs.v[0].health.state = SEND_PAUSED;
    got = send_routes_take(&rs, MILL_STR("t"), 0, NULL, NOW);
    assert_true(got.probe);
    assert_null(send_routes_take(&rs, MILL_STR("t"), 0, NULL, NOW).route);
    assert_true(send_routes_take(&rs, MILL_STR("t"), 0, NULL, NOW).until_ms <= NOW + 100);
    assert_true(send_routes_ready(&rs, NOW) > NOW);
    send_route_give_back(got.route, got.probe);
    assert_true(send_routes_take(&rs, MILL_STR("t"), 0, NULL, NOW).probe);
    send_routes_close(&rs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(late_answers), cmocka_unit_test(rate_given_back),
        cmocka_unit_test(weights),      cmocka_unit_test(stand_by),
        cmocka_unit_test(tenants),      cmocka_unit_test(paced),
        cmocka_unit_test(probe_out),
    };

    fill(NULL);
    return TABLE(steps, health_row) + TABLE(rates, rate_row) + TESTS(tests);
}
