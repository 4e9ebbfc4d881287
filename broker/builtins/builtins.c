/* The table, and what all functions share. */
#include "broker/builtins/builtins.h"

#include "broker/builtins/internal.h"

#include <stdio.h>
#include <string.h>

#define TEXTS(name_, run_, arity_) \
    {.name = name_, .run = run_, .arity = arity_, .operands = {ARG_STRING, ARG_STRING}}

/* Names and operands of OPA's functions are those of policy/builtin_rows.inc; kbs.* are ours. */
static const struct builtin rows[] = {
    TEXTS("crypto.md5", crypto_md5, 1),
    TEXTS("crypto.sha1", crypto_sha1, 1),
    TEXTS("crypto.sha256", crypto_sha256, 1),
    TEXTS("kbs.sha384", kbs_sha384, 1), /* init-data of TDX guests; OPA has none */
    TEXTS("crypto.hmac.md5", crypto_hmac_md5, 2),
    TEXTS("crypto.hmac.sha1", crypto_hmac_sha1, 2),
    TEXTS("crypto.hmac.sha256", crypto_hmac_sha256, 2),
    TEXTS("crypto.hmac.sha512", crypto_hmac_sha512, 2),
    TEXTS("crypto.hmac.equal", crypto_hmac_equal, 2),
    TEXTS("crypto.x509.parse_certificates", x509_parse_certificates, 1),
    TEXTS("crypto.x509.parse_and_verify_certificates", x509_parse_and_verify, 1),
    {.name = "crypto.x509.parse_and_verify_certificates_with_options",
     .run = x509_parse_and_verify_with_options, .arity = 2, .operands = {ARG_STRING, ARG_OBJECT}},
    TEXTS("crypto.x509.parse_certificate_request", x509_parse_request, 1),
    TEXTS("io.jwt.decode", jwt_decode, 1),
    {.name = "io.jwt.decode_verify", .run = jwt_decode_verify, .flags = BUILTIN_NONDETERMINISTIC,
     .arity = 2, .operands = {ARG_STRING, ARG_OBJECT}},
    TEXTS("io.jwt.verify_rs256", jwt_verify, 2),
    TEXTS("io.jwt.verify_rs384", jwt_verify, 2),
    TEXTS("io.jwt.verify_rs512", jwt_verify, 2),
    TEXTS("io.jwt.verify_ps256", jwt_verify, 2),
    TEXTS("io.jwt.verify_ps384", jwt_verify, 2),
    TEXTS("io.jwt.verify_ps512", jwt_verify, 2),
    TEXTS("io.jwt.verify_es256", jwt_verify, 2),
    TEXTS("io.jwt.verify_es384", jwt_verify, 2),
    TEXTS("io.jwt.verify_es512", jwt_verify, 2),
    TEXTS("io.jwt.verify_eddsa", jwt_verify, 2),
    TEXTS("io.jwt.verify_hs256", jwt_verify_hs, 2),
    TEXTS("io.jwt.verify_hs384", jwt_verify_hs, 2),
    TEXTS("io.jwt.verify_hs512", jwt_verify_hs, 2),
    /* The last: of attestation policies only. What it answers is no matter of its operand alone. */
    {.name = "query_reference_value", .run = query_reference_value, .arity = 1,
     .flags = BUILTIN_NONDETERMINISTIC, .operands = {ARG_STRING}},
};
enum { ROWS = sizeof rows / sizeof *rows };

static const struct builtin_elsewhere elsewhere[] = {
    {"query_reference_value", "attestation policies have query_reference_value, the release policy "
                              "has not; it sees what they made of it, in input.submods"},
};

const struct builtin_host *builtins_host(void)
{
    static const struct builtin_host host = {
        .rows = rows, .row_count = ROWS - 1, .zone_at = zones_at, .elsewhere = elsewhere,
        .elsewhere_count = sizeof elsewhere / sizeof *elsewhere,
    };
    return &host;
}

const struct builtin_host *builtins_attestation_host(void)
{
    static const struct builtin_host host = {
        .rows = rows, .row_count = ROWS, .zone_at = zones_at,
    };
    return &host;
}

/* Values do not change while an evaluation lasts (reference_source), so there is nothing to remember. */
const struct value *query_reference_value(struct builtin_call *call, const struct value *const *args)
{
    const struct reference_source *source = call->context;
    const struct value *found = source && source->find ? source->find(source, args[0]) : NULL;
    return found ? found : value_null();
}

const struct value *over_limit(struct builtin_call *call, const char *what, unsigned limit)
{
    return builtin_limit(call, "%s of more than %u", what, limit);
}

const struct value *decode_base64(struct builtin_call *call, const struct value *text)
{
    return builtin_base64_decode(call, &text);
}

const struct value *decode_base64url(struct builtin_call *call, struct span text, const char *what)
{
    const struct value *operand =
        value_string(call->arena, (const char *) text.data, text.len);
    const struct value *bytes = operand ? builtin_base64url_decode(call, &operand) : NULL;
    if (bytes || call->problem != BUILTIN_ERROR || !what) return bytes;
    char reason[BUILTIN_ERROR_MAX / 2];
    snprintf(reason, sizeof reason, "%s", call->text + strlen(call->builtin->name) + 2);
    return builtin_fail(call, "%s: %s", what, reason);
}
