#include "broker/store/known.h"

#include <stdlib.h>

void known_free(struct known *k)
{
    free(k->at);
    *k = (struct known){0};
}

static int by_handle(const void *a, const void *b)
{
    const struct known_object *x = a, *y = b;
    return (x->object.handle > y->object.handle) - (x->object.handle < y->object.handle);
}

static void add_entry(void *arg, const struct entry *e)
{
    struct known *k = arg;
    for (const struct version *v = e->versions; v; v = v->older)
        if (!v->unreadable) k->at[k->n++] = (struct known_object){v->object, e, v};
}

err_t known_new(const struct catalog *c, struct known *ret)
{
    struct known k = {.at = calloc(c->objects + 1, sizeof *k.at)};
    if (!k.at) FAIL(ERR_INTERNAL, "out of memory");
    catalog_each(c, add_entry, &k);
    qsort(k.at, k.n, sizeof *k.at, by_handle);
    *ret = k;
    return ERR_OK;
}

const struct known_object *known_find(const struct known *k, struct p11_object o)
{
    const struct known_object wanted = {.object = o};
    const struct known_object *found = bsearch(&wanted, k->at, k->n, sizeof *k->at, by_handle);
    return found && found->object.epoch == o.epoch ? found : NULL;
}
