#include "pkcs11/key_rule.h"

#include "pkcs11/find.h"

err_t key_read_exactly(const struct key_seen *key, CK_ATTRIBUTE_TYPE type, void *out, size_t size,
                       bool *ret_there)
{
    size_t len = 0;
    CK_RV rv = attribute_read(key->session, key->handle, type, out, size, &len);
    *ret_there = rv == CKR_OK && len == size;
    if (rv == CKR_OK || rv == CKR_BUFFER_TOO_SMALL || rv_reaction(rv) == RV_ITEM) return ERR_OK;
    FAIL_RV(rv, "C_GetAttributeValue", "attributes of key %s", key->label);
}

static err_t apply_rule(const struct key_seen *key, const struct key_rule *rule, void *info,
                        bool *ret_kept)
{
    CK_BBOOL value = CK_FALSE;
    bool there = false;
    TRY(key_read_exactly(key, rule->type, &value, sizeof value, &there));
    bool is = there && value != CK_FALSE;
    if (rule->field != NO_FIELD) *(bool *) ((char *) info + rule->field) = is;
    switch (rule->demand) {
    case MUST_BE_FALSE: *ret_kept = there && !is; break;
    case MUST_BE_TRUE: *ret_kept = is; break;
    case MUST_NOT_BE_TRUE: *ret_kept = !is; break;
    case FOR_INFORMATION: *ret_kept = true; break;
    }
    return ERR_OK;
}

err_t key_rules_check(const struct key_seen *key, const struct key_rule *rules, size_t n,
                      void *info, const char **ret_wrong)
{
    for (size_t i = 0; i < n; i++) {
        bool kept = false;
        TRY(apply_rule(key, &rules[i], info, &kept));
        if (!kept && !*ret_wrong) *ret_wrong = rules[i].name;
    }
    return ERR_OK;
}
