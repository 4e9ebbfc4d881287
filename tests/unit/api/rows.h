/* The rows of kbs-api.md: every refusal of its sections, each in a test that is called after its row. Each
 * runs twice: with truthful statuses (DESIGN 5) and with those of the reference. */
#pragma once

#include "tests/unit/api/kit.h"

#define RESOURCE "/kbs/v0/resource/a/b/c"

static const struct admin_acl acls[] = {
    {.role = "admin", .allowed_endpoints = "^/kbs/v0/.*$"},
    {.role = "reader", .allowed_endpoints = "^/kbs/v0/.*$", .methods = "GET"},
};

static bool reference; /* of the broker under test */
static struct buf body;

/* state: whether it is the reference's statuses. */
static inline int setup(void **state)
{
    reference = *(const bool *) *state;
    kit_setup(NULL);
    kit_open((struct kit_options){.reference = reference, .acls = acls, .acl_count = COUNT(acls)});
    return 0;
}

static inline int teardown(void **state)
{
    buf_free(&body);
    return kit_teardown(NULL);
}

/* What came is this error; `truthful` or the reference's 401, and with it its name for what is behind
 * a plugin's door. */
static inline void expect(int truthful, const char *variant, const char *detail)
{
    bool hidden = strcmp(variant, "ResourceNotFound") == 0 || strcmp(variant, "InvalidRequestPath") == 0;
    bool same = truthful == 413 || truthful == 503 || strcmp(variant, "PluginNotFound") == 0;
    check_error(reference && !same ? 401 : truthful,
                reference && hidden ? "PluginInternalError" : variant,
                reference && hidden && !detail ? "Plugin internal error" : detail);
}

static inline int as_admin(const char *method, const char *target, const char *text)
{
    return ASK(method, target, HEADERS(operator_bearer("admin")), BODY(text));
}

static const bool modes[] = {false, true};
#define ROW(f)                                                                                   \
    cmocka_unit_test_prestate_setup_teardown(f, setup, teardown, (void *) (uintptr_t) &modes[0]), \
        cmocka_unit_test_prestate_setup_teardown(f, setup, teardown, (void *) (uintptr_t) &modes[1])
