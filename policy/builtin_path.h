/* Paths of json.filter, json.remove and json.patch: "a/b/0" (RFC 6901, leading slashes optional) or an
 * array of segments. */
#pragma once

#include "policy/builtin.h"
#include "policy/value.h"

/* The segments as an array; NULL with operand 2's error when it is neither string nor array. */
const struct value *builtin_path(struct builtin_call *call, const struct value *path);
