/* The reference values in force. */
#include "broker/api/appraiser_internal.h"

#include "broker/base/clock.h"
#include "broker/base/log.h"

#include <stdio.h>
#include <string.h>

static void values_gone(struct made *m)
{
    struct value_set *v = (struct value_set *) m;
    reference_values_free(v->values);
    free(v);
}

void value_set_unref(struct value_set *v) { made_unref((struct made *) v); }

struct err value_set_new(const struct span *text, struct value_set **ret)
{
    _cleanup_(value_set_unrefp) struct value_set *v = calloc(1, sizeof *v);
    if (!v) FAIL(ERR_INTERNAL, "out of memory");
    v->made = (struct made){.references = 1, .free = values_gone};
    if (text) TRY(reference_values_parse(*text, &v->values));
    *ret = TAKE_PTR(v);
    return ERR_OK;
}

struct err appraiser_read_values(struct appraiser *a, struct value_set **ret)
{
    _cleanup_secret_ struct secret *text = NULL;
    struct store_entry entry = {0};
    struct err e = store_get(a->store, ENVELOPE_REFERENCE_VALUE, REFERENCE_VALUES_NAME, &text, &entry);
    struct span found = SPAN_LIT(REFERENCE_VALUES_EMPTY);
    if (e.code == ERR_NOTFOUND) return value_set_new(&found, ret);
    TRY(e);
    found = secret_span(text);
    TRY(value_set_new(&found, ret));
    (*ret)->made.version = entry.version;
    return ERR_OK;
}

struct made *appraiser_load_values(void *arg, struct made *old, bool *ret_certain)
{
    struct value_set *v = NULL;
    struct err e = appraiser_read_values(arg, &v);
    *ret_certain = err_ok(e) || appraiser_error_lasts(e);
    if (err_ok(e)) return &v->made;
    struct value_set *was = (struct value_set *) old;
    if (!was || was->values || was->broken != *ret_certain) /* once, not each time that they are tried */
        log_err(e, "reference-values.unusable",
                LOG_S("effect", *ret_certain ? "every attestation fails until they are set again, all of them"
                                             : "no attestation until they are read"));
    char why[ERR_TEXT];
    snprintf(why, sizeof why, "reference values: %s", err_reason(e));
    if (!err_ok(value_set_new(NULL, &v))) return NULL;
    memcpy(v->why, why, sizeof v->why);
    v->broken = *ret_certain;
    return &v->made;
}

struct err appraiser_current_values(struct appraiser *a, struct value_set **ret)
{
    _cleanup_(value_set_unrefp) struct value_set *v = (struct value_set *) stored_current(a->values);
    if (!v->values) FAIL(v->broken ? ERR_DAMAGED : ERR_BUSY, "%s", v->why);
    *ret = TAKE_PTR(v);
    return ERR_OK;
}

struct err appraiser_list_values(struct appraiser *a, struct buf *ret)
{
    _cleanup_(value_set_unrefp) struct value_set *v = NULL;
    TRY(appraiser_current_values(a, &v));
    return reference_values_list(v->values, clock_now(), ret);
}
