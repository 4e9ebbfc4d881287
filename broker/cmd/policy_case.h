/* What the offline commands evaluate: a policy from a file, the claims of a token, a request made up on the
 * command line. They see what a broker would decide, with the same documents, functions and budgets. */
#pragma once

#include "broker/api/route.h"
#include "broker/cmd/cmd.h"
#include "policy/policy.h"

#define POLICY_FILES_MAX 256u /* policies and tests of one command */
#define POLICY_QUERY_MAX 16u /* --query options; no more pairs than a route has */

struct policy_case_options {
    const char *policy, *resource, *plugin, *claims, *token, *rule, *now;
    struct opt_list query;
    bool fast; /* the program cannot explain itself */
};

#define POLICY_CASE_OPTIONS ((struct policy_case_options){.rule = "data.policy.allow"})

/* The rows of an option table for these. */
#define POLICY_CASE_ROWS(o) \
    {"policy", 'p', OPT_TEXT, &(o)->policy, "FILE", "the policy"}, \
    {"resource", 'r', OPT_TEXT, &(o)->resource, "URI", "kbs:///REPOSITORY/TYPE/TAG, or its path"}, \
    {"claims", 0, OPT_TEXT, &(o)->claims, "FILE", "claims as JSON: input"}, \
    {"token", 't', OPT_TEXT, &(o)->token, "FILE", "an attestation token instead; it is not verified"}, \
    {"plugin", 0, OPT_TEXT, &(o)->plugin, "NAME", "data.plugin (default: the URI's, or resource)"}, \
    {"query", 'q', OPT_LIST, &(o)->query, "NAME=VALUE", "a pair of data.query; may be repeated"}, \
    {"rule", 0, OPT_TEXT, &(o)->rule, "RULE", "what is asked (default data.policy.allow)"}, \
    {"now", 0, OPT_TEXT, &(o)->now, "TIME", "time.now_ns(), RFC 3339 (default: the clock)"}

struct policy_case {
    struct policy_request request;
    struct rego_program *program; /* its query 0 is the rule; traced */
    struct rego_run *run;
    struct rego_input input;
    /* behind the request */
    struct policy_claims *claims;
    struct policy_run *documents;
    struct route route;
    char *plugin;
    char *query_text[POLICY_QUERY_MAX];
    struct policy_pair query[POLICY_QUERY_MAX];
};

/* Reads and compiles everything. A policy that is refused is told on stderr as `policy check` tells it, and
 * gives ERR_USAGE. The caller frees, success or not. */
err_t policy_case_open(const struct policy_case_options *o, struct policy_case *ret);
void policy_case_free(struct policy_case *c); /* also of one that is all zero */

/* The text of a policy, at most POLICY_MAX. */
err_t policy_case_read(const char *file, struct buf *ret);

/* RFC 3339 to nanoseconds since 1970; NULL is the clock. ERR_USAGE. */
err_t policy_case_time(const char *text, int64_t *ret_ns);
