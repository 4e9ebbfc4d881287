/* strongroom resource put|get|list|rm */
#include "broker/base/clock.h"
#include "broker/base/file.h"
#include "broker/base/json.h"
#include "broker/base/log.h"
#include "broker/cmd/cmd.h"
#include "broker/cmd/resource.h"
#include "broker/cmd/vault.h"
#include "broker/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct err resource_path(const char *prefix, const char *name, char *out, size_t size)
{
    if (strncmp(name, "kbs:///", 7) == 0) name += 7;
    char shown[120];
    TRYC(store_check_name(name), "%s", log_escape(shown, sizeof shown, span_str(name)));
    snprintf(out, size, "%s%s", prefix, name);
    return ERR_OK;
}

static err_t read_value(const char *file, struct secret **ret)
{
    if (!file || strcmp(file, "-") == 0) {
        TRYC(file_read_fd_secret(STDIN_FILENO, VALUE_MAX, ret), "standard input");
        return ERR_OK;
    }
    struct stat st;
    _cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
        FAIL(ERR_USAGE, "%s is a folder", file);
    if (fd < 0) FAIL_ERRNO(errno == ENOENT ? ERR_NOTFOUND : ERR_USAGE, "cannot read %s", file);
    TRYC(file_read_fd_secret(fd, VALUE_MAX, ret), "%s", file);
    return ERR_OK;
}

#define DAYS_MAX 36500u

static err_t add_expiry(unsigned days, char *path, size_t size)
{
    if (days > DAYS_MAX) FAIL(ERR_USAGE, "--days wants a number up to %u", DAYS_MAX);
    size_t len = strlen(path);
    if (days) snprintf(path + len, size - len, "?not_after=%" PRId64, clock_now() + days * INT64_C(86400));
    return ERR_OK;
}

struct err cmd_resource_put(const struct command *self, int argc, char **argv)
{
    const char *config_file = CONFIG_DEFAULT, *if_match = NULL, *operands[2];
    unsigned days = 0;
    bool create = false;
    const struct opt table[] = {
        {"config", 'c', OPT_TEXT, &config_file, "FILE", "configuration"},
        {"if-match", 0, OPT_TEXT, &if_match, "VERSION", "only when this version is the newest"},
        {"create", 0, OPT_FLAG, &create, NULL, "only when there is no such resource yet"},
        {"days", 0, OPT_NUMBER, &days, "N", "how long it is there (default 0: for ever)"},
        {0},
    };
    TRY(opt_parse(self, table, "REPOSITORY/TYPE/TAG [FILE]",
                  "The value comes from FILE, or from standard input (-).", argc, argv, 1, 2,
                  operands));
    if (create && if_match) FAIL(ERR_USAGE, "--create and --if-match exclude each other");
    char path[400], match[IF_MATCH_SIZE];
    TRY(opt_if_match(if_match, match));
    TRY(resource_path("/kbs/v0/resource/", operands[0], path, sizeof path));
    TRY(add_expiry(days, path, sizeof path));
    _cleanup_secret_ struct secret *value = NULL;
    TRY(read_value(operands[1], &value));
    _cleanup_(config_freep) struct config *config = NULL;
    _cleanup_(vault_closep) struct vault *vault = NULL;
    TRY(vault_open_file(config_file, "strongroom resource put", &config, &vault));
    const char *headers[] = {create ? "If-None-Match: *" : if_match ? match : NULL, NULL};
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    const struct vault_request request = {"POST", path, headers, secret_span(value)};
    TRY(vault_ask(vault, &request, operands[0], &answer));
    fprintf(stderr, "stored %s, version %s\n", operands[0], answer.etag);
    return ERR_OK;
}

struct err cmd_resource_get(const struct command *self, int argc, char **argv)
{
    const char *config_file = CONFIG_DEFAULT, *operands[1];
    const struct opt table[] = {
        {"config", 'c', OPT_TEXT, &config_file, "FILE", "configuration"},
        {0},
    };
    TRY(opt_parse(self, table, "REPOSITORY/TYPE/TAG",
                  "Writes the value to standard output, as it is. Every read is audited.", argc,
                  argv, 1, 1, operands));
    char path[400];
    TRY(resource_path("/strongroom/v1/resource/", operands[0], path, sizeof path));
    _cleanup_(config_freep) struct config *config = NULL;
    _cleanup_(vault_closep) struct vault *vault = NULL;
    TRY(vault_open_file(config_file, "strongroom resource get", &config, &vault));
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    TRY(vault_ask(vault, VAULT_GET(path), operands[0], &answer));
    return file_write_all(STDOUT_FILENO, secret_span(answer.body));
}

/* Entries of one answer: a long list is more than a text of JSON may be. */
#ifdef STRONGROOM_TEST
#define PAGE 3u
#else
#define PAGE 5000u
#endif

struct err resource_each(struct vault *v, const char *query, err_t (*each)(void *arg, struct json entry),
                         void *arg)
{
    char after[NAME_MAX_BYTES + 1] = "", path[1024];
    do {
        _cleanup_(http_answer_free) struct http_answer answer = {0};
        _cleanup_json_ struct json_doc *doc = NULL;
        snprintf(path, sizeof path, "/strongroom/v1/resources?limit=%u%s%s%s", PAGE, query,
                 after[0] ? "&after=" : "", after);
        TRY(vault_ask(v, VAULT_GET(path), "list", &answer));
        TRY(json_parse(secret_span(answer.body), &doc));
        for (struct json j = json_first(json_get(json_root(doc), "resources")); json_present(j); j = json_next(j))
            TRY(each(arg, j));
        const char *next = json_string(json_get(json_root(doc), "next"));
        snprintf(after, sizeof after, "%s", next ? next : "");
    } while (after[0]);
    return ERR_OK;
}

const char *resource_state(struct json entry)
{
    bool expired = false;
    const char *state = json_string(json_get(entry, "state"));
    if (json_bool(json_get(entry, "expired"), &expired) && expired && state && strcmp(state, "live") == 0)
        return "expired";
    return state ? state : "";
}

static err_t print_row(void *arg, struct json j)
{
    int64_t version = 0, size = 0, kek = 0;
    json_int(json_get(j, "version"), &version);
    json_int(json_get(j, "size"), &size);
    json_int(json_get(j, "kek_generation"), &kek);
    printf("%-40s %-8s %8" PRId64 " %10" PRId64 " %4" PRId64 "  %s\n",
           json_string(json_get(j, "name")), resource_state(j), version, size,
           kek, json_string(json_get(j, "created")));
    return ERR_OK;
}

static err_t print_table(struct vault *v, const char *query)
{
    printf("%-40s %-8s %8s %10s %4s  %s\n", "NAME", "STATE", "VERSION", "SIZE", "KEK", "CREATED");
    return resource_each(v, query, print_row, NULL);
}

static err_t print_entry(void *arg, struct json j)
{
    bool *later = arg;
    struct span text = json_text(j);
    printf("%s%.*s", *later ? "," : "", (int) text.len, (const char *) text.data);
    *later = true;
    return ERR_OK;
}

/* One document, whatever it came in. */
static err_t print_json(struct vault *v, const char *query)
{
    bool later = false;
    printf("{\"resources\":[");
    TRY(resource_each(v, query, print_entry, &later));
    printf("]}\n");
    return ERR_OK;
}

struct err cmd_resource_list(const struct command *self, int argc, char **argv)
{
    const char *config_file = CONFIG_DEFAULT, *format = "table", *operands[1];
    bool deleted = false, json = false;
    const struct opt table[] = {
        {"config", 'c', OPT_TEXT, &config_file, "FILE", "configuration"},
        {"format", 0, OPT_TEXT, &format, "FORMAT", "table or json"},
        {"deleted", 0, OPT_FLAG, &deleted, NULL, "deleted ones too"},
        {0},
    };
    TRY(opt_parse(self, table, "[PREFIX]", NULL, argc, argv, 0, 1, operands));
    TRY(opt_format(format, &json));
    const char *prefix = operands[0] ? operands[0] : "";
    if (strspn(prefix, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-/") !=
        strlen(prefix))
        FAIL(ERR_USAGE, "a prefix is the beginning of REPOSITORY/TYPE/TAG");
    char query[400];
    snprintf(query, sizeof query, "&prefix=%.300s%s", prefix, deleted ? "&deleted=true" : "");
    _cleanup_(config_freep) struct config *config = NULL;
    _cleanup_(vault_closep) struct vault *vault = NULL;
    TRY(vault_open_file(config_file, "strongroom resource list", &config, &vault));
    return (json ? print_json : print_table)(vault, query);
}

struct err cmd_resource_rm(const struct command *self, int argc, char **argv)
{
    const char *config_file = CONFIG_DEFAULT, *if_match = NULL, *operands[1];
    const struct opt table[] = {
        {"config", 'c', OPT_TEXT, &config_file, "FILE", "configuration"},
        {"if-match", 0, OPT_TEXT, &if_match, "VERSION", "only when this version is the newest"},
        {0},
    };
    TRY(opt_parse(self, table, "REPOSITORY/TYPE/TAG", NULL, argc, argv, 1, 1, operands));
    char path[400], match[IF_MATCH_SIZE];
    TRY(opt_if_match(if_match, match));
    TRY(resource_path("/kbs/v0/resource/", operands[0], path, sizeof path));
    _cleanup_(config_freep) struct config *config = NULL;
    _cleanup_(vault_closep) struct vault *vault = NULL;
    TRY(vault_open_file(config_file, "strongroom resource rm", &config, &vault));
    const char *headers[] = {if_match ? match : NULL, NULL};
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    TRY(vault_ask(vault, &(struct vault_request){"DELETE", path, .headers = headers}, operands[0], &answer));
    fprintf(stderr, "deleted %s\n", operands[0]);
    return ERR_OK;
}
