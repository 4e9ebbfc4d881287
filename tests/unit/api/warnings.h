/* A policy's warnings: a lint that finds a word, and a text that has it. */
#pragma once

#include "policy/errors.h"

#include <string.h>

#define SUSPICIOUS "package policy\n\nallow if input.submods.cpu1\n"

/* The form of a lint, whatever it is that it finds: here a word in the text. */
static inline void find_word(const struct rego_module *policy, struct rego_errors *ret_warnings)
{
    const struct rego_source source = {policy->name, policy->text, policy->len};
    const char *word = memmem(policy->text, policy->len, "cpu1", 4);
    *ret_warnings = (struct rego_errors){0};
    if (!word) return;
    struct rego_span at = {.line = 3, .column = 24, .offset = (uint32_t) (word - policy->text), .len = 4};
    rego_error_hint(rego_error_add(ret_warnings, "lint_claim", &source, &at, "tokens have no cpu1"),
                    "did you mean cpu0?");
}
