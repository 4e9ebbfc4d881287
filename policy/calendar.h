/* Dates and clock times of the proleptic Gregorian calendar. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct civil {
    int64_t year;
    int month, day; /* from 1 */
    int hour, minute, second, nanosecond;
};

/* Seconds since 1970-01-01 as though in UTC. Months and days beyond their range carry over, as do
 * the parts of the day; the year must stay within +-10^9. */
int64_t civil_to_seconds(const struct civil *c);
struct civil civil_from_seconds(int64_t seconds);

int civil_weekday(int64_t seconds); /* 0 is Sunday */
int civil_yearday(const struct civil *c); /* from 1 */
int civil_month_days(int64_t year, int month);
