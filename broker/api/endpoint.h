/* Inside the api: one request on its way (struct call), and the table row that serves it. */
#pragma once

#include "broker/api/api.h"
#include "broker/api/appraiser.h"
#include "broker/api/cookie.h"
#include "broker/api/metrics.h"
#include "broker/api/recent.h"
#include "broker/api/release.h"
#include "broker/api/reply.h"
#include "broker/api/route.h"

struct api {
    struct api_config config;
    struct release *release;
    struct appraiser *appraiser;
    struct attest_upkeep upkeep; /* the appraiser's, the service's, or of config */
    struct recent *recent;
    struct metrics metrics;
    _Atomic(const struct api_source *) source; /* more metrics; NULL: none */
    pthread_mutex_t ready_lock; /* guards the two below: /readyz looks at what is stored now and then */
    uint64_t ready_checked;     /* clock_mono_ns, 0: never */
    char ready_reason[160];     /* what is wrong there; "": nothing; at first that nobody knows */
    char openapi_digest[17];
};

/* Whether attestation policies and reference values are our own. */
static inline bool api_keeps_appraisal(const struct api *a)
{
    return !a->config.upkeep && !a->config.service;
}

enum access {
    ACCESS_OPEN,          /* anybody */
    ACCESS_GUEST,         /* decided by the endpoint: session or attestation token */
    ACCESS_ADMIN_PLUGIN,  /* an operator, checked before the body is read; error texts of 6.1 */
    ACCESS_ADMIN_BUILTIN,
    ACCESS_LOCAL,         /* by the admin socket only */
};

struct call;

/* What work asks for, and so where it runs (pkcs11/job.h). */
enum work_place {
    WORK_NONE,          /* decide answers */
    WORK_OBJECTS,       /* the token's objects, or more than a moment: always on a worker */
    WORK_CRYPTO,        /* cryptography: where the request is, as long as the token is fast. It may be begun
                         * there, end with an error and be begun again on a worker */
    WORK_CRYPTO_QUEUED, /* cryptography that cannot be begun twice */
};

struct endpoint {
    const char *prefix;       /* "/kbs/v0/" */
    const char *name;         /* first segment or segments below it; the longest that fits counts */
    enum http_method method;
    enum access access;
    size_t body_limit;        /* bytes; BODY_VALUE: as configured for resources */
    bool (*decide)(struct call *c);               /* true: c->x->resp is complete */
    err_t (*work)(struct call *c);                /* waits for token or service; may run elsewhere */
    /* After work: fills the response. After an error it looks at nothing that work or decide made but
     * name, principal, guest and policy: work may be going on still (ERR_TIMEOUT). */
    void (*finish)(struct call *c, struct err e);
    enum work_place place;
};
#define BODY_VALUE SIZE_MAX
#define BODY_JSON (512u << 10)
#define BODY_MESSAGE (1u << 20) /* reference values: REFERENCE_VALUES_BYTES in base64 */
#define BODY_BATCH (512u << 10)
#define BODY_KEYPAIR (4u << 10)
#define BODY_IGNORED (64u << 10) /* of methods whose body means nothing */

struct call {
    struct job job;           /* first: a job is cast back to its call */
    struct job_pool *pool;    /* where work runs; decide may choose another than that of token jobs */
    struct api *api;
    struct exchange *x;
    char session[SESSION_COOKIE_TEXT]; /* of the guest that attests; or "" */
    uint64_t began;           /* clock_mono_ns, at the end of the head */
    enum metric if_refused;   /* counts when no worker has room for the work; 0: nothing does */
    bool counted, answered;   /* below /kbs, so the metrics know of it; .. and of its answer */
    const struct endpoint *endpoint;
    struct route route;
    const char *plugin;       /* "resource" or "pkcs11" */
    size_t path_first;        /* index of the first segment below the name; policy sees it and on */
    char name[NAME_MAX_BYTES + 1];
    char principal[200];      /* for audit */
    struct guest *guest;      /* our reference */
    struct attest_challenge challenge; /* of a handshake */
    struct secret *value;     /* read by work */
    struct store_entry entry;
    uint64_t version;
    uint64_t wanted;          /* an older version that is asked for; 0: none */
    struct rego_errors *errors;    /* what compiling it found; or NULL */
    struct release_policy *policy; /* our reference: the one that decided, or the new one */
    unsigned rule;            /* the line of it that decided; for audit */
    struct buf text;          /* policy text to store, or what work made: JSON, a token, wrapped bytes */
    struct rego_errors *warnings; /* of the new policy; NULL: none */
    char digest[17];          /* of a policy that was restored */
    int64_t not_after;        /* of a new version, Unix seconds; 0: none */
    bool has_if_match;
    bool given;               /* a dry run on requests that it brought along */
    uint64_t if_match;
    struct err work_error;
    struct err_chain chain;   /* of work, when it ran on another thread */
};

/* Fills the response with an error body. detail NULL: the variant's text. */
void call_error(struct call *c, enum kbs_error error, const char *detail);

/* Whether errors are told with the reference server's statuses. Never by the admin socket: it is our own
 * commands that read those. */
static inline bool call_as_reference(const struct call *c)
{
    return c->api->config.reference_statuses && !c->x->req.local_admin;
}

/* Writes the audit record of this call; on failure the response becomes 503 and false returns. */
bool call_audit(struct call *c, const char *action, const char *decision, const char *reason);

/* An error of work or of ours: logged once, audited under `action`, answered by its class. */
void call_fail(struct call *c, const char *action, struct err e);
/* The answer for e alone. Whoever comes by the admin socket is told all of it, and in "class" what kind it
 * is, since exit codes of commands say more than statuses do. */
void call_answer_error(struct call *c, struct err e);
void call_put_class(const void *err, struct json_out *o); /* that member; for reply_error_with */

/* Where work that asks for upkeep runs: beside the token jobs when a service is asked. */
void call_use_upkeep(struct call *c);

/* The value of this name in the query, "" when it has none; NULL when the name is not there. And
 * whether it is one of "1" and "true". */
const char *call_query(const struct call *c, const char *name);
bool call_asks(const struct call *c, const char *name);

/* If-Match and If-None-Match: * into the call; false (answered 400) for any other form of them. */
bool call_preconditions(struct call *c);

/* True when at most `more` segments stand below the endpoint's name; otherwise it was answered 404. */
bool call_path_ends(struct call *c, size_t more);

/* Digits alone, at most 64 bits of them. */
bool call_read_version(struct span digits, uint64_t *ret);

/* caller.c: who asks. Both answer the request themselves when they return false. */
bool caller_guest(struct call *c);
bool caller_admin(struct call *c);

extern const struct endpoint endpoints[];
extern const size_t endpoint_count;

/* run.c: decide, work, finish; for api_handler. False: it is on its way, and resumes the exchange. */
bool call_run(struct call *c);
/* api.c */
void call_free(void *arg);
void call_count_answer(struct call *c); /* the answer is complete; from here on it belongs to the server */

/* handshake.c */
bool handshake_auth_decide(struct call *c);
err_t handshake_auth_work(struct call *c);
void handshake_auth_finish(struct call *c, struct err e);
bool handshake_attest_decide(struct call *c);
err_t handshake_attest_work(struct call *c);
void handshake_attest_finish(struct call *c, struct err e);
/* resource.c */
bool resource_get_decide(struct call *c);
err_t resource_get_work(struct call *c);
void resource_get_finish(struct call *c, struct err e);
bool resource_put_decide(struct call *c);
err_t resource_put_work(struct call *c);
void resource_put_finish(struct call *c, struct err e);
bool resource_delete_decide(struct call *c);
err_t resource_delete_work(struct call *c);
void resource_delete_finish(struct call *c, struct err e);
bool resource_method_decide(struct call *c);
/* resource_batch.c */
err_t resource_batch_work(struct call *c);
void resource_batch_finish(struct call *c, struct err e);
/* Whether the policy in force lets this guest have c->plugin and the path; counted, noted and, when
 * not, audited as `action` and answered. And whether it has a key to encrypt to. */
bool release_allowed(struct call *c, const char *action);
bool release_has_key(struct call *c, const char *action);
/* c->value to the guest's key, which is then gone. */
err_t release_close(struct call *c, struct buf *ret_jwe);
/* wrap_key.c */
bool wrap_key_get_decide(struct call *c);
err_t wrap_key_get_work(struct call *c);
void wrap_key_get_finish(struct call *c, struct err e);
bool wrap_key_post_decide(struct call *c);
err_t wrap_key_post_work(struct call *c);
void wrap_key_post_finish(struct call *c, struct err e);
bool wrap_key_guest_method(struct call *c);
bool wrap_key_admin_method(struct call *c);
/* keypair.c */
err_t keypair_list_work(struct call *c);
void keypair_list_finish(struct call *c, struct err e);
err_t keypair_create_work(struct call *c);
void keypair_create_finish(struct call *c, struct err e);
/* resource_policy.c */
bool policy_set_decide(struct call *c);
err_t policy_set_work(struct call *c);
void policy_set_finish(struct call *c, struct err e);
bool policy_list_decide(struct call *c);
/* Compiles into c->policy and looks for c->warnings. ERR_USAGE: it does not compile, or has warnings
 * and ?strict=1 was asked for; answer with policy_refuse_text. */
err_t policy_compile_text(struct call *c, struct span text);
/* c->policy, which is stored as c->version: by work, so that it holds too where nobody waits for the answer any
 * more. */
void policy_put_in_force(struct call *c);
void policy_refuse_text(struct call *c, const char *action, struct err e);
/* c->warnings into the log, and into the answer to who set the policy. */
void policy_log_warnings(const struct call *c);
void policy_reply_set(struct call *c);
/* attestation_policy.c */
bool attestation_policy_decide(struct call *c);
err_t attestation_policy_work(struct call *c);
void attestation_policy_finish(struct call *c, struct err e);
bool attestation_policy_read_decide(struct call *c);
err_t attestation_policy_read_work(struct call *c);
void attestation_policy_read_finish(struct call *c, struct err e);
/* Into c->name, as the store has it. False: answered, since it is no id, or another service appraises. */
bool attestation_policy_named(struct call *c, const char *id);
/* Logs, records and answers that a text, or the request for it, does not do. errors may be NULL. */
void attestation_policy_refuse(struct call *c, const char *action, struct err e, const struct rego_errors *errors);

/* attestation_history.c */
bool attestation_versions_decide(struct call *c);
bool attestation_rollback_decide(struct call *c);
err_t attestation_rollback_work(struct call *c);
void attestation_rollback_finish(struct call *c, struct err e);
/* reference_value.c */
bool reference_set_decide(struct call *c);
err_t reference_set_work(struct call *c);
void reference_set_finish(struct call *c, struct err e);
bool reference_get_decide(struct call *c);
err_t reference_get_work(struct call *c);
void reference_get_finish(struct call *c, struct err e);
bool reference_list_decide(struct call *c);
err_t reference_list_work(struct call *c);
/* policy_history.c */
bool policy_read_decide(struct call *c);
err_t policy_read_work(struct call *c);
void policy_read_finish(struct call *c, struct err e);
bool policy_versions_decide(struct call *c);
err_t policy_versions_work(struct call *c);
void policy_versions_finish(struct call *c, struct err e);
bool policy_rollback_decide(struct call *c);
err_t policy_rollback_work(struct call *c);
void policy_rollback_finish(struct call *c, struct err e);
/* The version that the segment `at` of the path names, if there is one. False: answered. */
bool policy_read_wanted(struct call *c, size_t at);
/* {"version","restored","digest","warnings"} */
void policy_reply_rolled_back(struct call *c, const char *digest);
/* kek.c */
err_t kek_list_work(struct call *c);
err_t kek_create_work(struct call *c);
bool kek_number_decide(struct call *c);
err_t kek_remove_work(struct call *c);
err_t kek_rewrap_work(struct call *c);
void kek_finish(struct call *c, struct err e);
/* verify.c */
err_t verify_read_work(struct call *c);
err_t verify_start_work(struct call *c);
void verify_finish(struct call *c, struct err e);
/* resource_history.c */
bool resource_versions_decide(struct call *c);
err_t resource_versions_work(struct call *c);
void resource_versions_finish(struct call *c, struct err e);
bool resource_restore_decide(struct call *c);
err_t resource_restore_work(struct call *c);
void resource_restore_finish(struct call *c, struct err e);
bool resource_purge_decide(struct call *c);
err_t resource_purge_work(struct call *c);
void resource_purge_finish(struct call *c, struct err e);
/* dry_run.c */
bool dry_run_decide(struct call *c);
err_t dry_run_work(struct call *c);
void dry_run_finish(struct call *c, struct err e);
/* health.c */
bool health_live(struct call *c);
bool health_ready_decide(struct call *c);
err_t health_ready_work(struct call *c);
void health_ready_finish(struct call *c, struct err e);
bool health_metrics(struct call *c);
/* Members of an object: state, since when, what is tried next and when. And when to come again. */
void health_put_token(const struct p11_status *t, struct json_out *o);
unsigned health_retry_seconds(const struct p11_status *t);
/* openapi.c: the document, and its endpoint */
struct span openapi_text(void);
bool openapi_read(struct call *c);
/* operator.c */
/* As call_fail, but an operator is told which version is missing, damaged or in force: the store's own
 * sentence, which names versions and nothing else. */
void operator_fail(struct call *c, const char *action, struct err e);
/* Whether the body is {"version": N} and nothing else, N from 1 on. */
bool operator_read_version(const struct call *c, uint64_t *ret);
/* The members of an entry of the store, as lists have them. */
void operator_put_entry(struct json_out *o, const struct store_entry *e);
bool operator_list_decide(struct call *c);
err_t operator_list_work(struct call *c);
void operator_list_finish(struct call *c, struct err e);
bool operator_read_decide(struct call *c);
void operator_read_finish(struct call *c, struct err e);
bool operator_job_decide(struct call *c);
bool operator_status(struct call *c);
