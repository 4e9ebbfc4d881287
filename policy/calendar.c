#include "policy/calendar.h"

enum { DAY = 86400, CYCLE_DAYS = 146097 /* of 400 years */, EPOCH_DAYS = 719468 /* 0000-03-01 to 1970-01-01 */ };

static int64_t floor_div(int64_t x, int64_t y)
{
    return x / y - (x % y < 0);
}

/* Years that begin in March have their leap day at the end, and months a steady length pattern of
 * 153 days in five. */
static int64_t days_before(int64_t year, int month)
{
    int64_t shifted = month > 2 ? month - 3 : month + 9;

    if (month <= 2) year--;
    return 365 * year + floor_div(year, 4) - floor_div(year, 100) + floor_div(year, 400) + (153 * shifted + 2) / 5
           - EPOCH_DAYS;
}

int64_t civil_to_seconds(const struct civil *c)
{
    int64_t months = (int64_t) c->month - 1, carry = floor_div(months, 12);
    int64_t days = days_before(c->year + carry, (int) (months - 12 * carry) + 1) + c->day - 1;

    return days * DAY + (int64_t) c->hour * 3600 + (int64_t) c->minute * 60 + c->second;
}

struct civil civil_from_seconds(int64_t seconds)
{
    int64_t days = floor_div(seconds, DAY), rest = seconds - days * DAY;
    int64_t since = days + EPOCH_DAYS, cycle = floor_div(since, CYCLE_DAYS), day = since - cycle * CYCLE_DAYS;
    /* Take the leap days of the cycle out, so that years are of 365 days. */
    int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    int64_t in_year = day - (365 * year + year / 4 - year / 100), shifted = (5 * in_year + 2) / 153;

    return (struct civil) {
        .year = year + cycle * 400 + (shifted >= 10),
        .month = (int) (shifted < 10 ? shifted + 3 : shifted - 9),
        .day = (int) (in_year - (153 * shifted + 2) / 5) + 1,
        .hour = (int) (rest / 3600),
        .minute = (int) (rest / 60 % 60),
        .second = (int) (rest % 60),
    };
}

int civil_weekday(int64_t seconds)
{
    int64_t days = floor_div(seconds, DAY) + 4; /* the first was a Thursday */

    return (int) (days - 7 * floor_div(days, 7));
}

int civil_yearday(const struct civil *c)
{
    return (int) (days_before(c->year, c->month) - days_before(c->year, 1)) + c->day;
}

int civil_month_days(int64_t year, int month)
{
    return (int) (month == 12 ? 31 : days_before(year, month + 1) - days_before(year, month));
}
