#include "broker/cmd/import_batch.h"

#include "broker/base/json.h"
#include "broker/base/log.h"

#include <stdio.h>
#include <string.h>

#define LINE_ROOM (NAME_MAX_BYTES + 64u)

void import_batch_free(struct import_batch *b)
{
    secret_buf_free(&b->body);
    b->n = 0;
}

bool import_batch_takes(const struct import_item *item)
{
    return item->kind == IMPORT_RESOURCE && secret_len(item->value) <= IMPORT_BATCH_BYTES / 4;
}

bool import_batch_is_full(const struct import_batch *b, const struct import_item *item)
{
    return b->n == STORE_BATCH_MAX ||
           b->body.len + secret_len(item->value) + LINE_ROOM > IMPORT_BATCH_BYTES;
}

err_t import_batch_add(struct import_batch *b, const struct import_item *item, const struct import_found *found,
                       struct import_line *line, enum import_result result)
{
    char head[LINE_ROOM];
    bool none = found->state == IMPORT_ABSENT || found->state == IMPORT_DELETED;
    int len = snprintf(head, sizeof head, "%zu %s %s\n", secret_len(item->value), none ? "0" : found->etag,
                       item->name);
    ENSURE(len > 0 && (size_t) len < sizeof head && b->n < STORE_BATCH_MAX);
    b->body.max = IMPORT_BATCH_BYTES;
    TRY(secret_buf_reserve(&b->body, IMPORT_BATCH_BYTES));
    TRY(secret_buf_add(&b->body, head, (size_t) len));
    struct span value = secret_span(item->value);
    TRY(secret_buf_add(&b->body, value.data, value.len));
    b->waiting[b->n++] = (struct import_waiting){line, result};
    return ERR_OK;
}

/* One result as an error. */
static err_t outcome_of(struct json result, const char *name)
{
    char shown[180];
    int64_t version = 0;
    if (json_int(json_get(result, "version"), &version)) return ERR_OK;
    const char *class = json_string(json_get(result, "class"));
    const char *detail = json_string(json_get(result, "detail"));
    enum err_class code = ERR_INTERNAL;
    for (unsigned i = ERR_NONE + 1; class && i < ERR_CLASS_COUNT; i++)
        if (strcmp(class, err_class_name(i)) == 0) code = i;
    log_escape(shown, sizeof shown, span_str(detail ? detail : "(no explanation)"));
    FAIL(code, "%s: %s", name, shown);
}

static err_t tell(const struct import_batch *b, const struct http_answer *answer,
                  err_t (*told)(void *arg, const struct import_waiting *w, struct err e), void *arg)
{
    struct err_chain first = {.err = ERR_OK};
    _cleanup_json_ struct json_doc *doc = NULL;
    TRY(json_parse(secret_span(answer->body), &doc));
    struct json j = json_first(json_get(json_root(doc), "results"));
    for (size_t i = 0; i < b->n; i++, j = json_next(j)) {
        if (!json_present(j)) FAIL(ERR_INTERNAL, "the broker's answer lacks results");
        const struct import_waiting *w = &b->waiting[i];
        struct err e = told(arg, w, outcome_of(j, w->line->name));
        if (!err_ok(e) && err_ok(first.err)) err_save(e, &first);
    }
    return err_load(&first);
}

err_t import_batch_send(struct import_batch *b, struct vault *v,
                        err_t (*told)(void *arg, const struct import_waiting *w, struct err e), void *arg)
{
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    if (b->n == 0) return ERR_OK;
    const struct vault_request r = {"POST", "/strongroom/v1/resources",
                                    .body = span_of(secret_span(b->body.block).data, b->body.len)};
    struct err e = vault_ask(v, &r, "writing resources", &answer);
    if (err_ok(e)) e = tell(b, &answer, told, arg);
    import_batch_free(b);
    return e;
}
