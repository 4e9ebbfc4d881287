#include "broker/store/cache.h"

static void link_latest(struct cache *c, struct version *v)
{
    v->used_before = c->latest;
    v->used_after = NULL;
    if (c->latest) c->latest->used_after = v;
    else c->stalest = v;
    c->latest = v;
}

static void unlink_version(struct cache *c, struct version *v)
{
    *(v->used_after ? &v->used_after->used_before : &c->latest) = v->used_before;
    *(v->used_before ? &v->used_before->used_after : &c->stalest) = v->used_after;
    v->used_before = v->used_after = NULL;
}

void cache_drop(struct cache *c, struct version *v)
{
    if (!v->bytes) return;
    unlink_version(c, v);
    c->bytes -= v->bytes->memory;
    blob_unref(TAKE_PTR(v->bytes));
}

void cache_keep(struct cache *c, struct version *v, struct blob *bytes, bool make_room)
{
    cache_drop(c, v);
    if (bytes->memory > c->budget) return;
    if (!make_room && bytes->memory > c->budget - c->bytes) return;
    while (bytes->memory > c->budget - c->bytes) cache_drop(c, c->stalest);
    v->bytes = blob_ref(bytes);
    c->bytes += bytes->memory;
    link_latest(c, v);
}

void cache_use(struct cache *c, struct version *v)
{
    if (!v->bytes || c->latest == v) return;
    unlink_version(c, v);
    link_latest(c, v);
}
