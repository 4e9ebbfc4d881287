/* What this token seals with, found by trying it. suite_negotiate is in p11_internal.h. */
#pragma once

#include "pkcs11/payload.h"

/* A suite and how its content keys are wrapped: a row of one table, best first. */
struct suite_way {
    uint8_t suite;
    uint8_t mechanism;          /* enum envelope_mechanism */
    const char *text;           /* for people */
    const char *readable_text;  /* the same when unwrapped content keys come out readable */
};

/* NULL: no such row. */
const struct suite_way *suite_way_find(uint8_t suite, uint8_t mechanism);

/* Makes, wraps, unwraps, uses and tampers content keys under this KEK, on session objects alone.
 * ERR_USAGE names the step that this token cannot do or does wrongly; ERR_TOKEN_DOWN when it
 * stopped answering. *ret_readable: a content key unwrapped as sensitive and not extractable came
 * out readable (openCryptoki: tokens.md 1.4). */
err_t suite_self_test(struct p11 *p, const struct suite_way *way, CK_OBJECT_HANDLE kek,
                      bool *ret_readable);
/* The best way that passes is what this token seals with from now on: keys that stay hidden before
 * those that come out readable, and all on the token before the host. The way that was found before
 * stays as long as it passes. ERR_USAGE: none does. */
err_t suite_negotiate_with(struct p11 *p, CK_OBJECT_HANDLE kek);

/* The choice itself, for who undoes one. */
struct suite_choice { const struct suite_way *way; bool readable; };
struct suite_choice suite_chosen(struct p11 *p);
void suite_choose(struct p11 *p, struct suite_choice c);
