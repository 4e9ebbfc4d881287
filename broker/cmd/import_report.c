#include "broker/cmd/import_report.h"

#include "broker/base/json.h"
#include "broker/base/limits.h"
#include "broker/base/log.h"

#include <search.h>
#include <stdio.h>
#include <string.h>

static const char *const result_names[IMPORT_RESULTS] = {
    [IMPORT_PENDING] = "pending",     [IMPORT_WOULD] = "would-take",
    [IMPORT_TAKEN] = "taken",         [IMPORT_WOULD_REPLACE] = "would-replace",
    [IMPORT_REPLACED] = "replaced",   [IMPORT_IS_SAME] = "same",
    [IMPORT_CLASHES] = "differs",     [IMPORT_SKIPPED] = "skipped",
    [IMPORT_FAILED] = "failed",
};

const char *import_result_name(enum import_result r) { return result_names[r]; }

static int compare(const void *left, const void *right)
{
    const struct import_line *a = left, *b = right;
    return a->kind != b->kind ? (a->kind < b->kind ? -1 : 1) : strcmp(a->name, b->name);
}

static void keep(void *node)
{
    (void) node; /* lines belong to the arena */
}

void import_report_free(struct import_report *r)
{
    tdestroy(r->index, keep);
    bump_free(&r->arena);
    *r = (struct import_report){0};
}

/* ---- lines --------------------------------------------------------------------------------- */

static err_t copy(struct import_report *r, const char *text, const char **ret)
{
    *ret = bump_text(&r->arena, span_str(text));
    if (!*ret) FAIL(ERR_INTERNAL, "out of memory for the report");
    return ERR_OK;
}

static err_t new_line(struct import_report *r, const struct import_item *item,
                      struct import_line **ret)
{
    if (r->count == IMPORT_MAX_ENTRIES)
        FAIL(ERR_TOOLARGE, "there are more than %u entries; move them in parts, such as a folder "
             "with half of them", IMPORT_MAX_ENTRIES);
    struct import_line *line = bump_alloc(&r->arena, sizeof *line);
    if (!line) FAIL(ERR_INTERNAL, "out of memory for the report");
    line->kind = item->kind;
    line->reason = "";
    TRY(copy(r, item->name, &line->name));
    TRY(copy(r, item->where, &line->where));
    if (r->last) r->last->next = line;
    else r->first = line;
    r->last = line;
    r->count++;
    *ret = line;
    return ERR_OK;
}

static struct import_line *find(const struct import_report *r, const struct import_item *item)
{
    const struct import_line wanted = {.kind = item->kind, .name = item->name};
    struct import_line *const *found = tfind(&wanted, &r->index, compare);
    return found ? *found : NULL;
}

struct err import_report_add(struct import_report *r, const struct import_item *item)
{
    struct import_line *line = NULL;
    const struct import_line *other = item->skip ? NULL : find(r, item);
    char reason[ERR_TEXT];
    TRY(new_line(r, item, &line));
    if (item->skip) return import_report_set(r, line, IMPORT_SKIPPED, item->skip);
    if (other) {
        snprintf(reason, sizeof reason, "its name is taken by %.180s", other->where);
        return import_report_set(r, line, IMPORT_SKIPPED, reason);
    }
    if (!tsearch(line, &r->index, compare)) FAIL(ERR_INTERNAL, "out of memory for the report");
    return ERR_OK;
}

struct import_line *import_report_find(const struct import_report *r,
                                       const struct import_item *item)
{
    struct import_line *line = find(r, item);
    return line && strcmp(line->where, item->where) == 0 ? line : NULL;
}

struct err import_report_set(struct import_report *r, struct import_line *line,
                             enum import_result result, const char *reason)
{
    line->result = result;
    return copy(r, reason, &line->reason);
}

size_t import_report_count(const struct import_report *r, enum import_result result)
{
    size_t n = 0;
    for (const struct import_line *l = r->first; l; l = l->next) n += l->result == result;
    return n;
}

/* ---- printing ------------------------------------------------------------------------------ */

void import_report_text(const struct import_report *r, struct buf *ret)
{
    char name[4 * IMPORT_KEY_MAX + 4], reason[2 * ERR_TEXT];
    for (const struct import_line *l = r->first; l; l = l->next) {
        bool skipped = l->result == IMPORT_SKIPPED; /* of those the place says more than the name */
        const char *shown = skipped ? l->where : log_escape(name, sizeof name, span_str(l->name));
        buf_addf(ret, "%-13s %-18s %s", result_names[l->result], import_kind_name(l->kind), shown);
        if (l->reason[0])
            buf_addf(ret, ": %s", log_escape(reason, sizeof reason, span_str(l->reason)));
        buf_addf(ret, "%s\n", l->verified ? " (verified)" : "");
    }
}

static void put_line(const struct import_line *l, struct json_out *o)
{
    json_begin_object(o);
    json_member_str(o, "result", result_names[l->result]);
    json_member_str(o, "kind", import_kind_name(l->kind));
    json_member_str(o, "name", l->name);
    json_member_str(o, "source", l->where);
    if (l->reason[0]) json_member_str(o, "reason", l->reason);
    if (l->result != IMPORT_SKIPPED) json_member_uint(o, "size", l->bytes);
    json_member_bool(o, "verified", l->verified);
    json_end_object(o);
}

void import_report_json(const struct import_report *r, bool applied, struct buf *ret)
{
    struct json_out o = JSON_OUT(ret);
    json_begin_object(&o);
    json_member_bool(&o, "applied", applied);
    json_key(&o, "entries");
    json_begin_array(&o);
    for (const struct import_line *l = r->first; l; l = l->next) put_line(l, &o);
    json_end_array(&o);
    json_key(&o, "summary");
    json_begin_object(&o);
    for (enum import_result i = IMPORT_WOULD; i < IMPORT_RESULTS; i++)
        json_member_uint(&o, result_names[i], import_report_count(r, i));
    json_end_object(&o);
    json_end_object(&o);
    buf_add_byte(ret, '\n');
}

struct err import_report_verdict(const struct import_report *r)
{
    size_t failed = import_report_count(r, IMPORT_FAILED);
    size_t clashes = import_report_count(r, IMPORT_CLASHES);
    size_t skipped = import_report_count(r, IMPORT_SKIPPED);
    if (failed) FAIL(ERR_DAMAGED, "%zu entries were not read back as the KBS has them", failed);
    if (clashes)
        FAIL(ERR_CONFLICT, "%zu entries have another value here and were left alone; --replace takes "
             "those of the KBS", clashes);
    if (skipped) FAIL(ERR_PARTIAL, "%zu entries cannot be taken; the report says why", skipped);
    return ERR_OK;
}
