/* What the attributes of a key must be: tables of rules, read back from the token. For kek.c and
 * keypair.c. */
#pragma once

#include "pkcs11/p11_internal.h"

enum demand {
    MUST_BE_FALSE,
    MUST_BE_TRUE,
    MUST_NOT_BE_TRUE, /* false, or unknown to this token */
    FOR_INFORMATION,
};

/* field: where in the caller's struct the bool goes that is told; NO_FIELD: nowhere. */
struct key_rule {
    CK_ATTRIBUTE_TYPE type;
    const char *name;
    enum demand demand;
    size_t field;
};
#define NO_FIELD SIZE_MAX

/* A key that is looked at. label is for errors. */
struct key_seen {
    struct p11_session *session;
    CK_OBJECT_HANDLE handle;
    const char *label;
};

/* Reads an attribute of exactly this size. One that the token lacks, hides or keeps in another size
 * is as good as a wrong one: *ret_there is false. Errors: the token does not answer. */
err_t key_read_exactly(const struct key_seen *key, CK_ATTRIBUTE_TYPE type, void *out, size_t size,
                       bool *ret_there);

/* Fills the fields of info; *ret_wrong, when it is NULL so far, names the first attribute that is
 * not as demanded. */
err_t key_rules_check(const struct key_seen *key, const struct key_rule *rules, size_t n,
                      void *info, const char **ret_wrong);
