#include "policy/regex_program.h"

#include "policy/regex_parse.h"
#include "policy/text.h"

struct emitter {
    struct regex_insn *code;
    size_t count, cap;
    struct arena *arena;
    bool large;
};

/* ---- code --------------------------------------------------------------------------------------- */

static size_t emit(struct emitter *e, enum regex_op op, uint32_t x, uint32_t y)
{
    struct regex_insn *code = e->count < REGEX_INSNS_MAX ? arena_grow(e->arena, e->code, e->count, &e->cap, sizeof *code)
                                                         : NULL;
    if (!code) {
        e->large = true;
        return 0;
    }
    e->code = code;
    code[e->count] = (struct regex_insn) { op, x, y };
    return e->count++;
}

/* The split prefers what stands behind it (greedy), or the other way (lazy), which is filled in later. */
static void split_to(struct emitter *e, size_t split, bool lazy, size_t other)
{
    if (e->large) return;
    uint32_t behind = (uint32_t) split + 1;
    e->code[split].x = lazy ? (uint32_t) other : behind;
    e->code[split].y = lazy ? behind : (uint32_t) other;
}

static void emit_node(struct emitter *e, const struct regex_node *n);

static void emit_alternate(struct emitter *e, const struct regex_node *n)
{
    size_t split = emit(e, REGEX_SPLIT, 0, 0);
    emit_node(e, n->first);
    size_t jump = emit(e, REGEX_JUMP, 0, 0);
    split_to(e, split, false, e->count);
    emit_node(e, n->second);
    if (!e->large) e->code[jump].x = (uint32_t) e->count;
}

/* What may match nothing is tried once more at most: x* is (x+)? then, so that the empty match counts. */
static void emit_star(struct emitter *e, const struct regex_node *n)
{
    size_t split = emit(e, REGEX_SPLIT, 0, 0);
    emit_node(e, n->first);
    if (n->first->nullable) {
        size_t again = emit(e, REGEX_SPLIT, 0, 0);
        if (!e->large) {
            e->code[again].x = n->lazy ? (uint32_t) again + 1 : (uint32_t) split + 1;
            e->code[again].y = n->lazy ? (uint32_t) split + 1 : (uint32_t) again + 1;
        }
    } else {
        emit(e, REGEX_JUMP, (uint32_t) split, 0);
    }
    split_to(e, split, n->lazy, e->count);
}

static void emit_repeat(struct emitter *e, const struct regex_node *n)
{
    int required = n->max < 0 && n->min > 0 ? n->min - 1 : n->min;
    for (int i = 0; i < required && !e->large; i++) emit_node(e, n->first);
    if (n->max < 0 && n->min > 0) { /* x+: the last of the required ones may be repeated */
        size_t start = e->count;
        emit_node(e, n->first);
        size_t split = emit(e, REGEX_SPLIT, 0, 0);
        if (e->large) return;
        e->code[split].x = (uint32_t) (n->lazy ? e->count : start);
        e->code[split].y = (uint32_t) (n->lazy ? start : e->count);
        return;
    }
    if (n->max < 0) {
        emit_star(e, n);
        return;
    }
    /* x{2,4} is xx(x(x)?)? */
    size_t optional = n->max > n->min ? (size_t) (n->max - n->min) : 0;
    size_t *splits = arena_take_array(e->arena, optional, sizeof *splits);
    if (!splits) e->large = true;
    for (size_t i = 0; i < optional && !e->large; i++) {
        splits[i] = emit(e, REGEX_SPLIT, 0, 0);
        emit_node(e, n->first);
    }
    for (size_t i = 0; i < optional && !e->large; i++) split_to(e, splits[i], n->lazy, e->count);
}

static void emit_node(struct emitter *e, const struct regex_node *n)
{
    if (e->large) return;
    switch (n->kind) {
    case REGEX_NODE_EMPTY: return;
    case REGEX_NODE_ONE: emit(e, n->op, n->x, 0); return;
    case REGEX_NODE_SEQUENCE:
        emit_node(e, n->first);
        emit_node(e, n->second);
        return;
    case REGEX_NODE_ALTERNATE: emit_alternate(e, n); return;
    case REGEX_NODE_REPEAT: emit_repeat(e, n); return;
    case REGEX_NODE_GROUP:
        emit(e, REGEX_SAVE, 2 * n->x, 0);
        emit_node(e, n->first);
        emit(e, REGEX_SAVE, 2 * n->x + 1, 0);
        return;
    }
}

/* ---- where a match may begin -------------------------------------------------------------------- */

/* The bytes that a character of the instruction begins with. */
static void add_first(struct regex_program *p, const struct regex_insn *i)
{
    char bytes[4];
    uint64_t beyond = i->op == REGEX_RUNE ? 0 : ~(uint64_t) 0;
    if (i->op == REGEX_RUNE) {
        utf8_encode(i->x, bytes);
        unsigned char first = (unsigned char) bytes[0];
        p->first[first / 64] |= (uint64_t) 1 << first % 64;
        if (i->x == 0xfffd) beyond = ~(uint64_t) 0; /* a byte that is no UTF-8 reads as this */
    }
    for (size_t w = 0; w < 2 && i->op != REGEX_RUNE; w++)
        p->first[w] |= i->op == REGEX_CLASS ? p->classes[i->x].ascii[w] : ~(uint64_t) 0;
    if (i->op == REGEX_CLASS && !p->classes[i->x].code) return;
    p->first[2] |= beyond;
    p->first[3] |= beyond;
}

/* Follows everything that takes no character; whether an assertion holds there is not asked. */
static bool find_first(struct arena *a, struct regex_program *p)
{
    bool *seen = arena_alloc_array(a, p->count, sizeof *seen);
    uint32_t *open = arena_take_array(a, p->count + 1, sizeof *open);
    size_t count = 0;
    if (!seen || !open) return false;
    open[count++] = 0;
    seen[0] = true;
    p->first_known = true;
    while (count) {
        uint32_t at = open[--count];
        const struct regex_insn *i = &p->code[at];
        uint32_t next[2] = { at + 1, at + 1 };
        if (i->op == REGEX_MATCH) p->first_known = false;
        if (i->op <= REGEX_NOT_LF) add_first(p, i);
        if (i->op <= REGEX_NOT_LF || i->op == REGEX_MATCH) continue;
        if (i->op == REGEX_SPLIT) next[0] = i->x, next[1] = i->y;
        if (i->op == REGEX_JUMP) next[0] = next[1] = i->x;
        for (size_t n = 0; n < 2; n++) {
            if (seen[next[n]]) continue;
            seen[next[n]] = true;
            open[count++] = next[n];
        }
    }
    return true;
}

const struct regex_program *regex_compile(struct arena *a, const char *source, size_t len,
                                          struct regex_refusal *ret)
{
    struct regex_tree tree = { .arena = a };
    struct emitter e = { .arena = a };
    struct regex_program *p = arena_alloc(a, sizeof *p);
    *ret = (struct regex_refusal) { 0 };
    if (!p || !regex_parse(&tree, source, len, ret)) return NULL;
    emit_node(&e, tree.root);
    emit(&e, REGEX_MATCH, 0, 0);
    if (e.large) {
        if (!arena_failed(a)) *ret = (struct regex_refusal) { .kind = "expression too large", .limit = true };
        return NULL;
    }
    *p = (struct regex_program) {
        .code = e.code, .count = e.count, .classes = tree.classes, .class_count = tree.class_count,
        .groups = tree.groups,
    };
    size_t first = 0;
    while (p->code[first].op == REGEX_SAVE) first++;
    p->anchored = p->code[first].op == REGEX_BEGIN;
    return find_first(a, p) ? p : NULL;
}
