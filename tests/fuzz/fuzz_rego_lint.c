/* Target Functions: rego_compile rego_lint schema_conforms */
#include "policy/arena.h"
#include "policy/json.h"
#include "policy/lexer.h"
#include "policy/lint.h"
#include "policy/schema.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char CLAIMS[] =
    "{\"iss\": \"string\", \"exp\": \"number\", \"submods\": {\"cpu#\": {\"ear.status\": \"string none|affirming\","
    " \"vector\": {\"hardware\": \"number\"}, \"evidence\": {\"tdx?\": \"any\", \"sample?\": {\"svn\": \"string\","
    " \"debug\": \"boolean\"}}}, \"*#\": {\"ear.status\": \"string none|affirming\"}}, \"list\": [\"string\"],"
    " \"~tee\": \"not here\"}";

static void check(const struct rego_errors *warnings)
{
    if (warnings->count > REGO_ERRORS_MAX) abort();
    for (size_t i = 0; i < warnings->count; i++) {
        const struct rego_error *e = &warnings->items[i];
        size_t valid = 0, row = 0;
        while (lint_row(row) && strcmp(lint_row(row)->code, e->code) != 0) row++;
        if (!lint_row(row) || !e->text[0] || !e->line || !e->column) abort();
        if (!rego_utf8_valid(e->text, strlen(e->text), &valid)) abort();
        if (!rego_utf8_valid(e->hint, strlen(e->hint), &valid)) abort();
    }
}

/* What does not compile has no warnings; the same text has the same ones. */
static void lint(const struct rego_module *module, const struct lint_profile *profile, bool compiles)
{
    struct rego_errors first = { 0 }, second = { 0 };
    rego_lint(module, 1, NULL, profile, &first);
    check(&first);
    if (!compiles && first.count) abort();
    rego_lint(module, 1, NULL, profile, &second);
    if (memcmp(&first, &second, sizeof first) != 0) abort();
}

/* A schema that is any value at all, over a value that is any other. */
static void fuzz_schema(struct arena *a, const uint8_t *data, size_t size)
{
    const uint8_t *half = memchr(data, '\n', size);
    if (!half) return;
    size_t len = (size_t) (half - data);
    const struct value *schema = json_to_value(a, (const char *) data, len, NULL, NULL);
    const struct value *v = json_to_value(a, (const char *) half + 1, size - len - 1, NULL, NULL);
    struct text why;
    text_init(&why, a);
    if (schema && v && !schema_conforms(schema, v, &why) && !why.len && !why.failed) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct lint_profile *const KINDS[] = { &LINT_RESOURCE_POLICY, &LINT_ATTESTATION_POLICY };
    if (size > 20000) return 0;
    struct arena *a = arena_new(1 << 22);
    if (!a) abort();
    fuzz_schema(a, data, size);
    struct rego_module module = { "fuzz.rego", (const char *) data, size };
    struct rego_errors errors = { 0 };
    struct rego_program *p = rego_compile(&module, 1, NULL, &errors);
    for (size_t i = 0; i < 2; i++) {
        struct lint_profile profile = *KINDS[i];
        lint(&module, &profile, p);
        const char *requests = lint_resource_data_schema();
        profile.claims = json_to_value(a, CLAIMS, sizeof CLAIMS - 1, NULL, NULL);
        profile.data = json_to_value(a, requests, strlen(requests), NULL, NULL);
        lint(&module, &profile, p);
    }
    rego_program_free(p);
    arena_free(a);
    return 0;
}
