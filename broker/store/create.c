/* New objects, one by one or a batch that is read back together, into the catalog. */
#include "broker/store/store_internal.h"

/* All that can fail in memory comes before the token is asked, so that what it acknowledges is in the
 * catalog. */
struct newcomer {
    struct version *version;
    struct entry *spare;
    struct blob *blob;
    char label[P11_LABEL_MAX + 1];
};

static void newcomer_done(struct newcomer *c)
{
    version_free(c->version);
    free(c->spare);
    blob_unref(c->blob);
}

static err_t newcomer_begin(struct store *s, const struct version_draft *d, struct newcomer *c)
{
    struct envelope e = {0};
    bool has_meta = false;
    enum envelope_flaw flaw = envelope_decode(d->bytes, &e, &has_meta);
    if (flaw != ENVELOPE_SOUND)
        FAIL(ERR_INTERNAL, "the envelope that was just sealed is %s", envelope_flaw_text(flaw));
    TRY(version_new(&e, p11_recipient_generation(s->config.token, &e), (struct p11_object){0}, &c->version));
    TRY(entry_new(d->kind, d->name, &c->spare));
    c->blob = blob_new(d->bytes);
    if (!c->blob) FAIL(ERR_INTERNAL, "out of memory");
    label_make(d->kind, d->name, c->label);
    return ERR_OK;
}

static err_t enter(struct store *s, struct newcomer *c, struct p11_object o, struct err failed)
{
    SCOPED_LOCK(&s->lock);
    if (!err_ok(failed)) {
        /* What failed may lie there all the same; the next version must be above it, and others must see it. */
        s->doubt = true;
        if (failed.code != ERR_FULL) s->unannounced = true;
        return token_failure(failed);
    }
    c->version->object = o;
    catalog_insert(s->catalog, &c->spare, TAKE_PTR(c->version), c->blob, true);
    s->changes++;
    return ERR_OK;
}

static err_t create_one(struct store *s, const struct version_draft *d, struct newcomer *c)
{
    struct p11_object o = {0};
    TRY(newcomer_begin(s, d, c));
    struct err failed = p11_object_create(s->config.token, c->label, d->bytes, &o);
    manifest_changed_locked(s);
    return enter(s, c, o, failed);
}

struct err version_create_locked(struct store *s, enum envelope_kind kind, const char *name,
                                struct span bytes)
{
    const struct version_draft d = {.kind = kind, .name = name, .bytes = bytes};
    struct newcomer c = {0};
    struct err e = create_one(s, &d, &c);
    newcomer_done(&c);
    return e;
}

static err_t begin_all(struct store *s, const struct version_draft *d, struct newcomer *c,
                       struct p11_draft *objects, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        TRY(newcomer_begin(s, &d[i], &c[i]));
        objects[i] = (struct p11_draft){.label = c[i].label, .value = d[i].bytes};
    }
    return ERR_OK;
}

static void enter_all(struct store *s, struct version_draft *d, struct newcomer *c,
                      const struct p11_draft *objects, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct err e = err_load(&objects[i].outcome);
        err_save(enter(s, &c[i], objects[i].object, e), &d[i].outcome);
    }
}

struct err versions_create_locked(struct store *s, struct version_draft *d, size_t n)
{
    if (n == 0) return ERR_OK;
    ENSURE(n <= STORE_BATCH_MAX);
    _cleanup_free_ struct p11_draft *objects = calloc(n, sizeof *objects);
    _cleanup_free_ struct newcomer *c = calloc(n, sizeof *c);
    if (!objects || !c) FAIL(ERR_INTERNAL, "out of memory");
    struct err e = begin_all(s, d, c, objects, n);
    if (err_ok(e)) {
        p11_objects_create(s->config.token, objects, n);
        manifest_changed_locked(s);
        enter_all(s, d, c, objects, n);
    }
    for (size_t i = 0; i < n; i++) newcomer_done(&c[i]);
    return e;
}
