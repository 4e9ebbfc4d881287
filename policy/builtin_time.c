/* time.*: no clock of our own; now is the call's. */
#include "policy/builtin.h"
#include "policy/time_layout.h"
#include "policy/value.h"

enum {
    SECOND_NS = 1000000000,
    ZONE_STEPS = 100, /* the host may have to open a file */
};

static const struct value *out_of_range(struct builtin_call *call)
{
    return builtin_fail(call, "time outside of valid range");
}

static const struct value *nanoseconds(struct builtin_call *call, int64_t seconds, int32_t ns)
{
    __int128 total = (__int128) seconds * SECOND_NS + ns;

    if (total < INT64_MIN || total > INT64_MAX) return out_of_range(call);
    return value_int(call->arena, (int64_t) total);
}

const struct value *builtin_time_now_ns(struct builtin_call *call, const struct value *const *args)
{
    (void) args;
    return value_int(call->arena, call->now_ns);
}

/* ---- the operand: ns, or [ns, zone, layout] ---- */

struct moment {
    struct zoned_time time;
    const struct value *zone;   /* NULL: UTC */
    const struct value *layout; /* NULL: none given */
};

/* The offset of the zone at the time. */
static bool enter_zone(struct builtin_call *call, const struct value *zone, struct zoned_time *t)
{
    const struct builtin_host *host = call->host;
    struct builtin_zone found = { .abbreviation = "UTC" };

    bool known = !zone || zone->count == 0 || string_is(zone, "UTC");
    if (!known && host && host->zone_at) {
        if (!builtin_spend(call, ZONE_STEPS)) return false;
        known = host->zone_at(call->context, zone->string, zone->count, t->seconds, &found);
    }
    if (!known) return builtin_fail(call, "unknown time zone %.100s", zone->string), false;
    t->offset = found.offset;
    memcpy(t->abbreviation, found.abbreviation, sizeof t->abbreviation);
    return true;
}

static bool text_at(struct builtin_call *call, const struct value *list, size_t i, const struct value **ret)
{
    *ret = array_at(list, i);
    if (!*ret || (*ret)->kind == VALUE_STRING) return true;
    return builtin_fail_type(call, 1, "string", *ret), false;
}

static bool read_moment(struct builtin_call *call, const struct value *v, struct moment *ret)
{
    const struct value *ns = v->kind == VALUE_ARRAY ? array_at(v, 0) : v;
    int64_t i;

    *ret = (struct moment) { 0 };
    if (!ns || (v->kind != VALUE_ARRAY && v->kind != VALUE_NUMBER))
        return builtin_fail_type(call, 1, "either number (ns) or [number (ns), string (tz)]", v), false;
    if (ns->kind != VALUE_NUMBER) return builtin_fail_type(call, 1, "number", ns), false;
    if (v->kind == VALUE_ARRAY && (!text_at(call, v, 1, &ret->zone) || !text_at(call, v, 2, &ret->layout)))
        return false;
    if (!num_to_i64(ns->number, &i)) return builtin_fail(call, "timestamp too big"), false;
    ret->time.seconds = i / SECOND_NS - (i % SECOND_NS < 0);
    ret->time.nanosecond = (int32_t) (i % SECOND_NS + (i % SECOND_NS < 0 ? SECOND_NS : 0));
    return enter_zone(call, ret->zone, &ret->time);
}

static struct civil local(const struct moment *m)
{
    return civil_from_seconds(m->time.seconds + m->time.offset);
}

static const struct value *integers(struct builtin_call *call, const int64_t *numbers, size_t count)
{
    struct value_builder b;

    value_builder_init(&b, call->arena, VALUE_ARRAY);
    for (size_t i = 0; i < count; i++)
        if (!value_builder_add(&b, value_int(call->arena, numbers[i]))) return builtin_halt(call);
    return builtin_builder_end(call, &b);
}

const struct value *builtin_time_date(struct builtin_call *call, const struct value *const *args)
{
    struct moment m;

    if (!read_moment(call, args[0], &m)) return NULL;
    struct civil c = local(&m);
    return integers(call, (int64_t[]) { c.year, c.month, c.day }, 3);
}

const struct value *builtin_time_clock(struct builtin_call *call, const struct value *const *args)
{
    struct moment m;

    if (!read_moment(call, args[0], &m)) return NULL;
    struct civil c = local(&m);
    return integers(call, (int64_t[]) { c.hour, c.minute, c.second }, 3);
}

const struct value *builtin_time_weekday(struct builtin_call *call, const struct value *const *args)
{
    struct moment m;

    if (!read_moment(call, args[0], &m)) return NULL;
    return value_string_z(call->arena, time_day_names[civil_weekday(m.time.seconds + m.time.offset)]);
}

/* ---- calculating ---- */

/* A date beyond this many years or days cannot be told in nanoseconds, whatever is added to. */
static bool small_enough(struct builtin_call *call, const struct value *v, int64_t limit, int *ret)
{
    int64_t i;

    if (!num_to_i64(v->number, &i) || i > limit || i < -limit) return out_of_range(call), false;
    *ret = (int) i;
    return true;
}

const struct value *builtin_time_add_date(struct builtin_call *call, const struct value *const *args)
{
    enum { YEARS_MAX = 1000, MONTHS_MAX = 12 * YEARS_MAX, DAYS_MAX = 366 * YEARS_MAX };
    struct moment m;
    int years, months, days;

    if (!read_moment(call, args[0], &m) || !small_enough(call, args[1], YEARS_MAX, &years)
        || !small_enough(call, args[2], MONTHS_MAX, &months) || !small_enough(call, args[3], DAYS_MAX, &days))
        return NULL;
    struct civil c = local(&m);
    c.year += years;
    c.month += months;
    c.day += days;
    /* The clock on the wall stays, so the offset is that of the new day (Go's time.Date). */
    int64_t wall = civil_to_seconds(&c);
    for (int i = 0; m.zone && i < 2; i++) {
        m.time.seconds = i ? wall - m.time.offset : wall;
        if (!enter_zone(call, m.zone, &m.time)) return NULL;
    }
    return nanoseconds(call, wall - m.time.offset, m.time.nanosecond);
}

static bool is_after(const struct zoned_time *x, const struct zoned_time *y)
{
    return x->seconds != y->seconds ? x->seconds > y->seconds : x->nanosecond > y->nanosecond;
}

/* Years, months, days, hours, minutes and seconds from the earlier to the later one, both seen in
 * the first operand's zone: what is missing in one place is borrowed from the next larger. */
const struct value *builtin_time_diff(struct builtin_call *call, const struct value *const *args)
{
    struct moment x, y;

    if (!read_moment(call, args[0], &x) || !read_moment(call, args[1], &y)
        || !enter_zone(call, x.zone, &y.time))
        return NULL;
    bool swap = is_after(&x.time, &y.time);
    struct civil from = local(swap ? &y : &x), to = local(swap ? &x : &y);
    const int64_t sizes[6] = { 0, 12, civil_month_days(from.year, from.month), 24, 60, 60 };
    int64_t parts[6] = { to.year - from.year,     to.month - from.month,   to.day - from.day,
                         to.hour - from.hour,     to.minute - from.minute, to.second - from.second };

    for (int i = 5; i > 0; i--) {
        if (parts[i] >= 0) continue;
        parts[i] += sizes[i];
        parts[i - 1]--;
    }
    return integers(call, parts, 6);
}

/* ---- text ---- */

/* What follows one would not be looked at. */
static bool has_nul(const struct value *text)
{
    return strlen(text->string) != text->count;
}

const struct value *builtin_time_format(struct builtin_call *call, const struct value *const *args)
{
    struct moment m;
    struct text t;

    if (!read_moment(call, args[0], &m)) return NULL;
    if (m.layout && has_nul(m.layout)) return builtin_fail(call, "NUL in the layout");
    const char *name = m.layout && m.layout->count ? m.layout->string : "RFC3339Nano";
    if (!builtin_spend(call, 2 * strlen(name))) return NULL;
    text_init(&t, call->arena);
    time_format(&t, time_layout(name), &m.time);
    return builtin_text_end(call, &t);
}

static const struct value *parse(struct builtin_call *call, const char *layout, const struct value *text)
{
    struct zoned_time t;
    struct time_mismatch where = { 0 };

    if (!builtin_spend(call, strlen(layout) + text->count / 16)) return NULL;
    const char *problem = "NUL in the text";
    if (!has_nul(text)) problem = time_parse(layout, text->string, &t, &where);
    if (where.layout)
        return builtin_fail(call, "parsing time \"%.100s\" as \"%.100s\": %s \"%.100s\" as \"%.*s\"", text->string, layout,
                            problem, where.text, (int) where.layout_len, where.layout);
    if (where.text) return builtin_fail(call, "parsing time \"%.100s\": %s: \"%.100s\"", text->string, problem, where.text);
    if (problem) return builtin_fail(call, "parsing time \"%.100s\": %s", text->string, problem);
    return nanoseconds(call, t.seconds, t.nanosecond);
}

const struct value *builtin_time_parse_ns(struct builtin_call *call, const struct value *const *args)
{
    if (has_nul(args[0])) return builtin_fail(call, "NUL in the layout");
    return parse(call, time_layout(args[0]->string), args[1]);
}

const struct value *builtin_time_parse_rfc3339_ns(struct builtin_call *call, const struct value *const *args)
{
    return parse(call, time_layout("RFC3339"), args[0]);
}

/* ---- durations: -1h15m30.918s ---- */

static const struct duration_unit { const char *name; int64_t ns; } duration_units[] = {
    { "ns", 1 },       { "us", 1000 },      { "\xc2\xb5s", 1000 },      { "\xce\xbcs", 1000 },
    { "ms", 1000000 }, { "s", SECOND_NS }, { "m", 60ll * SECOND_NS }, { "h", 3600ll * SECOND_NS },
};

static const char UNKNOWN_UNIT[] = "unknown unit";

/* One number with its unit, added to *total; NULL when it is well-formed. *at moves behind it, or to
 * a unit that is unknown. */
static const char *add_part(const char **at, unsigned __int128 *total)
{
    unsigned __int128 whole = 0, fraction = 0, scale = 1;
    const char *s = *at;
    bool digits = false;

    for (; is_digit(*s); s++, digits = true)
        if ((whole = whole * 10 + (unsigned) (*s - '0')) > (uint64_t) INT64_MAX + 1) return "invalid duration";
    if (*s == '.')
        for (s++; is_digit(*s); s++, digits = true)
            if (scale < 1000000000000000) fraction = fraction * 10 + (unsigned) (*s - '0'), scale *= 10;
    if (!digits) return "invalid duration";
    size_t len = strcspn(s, ".0123456789");
    if (len == 0) return "missing unit in duration";
    for (size_t i = 0; i < sizeof duration_units / sizeof *duration_units; i++) {
        const struct duration_unit *u = &duration_units[i];

        if (strlen(u->name) != len || strncmp(u->name, s, len) != 0) continue;
        *total += whole * (uint64_t) u->ns + fraction * (uint64_t) u->ns / scale;
        *at = s + len;
        return *total > (uint64_t) INT64_MAX + 1 ? "invalid duration" : NULL;
    }
    *at = s;
    return UNKNOWN_UNIT;
}

const struct value *builtin_time_parse_duration_ns(struct builtin_call *call, const struct value *const *args)
{
    const char *at = args[0]->string, *problem = NULL;
    bool negative = *at == '-';
    unsigned __int128 total = 0;

    if (!builtin_spend(call, args[0]->count / 16)) return NULL;
    if (has_nul(args[0])) return builtin_fail(call, "time: NUL in duration \"%.100s\"", at);
    if (*at == '-' || *at == '+') at++;
    if (strcmp(at, "0") == 0) return value_int(call->arena, 0);
    do problem = add_part(&at, &total);
    while (!problem && *at);
    if (!problem && total > (uint64_t) INT64_MAX + negative) problem = "invalid duration";
    if (problem == UNKNOWN_UNIT)
        return builtin_fail(call, "time: unknown unit \"%.*s\" in duration \"%.100s\"",
                            (int) strcspn(at, ".0123456789"), at, args[0]->string);
    if (problem) return builtin_fail(call, "time: %s \"%.100s\"", problem, args[0]->string);
    return value_int(call->arena, (int64_t) (negative ? 0 - (uint64_t) total : (uint64_t) total));
}
