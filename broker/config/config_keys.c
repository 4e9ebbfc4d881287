#include "broker/config/config_keys.h"

#include "broker/base/limits.h"
#include "broker/config/config_check.h"

#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define FIELD_OF(type, name) .offset = offsetof(type, name), .size = sizeof(((type *) 0)->name)
#define FIELD(name) FIELD_OF(struct config, name)
#define LIST(name, number) FIELD(name), .count_offset = offsetof(struct config, number)
#define SECONDS .max = CONFIG_MAX_SECONDS, .unit_name = "seconds"
#define MINUTES .max = CONFIG_MAX_SECONDS / 60, .unit = 60, .unit_name = "minutes"

static const struct config_choice statuses[] = {{"truthful", false}, {"reference", true}, {0}};
static const struct config_choice roles[] = {{"writer", 0}, {"reader", 0}, {0}};
static const struct config_choice places[] = {{"auto", CONFIG_STORAGE_AUTO},
                                              {"token", CONFIG_STORAGE_TOKEN},
                                              {"directory", CONFIG_STORAGE_DIRECTORY},
                                              {0}};
static const struct config_choice verifiers[] = {{"none", CONFIG_VERIFIER_NONE},
                                                 {"sample", CONFIG_VERIFIER_SAMPLE},
                                                 {"grpc", CONFIG_VERIFIER_GRPC},
                                                 {"rest", CONFIG_VERIFIER_REST},
                                                 {"coco_as_grpc", CONFIG_VERIFIER_GRPC},
                                                 {"CoCoASGrpc", CONFIG_VERIFIER_GRPC},
                                                 {0}};
static const struct config_choice workers[] = {{"auto", CONFIG_AUTO}, {0}};
static const struct config_choice syncs[] = {{"none", 0}, {"batch", 0}, {"each", 0}, {0}};
static const struct config_choice locks[] = {{"required", false}, {"best-effort", true}, {0}};
static const struct config_choice isolations[] = {{"auto", CONFIG_ISOLATION_AUTO},
                                                  {"helper", CONFIG_ISOLATION_HELPER},
                                                  {"in-process", CONFIG_ISOLATION_NONE},
                                                  {0}};
static const struct config_choice oaeps[] = {{"sha256", false}, {"sha1", true}, {0}};
static const struct config_choice admin_modes[] = {
    {"DenyAll", ADMIN_DENY_ALL},
    {"InsecureAllowAll", ADMIN_INSECURE_ALLOW_ALL},
    {"AuthenticatedAuthorization", ADMIN_AUTHENTICATED},
    {0}};
static const struct config_choice profiles[] = {{"intermediate", TLS_INTERMEDIATE},
                                                {"old", TLS_OLD},
                                                {"modern", TLS_MODERN},
                                                {"custom", TLS_CUSTOM},
                                                {0}};
static const struct config_choice versions[] = {{"1.2", TLS_1_2}, {"1.3", TLS_1_3}, {0}};
static const struct config_choice levels[] = {{"error", LOG_LEVEL_ERROR},
                                              {"warn", LOG_LEVEL_WARN},
                                              {"info", LOG_LEVEL_INFO},
                                              {"debug", LOG_LEVEL_DEBUG},
                                              {0}};

static const struct config_key provider_keys[] = {
    {"issuer", CONFIG_TEXT, CONFIG_MAY_BE_NULL, FIELD_OF(struct admin_provider, issuer),
     .doc = "What the token's iss must be; without it any."},
    {"audience", CONFIG_TEXT, CONFIG_MAY_BE_NULL, FIELD_OF(struct admin_provider, audience),
     .doc = "What the token's aud must contain; without it anything."},
    {"public_key_uri", CONFIG_PLACE, CONFIG_MAY_BE_NULL,
     FIELD_OF(struct admin_provider, public_key_uri), .check = config_check_place,
     .doc = "PEM public key (Ed25519, EC or RSA) or certificate: a path, a file:// URI or an https:// "
            "URL. It verifies what jwk_set_uri has no key for. One of the two is needed."},
    {"jwk_set_uri", CONFIG_PLACE, CONFIG_MAY_BE_NULL,
     FIELD_OF(struct admin_provider, jwk_set_uri), .check = config_check_place,
     .doc = "JWK set whose key the token names by kid: a path, a file:// URI, an https:// URL of the "
            "set, or the https:// URL of an OpenID issuer."},
    {"uri_ca", CONFIG_PATH, CONFIG_MAY_BE_NULL, FIELD_OF(struct admin_provider, uri_ca),
     .check = config_check_path,
     .doc = "PEM certificates that the servers of these URLs must chain to; without it the system's."},
    {"default_role", CONFIG_TEXT, CONFIG_MAY_BE_NULL,
     FIELD_OF(struct admin_provider, default_role),
     .doc = "Role of tokens that carry none, as old clients make them; without it they are "
            "refused."},
};
static const struct config_table providers = {provider_keys, COUNT(provider_keys),
                                              sizeof(struct admin_provider)};

static const struct config_key acl_keys[] = {
    {"role", CONFIG_TEXT, CONFIG_REQUIRED, FIELD_OF(struct admin_acl, role),
     .doc = "The role that this entry is for."},
    {"allowed_endpoints", CONFIG_TEXT, CONFIG_REQUIRED,
     FIELD_OF(struct admin_acl, allowed_endpoints),
     .doc = "Regular expression over the path, such as ^/kbs/v0/resource/.*$"},
    {"methods", CONFIG_TEXT, CONFIG_MAY_BE_NULL, FIELD_OF(struct admin_acl, methods),
     .doc = "Methods with commas between, such as GET,POST; without it all."},
};
static const struct config_table acls = {acl_keys, COUNT(acl_keys), sizeof(struct admin_acl)};

static const struct config_key keys[] = {
    {"http_server.sockets", CONFIG_TEXTS, LIST(http_sockets, http_socket_count),
     .check = config_check_socket, .fallback = "[\"127.0.0.1:8080\"]",
     .doc = "Addresses to listen on. All speak HTTPS with private_key and certificate, else plain "
            "HTTP."},
    {"http_server.probe_sockets", CONFIG_TEXTS, LIST(http_probe_sockets, http_probe_socket_count),
     .check = config_check_socket, .fallback = "[]",
     .doc = "More addresses, which answer GET of /healthz, /readyz and /metrics alone, always in plain HTTP. With "
            "HTTPS, probes and scrapers ask there, where they do not wait behind guests."},
    {"http_server.certificate", CONFIG_PATH, CONFIG_MAY_BE_NULL | CONFIG_RELOADED, FIELD(http_tls.certificate),
     .check = config_check_path, .fallback = "null",
     .doc = "PEM chain of the server, its own certificate first. Read again on SIGHUP."},
    {"http_server.private_key", CONFIG_PATH, CONFIG_MAY_BE_NULL | CONFIG_RELOADED, FIELD(http_tls.private_key),
     .check = config_check_path, .fallback = "null",
     .doc = "PEM key of that certificate, without passphrase, readable by its owner only."},
    {"http_server.insecure_http", CONFIG_TRUTH, FIELD(http_insecure), .fallback = "false",
     .doc = "Plain HTTP is meant, as behind a TLS terminator: no warning when an address is not "
            "on loopback."},
    {"http_server.admin_client_ca", CONFIG_PATHS, CONFIG_RELOADED, LIST(http_tls.client_cas, http_tls.client_ca_count),
     .check = config_check_path, .fallback = "[]",
     .doc = "PEM certificates of CAs. With any, operators over the network need a client "
            "certificate of theirs, beside their token. Read again on SIGHUP."},
    {"http_server.tls_profile", CONFIG_CHOICE, CONFIG_RELOADED, FIELD(http_tls.profile), .choices = profiles,
     .fallback = "intermediate",
     .doc = "Ciphers. intermediate: forward secrecy and AEAD only. old: CBC and RSA key exchange "
            "as well. modern: TLS 1.3 only. custom: what tls_priority says. TLS 1.2 is the least "
            "in each."},
    {"http_server.tls_priority", CONFIG_TEXT, CONFIG_MAY_BE_NULL | CONFIG_RELOADED, FIELD(http_tls.priority),
     .fallback = "null", .doc = "Priority string of GnuTLS, for tls_profile: custom."},
    {"http_server.tls_min_version", CONFIG_CHOICE, CONFIG_RELOADED, FIELD(http_tls.min_version),
     .choices = versions, .fallback = "\"1.2\"", .doc = "The oldest version that is spoken."},
    {"http_server.tls_max_version", CONFIG_CHOICE, CONFIG_RELOADED, FIELD(http_tls.max_version),
     .choices = versions, .fallback = "\"1.3\"", .doc = "The newest one."},
    {"http_server.tls_handshake_timeout", CONFIG_NUMBER, FIELD(http_handshake_seconds), .min = 1,
     SECONDS, .fallback = "10", .doc = "From the connection to the end of the TLS handshake."},
    {"http_server.admin_socket", CONFIG_PATH, CONFIG_MAY_BE_EMPTY, FIELD(http_admin_socket),
     .check = config_check_path, .fallback = "/run/strongroom/admin.sock",
     .doc = "Unix socket (mode 0600) by which local commands reach the broker; \"\" for none. Who "
            "can open it is an administrator."},
    {"http_server.threads", CONFIG_NUMBER, FIELD(http_threads), .max = HTTP_MAX_THREADS,
     .fallback = "0", .doc = "Threads that serve connections; 0 for one a core."},
    {"http_server.max_connections", CONFIG_NUMBER, FIELD(http_max_connections), .min = 1,
     .max = HTTP_MAX_CONNECTIONS, .fallback = "4096",
     .doc = "Connections at once; one more is answered 503 and closed. The last of so many requests waits for "
            "all the others: about a second with 4096 on one core."},
    {"http_server.max_connections_per_ip", CONFIG_NUMBER, FIELD(http_max_connections_per_ip),
     .max = HTTP_MAX_CONNECTIONS, .fallback = "0",
     .doc = "Connections at once from one address; 0 for no limit of its own."},
    {"http_server.payload_request_size", CONFIG_NUMBER, FIELD(http_max_body), .min = 1,
     .max = VALUE_MAX >> 20, .unit = 1u << 20, .unit_name = "MiB", .fallback = "2",
     .doc = "The largest request body."},
    {"http_server.head_memory", CONFIG_SIZE, FIELD(http_head_bytes), .min = HTTP_HEAD_MIN,
     .max = HTTP_HEAD_MAX, .fallback = "128KiB",
     .doc = "Memory of each connection for the head of a request, which holds the token. It is wiped after "
            "each request: with many connections and tokens of some KiB, 48KiB is faster."},
    {"http_server.head_timeout", CONFIG_NUMBER, FIELD(http_head_seconds), .min = 1, SECONDS,
     .fallback = "10", .doc = "From a request's first byte to the end of its head."},
    {"http_server.body_timeout", CONFIG_NUMBER, FIELD(http_body_seconds), .min = 1, SECONDS,
     .fallback = "30", .doc = "From the end of the head to the end of the body."},
    {"http_server.idle_timeout", CONFIG_NUMBER, FIELD(http_idle_seconds), .min = 1, SECONDS,
     .fallback = "30", .doc = "How long a connection may stay open between requests."},
    {"http_server.request_timeout", CONFIG_NUMBER, FIELD(http_request_seconds), .min = 1, SECONDS,
     .fallback = "60", .doc = "From a request's first byte to the end of its response."},
    {"http_server.statuses", CONFIG_CHOICE, FIELD(http_statuses_401), .choices = statuses,
     .fallback = "truthful",
     .doc = "truthful: 403 denied, 404 missing, 413, 429, 503, 507. reference: 401 for "
            "everything, as the reference server answers; its names of errors too."},

    {"token.module", CONFIG_PATH, FIELD(token_module), .check = config_check_path,
     .fallback = "/usr/lib/softhsm/libsofthsm2.so",
     .doc = "The vendor's PKCS#11 library. Left out, a module-path in token.uri decides first."},
    {"token.init_args", CONFIG_TEXT, CONFIG_MAY_BE_EMPTY, FIELD(token_init_args), .fallback = "\"\"",
     .doc = "Text for the module's C_Initialize. NSS softokn wants \"configdir='sql:/path' "
            "certPrefix='' keyPrefix='' secmod='secmod.db' flags=\"; others want none."},
    {"token.uri", CONFIG_TEXT, FIELD(token_uri), .check = config_check_token_uri,
     .fallback = "\"pkcs11:token=strongroom\"",
     .doc = "RFC 7512 URI that names exactly one token by token= (label) or serial=."},
    {"token.pin_source", CONFIG_TEXT, FIELD(token_pin_source), .check = config_check_pin_source,
     .fallback = "\"file:/etc/strongroom/pin\"",
     .doc = "Where the user PIN is: file:/path (readable by its owner only), credential:NAME "
            "(LoadCredential of the service manager) or prompt. Left out, a pin-source in "
            "token.uri decides first."},
    {"token.isolation", CONFIG_CHOICE, FIELD(token_isolation), .choices = isolations,
     .fallback = "auto",
     .doc = "Where the module runs. helper: in a confined process of its own, which alone reads the PIN, "
            "and which is started again when it crashes or hangs. in-process: in the broker, which is "
            "faster. auto: in-process for SoftHSM, helper for all others."},
    {"token.helper_network", CONFIG_TRUTH, FIELD(token_helper_network), .fallback = "false",
     .doc = "The module in the helper may open network sockets, as those of network HSMs must."},
    {"token.sessions", CONFIG_NUMBER, FIELD(token_sessions), .min = 1, .max = P11_SESSIONS_MAX,
     .fallback = "16", .doc = "Sessions at once; the token's own limit caps it."},
    {"token.serialize_all", CONFIG_TRUTH, FIELD(token_serialize_all), .fallback = "false",
     .doc = "For a module that crashes or errs when two threads are in it: one call at a time. All requests "
            "for the token then wait for each other, on threads of their own."},
    {"token.workers", CONFIG_NUMBER, FIELD(token_workers), .max = P11_WORKERS_MAX, .choices = workers,
     .fallback = "auto",
     .doc = "Threads that do cryptography on the token. auto: a quarter more than there are sessions, used "
            "while the token's own latency asks for them; a token that answers in microseconds is asked where "
            "the request is. A number: always so many. 0: none, and all work is done where the request "
            "is, whatever the token does."},
    {"token.crypto_deadline", CONFIG_NUMBER, FIELD(token_crypto_ms), .min = P11_DEADLINE_MIN_MS,
     .max = P11_DEADLINE_MAX_MS, .unit_name = "milliseconds", .fallback = "250",
     .doc = "Time for one call of cryptography. Beyond it the request is answered 503, and the session "
            "is written off until the call returns."},
    {"token.object_deadline", CONFIG_NUMBER, FIELD(token_object_ms), .min = P11_DEADLINE_MIN_MS,
     .max = P11_DEADLINE_MAX_MS, .unit_name = "milliseconds", .fallback = "5000",
     .doc = "The same for a call that finds, makes or removes objects; a find takes a token longer the "
            "more objects it has."},
    {"token.hang_deadline", CONFIG_NUMBER, FIELD(token_hang_ms), .min = 1, .max = P11_HANG_MAX_SECONDS,
     .unit = 1000, .unit_name = "seconds", .fallback = "30",
     .doc = "How long 16 calls may hang, or one that the broker cannot do without, until it takes only a restart "
            "to help, and ends for its service manager to start it again."},
    {"token.content_key_cache", CONFIG_NUMBER, FIELD(token_cek_cache), .max = CEK_CACHE_MAX,
     .fallback = "4096",
     .doc = "Unwrapped content keys kept as handles on the token; 0 for none. SoftHSM takes 8 KiB "
            "for each."},
    {"token.role", CONFIG_WORD, FIELD(token_role), .choices = roles, .fallback = "writer",
     .doc = "One broker writes to a token, the others are readers and answer writes with 503."},
    {"token.writer", CONFIG_TEXT, CONFIG_MAY_BE_EMPTY, FIELD(token_writer), .fallback = "\"\"",
     .doc = "The writer's host name, for a reader's 503."},
    {"token.wrap_key_label", CONFIG_TEXT, FIELD(token_wrap_key_label),
     .fallback = "strongroom-wrap-key",
     .doc = "Label of the RSA key pair of pkcs11/wrap-key; `strongroom token keypair create --type "
            "rsa` makes it."},
    {"token.wrap_key_oaep", CONFIG_CHOICE, FIELD(token_wrap_key_sha1), .choices = oaeps,
     .fallback = "sha256",
     .doc = "Hash of its OAEP, and of MGF1. sha1 is for what was wrapped so before, or for tokens "
            "whose own OAEP has nothing else and must do all of it."},

    {"storage.keep_versions", CONFIG_NUMBER, FIELD(storage_keep_versions), .min = 1,
     .max = STORE_KEEP_VERSIONS_MAX, .fallback = "1",
     .doc = "Complete versions of a resource that stay on the token, the newest included."},
    {"storage.place", CONFIG_CHOICE, FIELD(storage_place), .choices = places, .fallback = "auto",
     .doc = "Where envelopes lie. auto: where they are already; at first on the token, or in the "
            "directory when the token keeps no data objects, which is found by trying. The keys are on "
            "the token in any case."},
    {"storage.directory", CONFIG_PATH, CONFIG_MAY_BE_EMPTY, FIELD(storage_directory),
     .check = config_check_path, .fallback = "\"\"",
     .doc = "That directory; left empty, `envelopes` in process.state_dir."},
    {"storage.cache", CONFIG_SIZE, FIELD(storage_cache_bytes), .max = CONFIG_MAX_CACHE,
     .fallback = "64MiB", .doc = "Memory for envelopes, with what the heap rounds up; they are ciphertext."},
    {"storage.scrub_rate", CONFIG_NUMBER, FIELD(storage_scrub_rate), .max = SCRUB_RATE_MAX,
     .fallback = "20",
     .doc = "Objects a second that are opened in the background to see whether they still do; 0 for "
            "none, but by `strongroom token verify`. A slow token is asked less often."},
    {"storage.scrub_pause", CONFIG_NUMBER, FIELD(storage_scrub_pause_seconds), .min = 1, SECONDS,
     .fallback = "3600", .doc = "From the end of such a pass over all objects to the next."},

    {"policy.keep_versions", CONFIG_NUMBER, FIELD(policy_keep_versions), .min = 1,
     .max = STORE_KEEP_VERSIONS_MAX, .fallback = "10",
     .doc = "Versions of the release policy that stay on the token, the one in force included, to "
            "look at, compare and roll back to."},

    {"attestation_service.verifier", CONFIG_CHOICE, FIELD(attestation_verifier),
     .choices = verifiers, .fallback = "none",
     .doc = "Who verifies evidence. none: guests come with tokens of an attestation service that "
            "attestation_token trusts. grpc, rest: the attestation service at as_addr, of which "
            "attestation_token must trust the signer; coco_as_grpc means grpc. sample: anybody's "
            "word is taken; for development only."},
    {"attestation_service.as_addr", CONFIG_TEXT, FIELD(attestation_as_addr),
     .check = config_check_service, .fallback = "\"http://127.0.0.1:50004\"",
     .doc = "Where the attestation service is: http://, or https:// beyond this host."},
    {"attestation_service.pool_size", CONFIG_NUMBER, FIELD(attestation_pool_size), .min = 1,
     .max = AS_POOL_MAX, .fallback = "16",
     .doc = "Questions to it at once, each with a thread and a connection; others wait their turn."},
    {"attestation_service.call_timeout", CONFIG_NUMBER, FIELD(attestation_call_seconds), .min = 1,
     .max = AS_CALL_SECONDS_MAX, .unit_name = "seconds", .fallback = "30",
     .doc = "How long one question may take."},
    {"attestation_service.as_ca_cert", CONFIG_PATH, CONFIG_MAY_BE_NULL, FIELD(attestation_as_ca),
     .check = config_check_path, .fallback = "null",
     .doc = "PEM certificates that its own must chain to; null takes the system's."},
    {"attestation_service.as_client_cert", CONFIG_PATH, CONFIG_MAY_BE_NULL,
     FIELD(attestation_as_client_cert), .check = config_check_path, .fallback = "null",
     .doc = "PEM certificate that this broker shows it, chain included."},
    {"attestation_service.as_client_key", CONFIG_PATH, CONFIG_MAY_BE_NULL,
     FIELD(attestation_as_client_key), .check = config_check_path, .fallback = "null",
     .doc = "PEM key of that certificate."},
    {"attestation_service.timeout", CONFIG_NUMBER, FIELD(attestation_timeout_seconds), .min = 1,
     MINUTES, .fallback = "5", .doc = "Life of a guest's session."},
    {"attestation_service.session_seconds", CONFIG_NUMBER, FIELD(attestation_session_seconds),
     SECONDS, .fallback = "0", .doc = "The same in seconds; 0 leaves it to timeout."},
    {"attestation_service.max_sessions", CONFIG_NUMBER, FIELD(attestation_session_max), .min = 1,
     .max = SESSION_MAX, .fallback = "100000",
     .doc = "Sessions at once; the oldest that are not attested make room."},
    {"attestation_service.allow_rsa1_5", CONFIG_TRUTH, FIELD(attestation_allow_rsa1_5),
     .fallback = "false",
     .doc = "Encrypt to guests that ask for RSA1_5, which is open to padding attacks."},
    {"attestation_service.attestation_token_broker.duration_min", CONFIG_NUMBER,
     FIELD(attestation_token_seconds), .min = 1, MINUTES, .fallback = "5",
     .doc = "Life of the attestation tokens that we sign."},
    {"attestation_service.attestation_token_broker.issuer_name", CONFIG_TEXT,
     FIELD(attestation_issuer), .fallback = "CoCo-Attestation-Service", .doc = "Their iss."},
    {"attestation_service.attestation_token_broker.signer.key_path", CONFIG_PATH,
     CONFIG_MAY_BE_NULL, FIELD(attestation_signer_key), .check = config_check_path,
     .fallback = "null", .doc = "PEM key (EC P-256) that signs them; null makes one at start."},
    {"attestation_service.attestation_token_broker.signer.key_uri", CONFIG_TEXT,
     CONFIG_MAY_BE_NULL, FIELD(attestation_signer_uri), .check = config_check_key_uri,
     .fallback = "null",
     .doc = "Instead of key_path: an EC P-256 key of the token that signs them, by RFC 7512, such "
            "as \"pkcs11:object=NAME;type=private\". Needs cert_path."},
    {"attestation_service.attestation_token_broker.signer.cert_path", CONFIG_PATH,
     CONFIG_MAY_BE_NULL, FIELD(attestation_signer_chain), .check = config_check_path,
     .fallback = "null", .doc = "PEM chain of the signing key, leaf first; null signs one at start."},

    {"attestation_token.trusted_certs_paths", CONFIG_PATHS,
     LIST(token_trusted_certs, token_trusted_cert_count), .check = config_check_path,
     .fallback = "[]",
     .doc = "PEM certificates that attestation tokens must chain to; none trusts our own signer "
            "alone."},
    {"attestation_token.trusted_jwk_sets", CONFIG_PLACES,
     LIST(token_trusted_jwk_sets, token_trusted_jwk_set_count), .check = config_check_place,
     .fallback = "[]",
     .doc = "JWK sets whose keys may sign attestation tokens: paths, file:// URIs, https:// URLs of "
            "sets or of OpenID issuers (http:// on this host only). A token names its key by kid, or "
            "carries a key that is in a set. Sets are read again as they change, and at SIGHUP."},
    {"attestation_token.jwk_sets_ca", CONFIG_PATH, CONFIG_MAY_BE_NULL, FIELD(token_jwk_sets_ca),
     .check = config_check_path, .fallback = "null",
     .doc = "PEM certificates that the servers of trusted_jwk_sets must chain to; null takes the "
            "system's."},
    {"attestation_token.issuers", CONFIG_TEXTS, LIST(token_issuers, token_issuer_count),
     .fallback = "[]",
     .doc = "What the iss of attestation tokens may be, those of our own among them; none takes any."},
    {"attestation_token.audiences", CONFIG_TEXTS, LIST(token_audiences, token_audience_count),
     .fallback = "[]",
     .doc = "What the aud of attestation tokens must hold one of; none takes any. Our own have no aud."},
    {"attestation_token.extra_teekey_paths", CONFIG_TEXTS,
     LIST(token_extra_teekey_paths, token_extra_teekey_path_count),
     .check = config_check_pointer, .fallback = "[]",
     .doc = "JSON pointers to the guest's key in tokens of other makers; looked at first."},
    {"attestation_token.insecure_header_jwk", CONFIG_TRUTH, FIELD(token_insecure_header_jwk),
     .fallback = "false",
     .doc = "Trust whatever key a token brings along. Anybody can then make tokens; for "
            "development only."},

    {"admin.authorization_mode", CONFIG_CHOICE, FIELD(admin_mode), .choices = admin_modes,
     .fallback = "DenyAll",
     .doc = "Who may operate over the network. DenyAll: nobody (the admin socket still serves). "
            "AuthenticatedAuthorization: bearers of a JWT whose role has an entry in the ACL. "
            "InsecureAllowAll: everybody; for development only."},
    {"admin.authentication.bearer_jwt.identity_providers", CONFIG_RECORDS,
     LIST(admin_providers, admin_provider_count), .record = &providers, .fallback = "[]",
     .doc = "Who signs administrators' tokens; tried in order."},
    {"admin.authorization.regex_acl.acls", CONFIG_RECORDS, LIST(admin_acls, admin_acl_count),
     .record = &acls, .fallback = "[]", .doc = "Which role may call which endpoints."},

    {"audit.file", CONFIG_PATH, CONFIG_MAY_BE_EMPTY, FIELD(audit_file),
     .check = config_check_path, .fallback = "/var/log/strongroom/audit.jsonl",
     .doc = "The record of every decision, one JSON object a line; \"\" for none. A release that "
            "cannot be recorded does not happen."},
    {"audit.sync", CONFIG_WORD, FIELD(audit_sync), .choices = syncs, .fallback = "none",
     .doc = "When a record counts as written. none: the kernel has it. batch: it is on disk, many "
            "together. each: it is on disk, one by one."},

    {"process.state_dir", CONFIG_PATH, FIELD(state_dir), .check = config_check_path,
     .fallback = "/var/lib/strongroom", .doc = "What must outlive a restart."},
    {"process.run_dir", CONFIG_PATH, FIELD(run_dir), .check = config_check_path,
     .fallback = "/run/strongroom", .doc = "Locks and sockets."},
    {"process.memory_locked", CONFIG_SIZE, FIELD(memory_locked_bytes), .min = CONFIG_MIN_LOCKED,
     .max = CONFIG_MAX_LOCKED, .fallback = "8MiB",
     .doc = "Memory for plaintext and PINs, never swapped; requests beyond it get 503. Larger "
            "values need a larger RLIMIT_MEMLOCK (LimitMEMLOCK= of the unit)."},
    {"process.memory_lock", CONFIG_CHOICE, FIELD(memory_best_effort), .choices = locks,
     .fallback = "required",
     .doc = "required: no start when the memory cannot be locked. best-effort: a warning."},
    {"process.log_level", CONFIG_CHOICE, CONFIG_RELOADED, FIELD(log_level), .choices = levels, .fallback = "info",
     .doc = "The least that is logged."},
};

const struct config_table config_keys = {keys, COUNT(keys), sizeof(struct config)};

/* ---- keys that are none of ours ------------------------------------------------------------ */

#define PIN_SENTENCE "a PIN never stands in this file; remove it, change that PIN, and say where " \
                     "it is: token.pin_source: file:/path or credential:NAME"
#define CIPHERS_SENTENCE "TLS is GnuTLS here, which has no lists of OpenSSL; say " \
                         "http_server.tls_profile, or custom with http_server.tls_priority"

static const struct {
    const char *path; /* with a dot: the whole path; without: a key of that name anywhere */
    const char *sentence;
} absent[] = {
    {"pin", PIN_SENTENCE},
    {"pin-value", PIN_SENTENCE},
    {"pin_value", PIN_SENTENCE},
    {"user_pin", PIN_SENTENCE},
    {"so_pin", PIN_SENTENCE},
    {"password", PIN_SENTENCE},
    {"http_server.tls_ciphers", CIPHERS_SENTENCE},
    {"http_server.tls_groups", CIPHERS_SENTENCE},
    {"http_server.worker_count", "say http_server.threads"},
    {"token.slot", "slot numbers change; name the token by its label or serial in token.uri"},
    {"token.slot_id", "slot numbers change; name the token by its label or serial in token.uri"},
    {"attestation_service.type", "say attestation_service.verifier"},
    {"attestation_service.rvps_config", "reference values are kept here or by the service at as_addr; "
                                        "set them with `strongroom reference-value set`"},
    {"attestation_token.insecure_key", "say attestation_token.insecure_header_jwk"},
    {"admin.type", "say admin.authorization_mode"},
    {"admin.insecure_api", "say admin.authorization_mode: InsecureAllowAll"},
    {"admin.auth_public_key", "give it as public_key_uri of an identity provider"},
    {"lookup_label", "say token.wrap_key_label"},
    {"rsa_mechanism", "say token.wrap_key_oaep: sha256 (RsaPkcsOaep) or sha1 (RsaPkcsTest)"},
    {"storage_backend", "resources lie on the token; the section `token` says on which"},
    {"plugins", "resources lie on the token; the section `token` says on which"},
};

const char *config_absent_key(const char *path, const char *name)
{
    for (size_t i = 0; i < COUNT(absent); i++) {
        const char *wanted = strchr(absent[i].path, '.') ? path : name;
        if (strcmp(absent[i].path, wanted) == 0) return absent[i].sentence;
    }
    return NULL;
}
