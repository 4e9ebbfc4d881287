/* Release policy: text in, decision out. Pure: no I/O, no clock, no globals, libc only; nothing of
 * the broker is included here, so that somebody else can embed it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct policy;

/* Why a text was refused; line and column count from 1, 0 when they do not apply. */
struct policy_error {
    unsigned line, column;
    char text[200];
};

/* Compiles UTF-8 text. Returns NULL and fills *error when it is refused. The caller frees.
 * An immutable policy may be evaluated from several threads at once. */
struct policy *policy_compile(const char *text, size_t len, struct policy_error *error);
void policy_free(struct policy *p);

struct policy_pair { const char *name, *value; };

struct policy_input {
    const char *claims;              /* JSON text of all token claims (`input`), claims_len bytes */
    size_t claims_len;
    const char *plugin;              /* data.plugin */
    const char *const *path;         /* data["resource-path"] */
    size_t path_count;
    const struct policy_pair *query; /* data.query */
    size_t query_count;
};

struct policy_decision {
    bool allow;              /* true only when `allow` is the boolean true */
    const char *reason;      /* static text, for audit and log: "default allow", ... */
};

/* Never fails: whatever cannot be decided is a denial. */
void policy_evaluate(const struct policy *p, const struct policy_input *input,
                     struct policy_decision *ret);

/* Short name of what the text was recognised as: "allow-all", "deny-all", ... */
const char *policy_name(const struct policy *p);

#define POLICY_DENY_ALL_TEXT "package policy\n\ndefault allow = false\n"
#define POLICY_ALLOW_ALL_TEXT "package policy\n\ndefault allow = true\n"
