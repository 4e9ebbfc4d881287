/* strongroom status */
#include "broker/base/json.h"
#include "broker/base/log.h"
#include "broker/cmd/cmd.h"
#include "broker/cmd/vault.h"

#include <stdio.h>
#include <string.h>

/* As one line of text for a terminal: labels and reasons are the token's word. */
static const char *shown(struct json object, const char *name, char out[300])
{
    const char *text = json_string(json_get(object, name));
    return log_escape(out, 300, span_str(text ? text : ""));
}

static int64_t number(struct json object, const char *name)
{
    int64_t n = 0;
    return json_int(json_get(object, name), &n) ? n : 0;
}

static bool records(struct json all)
{
    bool works = true;
    return !json_bool(json_get(all, "audit"), &works) || works;
}

static void print_status(struct json all)
{
    struct json token = json_get(all, "token");
    char a[300], b[300];
    bool kek = true;
    printf("token      %s (serial %s)\n", shown(token, "label", a), shown(token, "serial", b));
    printf("state      %s since %s\n", shown(token, "state", a), shown(token, "since", b));
    if (json_present(json_get(token, "reason"))) printf("reason     %s\n", shown(token, "reason", a));
    if (json_present(json_get(token, "next")))
        printf("next       %s at %s, after %lld tries\n", shown(token, "next", a),
               shown(token, "next_at", b), (long long) number(token, "tries"));
    if (json_bool(json_get(all, "kek"), &kek) && !kek) printf("kek        none: strongroom kek create makes it\n");
    if (!records(all))
        printf("audit      cannot be written: nothing is released; %lld records are missing\n",
               (long long) number(all, "audit_failures"));
    printf("policy     %s, version %lld\n", shown(all, "policy", a),
           (long long) number(all, "policy_version"));
    if (number(all, "findings"))
        printf("findings   %lld: `strongroom token verify` names them\n", (long long) number(all, "findings"));
    printf("resources  %lld, and %lld damaged\n", (long long) number(all, "resources"),
           (long long) number(all, "damaged"));
}

/* The exit code is for scripts. */
static err_t verdict(struct json all)
{
    const char *state = json_string(json_get(json_get(all, "token"), "state"));
    if (!state || strcmp(state, "up") == 0) {
        if (records(all)) return ERR_OK;
        FAIL(ERR_HUMAN, "the audit file cannot be written; a person must act, see its disk and the broker's log");
    }
    bool human = strcmp(state, "human") == 0;
    FAIL(human ? ERR_HUMAN : ERR_TOKEN_DOWN, "the token is not up%s", human
         ? "; a person must act, see the reason" : "; it is brought back as soon as that goes");
}

struct err cmd_status(const struct command *self, int argc, char **argv)
{
    const char *config_file = CONFIG_DEFAULT, *format = "table";
    bool json = false;
    const struct opt table[] = {
        {"config", 'c', OPT_TEXT, &config_file, "FILE", "configuration"},
        {"format", 0, OPT_TEXT, &format, "FORMAT", "table or json"},
        {0},
    };
    TRY(opt_parse(self, table, "",
                  "Asks the broker that runs on this host how its token is: up, recovering, waiting\n"
                  "(for the next try) or human (somebody must act), since when, and what comes next.\n"
                  "Never waits for the token. Exit code 0 when it is up, 7 when a person must act, as\n"
                  "when the audit file cannot be written; else 6, also when no broker runs.",
                  argc, argv, 0, 0, NULL));
    TRY(opt_format(format, &json));
    _cleanup_(config_freep) struct config *config = NULL;
    TRY(config_load(config_file, &config));
    _cleanup_(http_client_freep) struct http_client *client = NULL;
    TRY(vault_broker(config, &client)); /* no vault_open: without a broker that would open the token */
    if (!client && !config->http_admin_socket[0])
        FAIL(ERR_USAGE, "http_server.admin_socket is empty, so no broker can be asked; see GET /readyz");
    if (!client)
        FAIL(ERR_TOKEN_DOWN, "no broker answers on %s; start it (strongroom serve), or ask the token "
             "itself (strongroom token status)", config->http_admin_socket);
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    _cleanup_json_ struct json_doc *doc = NULL;
    TRY(http_client_send(client, "GET", "/strongroom/v1/status", NULL, span_of(NULL, 0), &answer));
    if (answer.status != 200) return http_answer_error(&answer, "status");
    TRY(json_parse(secret_span(answer.body), &doc));
    if (json) TRY(http_answer_print(&answer));
    else print_status(json_root(doc));
    return verdict(json_root(doc));
}
