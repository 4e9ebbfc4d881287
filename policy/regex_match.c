/* All ways through the program side by side, one character after the other. A way is an instruction that
 * waits for a character; ways that stand at the same instruction are one, the preferred one, so there are
 * never more than instructions. */
#include "policy/arena.h"
#include "policy/budget.h"
#include "policy/regex_class.h"
#include "policy/regex_program.h"
#include "policy/text.h"

enum {
    WORK_STEP = 4,  /* instructions looked at for one step of the budget */
    SLOW_CLASS = 8, /* of these, what a class beyond ASCII costs */
};

/* Ways in the order of preference, each with the offsets that it has come by. */
struct ways {
    uint32_t *at;
    size_t count;
    size_t *offsets; /* of all ways; unused when only the fact is wanted */
};

/* What is still to be followed; a negative one puts an offset back. */
struct todo { int64_t insn; size_t offset; };

struct matcher {
    struct regex_scratch *scratch;
    const struct regex_program *program;
    const char *text;
    size_t len;
    struct ways now, next;
    uint32_t *marks, mark; /* instructions seen at this place have this mark */
    struct todo *todo;
    size_t *offsets;       /* of the way being followed */
    size_t offset_count;
    uint64_t work;
};

/* ---- memory ------------------------------------------------------------------------------------- */

static size_t whole(size_t bytes)
{
    return (bytes + 15) & ~(size_t) 15;
}

/* One piece for everything, kept for the next search: marks, both lists, what is to do, and the offsets of
 * each way of both lists and of the one being followed. Marks are zeroed. */
static bool open_rooms(struct matcher *m)
{
    struct regex_scratch *s = m->scratch;
    size_t n = m->program->count > s->insns ? m->program->count : s->insns;
    size_t row = whole((m->offset_count > s->offsets ? m->offset_count : s->offsets) * sizeof(size_t));
    size_t list = whole(n * sizeof(uint32_t)), todo = whole((2 * n + 2) * sizeof *m->todo);
    if (n > s->insns || m->offset_count > s->offsets) {
        s->rooms = arena_alloc(s->arena, 3 * list + todo + (2 * n + 1) * row);
        if (!s->rooms) return false;
        s->insns = n;
        s->offsets = row / sizeof(size_t);
        s->mark = 0;
    }
    char *at = s->rooms;
    m->marks = (uint32_t *) (void *) at;
    m->now.at = (uint32_t *) (void *) (at + list);
    m->next.at = (uint32_t *) (void *) (at + 2 * list);
    m->todo = (struct todo *) (void *) (at + 3 * list);
    at += 3 * list + todo;
    m->now.offsets = (size_t *) (void *) at;
    m->next.offsets = (size_t *) (void *) (at + n * row);
    m->offsets = (size_t *) (void *) (at + 2 * n * row);
    return true;
}

/* ---- following ---------------------------------------------------------------------------------- */

static bool word_at(const struct matcher *m, size_t at)
{
    unsigned char c = at < m->len ? (unsigned char) m->text[at] : 0;
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool holds(const struct matcher *m, enum regex_op op, size_t at)
{
    switch (op) {
    case REGEX_BEGIN: return at == 0;
    case REGEX_END: return at == m->len;
    case REGEX_LINE_BEGIN: return at == 0 || m->text[at - 1] == '\n';
    case REGEX_LINE_END: return at == m->len || m->text[at] == '\n';
    default: break;
    }
    bool word = (at > 0 && word_at(m, at - 1)) != word_at(m, at);
    return word == (op == REGEX_WORD);
}

static void add_way(struct matcher *m, struct ways *to, uint32_t at)
{
    if (m->offset_count)
        memcpy(to->offsets + to->count * m->offset_count, m->offsets, m->offset_count * sizeof *m->offsets);
    to->at[to->count++] = at;
}

/* The way of an instruction that takes a character, unless another one stands there. */
static inline void add_marked(struct matcher *m, struct ways *to, uint32_t at)
{
    if (m->marks[at] == m->mark) return;
    m->marks[at] = m->mark;
    m->work++;
    add_way(m, to, at);
}

/* Adds all ways from the instruction on that begin with a character (or end in a match) at the place. */
static void follow(struct matcher *m, struct ways *to, uint32_t start, size_t place)
{
    size_t count = 0;
    m->todo[count++] = (struct todo) { start, 0 };
    while (count) {
        struct todo t = m->todo[--count];
        if (t.insn < 0) {
            m->offsets[-t.insn - 1] = t.offset;
            continue;
        }
        uint32_t at = (uint32_t) t.insn;
        if (m->marks[at] == m->mark) continue;
        m->marks[at] = m->mark;
        m->work++;
        const struct regex_insn *i = &m->program->code[at];
        switch (i->op) {
        case REGEX_SPLIT:
            m->todo[count++] = (struct todo) { i->y, 0 };
            m->todo[count++] = (struct todo) { i->x, 0 };
            break;
        case REGEX_JUMP: m->todo[count++] = (struct todo) { i->x, 0 }; break;
        case REGEX_SAVE:
            if (i->x < m->offset_count) {
                m->todo[count++] = (struct todo) { -(int64_t) i->x - 1, m->offsets[i->x] };
                m->offsets[i->x] = place;
            }
            m->todo[count++] = (struct todo) { at + 1, 0 };
            break;
        case REGEX_RUNE: case REGEX_CLASS: case REGEX_ANY: case REGEX_NOT_LF: case REGEX_MATCH:
            add_way(m, to, at);
            break;
        default:
            if (holds(m, (enum regex_op) i->op, place)) m->todo[count++] = (struct todo) { at + 1, 0 };
        }
    }
}

/* ---- stepping ----------------------------------------------------------------------------------- */

static inline bool takes(struct matcher *m, const struct regex_insn *i, uint32_t rune)
{
    switch (i->op) {
    case REGEX_RUNE: return rune == i->x;
    case REGEX_CLASS:
        if (rune >= 0x80) m->work += SLOW_CLASS;
        return regex_class_has(&m->program->classes[i->x], rune, m->scratch->arena, &m->scratch->class_match);
    case REGEX_ANY: return true;
    default: return rune != '\n';
    }
}

/* The ways of now over one character (len 0: the end) to those of next. A match ends what is less preferred;
 * true when there was one, whose offsets are copied. */
static bool step(struct matcher *m, uint32_t rune, size_t behind, bool end, size_t *ret_offsets)
{
    m->next.count = 0;
    m->mark++;
    for (size_t w = 0; w < m->now.count; w++) {
        const struct regex_insn *i = &m->program->code[m->now.at[w]];
        const size_t *offsets = m->now.offsets + w * m->offset_count;
        m->work++;
        if (i->op == REGEX_MATCH) {
            if (m->offset_count) memcpy(ret_offsets, offsets, m->offset_count * sizeof *offsets);
            return true;
        }
        if (end || !takes(m, i, rune)) continue;
        if (m->offset_count) memcpy(m->offsets, offsets, m->offset_count * sizeof *offsets);
        uint32_t next = m->now.at[w] + 1;
        if (m->program->code[next].op <= REGEX_NOT_LF) add_marked(m, &m->next, next);
        else follow(m, &m->next, next, behind);
    }
    return false;
}

static void begin_way(struct matcher *m, size_t place)
{
    for (size_t i = 0; i < m->offset_count; i++) m->offsets[i] = SIZE_MAX;
    if (m->offset_count) m->offsets[0] = place;
    follow(m, &m->now, 0, place);
}

/* Where no way is open, places that no match begins at are passed over. */
static size_t skip(struct matcher *m, size_t at)
{
    const struct regex_program *p = m->program;
    size_t from = at;
    if (!p->first_known || p->anchored) return at;
    for (; at < m->len; at++) {
        unsigned char c = (unsigned char) m->text[at];
        if (p->first[c / 64] >> c % 64 & 1) break;
    }
    m->work += (at - from) / 4;
    return at;
}

static bool pay(struct matcher *m)
{
    if (m->work < 64 * WORK_STEP) return true;
    uint64_t steps = m->work / WORK_STEP;
    m->work %= WORK_STEP;
    return budget_spend(m->scratch->budget, steps) && !arena_failed(m->scratch->arena);
}

static enum regex_outcome run(struct matcher *m, size_t from, size_t *ret_offsets)
{
    bool found = false;
    for (size_t at = from; at <= m->len;) {
        if (!m->now.count) {
            if (found || (m->program->anchored && at > 0)) break;
            at = skip(m, at);
            m->mark++;
        }
        if (!found && (at == 0 || !m->program->anchored)) begin_way(m, at);
        uint32_t rune = at < m->len ? (unsigned char) m->text[at] : 0;
        size_t n = rune < 0x80 ? 1 : utf8_decode(m->text + at, m->text + m->len, &rune);
        if (step(m, rune, at + n, at == m->len, ret_offsets)) {
            found = true;
            if (!m->offset_count) break;
            if (m->offset_count > 1) ret_offsets[1] = at;
        }
        struct ways swap = m->now;
        m->now = m->next;
        m->next = swap;
        at += n;
        if (!pay(m)) return REGEX_SPENT;
    }
    return found ? REGEX_FOUND : REGEX_NONE;
}

enum regex_outcome regex_search(struct regex_scratch *s, const struct regex_program *p, const char *text, size_t len,
                                size_t from, size_t *offsets, size_t offset_count)
{
    struct matcher m = {
        .scratch = s, .program = p, .text = text, .len = len, .offset_count = offset_count,
    };
    if (!open_rooms(&m)) return REGEX_SPENT;
    m.mark = s->mark; /* the rooms may be new */
    enum regex_outcome outcome = run(&m, from, offsets);
    s->mark = m.mark;
    return budget_spend(s->budget, m.work / WORK_STEP) ? outcome : REGEX_SPENT;
}
