/* A whole broker without sockets, on a real token: what the tests of api/ share. One at a time in a
 * process; assertions longjmp, so all that is owned lies in `kit` and ends in a teardown. */
#pragma once

#include "broker/api/endpoint.h"
#include "broker/base/file.h"
#include "broker/store/label.h"
#include "tests/lib/softhsm.h"
#include "tests/unit/admin/kit.h"
#include "tests/unit/attest/kit.h"

#include <fcntl.h>
#include <signal.h>
#include <strings.h>
#include <sys/resource.h>
#include <time.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define KIT_WRAP_LABEL "strongroom-wrap-key"
#define WAIT_SECONDS 60 /* for what other threads do; sanitizers on a busy machine are slow */
struct kit_options {
    unsigned workers, queue_max; /* 0: jobs run inline */
    void (*open_jobs)(void);     /* makes kit.jobs instead */
    unsigned keep_versions;      /* 0: 1 */
    bool service;                /* evidence goes to an attestation service where nobody listens */
    bool reference, read_only, wrap_sha1;
    bool network;                /* whatever is asked as `local` comes by TCP, where everybody operates */
    size_t value_max;
    enum admin_mode mode;        /* ADMIN_AUTHENTICATED when `acls` is set */
    const struct admin_acl *acls; size_t acl_count;
    const struct admin_provider *providers; size_t provider_count; /* authenticated by these; NULL: by operator_key */
    const char *signer_key, *signer_chain; /* PEM files of who signs attestation tokens */
    const char *signer_label;  /* or a key pair on the token, with signer_chain */
    void (*lint)(const struct rego_module *policy, struct rego_errors *ret_warnings);
};

/* What is asked; NULL and 0 are the usual. */
struct ask {
    const char *method; /* NULL: GET */
    const char *target; /* with ?query */
    const char *headers[8]; /* ends with a NULL */
    struct span body;
    bool local;
    bool certificate_wanted;
    const struct peer_certificate *certificate;
    int64_t server_not_after;
};

/* One request on its way, and what came of it. */
struct visit {
    struct exchange x; /* first: resume casts it back */
    struct ask ask;
    unsigned resumed;  /* under kit.lock */
};

static struct {
    struct softhsm hsm;
    struct p11 *token;
    struct p11_pair *wrap_key, *signer;
    struct store *store;
    struct attest *attest;
    struct admin *admin;
    struct audit *audit;
    struct job_pool *jobs;
    struct as_service *service;
    struct job_pool *service_jobs;
    struct api *api;
    char audit_path[320];
    bool network;
    EVP_PKEY *operator_key;
    char *operator_file;
    struct visit visit;     /* of ask() */
    struct json_doc *doc;   /* its response, parsed by member() */
    struct json_doc *record;
    struct buf records;
    EVP_PKEY *guest_key;
    char cookie[80];        /* "Cookie: kbs-session-id=..." */
    struct buf bearer;      /* "Authorization: Bearer <attestation token>" */
    struct buf admin_bearer;
    struct secret *opened;
    pthread_mutex_t lock;
    pthread_cond_t changed;
} kit = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* ---- the broker -------------------------------------------------------------------------- */

static inline void kit_visit_end(struct visit *v)
{
    if (v->x.user_free) v->x.user_free(v->x.user);
    secret_free(v->x.req.body);
    buf_free(&v->x.req.public_body);
    response_reset(&v->x.resp);
    *v = (struct visit){0};
}

/* Everything above the token. Safe on what is half open. */
static inline void kit_close(void)
{
    job_pool_free(TAKE_PTR(kit.jobs));
    job_pool_free(TAKE_PTR(kit.service_jobs));
    kit_visit_end(&kit.visit);
    api_free(TAKE_PTR(kit.api));
    store_close(TAKE_PTR(kit.store));
    audit_close(TAKE_PTR(kit.audit));
    if (kit.admin) admin_free(TAKE_PTR(kit.admin));
    if (kit.attest) attest_free(TAKE_PTR(kit.attest));
    p11_pair_free(TAKE_PTR(kit.wrap_key));
    p11_pair_free(TAKE_PTR(kit.signer));
    as_service_free(TAKE_PTR(kit.service));
    json_free(TAKE_PTR(kit.doc));
    json_free(TAKE_PTR(kit.record));
    buf_free(&kit.records);
    EVP_PKEY_free(TAKE_PTR(kit.guest_key));
    buf_free(&kit.bearer);
    buf_free(&kit.admin_bearer);
    secret_free(TAKE_PTR(kit.opened));
    kit.cookie[0] = '\0';
}

static inline void kit_open_token(const char *module)
{
    struct p11_config config = {.module = module, .token_uri = kit.hsm.uri,
                                .pin_source = kit.hsm.pin_file, .state_dir = kit.hsm.state,
                                .cek_cache = 64};
    assert_ok(p11_open(&config, &kit.token));
}

static inline void kit_open_admin(const struct kit_options *o)
{
    struct admin_provider provider = {.public_key_uri = kit.operator_file};
    struct admin_config config = {.mode = o->acls || o->providers ? ADMIN_AUTHENTICATED : o->mode,
                                  .providers = o->providers ? o->providers : &provider,
                                  .provider_count = o->providers ? o->provider_count : 1,
                                  .acls = o->acls, .acl_count = o->acl_count};
    assert_ok(admin_new(&config, &kit.admin));
}

static inline err_t kit_sign(void *context, const uint8_t digest[32], uint8_t signature[64])
{
    return p11_pair_sign(context, digest, signature);
}

static inline err_t kit_open_attest(const struct kit_options *o)
{
    struct attest_config config = {.sample_verifier = true, .service = kit.service, .issuer = "kit",
                                   .signer_key_file = o->signer_key,
                                   .signer_chain_file = o->signer_chain};
    struct p11_pair_config pair = {.label = o->signer_label, .type = P11_PAIR_EC_P256};
    struct attest_signer signer = {.by = {.sign = kit_sign}, .name = o->signer_label};
    _cleanup_buf_ struct buf pem = BUF_INIT;
    if (!o->signer_label) return attest_new(&config, &kit.attest);
    TRY(p11_pair_new(kit.token, &pair, &kit.signer));
    TRY(p11_pair_public(kit.signer, &pem));
    signer.by.context = kit.signer;
    signer.public_pem = buf_span(&pem);
    config.signer = &signer;
    return attest_new(&config, &kit.attest);
}

/* As broker/cmd/broker.c does it. */
static inline void kit_open(struct kit_options o)
{
    kit_close();
    kit.network = o.network;
    if (o.network) o.mode = ADMIN_INSECURE_ALLOW_ALL;
    kit_open_admin(&o);
    if (o.service) {
        struct as_config as = {.kind = AS_REST, .url = "http://127.0.0.1:1"};
        assert_ok(as_service_new(&as, &kit.service));
        assert_ok(job_pool_new(0, AS_QUEUE_MAX, &kit.service_jobs));
    }
    assert_ok(kit_open_attest(&o));
    struct p11_pair_config wrap = {.label = KIT_WRAP_LABEL, .type = P11_PAIR_RSA,
                                   .oaep_sha1 = o.wrap_sha1};
    assert_ok(p11_pair_new(kit.token, &wrap, &kit.wrap_key));
    assert_ok(audit_open(kit.audit_path, AUDIT_SYNC_NONE, p11_serial(kit.token), &kit.audit));
    struct store_config store = {.token = kit.token, .keep_versions = o.keep_versions, .keep_policies = 10,
                                 .cache_bytes = STORE_CACHE_DEFAULT, .writable = !o.read_only,
                                 .writer = "another host", .value_max = o.value_max};
    assert_ok(store_open(&store, &kit.store));
    if (o.open_jobs) o.open_jobs();
    else assert_ok(job_pool_new(o.workers, o.queue_max ? o.queue_max : 64, &kit.jobs));
    struct api_config api = {.token = kit.token, .wrap_key = kit.wrap_key, .store = kit.store,
                             .attest = kit.attest, .admin = kit.admin, .audit = kit.audit, .jobs = kit.jobs,
                             .service = kit.service, .service_jobs = kit.service_jobs,
                             .value_max = o.value_max, .reference_statuses = o.reference,
                             .lint = o.lint};
    assert_ok(api_new(&api, &kit.api));
}

static inline err_t kit_destroy(void *arg, const struct p11_seen *seen)
{
    enum envelope_kind kind;
    const char *name;
    bool manifest = strcmp(seen->label, LABEL_MANIFEST) == 0; /* it remembers names */
    if (!manifest && label_read(seen->label, &kind, &name) == LABEL_RESERVED) return ERR_OK;
    return p11_object_destroy(kit.token, seen->object);
}

/* Group setup: a token without a KEK, then one. Both keep the log quiet: its lines are not tested. */
static inline int kit_token_bare(void **state)
{
    log_set_level(LOG_LEVEL_ERROR);
    signal(SIGXFSZ, SIG_IGN); /* a full disk is a failed write, not the end */
    if (softhsm_start(&kit.hsm, "api") != 0) return -1;
    snprintf(kit.audit_path, sizeof kit.audit_path, "%s/audit.log", kit.hsm.dir);
    assert_ok(key_generate_ed25519(&kit.operator_key));
    kit.operator_file = public_file(kit.operator_key);
    kit_open_token(kit.hsm.module);
    return 0;
}

static inline int kit_token(void **state)
{
    struct p11_kek_info kek;
    if (kit_token_bare(state)) return -1;
    assert_ok(p11_kek_create(kit.token, false, &kek));
    return 0;
}

/* The same through the fault module, where there is one (kit_faults skips without). */
static inline int kit_token_faults(void **state)
{
    struct p11_kek_info kek;
    if (kit_token_bare(state)) return -1;
    if (softhsm_fault_module()) {
        p11_close(TAKE_PTR(kit.token));
        assert_int_equal(softhsm_fault(&kit.hsm, ""), 0);
        kit_open_token(softhsm_fault_module());
    }
    assert_ok(p11_kek_create(kit.token, false, &kek));
    return 0;
}

static inline void kit_faults(const char *rules)
{
    if (!softhsm_fault_module()) skip();
    assert_int_equal(softhsm_fault(&kit.hsm, rules), 0);
}

static inline int kit_token_end(void **state)
{
    kit_close();
    p11_close(TAKE_PTR(kit.token));
    EVP_PKEY_free(TAKE_PTR(kit.operator_key));
    public_file_remove(TAKE_PTR(kit.operator_file));
    return softhsm_stop(&kit.hsm);
}

/* Test setup and teardown: an empty vault, an empty audit file, a new broker in the usual way. */
static inline int kit_setup(void **state)
{
    kit_close();
    unlink(kit.audit_path);
    assert_ok(p11_object_scan(kit.token, false, kit_destroy, NULL));
    kit_open((struct kit_options){0});
    return 0;
}

static inline int kit_teardown(void **state)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_FSIZE, &limit);
    }
    clock_test_set(0);
    kit_close();
    return 0;
}

/* ---- exchanges --------------------------------------------------------------------------- */

static inline void kit_each_header(const struct request *r, const char *name,
                                   bool (*visit)(void *arg, const char *value), void *arg)
{
    size_t len = strlen(name);
    for (const char *const *h = r->transport; h && *h; h++) {
        if (strncasecmp(*h, name, len) != 0 || (*h)[len] != ':') continue;
        if (!visit(arg, *h + len + 1 + strspn(*h + len + 1, " "))) return;
    }
}

static inline void kit_resume(struct exchange *x)
{
    struct visit *v = (struct visit *) x;
    SCOPED_LOCK(&kit.lock);
    v->resumed++;
    pthread_cond_broadcast(&kit.changed);
}

static inline enum http_method kit_method(const char *name)
{
    static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "DELETE"};
    for (size_t i = 0; i < COUNT(names); i++)
        if (strcmp(names[i], name) == 0) return (enum http_method) i;
    return HTTP_OTHER;
}

/* Head, body, serve, as the server does it. False: pending. */
static inline bool visit_start(struct visit *v, struct ask ask)
{
    static _Atomic uint64_t ids;
    kit_visit_end(v);
    ask.local &= !kit.network;
    v->ask = ask;
    const char *target = ask.target, *query = strchr(target, '?');
    struct exchange *x = &v->x;
    x->resume = kit_resume;
    x->req = (struct request){
        .id = ++ids, .method_name = ask.method ? ask.method : "GET",
        .path = span_of(target, query ? (size_t) (query - target) : strlen(target)),
        .query = query ? span_str(query + 1) : span_of(NULL, 0), .has_query = query != NULL,
        .local_admin = ask.local, .each_header = kit_each_header, .transport = v->ask.headers,
        .certificate_wanted = ask.certificate_wanted, .certificate = ask.certificate,
        .server_not_after = ask.server_not_after,
    };
    x->req.method = kit_method(x->req.method_name);
    snprintf(x->req.peer, sizeof x->req.peer, "%s", ask.local ? "unix:uid=0" : "192.0.2.7:4711");
    struct exchange_handler api = api_handler(kit.api);
    api.head(api.ctx, x);
    if (x->resp.status) return true;
    if (ask.body.len > x->body_limit) {
        api.refuse(api.ctx, x, 413);
        return true;
    }
    if (x->body_public) buf_add_span(&x->req.public_body, ask.body);
    else ENSURE(err_ok(secret_copy(ask.body, &x->req.body)));
    return api.serve(api.ctx, x);
}

/* Waits, bounded, until *n is at least `want`. */
static inline bool kit_wait(const unsigned *n, unsigned want)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += WAIT_SECONDS;
    SCOPED_LOCK(&kit.lock);
    while (*n < want)
        if (pthread_cond_timedwait(&kit.changed, &kit.lock, &end)) return false;
    return true;
}

static inline int kit_ask(struct ask ask)
{
    json_free(TAKE_PTR(kit.doc));
    if (!visit_start(&kit.visit, ask)) assert_true(kit_wait(&kit.visit.resumed, 1));
    assert_int_not_equal(kit.visit.x.resp.status, 0);
    return kit.visit.x.resp.status;
}
/* ASK("GET", "/healthz", .local = true): the status; response() is what came. */
#define ASK(method_, target_, ...) \
    kit_ask((struct ask){.method = (method_), .target = (target_), __VA_ARGS__})
#define BODY(text) .body = span_str(text)
#define HEADERS(...) .headers = {__VA_ARGS__}

static inline struct response *response(void) { return &kit.visit.x.resp; }

static inline const char *response_text(void)
{
    struct response *r = response();
    assert_null(r->secret_body);
    return buf_str(&r->body);
}

/* A response header, or NULL; fails when it is there twice. */
static inline const char *header(const char *name)
{
    const char *found = NULL;
    for (size_t i = 0; i < response()->header_count; i++) {
        if (strcmp(response()->headers[i].name, name) != 0) continue;
        assert_null(found);
        found = response()->headers[i].value;
    }
    return found;
}

/* A value of the response by JSON pointer. */
static inline struct json member(const char *pointer)
{
    if (!kit.doc) assert_ok(json_parse(buf_span(&response()->body), &kit.doc));
    return json_pointer(json_root(kit.doc), pointer);
}

static inline const char *text_at(const char *pointer)
{
    const char *text = json_string(member(pointer));
    if (!text) fail_msg("no text at %s: %s", pointer, response_text());
    return text;
}

/* The response is an error in the form of kbs-api.md 9.1, with this many members beside type and
 * detail. detail NULL: any. */
static inline void check_error_with(int status, const char *variant, const char *detail, size_t more)
{
    char type[160];
    snprintf(type, sizeof type, "https://github.com/confidential-containers/kbs/errors/%s", variant);
    if (response()->status != status)
        fail_msg("%d expected, %d: %s", status, response()->status, response_text());
    assert_string_equal(response()->content_type, "application/json");
    assert_int_equal(json_count(member("")), 2 + more);
    assert_string_equal(text_at("/type"), type);
    if (detail) assert_string_equal(text_at("/detail"), detail);
    else assert_true(strlen(text_at("/detail")) > 0);
}

static inline void check_error(int status, const char *variant, const char *detail)
{ /* what kind of error it is, is told by the admin socket alone */
    check_error_with(status, variant, detail, kit.visit.x.req.local_admin && json_present(json_get(member(""), "class")));
}

/* ---- the record -------------------------------------------------------------------------- */

static inline size_t audit_count(void)
{
    size_t lines = 0;
    buf_reset(&kit.records);
    assert_ok(file_read(kit.audit_path, 16u << 20, &kit.records));
    for (size_t i = 0; i < kit.records.len; i++) lines += kit.records.data[i] == '\n';
    return lines;
}

/* A member of the n-th last record, 0 for the last. */
static inline const char *audit_nth_text(size_t back, const char *name)
{
    assert_true(audit_count() > back);
    size_t end = kit.records.len - 1;
    for (;;) {
        size_t start = end;
        while (start > 0 && kit.records.data[start - 1] != '\n') start--;
        if (back-- == 0) {
            json_free(TAKE_PTR(kit.record));
            assert_ok(json_parse(span_of(kit.records.data + start, end - start), &kit.record));
            const char *text = json_string(json_get(json_root(kit.record), name));
            return text ? text : "";
        }
        end = start - 1;
    }
}

static inline const char *audit_text(const char *name) { return audit_nth_text(0, name); }

static inline void check_record(const char *action, const char *decision, const char *reason)
{
    assert_string_equal(audit_text("action"), action);
    assert_string_equal(audit_text("decision"), decision);
    if (reason) assert_string_equal(audit_text("reason"), reason);
}

/* A number in the last record that was looked at. */
static inline void check_record_number(const char *name, int64_t wanted)
{
    int64_t found = -1;
    assert_true(json_int(json_get(json_root(kit.record), name), &found));
    assert_int_equal(found, wanted);
}

/* From here on no record can be written: files may not grow beyond the audit file, which is made
 * longer than any file of the token. Only audit_heal() or the teardown end it. */
static inline void audit_break(void)
{
    struct audit_event filler = {.action = "filler", .decision = "done", .principal = "",
                                 .peer = "", .resource = "", .reason = "", .policy = "", .tee = ""};
    while (audit_count(), kit.records.len < (64u << 10))
        for (int i = 0; i < 100; i++) assert_ok(audit_write(kit.audit, &filler));
    audit_count();
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = kit.records.len;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static inline void audit_heal(void)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* ---- operators and guests ---------------------------------------------------------------- */

/* "Authorization: Bearer ..." of an operator with this role. */
static inline const char *operator_bearer(const char *role)
{
    char claims[160];
    struct buf token = BUF_INIT;
    snprintf(claims, sizeof claims, "{\"role\":\"%s\",\"sub\":\"alice\",\"exp\":%jd}", role,
             (intmax_t) clock_now() + 600);
    bearer_write(kit.operator_key, "EdDSA", NULL, claims, &token);
    buf_reset(&kit.admin_bearer);
    buf_add_str(&kit.admin_bearer, "Authorization: ");
    buf_add_span(&kit.admin_bearer, buf_span(&token));
    buf_free(&token);
    return buf_str(&kit.admin_bearer);
}

static inline void put(const char *name, const char *value)
{
    char target[400];
    snprintf(target, sizeof target, "/kbs/v0/resource/%s", name);
    assert_int_equal(ASK("POST", target, .local = true, BODY(value)), 200);
}

/* {"policy":"<base64url>"}; the caller frees. */
static inline void policy_body(const char *text, struct buf *ret)
{
    buf_reset(ret);
    buf_add_str(ret, "{\"policy\":\"");
    b64url_add(ret, span_str(text));
    buf_add_str(ret, "\"}");
    assert_ok(buf_ok(ret));
}

static inline int set_policy(const char *text)
{
    struct buf body = BUF_INIT;
    policy_body(text, &body);
    int status = ASK("POST", "/kbs/v0/resource-policy", .local = true, .body = buf_span(&body));
    buf_free(&body);
    return status;
}

/* A text that no upload would let in, as the broker finds it at its next start. */
static inline void store_policy(const char *text)
{
    uint64_t version = 0;
    struct store_put put = {.kind = ENVELOPE_POLICY, .name = RELEASE_POLICY_NAME, .value = span_str(text)};
    assert_ok(store_put(kit.store, &put, &version));
}

static inline void guest_key_json(EVP_PKEY *key, const char *alg, struct buf *ret)
{
    struct jwk *jwk = NULL;
    assert_ok(jwk_from_pkey(key, alg, &jwk));
    struct json_out o = JSON_OUT(ret);
    json_begin_object(&o);
    jwk_put_members(jwk, &o);
    json_end_object(&o);
    assert_ok(buf_ok(ret));
    jwk_free(jwk);
}

/* POST auth; keeps the cookie. Returns the nonce, valid until the next ask. */
static inline const char *guest_auth(void)
{
    assert_int_equal(ASK("POST", "/kbs/v0/auth", BODY(REQUEST)), 200);
    assert_non_null(header("Set-Cookie"));
    snprintf(kit.cookie, sizeof kit.cookie, "Cookie: %.*s",
             (int) strcspn(header("Set-Cookie"), ";"), header("Set-Cookie"));
    return text_at("/nonce");
}

/* The whole handshake with a new P-256 key: kit.cookie and kit.bearer are the guest's. */
static inline void guest_attest(void)
{
    struct buf key = BUF_INIT, body = BUF_INIT;
    EVP_PKEY_free(TAKE_PTR(kit.guest_key));
    assert_ok(key_generate_ec("P-256", &kit.guest_key));
    guest_key_json(kit.guest_key, "ECDH-ES+A256KW", &key);
    body_write((struct body){.nonce = guest_auth(), .key = buf_str(&key)}, &body);
    assert_int_equal(ASK("POST", "/kbs/v0/attest", HEADERS(kit.cookie), .body = buf_span(&body)),
                     200);
    buf_reset(&kit.bearer);
    buf_addf(&kit.bearer, "Authorization: Bearer %s", text_at("/token"));
    buf_str(&kit.bearer);
    buf_free(&key);
    buf_free(&body);
}

static inline const char *guest_bearer(void) { return buf_str(&kit.bearer); }

/* A guest's GET by its session. */
static inline int guest_get(const char *target)
{
    return ASK("GET", target, HEADERS(kit.cookie));
}

/* The response is a JWE to the guest that holds this value. */
static inline void check_released(const char *value)
{
    assert_int_equal(response()->status, 200);
    assert_string_equal(response()->content_type, "application/json");
    secret_free(TAKE_PTR(kit.opened));
    assert_ok(jwe_decrypt(kit.guest_key, buf_span(&response()->body), &kit.opened));
    assert_span(secret_span(kit.opened), value);
}

/* Value of a counter in /metrics. */
static inline uint64_t metric_now(const char *name)
{
    char line[96];
    assert_int_equal(ASK("GET", "/metrics"), 200);
    snprintf(line, sizeof line, "\n%s ", name);
    const char *at = strstr(response_text(), line);
    if (!at) fail_msg("no counter %s", name);
    return strtoull(at + strlen(line), NULL, 10);
}

#define KIT_TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)
