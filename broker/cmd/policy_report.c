#include "broker/cmd/policy_report.h"

#include "policy/text.h"

#include <string.h>

/* The author's own text, but who knows where it comes from. */
static struct rego_error tamed(const struct rego_error *e)
{
    struct rego_error copy = *e;
    text_tame(copy.text, strlen(copy.text));
    text_tame(copy.source, strlen(copy.source));
    text_tame(copy.hint, strlen(copy.hint));
    return copy;
}

/* The line is cut when it is long: then the mark stands behind its end. */
static int mark_indent(const struct rego_error *e)
{
    size_t most = utf8_count(e->source, strlen(e->source));
    return (int) (e->column - 1 < most ? e->column - 1 : most);
}

void policy_report_one(FILE *out, const char *file, enum policy_severity severity, const struct rego_error *error)
{
    struct rego_error e = tamed(error);
    fprintf(out, "%s", file ? file : e.module);
    if (e.line) fprintf(out, ":%u:%u", e.line, e.column);
    fprintf(out, ": %s%s: %s\n", severity == POLICY_WARNING ? "warning: " : "", e.code, e.text);
    if (e.line && e.source[0]) fprintf(out, "    %s\n    %*s^\n", e.source, mark_indent(&e), "");
    if (e.hint[0]) fprintf(out, "    %s\n", e.hint);
}

void policy_report(FILE *out, const char *file, enum policy_severity severity, const struct rego_errors *errors)
{
    for (size_t i = 0; i < errors->count; i++) policy_report_one(out, file, severity, &errors->items[i]);
    if (errors->more) fprintf(out, "%s: and %zu more\n", file ? file : "policy", errors->more);
}
