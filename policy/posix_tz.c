#include "policy/posix_tz.h"
#include "policy/text.h"

#include "policy/calendar.h"

#include <string.h>

enum { DAY = 86400 };

struct rule {
    char form; /* 'M': week `week` (5: the last) of the month; 'J': without 29 February; 'n': day of the year */
    int month, week, day;
    int32_t time; /* seconds into the day; may lie outside it */
};

struct parser { const char *at, *end; };

static bool skip(struct parser *p, char c)
{
    if (p->at == p->end || *p->at != c) return false;
    p->at++;
    return true;
}

static bool number(struct parser *p, int low, int high, int *ret)
{
    const char *start = p->at;

    for (*ret = 0; p->at < p->end && is_digit(*p->at) && p->at - start < 4; p->at++)
        *ret = *ret * 10 + (*p->at - '0');
    return p->at > start && *ret >= low && *ret <= high;
}

static bool name(struct parser *p, struct builtin_zone *ret)
{
    bool quoted = skip(p, '<');
    const char *start = p->at;

    while (p->at < p->end && (quoted ? *p->at != '>' : !is_digit(*p->at) && !strchr("+-,", *p->at))) p->at++;
    size_t len = (size_t) (p->at - start);
    if (len == 0 || len >= sizeof ret->abbreviation || (quoted && !skip(p, '>'))) return false;
    memcpy(ret->abbreviation, start, len);
    ret->abbreviation[len] = '\0';
    return true;
}

/* [+-]hh[:mm[:ss]] */
static bool clock_time(struct parser *p, int32_t *ret)
{
    int sign = skip(p, '-') ? -1 : 1, parts[3] = { 0 };

    if (sign > 0) skip(p, '+');
    if (!number(p, 0, 167, &parts[0])) return false;
    for (int i = 1; i < 3 && skip(p, ':'); i++)
        if (!number(p, 0, 59, &parts[i])) return false;
    *ret = sign * (parts[0] * 3600 + parts[1] * 60 + parts[2]);
    return true;
}

/* POSIX counts westwards. */
static bool zone_offset(struct parser *p, int32_t *ret)
{
    if (!clock_time(p, ret)) return false;
    *ret = -*ret;
    return true;
}

static bool read_rule(struct parser *p, struct rule *ret)
{
    *ret = (struct rule) { .form = 'n', .time = 2 * 3600 };
    if (!skip(p, ',')) return false;
    if (skip(p, 'M')) {
        ret->form = 'M';
        if (!number(p, 1, 12, &ret->month) || !skip(p, '.') || !number(p, 1, 5, &ret->week) || !skip(p, '.')
            || !number(p, 0, 6, &ret->day))
            return false;
    } else {
        if (skip(p, 'J')) ret->form = 'J';
        if (!number(p, ret->form == 'J', 365, &ret->day)) return false;
    }
    return !skip(p, '/') || clock_time(p, &ret->time);
}

/* Local seconds at which the rule strikes in the year. */
static int64_t strike(const struct rule *r, int64_t year)
{
    struct civil c = { .year = year, .month = r->form == 'M' ? r->month : 1, .day = 1 };
    int64_t start = civil_to_seconds(&c);
    int day = r->day; /* 'n': from 0 */

    if (r->form == 'J') day -= !(civil_month_days(year, 2) == 29 && r->day > 59);
    if (r->form == 'M') {
        day = (r->day - civil_weekday(start) + 7) % 7 + 7 * (r->week - 1);
        if (day >= civil_month_days(year, r->month)) day -= 7;
    }
    return start + (int64_t) day * DAY + r->time;
}

bool posix_tz_at(const char *text, size_t len, int64_t unix_seconds, struct builtin_zone *ret)
{
    struct parser p = { text, text + len };
    struct builtin_zone standard = { 0 }, summer = { 0 };
    struct rule begin, end;

    if (!name(&p, &standard) || !zone_offset(&p, &standard.offset)) return false;
    *ret = standard;
    if (p.at == p.end) return true;
    if (!name(&p, &summer)) return false;
    summer.offset = standard.offset + 3600;
    if (p.at < p.end && *p.at != ',' && !zone_offset(&p, &summer.offset)) return false;
    if (!read_rule(&p, &begin) || !read_rule(&p, &end) || p.at != p.end) return false;
    int64_t year = civil_from_seconds(unix_seconds + standard.offset).year;
    int64_t from = strike(&begin, year) - standard.offset, to = strike(&end, year) - summer.offset;
    /* In the south summer time spans the new year. */
    bool is_summer = from < to ? unix_seconds >= from && unix_seconds < to
                               : unix_seconds >= from || unix_seconds < to;
    if (is_summer) *ret = summer;
    return true;
}
