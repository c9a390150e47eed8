/* sendmill cancel, pause, resume, pauses: one small record each, which the stages look up. */
#include "base/clock.h"
#include "mail/controls.h"
#include "mailid.h"
#include "put.h"
#include "text.h"

#include <stdio.h>

enum { CATEGORY_MAX = 255 };

int cli_cancel(struct cli *cli)
{
    struct mailid id;
    struct mill_err err = {0};
    struct mill_cancellation record;

    if (!mailid_parse(cli->args[0], &id))
        return cli_usage("\"%s\" is no id of a request or message", cli->args[0]);
    if (!cli->conf.tenant)
        return cli_usage("--tenant says whose mail it is; another tenant's is left alone");
    record = (struct mill_cancellation){
        .id = id.text,
        .tenant = mill_str(cli->conf.tenant),
        .client = put_user(),
        .at = mill_now_us(),
    };
    if (cli->conf.dry_run) {
        printf("would cancel %s\n", cli->args[0]);
        return MILL_EXIT_OK;
    }
    if (put_record(cli, "mail.cancellations", id.text, &mill_cancellation_desc, &record,
                   (struct mill_map){0}, &err))
        return cli_fail(&err);
    printf("%s is asked to be cancelled; the last word is send's, in mail.status\n", cli->args[0]);
    fprintf(stderr, "next: sendmill trace %s\n", cli->args[0]);
    return MILL_EXIT_OK;
}

static int control_pause(struct cli *cli, bool paused)
{
    struct mill_str category = mill_str(cli->args[0]);
    struct mill_err err = {0};
    const struct mill_pause record = {
        .category = category,
        .paused = paused,
        .reason = mill_str(cli->conf.reason),
        .by = put_user(),
        .at = mill_now_us(),
    };

    if (!category.n || category.n > CATEGORY_MAX || !mill_str_utf8(category))
        return cli_usage("a category has 1 to %d bytes", CATEGORY_MAX);
    if (cli->conf.dry_run) {
        printf("would %s %s\n", paused ? "pause" : "resume", cli->args[0]);
        return MILL_EXIT_OK;
    }
    if (put_record(cli, "mail.pauses", category, &mill_pause_desc, &record, (struct mill_map){0},
                   &err))
        return cli_fail(&err);
    printf(paused ? "%s waits\n" : "%s goes again\n", cli->args[0]);
    if (paused)
        fprintf(stderr, "next: sendmill resume %s\n", cli->args[0]);
    return MILL_EXIT_OK;
}

int cli_pause(struct cli *cli)
{
    return control_pause(cli, true);
}

int cli_resume(struct cli *cli)
{
    return control_pause(cli, false);
}

int cli_pauses(struct cli *cli)
{
    struct mill_arena mem = {0};
    struct mill_err err = {0};
    json_t *all = NULL, *value;
    const char *key;

    if (put_newest(cli, "mail.pauses", &all, &err))
        return cli_fail(&err);
    if (cli->format == CLI_TABLE)
        printf("%-20s %-28s %-12s %s\n", "CATEGORY", "SINCE", "BY", "REASON");
    json_object_foreach(all, key, value)
    {
        if (!json_is_true(json_object_get(value, "paused")))
            continue;
        if (cli->format == CLI_JSON) {
            cli_print(cli, value);
            continue;
        }
        printf("%-20s %-28s %-12s %s\n", text_safe(&mem, mill_str(key)),
               text_safe(&mem, mill_json_str(value, "at")),
               text_safe(&mem, mill_json_str(value, "by")),
               text_safe(&mem, mill_json_str(value, "reason")));
    }
    json_decref(all);
    mill_arena_release(&mem);
    return MILL_EXIT_OK;
}
