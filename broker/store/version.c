#include "broker/store/version.h"

#include "broker/base/clock.h"

#include <malloc.h>
#include <string.h>

/* ---- bytes ------------------------------------------------------------------------------- */

struct blob *blob_new(struct span bytes)
{
    struct blob *b = malloc(sizeof *b + bytes.len);
    if (!b) return NULL;
    b->refs = 1;
    b->memory = (uint32_t) malloc_usable_size(b);
    b->len = bytes.len;
    if (bytes.len) memcpy(b->data, bytes.data, bytes.len);
    return b;
}

struct blob *blob_ref(struct blob *b)
{
    __atomic_add_fetch(&b->refs, 1, __ATOMIC_RELAXED);
    return b;
}

void blob_unref(struct blob *b)
{
    if (b && __atomic_sub_fetch(&b->refs, 1, __ATOMIC_ACQ_REL) == 0) free(b);
}

/* ---- one version ------------------------------------------------------------------------- */

bool content_type_ok(struct span text)
{
    if (text.len == 0 || text.len >= sizeof((struct store_entry *) 0)->content_type) return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < ' ' || text.data[i] > '~') return false;
    return true;
}

static err_t read_attributes(struct version *v, const struct envelope_meta *m)
{
    const struct envelope_attribute *not_after = envelope_attribute(m, ENVELOPE_NOT_AFTER);
    if (not_after) {
        struct reader r = {not_after->value, false};
        uint64_t seconds = read_u64(&r);
        if (r.failed || r.rest.len || seconds == 0 || seconds > INT64_MAX) v->unreadable = true;
        else v->not_after = (int64_t) seconds;
    }
    const struct envelope_attribute *type = envelope_attribute(m, ENVELOPE_CONTENT_TYPE);
    if (type && content_type_ok(type->value)) {
        v->content_type = strndup((const char *) type->value.data, type->value.len);
        if (!v->content_type) FAIL(ERR_INTERNAL, "out of memory");
    }
    return ERR_OK;
}

static struct version *allocate(uint64_t version, struct p11_object object)
{
    struct version *v = calloc(1, sizeof *v);
    if (!v) return NULL;
    v->version = version;
    v->object = object;
    return v;
}

struct err version_new(const struct envelope *e, uint32_t generation, struct p11_object object,
                       struct version **ret)
{
    _cleanup_version_ struct version *v = allocate(e->meta.version, object);
    if (!v) FAIL(ERR_INTERNAL, "out of memory");
    v->created = e->meta.created;
    v->generation = generation;
    /* Bounded by the layout's 32-bit length. Where a suite pads, the padding hides the last block. */
    v->size = (uint32_t) (e->ciphertext.len - envelope_form(e->meta.suite)->empty);
    v->tombstone = e->meta.tombstone;
    v->unreadable = e->meta.version == VERSION_UNKNOWN; /* nothing could ever go above it */
    TRY(read_attributes(v, &e->meta));
    *ret = TAKE_PTR(v);
    return ERR_OK;
}

struct err version_new_unreadable(uint64_t version, struct p11_object object, struct version **ret)
{
    struct version *v = allocate(version, object);
    if (!v) FAIL(ERR_INTERNAL, "out of memory");
    v->unreadable = true;
    *ret = v;
    return ERR_OK;
}

struct err version_copy(const struct version *v, struct version **ret)
{
    _cleanup_version_ struct version *copy = allocate(v->version, v->object);
    if (!copy) FAIL(ERR_INTERNAL, "out of memory");
    copy->created = v->created;
    copy->not_after = v->not_after;
    copy->generation = v->generation;
    copy->size = v->size;
    copy->tombstone = v->tombstone;
    copy->unreadable = v->unreadable;
    if (v->content_type && !(copy->content_type = strdup(v->content_type)))
        FAIL(ERR_INTERNAL, "out of memory");
    *ret = TAKE_PTR(copy);
    return ERR_OK;
}

void version_free(struct version *v)
{
    if (!v) return;
    ENSURE(!v->bytes);
    free(v->content_type);
    free(v);
}

/* ---- the rules --------------------------------------------------------------------------- */

bool version_before(const struct version *a, const struct version *b)
{
    if (a->version != b->version) return a->version > b->version;
    if (a->unreadable != b->unreadable) return b->unreadable;
    if (a->generation != b->generation) return a->generation > b->generation;
    return a->object.handle < b->object.handle;
}

void versions_insert(struct version **list, struct version *v)
{
    while (*list && version_before(*list, v)) list = &(*list)->older;
    v->older = *list;
    *list = v;
}

uint64_t versions_highest(const struct version *list)
{
    while (list && list->version == VERSION_UNKNOWN) list = list->older;
    return list ? list->version : 0;
}

struct version *versions_find(struct version *list, uint64_t version)
{
    if (version == 0 || version == VERSION_UNKNOWN) return NULL;
    while (list && list->version != version) list = list->older;
    return list; /* of copies the first one counts (version_before) */
}

enum store_state versions_state(const struct version *list)
{
    if (list->unreadable || list->broken) return STORE_DAMAGED;
    return list->tombstone ? STORE_DELETED : STORE_LIVE;
}

bool version_expired(const struct version *v)
{
    return v->not_after && clock_now() > v->not_after;
}

size_t versions_count(const struct version *list)
{
    size_t n = 0;
    for (; list; list = list->older) n++;
    return n;
}

size_t versions_unknown(const struct version *list)
{
    size_t n = 0;
    for (; list && list->version == VERSION_UNKNOWN; list = list->older) n++;
    return n;
}

size_t versions_surplus(const struct version *list, unsigned keep, struct p11_object *ret)
{
    size_t n = 0, unknown = versions_unknown(list);
    uint64_t last = 0; /* versions begin at 1 */
    for (const struct version *v = list; v; v = v->older) {
        bool counts = !v->unreadable && v->version != last;
        if (counts && keep > 0) {
            keep--;
            last = v->version;
        } else {
            ret[n++] = v->object;
        }
    }
    /* Unknown ones are never kept, so they are the first of ret already. */
    for (size_t i = unknown, j = n; i + 1 < j; i++) {
        struct p11_object o = ret[i];
        ret[i] = ret[--j];
        ret[j] = o;
    }
    return n;
}
