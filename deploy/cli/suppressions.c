/* sendmill suppressions: addresses that are not to be mailed. */
#include "base/clock.h"
#include "mail/suppression.h"
#include "put.h"
#include "text.h"

#include <stdio.h>

static const char TOPIC[] = "mail.suppressions";

/* Those that count, of the tenant and category that are asked for. */
static bool suppressions_asked(const struct cli *cli, const json_t *value)
{
    const char *tenant = cli->conf.tenant, *category = cli->conf.category;

    return !json_is_true(json_object_get(value, "lifted")) &&
           (!tenant || mill_str_is(mill_json_str(value, "tenant"), tenant)) &&
           (!category || mill_str_is(mill_json_str(value, "category"), category));
}

int cli_suppressions_ls(struct cli *cli)
{
    struct mill_arena mem = {0};
    struct mill_err err = {0};
    json_t *all = NULL, *value;
    const char *key;

    if (put_newest(cli, TOPIC, &all, &err))
        return cli_fail(&err);
    if (cli->format == CLI_TABLE)
        printf("%-32s %-12s %-12s %-12s %-28s %s\n", "ADDRESS", "TENANT", "CATEGORY", "REASON",
               "SINCE", "SOURCE");
    json_object_foreach(all, key, value)
    {
#define SAFE(name) text_safe(&mem, mill_json_str(value, name))
        if (!suppressions_asked(cli, value))
            continue;
        if (cli->format == CLI_JSON)
            cli_print(cli, value);
        else
            printf("%-32s %-12s %-12s %-12s %-28s %s\n", SAFE("address"),
                   mill_json_str(value, "tenant").n ? SAFE("tenant") : "(every)",
                   mill_json_str(value, "category").n ? SAFE("category") : "(all)", SAFE("reason"),
                   SAFE("since"), SAFE("source"));
#undef SAFE
        mill_arena_reset(&mem);
    }
    json_decref(all);
    mill_arena_release(&mem);
    return MILL_EXIT_OK;
}

static int suppressions_set(struct cli *cli, bool lift)
{
    struct mill_str tenant = mill_str(cli->conf.tenant ? cli->conf.tenant : "");
    struct mill_str category = mill_str(cli->conf.category ? cli->conf.category : "");
    char text[MILL_SUPPRESSION_ADDRESS_SIZE], key[MILL_SUPPRESSION_KEY_SIZE];
    struct mill_str address = mill_suppression_address(mill_str(cli->args[0]), text);
    struct mill_err err = {0};
    const struct mill_suppression record = {
        .address = address,
        .tenant = tenant,
        .reason = MILL_SUPPRESSED_MANUAL,
        .since = mill_now_us(),
        .source = MILL_STR("operator"),
        .category = category,
        .lifted = lift, /* no null value: what is older than it must not come back by a replay */
    };

    if (!address.p || !memchr(address.p, '@', address.n) ||
        !mill_suppression_key(tenant, address, category, key))
        return cli_usage("\"%s\" is no address", cli->args[0]);
    if (!cli->conf.dry_run && put_record(cli, TOPIC, mill_str(key), &mill_suppression_desc, &record,
                                         (struct mill_map){0}, &err))
        return cli_fail(&err);
    printf("%s%s %s for %s%s%s%s\n", cli->conf.dry_run ? "would be: " : "", text,
           lift ? "is mailed again" : "is not mailed", tenant.n ? "tenant " : "every tenant",
           tenant.n ? cli->conf.tenant : "", category.n ? ", category " : "",
           category.n ? cli->conf.category : "");
    return MILL_EXIT_OK;
}

int cli_suppressions_add(struct cli *cli)
{
    return suppressions_set(cli, false);
}

int cli_suppressions_lift(struct cli *cli)
{
    return suppressions_set(cli, true);
}
