/* Target Functions: policy_compile policy_evaluate rego_lexer_next rego_utf8_valid */
#include "policy/policy.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever is accepted decides the same twice, and whatever is refused says where and why. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct policy_error error = {0};
    struct policy *p = policy_compile((const char *) data, size, &error);
    if (!p) {
        if (error.text[0] == '\0' || memchr(error.text, 0, sizeof error.text) == NULL) abort();
        return 0;
    }
    struct policy_input input = {.claims = "{}", .claims_len = 2, .plugin = "resource"};
    struct policy_decision first, second;
    policy_evaluate(p, &input, &first);
    policy_evaluate(p, &input, &second);
    if (first.allow != second.allow || first.reason != second.reason) abort();
    if (policy_name(p)[0] == '\0') abort();
    policy_free(p);
    return 0;
}
