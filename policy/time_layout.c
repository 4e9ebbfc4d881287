#include "policy/time_layout.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

const char *const time_month_names[12] = { "January", "February", "March",     "April",   "May",      "June",
                                           "July",    "August",   "September", "October", "November", "December" };
const char *const time_day_names[7] = { "Sunday",   "Monday", "Tuesday", "Wednesday",
                                        "Thursday", "Friday", "Saturday" };

const char *time_layout(const char *name)
{
    static const char *const known[][2] = {
        { "ANSIC", "Mon Jan _2 15:04:05 2006" },
        { "UnixDate", "Mon Jan _2 15:04:05 MST 2006" },
        { "RubyDate", "Mon Jan 02 15:04:05 -0700 2006" },
        { "RFC822", "02 Jan 06 15:04 MST" },
        { "RFC822Z", "02 Jan 06 15:04 -0700" },
        { "RFC850", "Monday, 02-Jan-06 15:04:05 MST" },
        { "RFC1123", "Mon, 02 Jan 2006 15:04:05 MST" },
        { "RFC1123Z", "Mon, 02 Jan 2006 15:04:05 -0700" },
        { "RFC3339", "2006-01-02T15:04:05Z07:00" },
        { "RFC3339Nano", "2006-01-02T15:04:05.999999999Z07:00" },
    };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i][0], name) == 0) return known[i][1];
    return name;
}

/* ---- the pieces of a layout ---- */

enum piece_kind {
    PIECE_END, /* of the layout */
    PIECE_MONTH_NAME, PIECE_MONTH_SHORT, PIECE_MONTH, PIECE_MONTH_2,
    PIECE_DAY_NAME, PIECE_DAY_SHORT, PIECE_DAY, PIECE_DAY_2, PIECE_DAY_SPACE, PIECE_YEARDAY_3, PIECE_YEARDAY_SPACE,
    PIECE_HOUR_24, PIECE_HOUR_12, PIECE_HOUR_12_2, PIECE_MINUTE, PIECE_MINUTE_2, PIECE_SECOND, PIECE_SECOND_2,
    PIECE_YEAR, PIECE_YEAR_2, PIECE_PM, PIECE_PM_LOWER, PIECE_ZONE_NAME,
    PIECE_OFFSET,   /* -0700 and its family */
    PIECE_OFFSET_Z, /* the same, Z for UTC */
    PIECE_FRACTION,      /* .000: so many digits */
    PIECE_FRACTION_TRIM, /* .999: up to so many */
};

struct piece {
    enum piece_kind kind;
    const char *at; /* where it stands in the layout; before it is literal text */
    size_t len;
};

/* Longer spellings first where one begins another. */
static const struct spelling {
    const char *text;
    enum piece_kind kind;
} spellings[] = {
    { "January", PIECE_MONTH_NAME }, { "Jan", PIECE_MONTH_SHORT },    { "Monday", PIECE_DAY_NAME },
    { "Mon", PIECE_DAY_SHORT },      { "MST", PIECE_ZONE_NAME },      { "002", PIECE_YEARDAY_3 },
    { "01", PIECE_MONTH_2 },         { "02", PIECE_DAY_2 },           { "03", PIECE_HOUR_12_2 },
    { "04", PIECE_MINUTE_2 },        { "05", PIECE_SECOND_2 },        { "06", PIECE_YEAR_2 },
    { "15", PIECE_HOUR_24 },         { "1", PIECE_MONTH },            { "2006", PIECE_YEAR },
    { "2", PIECE_DAY },              { "__2", PIECE_YEARDAY_SPACE },  { "_2", PIECE_DAY_SPACE },
    { "3", PIECE_HOUR_12 },          { "4", PIECE_MINUTE },           { "5", PIECE_SECOND },
    { "PM", PIECE_PM },              { "pm", PIECE_PM_LOWER },        { "-070000", PIECE_OFFSET },
    { "-07:00:00", PIECE_OFFSET },   { "-0700", PIECE_OFFSET },       { "-07:00", PIECE_OFFSET },
    { "-07", PIECE_OFFSET },         { "Z070000", PIECE_OFFSET_Z },   { "Z07:00:00", PIECE_OFFSET_Z },
    { "Z0700", PIECE_OFFSET_Z },     { "Z07:00", PIECE_OFFSET_Z },    { "Z07", PIECE_OFFSET_Z },
};

/* A point or comma, then only 0s or only 9s, then no digit. */
static size_t fraction_length(const char *at)
{
    if ((*at != '.' && *at != ',') || (at[1] != '0' && at[1] != '9')) return 0;
    size_t len = 1;

    while (at[len] == at[1]) len++;
    return is_digit(at[len]) ? 0 : len;
}

static bool piece_at(const char *at, struct piece *ret)
{
    size_t fraction = fraction_length(at);

    if (fraction) {
        *ret = (struct piece) { at[1] == '0' ? PIECE_FRACTION : PIECE_FRACTION_TRIM, at, fraction };
        return true;
    }
    if (strncmp(at, "_2006", 5) == 0) return false; /* a literal _ and the year */
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
        size_t len = strlen(spellings[i].text);
        bool is_short = spellings[i].kind == PIECE_MONTH_SHORT || spellings[i].kind == PIECE_DAY_SHORT;

        if (strncmp(at, spellings[i].text, len) != 0) continue;
        if (is_short && at[len] >= 'a' && at[len] <= 'z') return false; /* "Month" */
        *ret = (struct piece) { spellings[i].kind, at, len };
        return true;
    }
    return false;
}

static struct piece next_piece(const char *layout)
{
    struct piece p = { PIECE_END, layout, 0 };

    for (; *layout; layout++)
        if (piece_at(layout, &p)) return p;
    p.at = layout;
    return p;
}

/* ---- reading ---- */

struct reader {
    const char *at;
    struct civil c;
    int yearday; /* -1: not given */
    bool pm, pm_given;
    bool offset_given;
    int32_t offset;
    char zone[16];
    const char *problem; /* a field beyond its range */
};

static bool literal(struct reader *r, const char *text, const char *end)
{
    while (text < end) {
        if (*text != ' ') {
            if (*r->at != *text) return false;
            r->at++;
            text++;
            continue;
        }
        if (*r->at && *r->at != ' ') return false;
        while (text < end && *text == ' ') text++;
        while (*r->at == ' ') r->at++;
    }
    return true;
}

/* At least `min`, at most `max` digits. */
static bool number(struct reader *r, int min, int max, int *ret)
{
    int digits = 0, value = 0;

    for (; digits < max && is_digit(*r->at); digits++) value = value * 10 + (*r->at++ - '0');
    if (digits < min) return false;
    *ret = value;
    return true;
}

static bool in_range(struct reader *r, int value, int low, int high, const char *problem)
{
    if (value < low || value > high) r->problem = problem;
    return !r->problem;
}

static bool clock_part(struct reader *r, int min_digits, int high, int *ret, const char *problem)
{
    return number(r, min_digits, 2, ret) && in_range(r, *ret, 0, high, problem);
}

static bool name(struct reader *r, const char *const *names, int count, size_t letters, int *ret)
{
    for (int i = 0; i < count; i++) {
        size_t len = letters ? letters : strlen(names[i]);

        if (strncasecmp(r->at, names[i], len) != 0) continue;
        r->at += len;
        *ret = i;
        return true;
    }
    return false;
}

/* Digits behind a point, to nanoseconds; further ones are dropped. */
static void fraction(struct reader *r, int max)
{
    int scale = 100000000;

    r->c.nanosecond = 0;
    for (int i = 0; i < max && is_digit(*r->at); i++, scale /= 10) r->c.nanosecond += (*r->at++ - '0') * scale;
}

static bool fixed_fraction(struct reader *r, const struct piece *p)
{
    const char *start = r->at;

    if (*r->at != '.' && *r->at != ',') return false;
    r->at++;
    fraction(r, (int) p->len - 1);
    return (size_t) (r->at - start) == p->len;
}

static bool second(struct reader *r, int min, const char *rest_of_layout)
{
    enum piece_kind next = next_piece(rest_of_layout).kind;

    if (!clock_part(r, min, 59, &r->c.second, "second out of range")) return false;
    /* A fraction is read even where the layout has none. */
    if ((*r->at == '.' || *r->at == ',') && is_digit(r->at[1]) && next != PIECE_FRACTION
        && next != PIECE_FRACTION_TRIM) {
        r->at++;
        fraction(r, INT32_MAX);
    }
    return true;
}

static bool offset(struct reader *r, const struct piece *p)
{
    int parts[3] = { 0 }, sign = *r->at == '-' ? -1 : 1;
    bool colon = memchr(p->at, ':', p->len) != NULL;
    int count = (int) (p->len - 1 + (colon ? 1 : 0)) / (colon ? 3 : 2);

    r->offset_given = true;
    if (p->kind == PIECE_OFFSET_Z && *r->at == 'Z') return r->at++, true;
    if (*r->at != '+' && *r->at != '-') return false;
    r->at++;
    for (int i = 0; i < count; i++) {
        if (i && colon && *r->at++ != ':') return false;
        if (!number(r, 2, 2, &parts[i])) return false;
    }
    if (!in_range(r, parts[0], 0, 24, "time zone offset hour out of range")
        || !in_range(r, parts[1], 0, 59, "time zone offset minute out of range")
        || !in_range(r, parts[2], 0, 59, "time zone offset second out of range"))
        return false;
    r->offset = sign * (parts[0] * 3600 + parts[1] * 60 + parts[2]);
    return true;
}

/* Three to five capitals; GMT may have hours behind it. What the name means is not known here. */
static bool zone_name(struct reader *r)
{
    const char *start = r->at;
    int hours = 0;

    while (*r->at >= 'A' && *r->at <= 'Z') r->at++;
    size_t len = (size_t) (r->at - start);
    if (len < 3 || len > 5) return false;
    memcpy(r->zone, start, len);
    r->zone[len] = '\0';
    if (strcmp(r->zone, "GMT") == 0 && (*r->at == '+' || *r->at == '-') && is_digit(r->at[1])) {
        int sign = *r->at++ == '-' ? -1 : 1;

        number(r, 1, 2, &hours);
        r->offset = sign * hours * 3600;
    }
    return true;
}

static bool read_year(struct reader *r, int digits)
{
    int year = 0;

    if (!number(r, digits, digits, &year)) return false;
    r->c.year = digits == 4 ? year : year + (year >= 69 ? 1900 : 2000);
    return true;
}

static bool read_month(struct reader *r, int min)
{
    return number(r, min, 2, &r->c.month) && in_range(r, r->c.month, 1, 12, "month out of range");
}

static bool read_month_name(struct reader *r, size_t letters)
{
    int i = 0;

    if (!name(r, time_month_names, 12, letters, &i)) return false;
    r->c.month = i + 1;
    return true;
}

static bool read_pm(struct reader *r, char p, char m)
{
    if ((r->at[0] != p && r->at[0] != p - 'P' + 'A') || r->at[1] != m) return false;
    r->pm = r->at[0] == p;
    r->pm_given = true;
    r->at += 2;
    return true;
}

static bool read_yearday(struct reader *r, bool spaces)
{
    const char *start = r->at;

    while (spaces && *r->at == ' ' && r->at - start < 2) r->at++;
    int digits = 3 - (int) (r->at - start);
    return number(r, digits, digits, &r->yearday);
}

static bool read_piece(struct reader *r, const struct piece *p)
{
    int ignored;

    switch (p->kind) {
    case PIECE_MONTH_NAME: return read_month_name(r, 0);
    case PIECE_MONTH_SHORT: return read_month_name(r, 3);
    case PIECE_MONTH: return read_month(r, 1);
    case PIECE_MONTH_2: return read_month(r, 2);
    case PIECE_DAY_NAME: return name(r, time_day_names, 7, 0, &ignored);
    case PIECE_DAY_SHORT: return name(r, time_day_names, 7, 3, &ignored);
    case PIECE_DAY_SPACE: r->at += *r->at == ' '; return number(r, 1, 2, &r->c.day);
    case PIECE_DAY: return number(r, 1, 2, &r->c.day);
    case PIECE_DAY_2: return number(r, 2, 2, &r->c.day);
    case PIECE_YEARDAY_3: return read_yearday(r, false);
    case PIECE_YEARDAY_SPACE: return read_yearday(r, true);
    case PIECE_HOUR_24: return clock_part(r, 1, 23, &r->c.hour, "hour out of range");
    case PIECE_HOUR_12: return clock_part(r, 1, 12, &r->c.hour, "hour out of range");
    case PIECE_HOUR_12_2: return clock_part(r, 2, 12, &r->c.hour, "hour out of range");
    case PIECE_MINUTE: return clock_part(r, 1, 59, &r->c.minute, "minute out of range");
    case PIECE_MINUTE_2: return clock_part(r, 2, 59, &r->c.minute, "minute out of range");
    case PIECE_SECOND: return second(r, 1, p->at + p->len);
    case PIECE_SECOND_2: return second(r, 2, p->at + p->len);
    case PIECE_YEAR: return read_year(r, 4);
    case PIECE_YEAR_2: return read_year(r, 2);
    case PIECE_PM: return read_pm(r, 'P', 'M');
    case PIECE_PM_LOWER: return read_pm(r, 'p', 'm');
    case PIECE_ZONE_NAME: return zone_name(r);
    case PIECE_OFFSET:
    case PIECE_OFFSET_Z: return offset(r, p);
    case PIECE_FRACTION: return fixed_fraction(r, p);
    case PIECE_FRACTION_TRIM:
        if ((*r->at == '.' || *r->at == ',') && is_digit(r->at[1])) r->at++, fraction(r, INT32_MAX);
        return true;
    case PIECE_END: break;
    }
    return *r->at == '\0';
}

/* The fields as a moment, once all are read. */
static const char *conclude(struct reader *r, struct zoned_time *ret)
{
    struct civil *c = &r->c;

    if (r->pm_given && r->pm && c->hour < 12) c->hour += 12;
    if (r->pm_given && !r->pm && c->hour == 12) c->hour = 0;
    if (r->yearday >= 0) {
        struct civil last = { .year = c->year, .month = 12, .day = 31 };

        if (r->yearday < 1 || r->yearday > civil_yearday(&last)) return "day-of-year out of range";
        struct civil day = { .year = c->year, .month = 1, .day = r->yearday };
        day = civil_from_seconds(civil_to_seconds(&day));
        if ((c->month && c->month != day.month) || (c->day > 0 && c->day != day.day))
            return "day-of-year does not match the date";
        c->month = day.month;
        c->day = day.day;
    }
    if (!c->month) c->month = 1;
    if (c->day < 0) c->day = 1;
    if (c->day < 1 || c->day > civil_month_days(c->year, c->month)) return "day out of range";
    *ret = (struct zoned_time) { .seconds = civil_to_seconds(c) - r->offset, .nanosecond = c->nanosecond,
                                 .offset = r->offset };
    memcpy(ret->abbreviation, r->zone, sizeof r->zone);
    return NULL;
}

const char *time_parse(const char *layout, const char *text, struct zoned_time *ret,
                       struct time_mismatch *ret_where)
{
    struct reader r = { .at = text, .c = { .day = -1 }, .yearday = -1, .zone = "UTC" };
    struct piece p;

    *ret_where = (struct time_mismatch) { 0 };
    do {
        p = next_piece(layout);
        if (!literal(&r, layout, p.at)) {
            *ret_where = (struct time_mismatch) { r.at, layout, (size_t) (p.at - layout) };
            return "cannot parse";
        }
        const char *before = r.at;
        if (!read_piece(&r, &p)) {
            if (r.problem) return r.problem;
            *ret_where = (struct time_mismatch) { before, p.len ? p.at : NULL, p.len };
            return p.len ? "cannot parse" : "extra text";
        }
        layout = p.at + p.len;
    } while (p.kind != PIECE_END);
    return conclude(&r, ret);
}

/* ---- writing ---- */

static void write_offset(struct text *out, const struct piece *p, int32_t seconds)
{
    bool colon = memchr(p->at, ':', p->len) != NULL;
    int count = (int) (p->len - 1 + (colon ? 1 : 0)) / (colon ? 3 : 2);
    int32_t rest = seconds < 0 ? -seconds : seconds;
    int parts[3] = { rest / 3600, rest / 60 % 60, rest % 60 };

    if (p->kind == PIECE_OFFSET_Z && seconds == 0) {
        text_add_char(out, 'Z');
        return;
    }
    text_add_char(out, seconds < 0 ? '-' : '+');
    for (int i = 0; i < count; i++) text_addf(out, "%s%02d", i && colon ? ":" : "", parts[i]);
}

static void write_fraction(struct text *out, const struct piece *p, int32_t nanosecond)
{
    char digits[16];
    size_t len = p->len - 1 < 9 ? p->len - 1 : 9;

    snprintf(digits, sizeof digits, "%09d", (int) nanosecond);
    if (p->kind == PIECE_FRACTION_TRIM)
        while (len && digits[len - 1] == '0') len--;
    if (!len) return;
    text_add_char(out, *p->at);
    text_add(out, digits, len);
}

static void write_zone_name(struct text *out, const struct zoned_time *t)
{
    static const char layout[] = "-0700";
    struct piece p = { PIECE_OFFSET, layout, t->offset % 3600 ? 5 : 3 };

    if (t->abbreviation[0])
        text_add_string(out, t->abbreviation);
    else
        write_offset(out, &p, t->offset);
}

static void write_piece(struct text *out, const struct piece *p, const struct zoned_time *t, const struct civil *c)
{
    const char *month = time_month_names[c->month - 1];
    const char *day = time_day_names[civil_weekday(t->seconds + t->offset)];
    int hour = c->hour % 12 ? c->hour % 12 : 12;

    switch (p->kind) {
    case PIECE_MONTH_NAME: text_add_string(out, month); break;
    case PIECE_MONTH_SHORT: text_add(out, month, 3); break;
    case PIECE_MONTH: text_addf(out, "%d", c->month); break;
    case PIECE_MONTH_2: text_addf(out, "%02d", c->month); break;
    case PIECE_DAY_NAME: text_add_string(out, day); break;
    case PIECE_DAY_SHORT: text_add(out, day, 3); break;
    case PIECE_DAY: text_addf(out, "%d", c->day); break;
    case PIECE_DAY_2: text_addf(out, "%02d", c->day); break;
    case PIECE_DAY_SPACE: text_addf(out, "%2d", c->day); break;
    case PIECE_YEARDAY_3: text_addf(out, "%03d", civil_yearday(c)); break;
    case PIECE_YEARDAY_SPACE: text_addf(out, "%3d", civil_yearday(c)); break;
    case PIECE_HOUR_24: text_addf(out, "%02d", c->hour); break;
    case PIECE_HOUR_12: text_addf(out, "%d", hour); break;
    case PIECE_HOUR_12_2: text_addf(out, "%02d", hour); break;
    case PIECE_MINUTE: text_addf(out, "%d", c->minute); break;
    case PIECE_MINUTE_2: text_addf(out, "%02d", c->minute); break;
    case PIECE_SECOND: text_addf(out, "%d", c->second); break;
    case PIECE_SECOND_2: text_addf(out, "%02d", c->second); break;
    case PIECE_YEAR: text_addf(out, "%04lld", (long long) c->year); break;
    case PIECE_YEAR_2: text_addf(out, "%02d", (int) (c->year % 100)); break;
    case PIECE_PM: text_add_string(out, c->hour >= 12 ? "PM" : "AM"); break;
    case PIECE_PM_LOWER: text_add_string(out, c->hour >= 12 ? "pm" : "am"); break;
    case PIECE_ZONE_NAME: write_zone_name(out, t); break;
    case PIECE_OFFSET:
    case PIECE_OFFSET_Z: write_offset(out, p, t->offset); break;
    case PIECE_FRACTION:
    case PIECE_FRACTION_TRIM: write_fraction(out, p, t->nanosecond); break;
    case PIECE_END: break;
    }
}

void time_format(struct text *out, const char *layout, const struct zoned_time *t)
{
    struct civil c = civil_from_seconds(t->seconds + t->offset);
    struct piece p;

    do {
        p = next_piece(layout);
        text_add(out, layout, (size_t) (p.at - layout));
        write_piece(out, &p, t, &c);
        layout = p.at + p.len;
    } while (p.kind != PIECE_END);
}
