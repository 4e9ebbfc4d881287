/* What a compilation of a policy found, for whoever uploaded it: as text for a person, and as JSON for
 * a program. Operators only: it quotes the policy. Pure. */
#pragma once

#include "broker/base/json.h"
#include "policy/rego.h"

/* Appends, of the first `most`, place and sentence, and indented below it the line of the text and
 * the way out; then how many there are beyond. Lines are separated, not ended. */
void diagnostics_text(const struct rego_errors *errors, size_t most, struct buf *out);

/* Members "errors": [{"code","text","line","column","source","hint"}], without those that do not
 * apply, and "more" when some did not fit. */
void diagnostics_members(const struct rego_errors *errors, struct json_out *o);
/* The list alone, as the member of this name: "warnings". */
void diagnostics_list(const char *name, const struct rego_errors *errors, struct json_out *o);
