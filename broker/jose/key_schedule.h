/* When a source of keys is looked at again: after a while, sooner after a failure, and now when a
 * token comes whose key is unknown, but not as often as such tokens come. Pure: times are
 * clock_mono_ns. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct key_schedule {
    uint64_t due;       /* the next look; 0: at once */
    uint64_t wanted_at; /* tokens of unknown keys cause none before this */
    bool wanted;        /* there was such a token */
    unsigned failures;  /* in a row */
};

/* When the next look is due. */
uint64_t key_schedule_next(const struct key_schedule *s);
/* A look begins; whoever wants one from now on may see what this one does not. */
void key_schedule_begin(struct key_schedule *s, uint64_t now);
/* It went well; keep_seconds is what the answer allows, NULL: it does not say. */
void key_schedule_succeeded(struct key_schedule *s, uint64_t now, const uint64_t *keep_seconds);
void key_schedule_failed(struct key_schedule *s, uint64_t now);
/* A token of an unknown key came. */
void key_schedule_want(struct key_schedule *s);
/* An operator wants a look at once. */
void key_schedule_force(struct key_schedule *s);
