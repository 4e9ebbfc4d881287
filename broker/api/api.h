/* The KBS endpoints and Strongroom's own: requests in, responses out; no sockets, no threads.
 *
 * An endpoint is up to three functions (endpoint.h): `decide` answers or asks for token work,
 * `work` is that work, `finish` makes the response where the work ended. */
#pragma once

#include "broker/admin/admin.h"
#include "broker/attest/as_service.h"
#include "broker/audit/audit.h"
#include "broker/base/exchange.h"
#include "broker/store/store.h"
#include "pkcs11/keypair.h"
#include "policy/rego.h"

struct api;

struct api_config {
    /* all borrowed; they must outlive the api */
    struct p11 *token;
    struct p11_pair *wrap_key; /* of pkcs11/wrap-key: RSA */
    struct store *store;
    struct attest *attest;
    struct admin *admin;
    struct audit *audit;
    struct job_pool *jobs;
    /* Who verifies evidence instead of us, and threads for those who wait for it; both or neither. */
    struct as_service *service;
    struct job_pool *service_jobs;
    /* Looks through a policy that compiles for what its author can hardly mean; sets *ret_warnings.
     * NULL: nothing is looked for. */
    void (*lint)(const struct rego_module *policy, struct rego_errors *ret_warnings);
    /* Where attestation policies and reference values belong. NULL: at the service, or here, in the
     * store. */
    const struct attest_upkeep *upkeep;
    size_t value_max;          /* bytes of a resource; 0: VALUE_MAX */
    bool command;              /* asked by one alone, which says itself what went wrong */
    bool reference_statuses;   /* 401 for everything, as the reference server; by TCP */
};

/* Loads the policies and reference values from the store (no release policy: deny all; damaged: deny
 * all, loudly), and appraises for attest from now on. */
err_t api_new(const struct api_config *config, struct api **ret);
void api_free(struct api *a);
DEFINE_CLEANUP(struct api, api_free);

/* Somebody else's metrics (the server's), told with ours. `source` outlives the last request. */
struct api_source {
    void (*put)(void *arg, struct buf *out); /* appends lines, by metrics_put_one; any thread */
    void *arg;
};
void api_add_metrics(struct api *a, const struct api_source *source);

/* For a server, or for tests that make their own exchanges, which end before the api does. Thread-safe. */
struct exchange_handler api_handler(struct api *a);
