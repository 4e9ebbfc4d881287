#include "tests/fault/fault.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RULES_MAX 64
#define LINE_MAX_BYTES 512
#define COUNT_LINE 44 /* bytes of a line in the file of counts, its newline included */

struct rule {
    enum function fn;
    unsigned effects;
    bool over; /* it did all that it was to do */
    unsigned long rv, after, count, delay_us, short_by, within, flip;
    bool flips;
};

/* All under `lock`. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    struct rule rules[RULES_MAX];
    size_t n;
    struct powers powers;
    int log_fd, count_fd;
    unsigned long counts[FN_COUNT];
    unsigned long sessions; /* open now; outlives the rules */
    unsigned long under_way; /* calls, now; outlives the rules */
    unsigned long spoiled; /* what every call answers; outlives the rules */
    unsigned long together; /* the most of them at one time */
    struct stat seen;
    unsigned long edition; /* of the rules; outlives them. Inodes do not tell: the next file but one may have the same */
    unsigned once; /* effects that wait for the next call */
    bool unplugged_before;
} control = {.log_fd = -1, .count_fd = -1};

const char *const function_names[FN_COUNT] = {
#define NAME(name, ...) [FN_##name] = #name,
    ALL_FUNCTIONS(NAME)
#undef NAME
};

void refuse(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("p11fault: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    abort();
}

/* ---- words -------------------------------------------------------------------------------- */

/* A word of a line: "name" sets a flag, "name=N" a number. */
struct word {
    const char *line, *name;
    bool number;
    size_t offset;
};

#define RULE_NUMBER(field) {"", #field, true, offsetof(struct rule, field)}
static const struct word RULE_NUMBERS[] = {
    RULE_NUMBER(rv), RULE_NUMBER(after), RULE_NUMBER(count), RULE_NUMBER(delay_us),
    RULE_NUMBER(within), RULE_NUMBER(flip), {"", "short", true, offsetof(struct rule, short_by)},
};

static const struct { const char *name; unsigned effect; } RULE_FLAGS[] = {
    {"done", DONE}, {"hang", HANG}, {"kill", KILL}, {"segv", SEGV}, {"drop", DROP},
    {"drop_all", DROP_ALL}, {"forget", FORGET}, {"unplug", UNPLUG}, {"finalize", FINALIZE},
};

#define POWER(line, name, number, field) {line, name, number, offsetof(struct powers, field)}
static const struct word POWERS[] = {
    POWER("tokeninfo", "set", true, info_set),
    POWER("tokeninfo", "clear", true, info_clear),
    POWER("tokeninfo", "sessions", true, info_sessions),
    POWER("sessions", "max", true, sessions_max),
    POWER("sessions", "drop", false, sessions_drop),
    POWER("login", "forget", false, login_forget),
    POWER("token", "unplugged", false, unplugged),
    POWER("token", "stale", true, stale),
    POWER("token", "spoiled", true, spoiled),
    POWER("token", "finalized", false, finalized),
    POWER("slots", "xor", true, slots_xor),
    POWER("slots", "rotate", true, slots_rotate),
    POWER("objects", "value_max", true, value_max),
    POWER("objects", "label_max", true, label_max),
    POWER("objects", "no_data", false, no_data),
    POWER("objects", "no_private", false, no_private),
    POWER("objects", "rv", true, objects_rv),
    POWER("pin", "tries", true, pin_tries),
    POWER("gcm", "in-place", false, gcm_in_place),
    POWER("gcm", "appended", false, gcm_appended),
    POWER("gcm", "prepended", false, gcm_prepended),
};

#define COUNT_OF(a) (sizeof(a) / sizeof *(a))

/* Sets the number or flag that the word names in `base`; false when the table has no such word. */
static bool set_word(const struct word *table, size_t n, const char *line, const char *text,
                     void *base)
{
    size_t len = strcspn(text, "=");
    for (size_t i = 0; i < n; i++) {
        const struct word *w = &table[i];
        if (strcmp(w->line, line) || strlen(w->name) != len || strncmp(w->name, text, len) ||
            w->number != (text[len] == '='))
            continue;
        unsigned long value = 1;
        char *end = NULL;
        if (w->number) value = strtoul(text + len + 1, &end, 0);
        if (w->number && (end == text + len + 1 || *end)) return false;
        *(unsigned long *) ((char *) base + w->offset) = value;
        return true;
    }
    return false;
}

static bool set_rule_flag(struct rule *r, const char *text)
{
    for (size_t i = 0; i < COUNT_OF(RULE_FLAGS); i++) {
        if (strcmp(RULE_FLAGS[i].name, text)) continue;
        r->effects |= RULE_FLAGS[i].effect;
        return true;
    }
    return false;
}

/* The next word of the line, or NULL at its end. */
static char *next_word(char **line)
{
    char *word = NULL;
    do word = strsep(line, " \t\r\n");
    while (word && !*word);
    return word;
}

/* ---- lines -------------------------------------------------------------------------------- */

/* The rest of the line: paths may hold spaces. */
static int open_rest(char *line, int flags)
{
    if (!line || !line[strspn(line, " \t\r\n")]) refuse("a log or count without a file");
    line[strcspn(line, "\r\n")] = '\0';
    int fd = open(line, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600);
    if (fd < 0) refuse("%s cannot be written", line);
    return fd;
}

static void format_line(char line[COUNT_LINE + 1], const char *name, unsigned long n)
{
    snprintf(line, COUNT_LINE + 1, "%-28s %14lu\n", name, n);
}

static void write_line(size_t at, const char *name, unsigned long n)
{
    char line[COUNT_LINE + 1];
    format_line(line, name, n);
    if (pwrite(control.count_fd, line, COUNT_LINE, (off_t) (at * COUNT_LINE)) != COUNT_LINE)
        refuse("a count cannot be written");
}

static void write_count(size_t fn)
{
    write_line(fn, function_names[fn], control.counts[fn]);
}

/* All at once: tests change rules thousands of times. */
static void write_counts(void)
{
    char text[(FN_COUNT + 2) * COUNT_LINE + 1];
    for (size_t i = 0; i < FN_COUNT; i++)
        format_line(text + i * COUNT_LINE, function_names[i], control.counts[i]);
    format_line(text + (size_t) FN_COUNT * COUNT_LINE, "sessions", control.sessions);
    format_line(text + (size_t) (FN_COUNT + 1) * COUNT_LINE, "together", control.together);
    if (pwrite(control.count_fd, text, sizeof text - 1, 0) != sizeof text - 1)
        refuse("counts cannot be written");
}

void control_sessions(unsigned long n)
{
    pthread_mutex_lock(&lock);
    control.sessions = n;
    if (control.count_fd >= 0) write_line(FN_COUNT, "sessions", n);
    pthread_mutex_unlock(&lock);
}

static enum function function_of(const char *name)
{
    if (strcmp(name, "*") == 0) return FN_ANY;
    for (size_t i = 0; i < FN_COUNT; i++)
        if (strcmp(function_names[i], name) == 0) return (enum function) i;
    refuse("%s is neither a function nor a power", name);
}

static void parse_rule(const char *name, char *line)
{
    if (control.n == RULES_MAX) refuse("more than %d rules", RULES_MAX);
    struct rule *r = &control.rules[control.n++];
    *r = (struct rule){.fn = function_of(name)};
    for (char *word = next_word(&line); word; word = next_word(&line)) {
        bool known = set_rule_flag(r, word) ||
                     set_word(RULE_NUMBERS, COUNT_OF(RULE_NUMBERS), "", word, r);
        if (!known) refuse("%s: %s is not understood", name, word);
        if (strncmp(word, "rv=", 3) == 0) r->effects |= ANSWER;
        if (strncmp(word, "flip=", 5) == 0) r->flips = true;
        if (strncmp(word, "within=", 7) == 0 && !r->within) refuse("within=0 is never");
    }
}

static bool is_power(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(POWERS); i++)
        if (strcmp(POWERS[i].line, name) == 0) return true;
    return false;
}

static void parse_line(char *line)
{
    char *name = next_word(&line);
    if (!name || name[0] == '#') return;
    if (strcmp(name, "log") == 0) {
        control.log_fd = open_rest(line, O_APPEND);
    } else if (strcmp(name, "count") == 0) {
        control.count_fd = open_rest(line, O_TRUNC);
        write_counts();
    } else if (is_power(name)) {
        char *word = next_word(&line);
        if (!word) refuse("%s: what of it?", name);
        for (; word; word = next_word(&line))
            if (!set_word(POWERS, COUNT_OF(POWERS), name, word, &control.powers))
                refuse("%s: %s is not understood", name, word);
    } else {
        parse_rule(name, line);
    }
}

/* ---- reading ------------------------------------------------------------------------------ */

static void forget_rules(void)
{
    bool unplugged = control.powers.unplugged;
    unsigned once = control.once;
    unsigned long sessions = control.sessions, under_way = control.under_way, spoiled = control.spoiled;
    unsigned long edition = control.edition + 1;
    if (control.log_fd >= 0) close(control.log_fd);
    if (control.count_fd >= 0) close(control.count_fd);
    memset(&control, 0, sizeof control);
    control.log_fd = control.count_fd = -1;
    control.unplugged_before = unplugged;
    control.sessions = sessions;
    control.under_way = under_way;
    control.spoiled = spoiled;
    control.edition = edition;
    control.once = once; /* not yet done, since nobody called */
}

/* What is done once, when it is read. */
static void take_acts(void)
{
    struct powers *p = &control.powers;
    if (p->sessions_drop || (p->unplugged && !control.unplugged_before)) control.once |= DROP_ALL;
    if (p->spoiled) control.spoiled = p->spoiled;
    if (p->login_forget) control.once |= FORGET;
    if (p->finalized) control.once |= FINALIZE;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void read_rules_locked(void)
{
    const char *path = getenv("P11FAULT_CONTROL");
    struct stat st = {0};
    if (!path || stat(path, &st)) {
        if (control.seen.st_ino) forget_rules();
        return;
    }
    if (same_file(&st, &control.seen)) return;
    FILE *f = fopen(path, "re");
    if (!f) return;
    forget_rules();
    control.seen = st;
    char line[LINE_MAX_BYTES];
    while (fgets(line, sizeof line, f)) parse_line(line);
    fclose(f);
    take_acts();
}

bool rules_are(unsigned long edition)
{
    pthread_mutex_lock(&lock);
    read_rules_locked();
    bool same = control.edition == edition;
    pthread_mutex_unlock(&lock);
    return same;
}

struct powers powers_now(void)
{
    pthread_mutex_lock(&lock);
    struct powers p = control.powers;
    p.spoiled = control.spoiled;
    pthread_mutex_unlock(&lock);
    return p;
}

void powers_unplug(void)
{
    pthread_mutex_lock(&lock);
    control.powers.unplugged = 1;
    pthread_mutex_unlock(&lock);
}

void powers_renew(void)
{
    pthread_mutex_lock(&lock);
    control.powers.stale = 0;
    pthread_mutex_unlock(&lock);
}

/* ---- obeying ------------------------------------------------------------------------------ */

static void log_call_locked(enum function fn)
{
    char line[64];
    control.counts[fn]++;
    if (control.count_fd >= 0) write_count(fn);
    if (control.log_fd < 0) return;
    int n = snprintf(line, sizeof line, "%s\n", function_names[fn]);
    if (write(control.log_fd, line, (size_t) n) != n) refuse("the log cannot be written");
}

static void note_begin_locked(void)
{
    if (++control.under_way <= control.together) return;
    control.together = control.under_way;
    if (control.count_fd >= 0) write_line(FN_COUNT + 1, "together", control.together);
}

void control_done(void)
{
    pthread_mutex_lock(&lock);
    control.under_way--;
    pthread_mutex_unlock(&lock);
}

/* Whether this rule is for this call; counts it. */
static bool fires(struct rule *r, enum function fn)
{
    if (r->over || (r->fn != fn && r->fn != FN_ANY)) return false;
    if (r->after) {
        r->after--;
        return false;
    }
    if (r->count == 1) r->over = true;
    if (r->count) r->count--;
    return true;
}

static void apply(const struct rule *r, struct call *c)
{
    /* The first rule that answers has the word. */
    if (r->effects & ANSWER && !(c->effects & ANSWER)) c->rv = r->rv;
    c->effects |= r->effects;
    c->delay_us += r->delay_us;
    c->short_by += r->short_by;
    if (r->within) c->within = r->within;
    if (r->flips && c->flip_count < FLIPS_MAX) c->flips[c->flip_count++] = r->flip;
}

void control_look(struct call *c, unsigned *ret_once)
{
    pthread_mutex_lock(&lock);
    read_rules_locked();
    log_call_locked(c->fn);
    note_begin_locked();
    for (size_t i = 0; i < control.n; i++)
        if (fires(&control.rules[i], c->fn)) apply(&control.rules[i], c);
    c->rules = control.edition;
    /* Logging out needs a session: it waits for a call that has one. */
    unsigned now = control.once & (c->session == NO_SESSION ? ~(unsigned) FORGET : ~0u);
    control.once &= ~now;
    *ret_once = now;
    pthread_mutex_unlock(&lock);
}
