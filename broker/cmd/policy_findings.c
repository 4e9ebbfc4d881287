/* What is wrong with a policy, as a command says it. */
#include "broker/cmd/policy_findings.h"

#include "broker/base/json.h"
#include "broker/base/log.h"

#include <stdio.h>

/* "" when it is not there. */
static const char *shown_member(struct json e, const char *name, char *out, size_t size)
{
    const char *text = json_string(json_get(e, name));
    return log_escape(out, size, span_str(text ? text : ""));
}

/* As compilers do it: place and sentence, the line, a mark below the place, the way out. */
static void print_error(const char *file, const char *kind, struct json e)
{
    char code[64], text[512], source[512], hint[512];
    int64_t line = 0, column = 1;
    fprintf(stderr, "%s", file);
    if (json_int(json_get(e, "line"), &line) && json_int(json_get(e, "column"), &column))
        fprintf(stderr, ":%jd:%jd", (intmax_t) line, (intmax_t) column);
    fprintf(stderr, ": %s%s: %s\n", kind, shown_member(e, "code", code, sizeof code),
            shown_member(e, "text", text, sizeof text));
    if (shown_member(e, "source", source, sizeof source)[0])
        fprintf(stderr, "    %s\n    %*s^\n", source, (int) (column > 200 ? 200 : column) - 1, "");
    if (shown_member(e, "hint", hint, sizeof hint)[0]) fprintf(stderr, "    %s\n", hint);
}

struct err policy_refused(const struct http_answer *answer, const char *what, const char *file,
                          const char *effect)
{
    _cleanup_json_ struct json_doc *doc = NULL;
    struct json errors = {0};
    int64_t more = 0;
    if (err_ok(json_parse(secret_span(answer->body), &doc)))
        errors = json_get(json_root(doc), "errors");
    if (json_type(errors) != JSON_ARRAY || json_count(errors) == 0)
        return http_answer_error(answer, what);
    for (struct json e = json_first(errors); json_present(e); e = json_next(e)) print_error(file, "", e);
    if (json_int(json_get(json_root(doc), "more"), &more))
        fprintf(stderr, "and %jd more\n", (intmax_t) more);
    FAIL(ERR_USAGE, "%s: %s is refused%s", what, file, effect);
}

/* Without warnings the answer has no body. */
void policy_print_warnings(const struct http_answer *answer, const char *file)
{
    _cleanup_json_ struct json_doc *doc = NULL;
    if (secret_span(answer->body).len == 0) return;
    if (!err_ok(json_parse(secret_span(answer->body), &doc))) return;
    struct json warnings = json_get(json_root(doc), "warnings");
    if (json_type(warnings) != JSON_ARRAY) return;
    for (struct json w = json_first(warnings); json_present(w); w = json_next(w))
        print_error(file, "warning: ", w);
}
