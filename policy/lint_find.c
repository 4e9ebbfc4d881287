/* What was found, and its words. */
#include "policy/linter.h"

#include <stdarg.h>
#include <stdio.h>

#define BUCKETS 4096u

/* ---- findings --------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 0)))
static const char *print(struct linter *l, const char *format, va_list args)
{
    char line[2 * REGO_TEXT_MAX];
    int len = vsnprintf(line, sizeof line, format, args);
    if (len < 0) return "";
    size_t used = (size_t) len < sizeof line ? (size_t) len : sizeof line - 1;
    const char *text = arena_copy(l->arena, line, used);
    return text ? text : "";
}

static void keep(struct linter *l, struct finding *f)
{
    if (l->finding_count == l->finding_cap) {
        struct finding **at = arena_grow(l->arena, l->findings, l->finding_count, &l->finding_cap,
                                         sizeof *at);
        if (!at) return;
        l->findings = at;
    }
    l->findings[l->finding_count++] = f;
}

struct finding *lint_find(struct linter *l, enum lint_id lint, struct checked_place place,
                          const char *format, ...)
{
    struct finding *f = arena_alloc(l->arena, sizeof *f);
    va_list args;
    if (!f) return NULL;
    va_start(args, format);
    *f = (struct finding) { lint, place, print(l, format, args), NULL };
    va_end(args);
    keep(l, f);
    return f;
}

void lint_hint(struct linter *l, struct finding *f, const char *format, ...)
{
    va_list args;
    if (!f) return;
    va_start(args, format);
    f->hint = print(l, format, args);
    va_end(args);
}

bool lint_found(const struct linter *l, enum lint_id lint)
{
    for (size_t i = 0; i < l->finding_count; i++)
        if (l->findings[i]->lint == lint) return true;
    return false;
}

/* ---- looks ------------------------------------------------------------------------------------ */

struct look {
    enum lint_id lint;
    const void *what;
    uint32_t looks, hits;
    struct finding finding;
    struct look *next, *later; /* in the bucket; in time */
};

static struct look *look_new(struct linter *l, enum lint_id lint, const void *what)
{
    struct look *k = arena_alloc(l->arena, sizeof *k);
    if (!k) return NULL;
    k->lint = lint;
    k->what = what;
    if (l->last_look) l->last_look->later = k;
    else l->first_look = k;
    l->last_look = k;
    return k;
}

struct look *lint_look(struct linter *l, enum lint_id lint, const void *what)
{
    size_t bucket = (size_t) (((uintptr_t) what / 16 + lint) * 0x9e3779b97f4a7c15u >> 40) % BUCKETS;
    if (!l->looks) l->looks = arena_alloc_array(l->arena, BUCKETS, sizeof *l->looks);
    if (!l->looks) return NULL;
    struct look *k = l->looks[bucket];
    while (k && (k->lint != lint || k->what != what)) k = k->next;
    if (!k) {
        k = look_new(l, lint, what);
        if (!k) return NULL;
        k->next = l->looks[bucket];
        l->looks[bucket] = k;
    }
    k->looks++;
    return k;
}

struct finding *lint_look_hit(struct linter *l, struct look *look, struct checked_place place,
                              const char *format, ...)
{
    va_list args;
    if (!look || look->hits++) return NULL;
    va_start(args, format);
    look->finding = (struct finding) { look->lint, place, print(l, format, args), NULL };
    va_end(args);
    return &look->finding;
}

void lint_looks_end(struct linter *l)
{
    for (struct look *k = l->first_look; k; k = k->later)
        if (k->hits && k->hits >= k->looks) keep(l, &k->finding);
}

/* ---- what is loose ---------------------------------------------------------------------------- */

/* The part as somebody would demand it: the collection for "some member of it". */
static const char *part_name(struct linter *l, const struct read *r)
{
    return cell_name(l, r->missing->key ? r->missing : r->missing->parent);
}

static void tell_fail_open(struct linter *l, const struct loose *loose)
{
    const char *name = part_name(l, &loose->read);
    bool one = loose->read.missing->key != NULL;
    struct finding *f = lint_find(l, LINT_FAIL_OPEN, loose->place,
                                  "this holds as well when %s is %s", name,
                                  one ? "missing" : "empty");
    if (one) lint_hint(l, f, "demand it in the same body: %s", name);
    else lint_hint(l, f, "demand one in the same body: count(%s) > 0", name);
}

static void tell_every_empty(struct linter *l, const struct loose *loose)
{
    const char *name = cell_name(l, loose->read.leaf);
    struct finding *f = lint_find(l, LINT_EVERY_EMPTY, loose->place,
                                  "`every` holds when %s is empty", name);
    if (cell_has_name(loose->read.leaf))
        lint_hint(l, f, "demand one in the same body: count(%s) > 0", name);
    else
        lint_hint(l, f, "demand one in the same body: count(..) > 0");
}

static void tell_template(struct linter *l, const struct loose *loose)
{
    const char *name = cell_name(l, loose->read.leaf);
    struct finding *f = lint_find(l, LINT_TEMPLATE, loose->place,
                                  "when %s is missing, the text that is compared here says <undefined>",
                                  name);
    lint_hint(l, f, "compare the values themselves, or demand it in the same body: %s", name);
}

static bool is_told(const struct linter *l, const struct loose *loose)
{
    for (size_t i = 0; i < l->finding_count; i++) {
        const struct finding *f = l->findings[i];
        if (f->lint == loose->lint && f->place.module == loose->place.module &&
            f->place.offset == loose->place.offset) return true;
    }
    return false;
}

void lint_tell_loose(struct linter *l, const struct effect *e)
{
    for (size_t i = 0; i < e->loose_count; i++) {
        const struct loose *loose = &e->loose[i];
        if (is_told(l, loose)) continue;
        if (loose->lint == LINT_FAIL_OPEN) tell_fail_open(l, loose);
        if (loose->lint == LINT_EVERY_EMPTY) tell_every_empty(l, loose);
        if (loose->lint == LINT_TEMPLATE) tell_template(l, loose);
    }
}
