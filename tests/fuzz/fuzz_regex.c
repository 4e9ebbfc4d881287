/* Target Functions: regex_translate regex_compile regex_search */
#include "policy/arena.h"
#include "policy/budget.h"
#include "policy/regex_program.h"
#include "policy/regex_syntax.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS 200000
#define ARENA ((size_t) 16 << 20)

/* The same pattern as a backtracking matcher sees it: 1, 0, or -1 when it gave up. PCRE2 10.42 is wrong about \PN+\PL+,
 * which it takes for possessive: that is switched off. */
static int by_pcre2(const char *source, size_t len, const char *text, size_t text_len, size_t offsets[2])
{
    int code = 0;
    PCRE2_SIZE at = 0;
    pcre2_compile_context *compiling = pcre2_compile_context_create(NULL);
    pcre2_set_newline(compiling, PCRE2_NEWLINE_LF);
    pcre2_code *re = pcre2_compile((PCRE2_SPTR) source, len,
                                   PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_ALT_CIRCUMFLEX | PCRE2_NEVER_BACKSLASH_C |
                                       PCRE2_NO_AUTO_POSSESS,
                                   &code, &at, compiling);
    pcre2_compile_context_free(compiling);
    if (!re) return -1;
    pcre2_match_data *match = pcre2_match_data_create_from_pattern(re, NULL);
    pcre2_match_context *limits = pcre2_match_context_create(NULL);
    pcre2_set_match_limit(limits, 20000);
    int rc = pcre2_match(re, (PCRE2_SPTR) text, text_len, 0, 0, match, limits);
    if (rc >= 0) memcpy(offsets, pcre2_get_ovector_pointer(match), 2 * sizeof *offsets);
    pcre2_match_context_free(limits);
    pcre2_match_data_free(match);
    pcre2_code_free(re);
    return rc >= 0 ? 1 : rc == PCRE2_ERROR_NOMATCH ? 0 : -1;
}

/* Where a group is repeated that may match nothing, PCRE2 ends the loop at an empty round and RE2 goes on: both
 * begin at the same place, but need not end there. */
static bool repeats_a_group(const struct text *source)
{
    for (size_t i = 0; i + 1 < source->len; i++)
        if (source->data[i] == ')' && memchr("*+{", source->data[i + 1], 3)) return true;
    return false;
}

/* Pattern, a NUL, text. What compiles matches within its budget, with and without offsets alike, and as PCRE2
 * finds where that finishes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = memchr(data, 0, size);
    if (!nul || size > 2000) return 0;
    const char *text = (const char *) nul + 1;
    size_t len = size - (size_t) (nul + 1 - data);
    struct arena *a = arena_new(ARENA);
    struct text source;
    text_init(&source, a);
    struct regex_problem problem;
    struct regex_names names = { 0 };
    struct regex_refusal refusal;
    const struct regex_program *p = NULL;
    if (regex_translate(&source, (const char *) data, (size_t) (nul - data), &names, &problem) && text_end(&source))
        p = regex_compile(a, source.data, source.len, &refusal);
    if (p) {
        struct budget budget;
        budget_init(&budget, STEPS);
        struct regex_scratch scratch = { .arena = a, .budget = &budget };
        size_t offsets[2] = { SIZE_MAX, SIZE_MAX }, wanted[2] = { 0, 0 };
        enum regex_outcome fact = regex_search(&scratch, p, text, len, 0, NULL, 0);
        enum regex_outcome found = regex_search(&scratch, p, text, len, 0, offsets, 2);
        if (fact != found && fact != REGEX_SPENT && found != REGEX_SPENT) abort();
        if (found == REGEX_FOUND && (offsets[0] > offsets[1] || offsets[1] > len)) abort();
        int other = found == REGEX_SPENT ? -1 : by_pcre2(source.data, source.len, text, len, wanted);
        if (other >= 0 && other != (found == REGEX_FOUND)) abort();
        if (other == 1 && wanted[0] != offsets[0]) abort();
        if (other == 1 && wanted[1] != offsets[1] && !repeats_a_group(&source)) abort();
    }
    arena_free(a);
    return 0;
}
