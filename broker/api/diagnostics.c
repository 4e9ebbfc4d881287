#include "broker/api/diagnostics.h"

#include "policy/errors.h"

static void put_text(const struct rego_error *e, struct buf *out)
{
    char first[REGO_TEXT_MAX + 160];
    rego_error_print(e, first, sizeof first);
    buf_add_str(out, first);
    if (e->source[0]) buf_addf(out, "\n    %s", e->source);
    if (e->hint[0]) buf_addf(out, "\n    %s", e->hint);
}

void diagnostics_text(const struct rego_errors *errors, size_t most, struct buf *out)
{
    size_t shown = errors->count < most ? errors->count : most;
    size_t beyond = errors->count - shown + errors->more;
    for (size_t i = 0; i < shown; i++) {
        if (i) buf_add_str(out, "\n");
        put_text(&errors->items[i], out);
    }
    if (beyond) buf_addf(out, "\nand %zu more", beyond);
}

static void put_error(struct json_out *o, const struct rego_error *e)
{
    json_begin_object(o);
    json_member_str(o, "code", e->code);
    json_member_str(o, "text", e->text);
    if (e->line) {
        json_member_uint(o, "line", e->line);
        json_member_uint(o, "column", e->column);
        json_member_str(o, "source", e->source);
    }
    if (e->hint[0]) json_member_str(o, "hint", e->hint);
    json_end_object(o);
}

void diagnostics_list(const char *name, const struct rego_errors *errors, struct json_out *o)
{
    json_key(o, name);
    json_begin_array(o);
    for (size_t i = 0; i < errors->count; i++) put_error(o, &errors->items[i]);
    json_end_array(o);
}

void diagnostics_members(const struct rego_errors *errors, struct json_out *o)
{
    diagnostics_list("errors", errors, o);
    if (errors->more) json_member_uint(o, "more", errors->more);
}
