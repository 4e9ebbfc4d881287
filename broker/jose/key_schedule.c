#include "broker/jose/key_schedule.h"

#include "broker/base/clock.h"
#include "broker/base/limits.h"

uint64_t key_schedule_next(const struct key_schedule *s)
{
    return s->wanted && s->wanted_at < s->due ? s->wanted_at : s->due;
}

void key_schedule_begin(struct key_schedule *s, uint64_t now)
{
    /* A regular look takes nothing from the next unknown key: that may be newer. */
    if (s->wanted && now < s->due) s->wanted_at = now + KEY_UNKNOWN_SECONDS * CLOCK_SECOND_NS;
    s->wanted = false;
    s->due = UINT64_MAX; /* until it is known how this one went */
}

/* Unless an operator wanted another look while this one was under way. */
static void set_due(struct key_schedule *s, uint64_t now, uint64_t seconds)
{
    if (s->due) s->due = now + seconds * CLOCK_SECOND_NS;
}

void key_schedule_succeeded(struct key_schedule *s, uint64_t now, const uint64_t *keep_seconds)
{
    uint64_t seconds = keep_seconds ? *keep_seconds : KEY_REFRESH_SECONDS;
    if (seconds < KEY_REFRESH_MIN_SECONDS) seconds = KEY_REFRESH_MIN_SECONDS;
    if (seconds > KEY_REFRESH_MAX_SECONDS) seconds = KEY_REFRESH_MAX_SECONDS;
    s->failures = 0;
    set_due(s, now, seconds);
}

void key_schedule_failed(struct key_schedule *s, uint64_t now)
{
    uint64_t seconds = KEY_RETRY_SECONDS;
    for (unsigned i = 0; i < s->failures && seconds < KEY_RETRY_MAX_SECONDS; i++) seconds *= 2;
    if (seconds > KEY_RETRY_MAX_SECONDS) seconds = KEY_RETRY_MAX_SECONDS;
    s->failures++;
    set_due(s, now, seconds);
}

void key_schedule_want(struct key_schedule *s) { s->wanted = true; }
void key_schedule_force(struct key_schedule *s) { s->due = 0; }
