/* Which role may use which path: regular expressions held to linear syntax (kbs-api.md 6.1). */
#pragma once

#include "broker/admin/admin.h"
#include "broker/base/cleanup.h"

struct acl;

/* Compiles the entries. ERR_USAGE names the entry and what is wrong with it. An expression (each
 * alternative of it, where it has several outside of parentheses) must begin with ^/kbs or
 * ^/strongroom and end with $; groups are ( ) and (?: ), escapes are \d \D \w \W \s \S \b \B and
 * escaped punctuation. Immutable, thread-safe. */
err_t acl_new(const struct admin_acl *entries, size_t count, struct acl **ret);
void acl_free(struct acl *a);
DEFINE_CLEANUP(struct acl, acl_free);

/* Whether any entry lets this role use this path (decoded, without query) with this method.
 * Without any entry, role "admin" may use everything and nobody else anything. */
bool acl_allows(const struct acl *a, const char *role, const char *method, const char *path);
