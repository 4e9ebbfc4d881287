#include "broker/base/line_diff.h"

#include "broker/base/cleanup.h"

#include <string.h>

/* A line keeps its end, so that a last line without one differs from one with it. */
struct lines {
    struct span *line;
    uint64_t *hash;
    size_t count;
};

static void lines_done(struct lines *l)
{
    free(l->line);
    free(l->hash);
}

static size_t line_length(struct span text)
{
    const uint8_t *end = memchr(text.data, '\n', text.len);
    return end ? (size_t) (end - text.data) + 1 : text.len;
}

static size_t count_lines(struct span text)
{
    size_t n = 0;
    for (; text.len; n++) {
        size_t len = line_length(text);
        text = span_of(text.data + len, text.len - len);
    }
    return n;
}

static uint64_t hash_of(struct span s) /* FNV-1a */
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < s.len; i++) h = (h ^ s.data[i]) * UINT64_C(0x100000001b3);
    return h;
}

static err_t split(struct span text, struct lines *ret)
{
    size_t count = count_lines(text);
    ret->line = calloc(count + 1, sizeof *ret->line);
    ret->hash = calloc(count + 1, sizeof *ret->hash);
    if (!ret->line || !ret->hash) FAIL(ERR_INTERNAL, "out of memory");
    ret->count = count;
    for (size_t i = 0; i < count; i++) {
        size_t len = line_length(text);
        ret->line[i] = span_of(text.data, len);
        ret->hash[i] = hash_of(ret->line[i]);
        text = span_of(text.data + len, text.len - len);
    }
    return ERR_OK;
}

/* ---- finding the edits -------------------------------------------------------------------- */

/* The part that differs, without equal lines in front and behind, and which lines of it go and come.
 * A line of a that does not go is equal to the line of b that does not come in its place. */
struct edits {
    struct lines a, b;
    size_t before, a_len, b_len; /* the middle: [before, before + len) */
    bool *goes, *comes;          /* by line of all of a and of b */
};

static bool same(const struct edits *e, size_t i, size_t j)
{
    return e->a.hash[i] == e->b.hash[j] && span_eq(e->a.line[i], e->b.line[j]);
}

static void trim(struct edits *e)
{
    size_t a = e->a.count, b = e->b.count, n = 0;
    while (n < a && n < b && same(e, n, n)) n++;
    while (a > n && b > n && same(e, a - 1, b - 1)) a--, b--;
    e->before = n;
    e->a_len = a - n;
    e->b_len = b - n;
}

/* E. W. Myers, "An O(ND) difference algorithm": far[k] is how far into a one gets on diagonal k
 * (position in a minus that in b) with d edits. Each round is kept, so that the way can be walked
 * back. Rows of round d hold diagonals -d..d. */
struct rounds {
    int32_t *row[LINE_DIFF_EDITS_MAX + 1];
    int32_t count;
};

static void rounds_done(struct rounds *r)
{
    for (int32_t d = 0; d < r->count; d++) free(r->row[d]);
}

/* Where round d on diagonal k begins: one line more of b (k + 1) or of a (k - 1), whichever is
 * further. *ret_down says that it was b's. */
static int32_t begin_of(const struct rounds *r, int32_t d, int32_t k, bool *ret_down)
{
    if (d == 0) {
        *ret_down = false;
        return 0;
    }
    const int32_t *last = r->row[d - 1] + (d - 1); /* last[k], k from -(d-1) to d-1 */
    *ret_down = k == -d || (k != d && last[k - 1] < last[k + 1]);
    return *ret_down ? last[k + 1] : last[k - 1] + 1;
}

/* One more edit; true when both ends are reached. */
static bool advance(const struct edits *e, struct rounds *r)
{
    int32_t d = r->count - 1, *row = r->row[d] + d;
    for (int32_t k = -d; k <= d; k += 2) {
        bool down = false;
        int32_t x = begin_of(r, d, k, &down);
        int32_t a_len = (int32_t) e->a_len, b_len = (int32_t) e->b_len;
        while (x < a_len && x - k < b_len && x - k >= 0 &&
               same(e, e->before + (size_t) x, e->before + (size_t) (x - k)))
            x++;
        row[k] = x;
        if (x >= a_len && x - k >= b_len) return true;
    }
    return false;
}

/* Walks back from the end, round by round, and marks what each edit did. */
static void mark_way(struct edits *e, const struct rounds *r)
{
    int32_t k = (int32_t) e->a_len - (int32_t) e->b_len;
    for (int32_t d = r->count - 1; d > 0; d--) {
        bool down = false;
        int32_t x = begin_of(r, d, k, &down);
        if (down) e->comes[e->before + (size_t) (x - k) - 1] = true;
        else e->goes[e->before + (size_t) x - 1] = true;
        k += down ? 1 : -1;
    }
}

static void mark_all(struct edits *e)
{
    memset(e->goes + e->before, true, e->a_len);
    memset(e->comes + e->before, true, e->b_len);
}

static err_t find_edits(struct edits *e)
{
    _cleanup_(rounds_done) struct rounds r = {0};
    e->goes = calloc(e->a.count + 1, sizeof *e->goes);
    e->comes = calloc(e->b.count + 1, sizeof *e->comes);
    if (!e->goes || !e->comes) FAIL(ERR_INTERNAL, "out of memory");
    trim(e);
    bool one_side = e->a_len == 0 || e->b_len == 0;
    for (int32_t d = 0; !one_side && d <= (int32_t) LINE_DIFF_EDITS_MAX; d++) {
        r.row[d] = calloc(2 * (size_t) d + 1, sizeof *r.row[d]);
        if (!r.row[d]) FAIL(ERR_INTERNAL, "out of memory");
        r.count = d + 1;
        if (!advance(e, &r)) continue;
        mark_way(e, &r);
        return ERR_OK;
    }
    mark_all(e);
    return ERR_OK;
}

static void edits_done(struct edits *e)
{
    lines_done(&e->a);
    lines_done(&e->b);
    free(e->goes);
    free(e->comes);
}

/* ---- writing the hunks -------------------------------------------------------------------- */

static void put_line(struct buf *out, char mark, struct span line)
{
    buf_add_byte(out, (uint8_t) mark);
    buf_add_span(out, line);
    if (line.data[line.len - 1] != '\n') buf_add_str(out, "\n\\ No newline at end of file\n");
}

/* A range as diff(1) writes it: an empty one stands behind the line before it. */
static void put_range(struct buf *out, size_t first, size_t count)
{
    buf_addf(out, "%zu", count ? first + 1 : first);
    if (count != 1) buf_addf(out, ",%zu", count);
}

struct place { size_t a, b; };

static bool changes_at(const struct edits *e, struct place p)
{
    return (p.a < e->a.count && e->goes[p.a]) || (p.b < e->b.count && e->comes[p.b]);
}

/* Over all lines that go and come here, those that go first. */
static struct place skip_change(const struct edits *e, struct place p)
{
    while (p.a < e->a.count && e->goes[p.a]) p.a++;
    while (p.b < e->b.count && e->comes[p.b]) p.b++;
    return p;
}

/* Where the hunk that begins with the change at p ends: changes with no more than twice the context
 * between them are one hunk. */
static struct place hunk_end(const struct edits *e, struct place p)
{
    for (;;) {
        p = skip_change(e, p);
        struct place next = p;
        size_t equal = 0;
        while (next.a < e->a.count && !changes_at(e, next) && equal <= 2 * LINE_DIFF_CONTEXT)
            next.a++, next.b++, equal++;
        if (!changes_at(e, next) || equal > 2 * LINE_DIFF_CONTEXT) return p;
        p = next;
    }
}

static void put_hunk(const struct edits *e, struct place p, struct place end, struct buf *out)
{
    size_t lead = p.a < LINE_DIFF_CONTEXT ? p.a : LINE_DIFF_CONTEXT;
    size_t left = e->a.count - end.a;
    size_t tail = left < LINE_DIFF_CONTEXT ? left : LINE_DIFF_CONTEXT;
    p.a -= lead;
    p.b -= lead;
    end.a += tail;
    end.b += tail;
    buf_add_str(out, "@@ -");
    put_range(out, p.a, end.a - p.a);
    buf_add_str(out, " +");
    put_range(out, p.b, end.b - p.b);
    buf_add_str(out, " @@\n");
    while (p.a < end.a || p.b < end.b) {
        if (p.a < end.a && e->goes[p.a]) put_line(out, '-', e->a.line[p.a++]);
        else if (p.b < end.b && e->comes[p.b]) put_line(out, '+', e->b.line[p.b++]);
        else put_line(out, ' ', e->a.line[p.a++]), p.b++;
    }
}

static void put_hunks(const struct edits *e, struct buf *out)
{
    for (struct place p = {0}; p.a < e->a.count || p.b < e->b.count;) {
        if (!changes_at(e, p)) {
            p.a++;
            p.b++;
            continue;
        }
        struct place end = hunk_end(e, p);
        put_hunk(e, p, end, out);
        p = end;
    }
}

struct err line_diff(struct span a, const char *a_name, struct span b, const char *b_name,
                     struct buf *out)
{
    if (span_eq(a, b)) return ERR_OK;
    _cleanup_(edits_done) struct edits e = {0};
    TRY(split(a, &e.a));
    TRY(split(b, &e.b));
    TRY(find_edits(&e));
    buf_addf(out, "--- %s\n+++ %s\n", a_name, b_name);
    put_hunks(&e, out);
    return buf_ok(out);
}
