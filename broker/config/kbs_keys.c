/* The table of a KBS's keys, of all its generations (kbs-api.md 6.1, 6.2, 8, 11), and what becomes of
 * each. A key of ours that this version does not have is told as such by itself (kbs_try): its row
 * starts to copy when config_keys.c gets the key. */
#include "broker/config/kbs_convert_internal.h"

#include "broker/base/cleanup.h"
#include "broker/base/json.h"
#include "broker/config/config_value.h"

#include <stdio.h>
#include <string.h>

#define MODE "admin.authorization_mode"
#define PROVIDERS "admin.authentication.bearer_jwt.identity_providers"
#define ACLS "admin.authorization.regex_acl.acls"
#define SERVICE "attestation_service."
#define BROKER SERVICE "attestation_token_broker."
#define OLD_BROKER SERVICE "attestation_token_config."
#define EVERYTHING "^/kbs/v0/.*$" /* what an operator of an old KBS may call without roles */
#define PATH_ROOM 300

#define IGNORED "a KBS of today ignores it"
#define BY_IMPORT "resources, policies and reference values lie on the token; " \
                  "`strongroom import --from-kbs` with this file takes them there"
#define NOT_IMPORTED "a KBS of today ignores it; policies and reference values that an older one keeps " \
                     "there are not imported: set them (policy set --attestation, reference-value set)"
#define TLS_LISTS "cipher suites and groups are those of GnuTLS for the profile"
#define TOKEN_TEXTS "attestation tokens of this broker have no such text to set"

static const char *scalar(const struct yaml_node *node)
{
    return node && node->type == YAML_SCALAR ? node->text : "";
}

static bool is_true(const struct yaml_node *node) { return strcmp(scalar(node), "true") == 0; }

static err_t text_json(const char *text, struct buf *out)
{
    struct json_out o = JSON_OUT(out);
    json_put_str(&o, text);
    return buf_ok(out);
}

static err_t put_text(struct kbs_converter *c, const char *path, const char *ours, const char *text)
{
    char reason[ERR_TEXT];
    _cleanup_buf_ struct buf json = BUF_INIT;
    TRY(text_json(text, &json));
    struct err e = kbs_put(c, ours, buf_str(&json));
    if (e.code != ERR_USAGE) return e;
    snprintf(reason, sizeof reason, "%s", err_reason(e));
    return kbs_tell(c, path, ours, true, reason);
}

/* ---- operators ------------------------------------------------------------------------------ */

/* "Simple" is the word for it from v0.16 to v0.20. */
static err_t admin_mode(struct kbs_converter *c, const char *path, const struct yaml_node *node)
{
    bool simple = strcmp(scalar(node), "Simple") == 0;
    return put_text(c, path, MODE, simple ? "AuthenticatedAuthorization" : scalar(node));
}

static err_t insecure_api(struct kbs_converter *c, const char *path, const struct yaml_node *node)
{
    return is_true(node) ? put_text(c, path, MODE, "InsecureAllowAll") : ERR_OK;
}

/* A record into a list of those for our key, when our table takes it. */
static err_t add_record(struct kbs_converter *c, const char *ours, struct buf *list, const char *record)
{
    _cleanup_buf_ struct buf alone = BUF_INIT;
    buf_addf(&alone, "[%s]", record);
    TRY(buf_ok(&alone));
    TRY(kbs_try(c, ours, buf_str(&alone)));
    buf_addf(list, "%s%s", list->len ? ", " : "", record);
    return buf_ok(list);
}

static err_t add_or_tell(struct kbs_converter *c, const char *path, const char *ours, struct buf *list,
                         const char *record)
{
    char reason[ERR_TEXT];
    struct err e = add_record(c, ours, list, record);
    if (e.code != ERR_USAGE) return e;
    snprintf(reason, sizeof reason, "%s", err_reason(e));
    return kbs_tell(c, path, ours, true, reason);
}

/* The members of a record that have a name in names, but not the one called without. */
static err_t record_json(const struct yaml_node *map, const char *const *names, const char *without,
                         struct buf *out)
{
    size_t count = 0;
    buf_add_byte(out, '{');
    for (; *names; names++) {
        const struct yaml_node *member = kbs_config_member(map, *names);
        if (!member || member->type != YAML_SCALAR || yaml_is_null(member)) continue;
        if (without && strcmp(without, *names) == 0) continue;
        buf_addf(out, "%s\"%s\": ", count++ ? ", " : "", *names);
        kbs_put_scalar(out, member);
    }
    buf_add_byte(out, '}');
    return buf_ok(out);
}

static const char *const provider_names[] = {"issuer", "audience", "public_key_uri", "jwk_set_uri",
                                             NULL};
static const char *const acl_names[] = {"role", "allowed_endpoints", NULL};

/* With its key set when we can read it, else without, if a key file is there. */
static err_t add_provider(struct kbs_converter *c, const char *path, const struct yaml_node *map)
{
    _cleanup_buf_ struct buf whole = BUF_INIT, less = BUF_INIT;
    char reason[ERR_TEXT], inner[PATH_ROOM];
    if (!kbs_config_text(map, "public_key_uri") && !kbs_config_text(map, "jwk_set_uri"))
        return kbs_tell(c, path, PROVIDERS, true, "it has neither public_key_uri nor jwk_set_uri");
    TRY(record_json(map, provider_names, NULL, &whole));
    struct err e = add_record(c, PROVIDERS, &c->providers, buf_str(&whole));
    if (e.code != ERR_USAGE) return e;
    snprintf(reason, sizeof reason, "%s", err_reason(e));
    snprintf(inner, sizeof inner, "%s.jwk_set_uri", path);
    bool both = kbs_config_text(map, "jwk_set_uri") && kbs_config_text(map, "public_key_uri");
    if (!both) return kbs_tell(c, path, PROVIDERS, true, reason);
    TRY(record_json(map, provider_names, "jwk_set_uri", &less));
    TRY(kbs_tell(c, inner, PROVIDERS, true, reason));
    return add_or_tell(c, path, PROVIDERS, &c->providers, buf_str(&less));
}

static err_t add_acl(struct kbs_converter *c, const char *path, const struct yaml_node *map)
{
    _cleanup_buf_ struct buf record = BUF_INIT;
    TRY(record_json(map, acl_names, NULL, &record));
    return add_or_tell(c, path, ACLS, &c->acls, buf_str(&record));
}

static err_t put_acl(const char *role, const char *endpoints, struct buf *ret)
{
    struct json_out o = JSON_OUT(ret);
    json_begin_object(&o);
    json_member_str(&o, "role", role);
    json_member_str(&o, "allowed_endpoints", endpoints);
    json_end_object(&o);
    return buf_ok(ret);
}

/* Tokens of old clients carry no role: the file that verifies them gives them one (kbs-api.md 6.2). */
static err_t add_old_key(struct kbs_converter *c, const char *path, const char *file,
                         const char *role)
{
    _cleanup_buf_ struct buf provider = BUF_INIT, acl = BUF_INIT;
    struct json_out p = JSON_OUT(&provider);
    json_begin_object(&p);
    json_member_str(&p, "public_key_uri", file);
    json_member_str(&p, "default_role", role);
    json_end_object(&p);
    TRY(buf_ok(&provider));
    TRY(put_acl(role, EVERYTHING, &acl));
    TRY(add_or_tell(c, path, PROVIDERS, &c->providers, buf_str(&provider)));
    return add_or_tell(c, path, ACLS, &c->free_acls, buf_str(&acl));
}

static err_t add_persona(struct kbs_converter *c, const char *path, const struct yaml_node *map)
{
    const char *id = kbs_config_text(map, "id"), *file = kbs_config_text(map, "public_key_path");
    if (!id || !file) return kbs_tell(c, path, PROVIDERS, true, "it has no id or no public_key_path");
    return add_old_key(c, path, file, id);
}

static err_t add_role(struct kbs_converter *c, const char *path, const struct yaml_node *map)
{
    _cleanup_buf_ struct buf acl = BUF_INIT;
    const char *id = kbs_config_text(map, "id"), *endpoints = kbs_config_text(map, "allowed_endpoints");
    if (!id || !endpoints) return kbs_tell(c, path, ACLS, true, "it has no id or no allowed_endpoints");
    TRY(put_acl(id, endpoints, &acl));
    return add_or_tell(c, path, ACLS, &c->acls, buf_str(&acl));
}

static err_t old_key(struct kbs_converter *c, const char *path, const struct yaml_node *node)
{
    if (node->type != YAML_SCALAR)
        return kbs_tell(c, path, PROVIDERS, true, "a path is expected");
    return add_old_key(c, path, node->text, "admin");
}

static bool is_known(const char *name, const char *const *names)
{
    while (*names && strcmp(*names, name) != 0) names++;
    return *names != NULL;
}

/* Each entry of a list of mappings, with what it has and we do not know. */
static err_t each(struct kbs_converter *c, const char *path, const struct yaml_node *node,
                  const char *const *known, const char *section, kbs_handler *handler)
{
    char inner[PATH_ROOM], member[PATH_ROOM];
    size_t index = 0;
    if (node->type != YAML_LIST) return kbs_tell(c, path, section, true, "a list is expected");
    for (const struct yaml_node *entry = node->first; entry; entry = entry->next) {
        snprintf(inner, sizeof inner, "%s[%zu]", path, index++);
        if (entry->type != YAML_MAP) {
            TRY(kbs_tell(c, inner, section, true, "keys and values are expected"));
            continue;
        }
        TRY(handler(c, inner, entry));
        for (const struct yaml_node *m = entry->first; known && m; m = m->next) {
            if (is_known(m->key, known)) continue;
            snprintf(member, sizeof member, "%.140s.%.140s", inner, m->key);
            TRY(kbs_tell(c, member, section, true, "no key that a KBS of today knows"));
        }
    }
    return ERR_OK;
}

static err_t providers(struct kbs_converter *c, const char *path, const struct yaml_node *node)
{
    return each(c, path, node, provider_names, PROVIDERS, add_provider);
}

static err_t acls(struct kbs_converter *c, const char *path, const struct yaml_node *node)
{
    return each(c, path, node, acl_names, ACLS, add_acl);
}

static err_t personas(struct kbs_converter *c, const char *path, const struct yaml_node *node)
{
    static const char *const names[] = {"id", "public_key_path", NULL};
    return each(c, path, node, names, PROVIDERS, add_persona);
}

/* From v0.18 to v0.20: what the persona of the same id may call. With any role, who has none may nothing. */
static err_t roles(struct kbs_converter *c, const char *path, const struct yaml_node *node)
{
    static const char *const names[] = {"id", "allowed_endpoints", NULL};
    c->roles_seen = node->type != YAML_LIST || node->first;
    return each(c, path, node, names, ACLS, add_role);
}

/* ---- who verifies evidence ------------------------------------------------------------------ */

#define BUILT_IN "this broker verifies no evidence of real hardware by itself, as the KBS does when " \
                 "it has the attestation service built in. Run that service beside it (verifier: grpc " \
                 "or rest, as_addr), or let guests bring its tokens (attestation_token)"
#define INTEL "evidence is not sent to Intel Trust Authority; guests can bring its tokens: give its " \
              "keys in attestation_token.trusted_jwk_sets"

/* By names without '_' and case: coco_as_grpc is CoCoASGrpc. */
static const struct {
    const char *name, *verifier, *sentence;
} services[] = {
    {"cocoasbuiltin", "none", BUILT_IN},
    {"cocoasgrpc", "grpc", NULL},
    {"intelta", "none", INTEL},
};

static err_t put_verifier(struct kbs_converter *c, const char *path, const char *verifier,
                          const char *sentence)
{
    c->type_seen = true;
    TRY(put_text(c, path, SERVICE "verifier", verifier));
    return sentence ? kbs_tell(c, path, SERVICE, true, sentence) : ERR_OK;
}

static err_t service_type(struct kbs_converter *c, const char *path, const struct yaml_node *node)
{
    c->type_seen = true;
    for (size_t i = 0; i < sizeof services / sizeof *services; i++)
        if (kbs_config_is_word(scalar(node), services[i].name))
            return put_verifier(c, path, services[i].verifier, services[i].sentence);
    return kbs_tell(c, path, SERVICE, true, "no type of attestation service that a KBS has");
}

/* A URL with a password in it is not copied into a file that others read. */
static err_t service_address(struct kbs_converter *c, const char *path, const struct yaml_node *node)
{
    if (strchr(scalar(node), '@'))
        return kbs_tell(c, path, SERVICE, true, "it holds a user or password; an address is expected");
    return kbs_copy(c, path, node, SERVICE "as_addr");
}

/* Until v0.10 the section said which service it is. */
static err_t old_address(struct kbs_converter *c, const char *path, const struct yaml_node *node)
{
    TRY(put_verifier(c, path, "grpc", NULL));
    return service_address(c, path, node);
}

static err_t old_intel(struct kbs_converter *c, const char *path, const struct yaml_node *node)
{
    (void) node; /* its api_key is a secret */
    return put_verifier(c, path, "none", INTEL);
}

/* ---- plugins -------------------------------------------------------------------------------- */

static err_t resource_plugin(struct kbs_converter *c, const char *path, const struct yaml_node *map)
{
    const char *type = kbs_config_text(map, "storage_backend_type");
    if (!type) type = kbs_config_text(map, "backend"); /* of v0.19 */
    if (!type) type = kbs_config_text(map, "type");
    bool ours = !type || kbs_config_is_word(type, "kvstorage") || kbs_config_is_word(type, "localfs");
    if (ours) return kbs_tell(c, path, "token", false, BY_IMPORT);
    return kbs_tell(c, path, "token", true, "resources are kept elsewhere, and lie on the token here: "
                    "write them to files <repository>/<type>/<tag> and `strongroom import` that folder");
}

static const struct {
    const char *key, *sentence;
} pkcs11_keys[] = {
    {"pin", "a PIN never stands in a configuration: put it in a file of mode 0600, name that in "
            "token.pin_source, and take it out of the KBS's file"},
    {"slot_index", "slot numbers change: name the token by label or serial in token.uri"},
};

/* By their code, not by their names: both are OAEP (kbs-api.md 8.3). */
static err_t wrap_mechanism(struct kbs_converter *c, const char *path, const struct yaml_node *node)
{
    static const char ours[] = "token.wrap_key_oaep";
    if (strcmp(scalar(node), "RsaPkcsOaep") == 0) return put_text(c, path, ours, "sha256");
    if (strcmp(scalar(node), "RsaPkcsTest") == 0) return put_text(c, path, ours, "sha1");
    return kbs_tell(c, path, "token", true, "no mechanism that a KBS has");
}

static err_t wrap_label(struct kbs_converter *c, const char *path, const struct yaml_node *node)
{
    if (node->type == YAML_SCALAR && !node->text[0])
        return kbs_tell(c, path, "token", true, "a key pair without a label is not used here: give it one "
                        "and say token.wrap_key_label");
    return kbs_copy(c, path, node, "token.wrap_key_label");
}

static err_t pkcs11_key(struct kbs_converter *c, const char *path, const struct yaml_node *node)
{
    if (strcmp(node->key, "name") == 0) return ERR_OK;
    if (strcmp(node->key, "module") == 0) return kbs_copy(c, path, node, "token.module");
    if (strcmp(node->key, "lookup_label") == 0) return wrap_label(c, path, node);
    if (strcmp(node->key, "rsa_mechanism") == 0) return wrap_mechanism(c, path, node);
    for (size_t i = 0; i < sizeof pkcs11_keys / sizeof *pkcs11_keys; i++)
        if (strcmp(node->key, pkcs11_keys[i].key) == 0)
            return kbs_tell(c, path, "token", true, pkcs11_keys[i].sentence);
    return kbs_tell(c, path, "token", true, "no key that a KBS of today knows");
}

static err_t pkcs11_plugin(struct kbs_converter *c, const char *path, const struct yaml_node *map)
{
    char inner[PATH_ROOM];
    for (const struct yaml_node *m = map->first; m; m = m->next) {
        snprintf(inner, sizeof inner, "%.140s.%.140s", path, m->key);
        TRY(pkcs11_key(c, inner, m));
    }
    return kbs_tell(c, path, "token", false, "its objects were gone with each restart of the KBS; here "
                    "/kbs/v0/pkcs11/resource serves the same resources as /kbs/v0/resource. Say which "
                    "token in token.uri");
}

static err_t plugin(struct kbs_converter *c, const char *path, const struct yaml_node *map)
{
    const char *name = kbs_config_text(map, "name");
    if (name && (strcmp(name, "resource") == 0 || strcmp(name, "ResourceStorage") == 0))
        return resource_plugin(c, path, map);
    if (name && kbs_config_is_word(name, "pkcs11")) return pkcs11_plugin(c, path, map);
    return kbs_tell(c, path, "token", true, "there is no such plugin here");
}

static err_t plugins(struct kbs_converter *c, const char *path, const struct yaml_node *node)
{
    return each(c, path, node, NULL, "token", plugin);
}

static err_t storage(struct kbs_converter *c, const char *path, const struct yaml_node *node)
{
    const char *type = kbs_config_text(node, "storage_type");
    if (type && kbs_config_is_word(type, "redis"))
        return kbs_tell(c, path, "token", true, "Redis is not read here: `strongroom import --help` "
                        "says what to do");
    return kbs_tell(c, path, "token", false, BY_IMPORT);
}

/* ---- the table ------------------------------------------------------------------------------ */

const struct kbs_row kbs_rows[] = {
    {"http_server.sockets", .ours = "http_server.sockets"},
    {"http_server.payload_request_size", .ours = "http_server.payload_request_size"},
    {"http_server.worker_count", .ours = "http_server.threads"},
    {"http_server.insecure_http", .ours = "http_server.insecure_http"},
    {"http_server.private_key", .ours = "http_server.private_key"},
    {"http_server.certificate", .ours = "http_server.certificate"},
    {"http_server.tls_profile", .ours = "http_server.tls_profile"},
    {"http_server.tls_min_version", .ours = "http_server.tls_min_version"},
    {"http_server.tls_max_version", .ours = "http_server.tls_max_version"},
    {"http_server.tls_ciphers", .sentence = TLS_LISTS},
    {"http_server.tls_groups", .sentence = TLS_LISTS},
    /* until v0.10 without a section */
    {"sockets", .ours = "http_server.sockets"},
    {"insecure_http", .ours = "http_server.insecure_http"},
    {"private_key", .ours = "http_server.private_key"},
    {"certificate", .ours = "http_server.certificate"},

    {MODE, .handler = admin_mode},
    {"admin.type", .handler = admin_mode},
    {"admin.insecure_api", .handler = insecure_api},
    {"insecure_api", .handler = insecure_api},
    {"admin.auth_public_key", .handler = old_key},
    {"auth_public_key", .handler = old_key},
    {"admin.personas", .handler = personas},
    {"admin.roles", .handler = roles},
    {PROVIDERS, .handler = providers},
    {ACLS, .handler = acls},

    {"attestation_token.trusted_certs_paths", .ours = "attestation_token.trusted_certs_paths"},
    {"attestation_token.trusted_jwk_sets", .ours = "attestation_token.trusted_jwk_sets"},
    {"attestation_token.extra_teekey_paths", .ours = "attestation_token.extra_teekey_paths"},
    {"attestation_token.insecure_header_jwk", .ours = "attestation_token.insecure_header_jwk"},
    {"attestation_token.insecure_key", .ours = "attestation_token.insecure_header_jwk"},
    {"attestation_token.attestation_token_type", .sentence = IGNORED, .harmless = true},
    {"attestation_token_type", .section = "attestation_token", .sentence = IGNORED, .harmless = true},
    {"attestation_token_config.attestation_token_type", .section = "attestation_token", .sentence = IGNORED,
     .harmless = true},
    {"attestation_token_config.trusted_certs_paths", .ours = "attestation_token.trusted_certs_paths"},

    {SERVICE "type", .handler = service_type},
    {SERVICE "as_addr", .handler = service_address},
    {SERVICE "pool_size", .ours = SERVICE "pool_size"},
    {SERVICE "timeout", .ours = SERVICE "timeout"},
    {BROKER "duration_min", .ours = BROKER "duration_min"},
    {BROKER "issuer_name", .ours = BROKER "issuer_name"},
    {BROKER "signer.key_path", .ours = BROKER "signer.key_path"},
    {BROKER "signer.cert_path", .ours = BROKER "signer.cert_path"},
    {BROKER "signer.cert_url", .sentence = "tokens carry their certificates, no place to fetch them"},
    {BROKER "developer_name", .sentence = TOKEN_TEXTS},
    {BROKER "build_name", .sentence = TOKEN_TEXTS},
    {BROKER "profile_name", .sentence = TOKEN_TEXTS},
    {BROKER "verbose_token", .sentence = "what stands in a token is not to be chosen"},
    {BROKER "policy_dir", .sentence = NOT_IMPORTED},
    {BROKER "type", .sentence = IGNORED, .harmless = true},
    {OLD_BROKER "duration_min", .ours = BROKER "duration_min"},
    {OLD_BROKER "issuer_name", .ours = BROKER "issuer_name"},
    {OLD_BROKER "signer.key_path", .ours = BROKER "signer.key_path"},
    {OLD_BROKER "signer.cert_path", .ours = BROKER "signer.cert_path"},
    {SERVICE "attestation_token_type", .sentence = IGNORED, .harmless = true},
    {SERVICE "rvps_config.type", .sentence = "reference values lie on the token", .harmless = true},
    {SERVICE "rvps_config.storage_type", .sentence = BY_IMPORT, .harmless = true},
    {SERVICE "rvps_config.extractors",
     .sentence = "reference values are set as they are (reference-value set); nothing is extracted"},
    {SERVICE "rvps_config.address", .sentence = "reference values are not fetched from a server"},
    {SERVICE "rvps_config.storage", .sentence = NOT_IMPORTED},
    {SERVICE "rvps_config.store_type", .sentence = NOT_IMPORTED},
    {SERVICE "rvps_config.store_config", .sentence = NOT_IMPORTED},
    {SERVICE "rvps_config.remote_addr", .sentence = "reference values are not fetched from a server"},
    {SERVICE "verifier_config", .sentence = "it is for verifiers of hardware, which are not here"},
    {SERVICE "storage_type", .sentence = BY_IMPORT, .harmless = true},
    {SERVICE "work_dir", .sentence = NOT_IMPORTED, .harmless = true},
    {SERVICE "policy_engine", .sentence = IGNORED, .harmless = true},
    {SERVICE "base_url", .sentence = INTEL},
    {SERVICE "api_key", .sentence = "it is a secret of Intel Trust Authority, which is not asked here"},
    {SERVICE "certs_file", .sentence = INTEL},
    {SERVICE "allow_unmatched_policy", .sentence = INTEL},
    {SERVICE "policy_ids", .sentence = INTEL},
    /* until v0.10 */
    {"timeout", .ours = SERVICE "timeout"},
    {"grpc_config.as_addr", .handler = old_address},
    {"grpc_config.pool_size", .ours = SERVICE "pool_size"},
    {"intel_trust_authority_config", .handler = old_intel},
    {"as_config.work_dir", .section = SERVICE, .sentence = NOT_IMPORTED, .harmless = true},
    {"as_config.rvps_config", .section = SERVICE, .sentence = NOT_IMPORTED},
    {"as_config.rvps_store_type", .section = SERVICE, .sentence = NOT_IMPORTED},
    {"as_config.policy_engine", .section = SERVICE, .sentence = IGNORED, .harmless = true},
    {"as_config.attestation_token_broker", .section = SERVICE, .sentence = IGNORED, .harmless = true},
    {"as_config.attestation_token_config.duration_min", .ours = BROKER "duration_min"},
    {"as_config.attestation_token_config.issuer_name", .ours = BROKER "issuer_name"},
    {"as_config.attestation_token_config.signer.key_path", .ours = BROKER "signer.key_path"},
    {"as_config.attestation_token_config.signer.cert_path", .ours = BROKER "signer.cert_path"},
    {"policy_engine_config", .section = "policy", .sentence = BY_IMPORT, .harmless = true},

    {"storage_backend", .handler = storage},
    {"session_storage_type", .section = "attestation_service", .harmless = true,
     .sentence = "sessions are kept in memory; guests attest again after a restart"},
    {"plugins", .handler = plugins},
    {"repository_config", .section = "token", .handler = resource_plugin},
    {"policy_engine", .section = "policy", .sentence = BY_IMPORT, .harmless = true},
};

const size_t kbs_row_count = sizeof kbs_rows / sizeof *kbs_rows;

/* ---- what one key says about another -------------------------------------------------------- */

static err_t put_list(struct kbs_converter *c, const char *ours, struct buf *records)
{
    _cleanup_buf_ struct buf list = BUF_INIT;
    if (!records->len) return ERR_OK;
    buf_addf(&list, "[%s]", buf_str(records));
    TRY(buf_ok(&list));
    struct err e = kbs_put(c, ours, buf_str(&list));
    return e.code == ERR_USAGE ? kbs_tell(c, ours, ours, true, "there are too many of them") : e;
}

static size_t index_of(const char *ours)
{
    size_t i = 0;
    while (i < config_keys.count && strcmp(config_keys.keys[i].path, ours) != 0) i++;
    return i;
}

static bool says(const struct kbs_converter *c, const char *ours, const char *json)
{
    size_t i = index_of(ours);
    return i < config_keys.count && c->values[i] && strcmp(c->values[i], json) == 0;
}

/* Takes a value back and tells why; nothing when there is none. */
static err_t drop(struct kbs_converter *c, const char *ours, bool left, const char *sentence)
{
    if (!kbs_has(c, ours)) return ERR_OK;
    c->values[index_of(ours)] = NULL;
    return kbs_tell(c, ours, ours, left, sentence);
}

/* Fails closed: a role that is lost must not let anybody do more. */
static err_t finish_roles(struct kbs_converter *c)
{
    static const char anybody[] = "roles restrict everybody there, and InsecureAllowAll here lets everybody do all";
    if (!c->roles_seen) {
        if (c->free_acls.len) buf_addf(&c->acls, "%s%s", c->acls.len ? ", " : "", buf_str(&c->free_acls));
        return buf_ok(&c->acls);
    }
    if (!c->acls.len) buf_reset(&c->providers);
    return says(c, MODE, "\"InsecureAllowAll\"") ? drop(c, MODE, true, anybody) : ERR_OK;
}

/* An old KBS asks for a token as soon as there is a key. Without any key nobody may operate. */
static err_t finish_admin(struct kbs_converter *c)
{
    static const char authenticated[] = "\"AuthenticatedAuthorization\"";
    TRY(finish_roles(c));
    TRY(put_list(c, PROVIDERS, &c->providers));
    TRY(put_list(c, ACLS, &c->acls));
    if (kbs_has(c, PROVIDERS)) return kbs_has(c, MODE) ? ERR_OK : kbs_put(c, MODE, authenticated);
    if (!says(c, MODE, authenticated)) return ERR_OK;
    return drop(c, MODE, true, "no identity provider could be carried over, so nobody may operate over "
                "the network until one is given");
}

static err_t finish_tls(struct kbs_converter *c)
{
    static const char key[] = "http_server.private_key", chain[] = "http_server.certificate";
    static const char plain[] = "with insecure_http the KBS speaks plain HTTP and does not use it";
    if (says(c, "http_server.insecure_http", "true")) {
        TRY(drop(c, key, false, plain));
        TRY(drop(c, chain, false, plain));
    }
    if (!kbs_has(c, key)) TRY(drop(c, chain, true, "it needs a private_key"));
    if (!kbs_has(c, chain)) TRY(drop(c, key, true, "it needs a certificate"));
    if (!says(c, "http_server.tls_profile", "\"custom\"")) return ERR_OK;
    return drop(c, "http_server.tls_profile", true, TLS_LISTS);
}

static err_t finish_signer(struct kbs_converter *c)
{
    static const char key[] = BROKER "signer.key_path", chain[] = BROKER "signer.cert_path";
    if (kbs_has(c, key)) return ERR_OK;
    return drop(c, chain, true, "it is the chain of a key_path that is not here");
}

struct err kbs_finish(struct kbs_converter *c)
{
    if (!c->type_seen)
        TRY(put_verifier(c, SERVICE "type", "none", BUILT_IN));
    TRY(finish_admin(c));
    TRY(finish_tls(c));
    TRY(finish_signer(c));
    return kbs_tell(c, "(token)", "token", false, "a KBS has none: say which one in token.module and "
                    "token.uri, and where its PIN is in token.pin_source");
}
