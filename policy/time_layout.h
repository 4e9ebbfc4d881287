/* Go's time layouts: how time.parse_ns and time.format describe a text by an example of the moment
 * Mon Jan 2 15:04:05 MST 2006. */
#pragma once

#include "policy/calendar.h"
#include "policy/text.h"

struct zoned_time {
    int64_t seconds; /* Unix time */
    int32_t nanosecond;
    int32_t offset;       /* of the zone, seconds east */
    char abbreviation[16];
};

/* A name that OPA knows ("RFC3339", "ANSIC") gives its layout, anything else itself. */
const char *time_layout(const char *name);

/* Where text and layout part: what is left of the text, and the piece of the layout it is no example
 * of; layout NULL: the text goes on behind the layout's end. text NULL: they do not part. */
struct time_mismatch {
    const char *text, *layout;
    size_t layout_len;
};

/* Both texts end with a NUL and hold none. NULL when it fits, otherwise what does not. The zone of
 * *ret is what the text says, UTC when nothing; its year lies within 0..9999. */
const char *time_parse(const char *layout, const char *text, struct zoned_time *ret,
                       struct time_mismatch *ret_where);
void time_format(struct text *out, const char *layout, const struct zoned_time *t);

extern const char *const time_month_names[12], *const time_day_names[7];
