#include "broker/store/label.h"

#include "broker/store/store.h"

#include <stdio.h>
#include <string.h>

static const struct kind_row {
    enum envelope_kind kind;
    const char *prefix, *noun;
} KINDS[] = {
    {ENVELOPE_POLICY, "strongroom:policy:", "policy"},
    {ENVELOPE_REFERENCE_VALUE, "strongroom:reference-value:", "reference value"},
    {ENVELOPE_RESOURCE, "", "resource"}, /* last: its prefix fits every label */
};
#define KIND_COUNT (sizeof KINDS / sizeof *KINDS)

static const char *const RESERVED[] = {"strongroom:canary", "strongroom:epoch",
                                       LABEL_MANIFEST, "strongroom:trial"};

static bool begins(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static const struct kind_row *row_of(enum envelope_kind kind)
{
    for (size_t i = 0; i < KIND_COUNT; i++)
        if (KINDS[i].kind == kind) return &KINDS[i];
    return NULL;
}

enum label_owner label_read(const char *label, enum envelope_kind *ret_kind, const char **ret_name)
{
    for (size_t i = 0; i < sizeof RESERVED / sizeof *RESERVED; i++)
        if (begins(label, RESERVED[i])) return LABEL_RESERVED;
    for (size_t i = 0; i < KIND_COUNT; i++) {
        if (!begins(label, KINDS[i].prefix)) continue;
        const char *name = label + strlen(KINDS[i].prefix);
        if (!err_ok(name_check(KINDS[i].kind, name))) return LABEL_UNKNOWN;
        *ret_kind = KINDS[i].kind;
        *ret_name = name;
        return LABEL_OURS;
    }
    return LABEL_UNKNOWN;
}

const char *label_make(enum envelope_kind kind, const char *name, char out[P11_LABEL_MAX + 1])
{
    const struct kind_row *row = row_of(kind);
    ENSURE(row);
    int n = snprintf(out, P11_LABEL_MAX + 1, "%s%s", row->prefix, name);
    ENSURE(n > 0 && (unsigned) n <= P11_LABEL_MAX);
    return out;
}

const char *kind_noun(enum envelope_kind kind)
{
    const struct kind_row *row = row_of(kind);
    return row ? row->noun : "object";
}

struct err name_check(enum envelope_kind kind, const char *name)
{
    if (!row_of(kind)) FAIL(ERR_USAGE, "the store keeps no objects of kind %d", (int) kind);
    if (kind == ENVELOPE_RESOURCE) return store_check_name(name);
    size_t len = strlen(name);
    if (len == 0) FAIL(ERR_USAGE, "the name of a %s is empty", kind_noun(kind));
    if (len > NAME_MAX_BYTES)
        FAIL(ERR_USAGE, "the name of a %s is %zu bytes long; the limit is %u", kind_noun(kind), len,
             NAME_MAX_BYTES);
    for (size_t i = 0; i < len; i++)
        if (name[i] <= ' ' || name[i] > '~')
            FAIL(ERR_USAGE, "the name of a %s has the byte 0x%02x, which is no printable ASCII",
                 kind_noun(kind), (unsigned) (uint8_t) name[i]);
    return ERR_OK;
}
