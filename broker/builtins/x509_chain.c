/* crypto.x509.parse_and_verify_certificates: the first certificate is the root, the last the leaf. */
#include "broker/base/limits.h"
#include "broker/builtins/x509_pieces.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <string.h>

#define AUTH_LEVEL 2 /* OpenSSL's name for 112 bits: no SHA-1, no RSA under 2048, as in jose/x5c.c */

enum { HOST_MAX = 253 /* bytes of a name, RFC 1035 2.3.4 */ };

struct chain_options {
    int64_t now;          /* Unix seconds */
    struct span dns_name; /* empty: any */
    unsigned usages;      /* a bit for each number; the whole chain must allow one of them */
};

/* A name may stand in quotes, as in OPA. */
static struct span unquoted(const struct value *v)
{
    struct span s = span_value(v);
    while (s.len && s.data[0] == '"') s = span_of(s.data + 1, s.len - 1);
    while (s.len && s.data[s.len - 1] == '"') s.len--;
    return s;
}

/* ---- usages ---------------------------------------------------------------------------------------- */

/* By Go's numbers. */
static const char *const USAGES[X509_USAGES] = {
    "KeyUsageAny", "KeyUsageServerAuth", "KeyUsageClientAuth", "KeyUsageCodeSigning",
    "KeyUsageEmailProtection", "KeyUsageIPSECEndSystem", "KeyUsageIPSECTunnel", "KeyUsageIPSECUser",
    "KeyUsageTimeStamping", "KeyUsageOCSPSigning", "KeyUsageMicrosoftServerGatedCrypto",
    "KeyUsageNetscapeServerGatedCrypto", "KeyUsageMicrosoftCommercialCodeSigning",
    "KeyUsageMicrosoftKernelCodeSigning"};

/* A certificate without a list allows all. */
static bool allows(X509 *cert, int usage)
{
    int critical = -1;
    EXTENDED_KEY_USAGE *list = X509_get_ext_d2i(cert, NID_ext_key_usage, &critical, NULL);
    bool good = !list && critical == -1;
    for (int i = 0; !good && i < sk_ASN1_OBJECT_num(list); i++) {
        int number = x509_usage(sk_ASN1_OBJECT_value(list, i));
        good = number == usage || number == X509_USAGE_ANY;
    }
    EXTENDED_KEY_USAGE_free(list);
    return good;
}

static bool usages_good(STACK_OF(X509) *chain, unsigned usages)
{
    bool found = usages & 1u << X509_USAGE_ANY;
    for (int k = 1; !found && k < X509_USAGES; k++) {
        found = usages >> k & 1;
        for (int i = 0; found && i < sk_X509_num(chain); i++) found = allows(sk_X509_value(chain, i), k);
    }
    return found;
}

/* ---- the chain ----------------------------------------------------------------------------------------- */

/* An address must be among the certificate's addresses, a name among its DNS names: the common
 * name does not count (RFC 6125 6.4.4). */
static bool set_host(X509_VERIFY_PARAM *param, struct span name)
{
    char text[HOST_MAX + 1] = {0};
    uint8_t address[16];
    if (!name.len) return true;
    if (name.len > HOST_MAX || memchr(name.data, 0, name.len)) return false;
    memcpy(text, name.data, name.len);
    if (text[0] == '[' && text[name.len - 1] == ']') { /* [::1] */
        text[name.len - 1] = 0;
        memmove(text, text + 1, name.len - 1);
    }
    if (inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(param, text) == 1;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
                                               X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    size_t len = strlen(text);
    if (len > 1 && text[len - 1] == '.') text[len - 1] = 0; /* of the root, as in Go */
    /* To OpenSSL a dot in front means: every name below. */
    return text[0] != '.' && X509_VERIFY_PARAM_set1_host(param, text, 0) == 1;
}

static bool set_options(X509_STORE_CTX *ctx, const struct chain_options *o)
{
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_time(param, (time_t) o->now);
    X509_VERIFY_PARAM_set_auth_level(param, AUTH_LEVEL);
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN); /* any certificate may be a root */
    return set_host(param, o->dns_name);
}

/* Larger keys would cost more than the call has paid. */
static bool keys_small(STACK_OF(X509) *list)
{
    bool small = true;
    for (int i = 0; small && i < sk_X509_num(list); i++) {
        const EVP_PKEY *key = X509_get0_pubkey(sk_X509_value(list, i));
        small = !key || EVP_PKEY_get_bits(key) <= (int) JOSE_MAX_RSA_BITS;
    }
    return small;
}

/* Go lets no certificate of version 3 sign another one unless it says that it may, a root neither; OpenSSL asks
 * that of no certificate that is trusted by name. */
static bool signers_good(STACK_OF(X509) *chain)
{
    bool good = true;
    for (int i = 1; good && i < sk_X509_num(chain); i++) {
        X509 *signer = sk_X509_value(chain, i);
        uint32_t flags = X509_get_extension_flags(signer);
        good = flags & EXFLAG_BCONS ? (flags & EXFLAG_CA) != 0 : X509_get_version(signer) != X509_VERSION_3;
    }
    return good;
}

/* The chain found, leaf first, is the caller's; NULL when there is none. */
static STACK_OF(X509) *find_chain(STACK_OF(X509) *list, const struct chain_options *o)
{
    int count = sk_X509_num(list);
    STACK_OF(X509) *chain = NULL;
    X509_STORE *roots = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    if (count >= 2 && keys_small(list) && roots && ctx &&
        X509_STORE_add_cert(roots, sk_X509_value(list, 0)) == 1 &&
        X509_STORE_CTX_init(ctx, roots, sk_X509_value(list, count - 1), list) == 1 &&
        set_options(ctx, o) && X509_verify_cert(ctx) == 1)
        chain = X509_STORE_CTX_get1_chain(ctx);
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(roots);
    if (chain && !(signers_good(chain) && usages_good(chain, o->usages))) {
        x509_free_list(chain);
        chain = NULL;
    }
    ERR_clear_error();
    return chain;
}

/* ---- options ------------------------------------------------------------------------------------------- */

/* 0: there is no such usage. */
static unsigned usage_bit(struct span name)
{
    for (unsigned k = 0; k < X509_USAGES; k++)
        if (span_eq_str(name, USAGES[k])) return 1u << k;
    return 0;
}

static bool read_usages(struct builtin_call *call, const struct value *v, struct chain_options *o)
{
    struct text unknown;
    if (v->kind != VALUE_ARRAY && v->kind != VALUE_SET)
        return builtin_fail(call, "'KeyUsages' should be an Array or Set"), false;
    text_init(&unknown, call->arena);
    unsigned usages = 0;
    for (size_t i = 0; i < v->count; i++) {
        if (v->items[i]->kind != VALUE_STRING) continue;
        struct span name = unquoted(v->items[i]);
        unsigned bit = usage_bit(name);
        usages |= bit;
        if (!bit)
            text_addf(&unknown, "%s%.*s", unknown.len ? " " : "", (int) name.len, (const char *) name.data);
    }
    if (usages) o->usages = usages;
    if (!unknown.len) return true;
    const char *names = text_end(&unknown);
    builtin_fail(call, "invalid entries for 'KeyUsages' found: [%.300s]", names ? names : "");
    return false;
}

static bool read_time(struct builtin_call *call, const struct value *v, struct chain_options *o)
{
    int64_t ns = 0;
    if (v->kind != VALUE_NUMBER) return builtin_fail(call, "'CurrentTime' should be a number"), false;
    if (!num_to_i64(v->number, &ns))
        return builtin_fail(call, "'CurrentTime' should be a valid int64 number"), false;
    o->now = ns / 1000000000;
    return true;
}

/* A limit of Go's; ours is CERTIFICATES_MAX. */
static bool check_comparisons(struct builtin_call *call, const struct value *v, struct chain_options *o)
{
    int64_t i = 0;
    const char *wanted = v->kind != VALUE_NUMBER ? "a number" : "a valid number";
    if (v->kind == VALUE_NUMBER && num_to_i64(v->number, &i)) return true;
    return builtin_fail(call, "'MaxConstraintComparisons' should be %s", wanted), false;
}

static bool read_name(struct builtin_call *call, const struct value *v, struct chain_options *o)
{
    if (v->kind != VALUE_STRING) return builtin_fail(call, "'DNSName' should be a string"), false;
    o->dns_name = unquoted(v);
    return true;
}

static bool read_options(struct builtin_call *call, const struct value *options, struct chain_options *o)
{
    static const struct {
        const char *name;
        bool (*read)(struct builtin_call *call, const struct value *v, struct chain_options *o);
    } known[] = {{"CurrentTime", read_time}, {"DNSName", read_name}, {"KeyUsages", read_usages},
                 {"MaxConstraintComparisons", check_comparisons}};
    for (size_t i = 0; i < options->count; i++) {
        const struct value *key = options->pairs[i].key;
        size_t k = 0;
        if (key->kind != VALUE_STRING) continue;
        while (k < sizeof known / sizeof *known && !string_is(key, known[k].name)) k++;
        if (k == sizeof known / sizeof *known) return builtin_fail(call, "invalid key option"), false;
        if (!known[k].read(call, options->pairs[i].value, o)) return false;
    }
    return true;
}

/* ---- the functions ------------------------------------------------------------------------------------- */

static const struct value *answer(struct builtin_call *call, bool valid, const struct value *certs)
{
    const struct value **items = certs ? arena_alloc_array(call->arena, 2, sizeof *items) : NULL;
    if (!items) return NULL;
    items[0] = value_bool(valid);
    items[1] = certs;
    return value_array(call->arena, items, 2);
}

static const struct value *chain_value(struct builtin_call *call, STACK_OF(X509) *list,
                                       const struct chain_options *o)
{
    if (!builtin_spend(call, (uint64_t) STEPS_SIGNATURE * (uint64_t) sk_X509_num(list))) return NULL;
    STACK_OF(X509) *chain = find_chain(list, o);
    const struct value *v =
        answer(call, chain != NULL, chain ? x509_list_value(call, chain) : &VALUE_EMPTY_ARRAY);
    x509_free_list(chain);
    return v;
}

/* What is no text of certificates is no chain: the answer, not an error. */
static const struct value *verify(struct builtin_call *call, const struct value *text,
                                  const struct value *options)
{
    struct chain_options o = {.now = call->now_ns / 1000000000, .usages = 1u << X509_USAGE_SERVER_AUTH};
    const struct value *v = NULL;
    STACK_OF(X509) *list = sk_X509_new_null();
    if (x509_read_list(call, text, list)) {
        if (read_options(call, options, &o)) v = chain_value(call, list, &o);
    } else if (call->problem == BUILTIN_ERROR) {
        call->problem = BUILTIN_FINE;
        v = answer(call, false, &VALUE_EMPTY_ARRAY);
    }
    x509_free_list(list);
    return v;
}

const struct value *x509_parse_and_verify(struct builtin_call *call, const struct value *const *args)
{
    return verify(call, args[0], &VALUE_EMPTY_OBJECT);
}

const struct value *x509_parse_and_verify_with_options(struct builtin_call *call,
                                                       const struct value *const *args)
{
    return verify(call, args[0], args[1]);
}
