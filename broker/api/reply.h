/* Answers: KBS error bodies {"type","detail"} (kbs-api.md 9.1), and what an error of ours is to a
 * client. The chain of an error is for the log; a client reads a class and a fixed sentence. */
#pragma once

#include "broker/base/exchange.h"

struct json_out;

/* The variants of kbs-api.md 9.1 that we answer with, and a few of our own below them. KBS_METHOD is a plugin's
 * refusal, KBS_PATH_METHOD that of whoever looks for the plugin (9.2). */
enum kbs_error {
    KBS_TOKEN_NOT_FOUND, KBS_TOKEN_VERIFIER, KBS_ATTESTATION, KBS_ATTESTATION_MALFORMED,
    KBS_POLICY_DENY, KBS_POLICY_PARSE, KBS_POLICY_ENGINE, KBS_PLUGIN_NOT_FOUND,
    KBS_PLUGIN_INTERNAL, KBS_WRAPPED, KBS_JWE, KBS_ADMIN_PLUGIN, KBS_ADMIN_BUILTIN, KBS_ADMIN_DENIED,
    KBS_ADMIN_BUILTIN_DENIED, KBS_ATTESTATION_POLICY, KBS_RVPS, KBS_RVPS_UNKNOWN,
    KBS_NOT_FOUND, KBS_BAD_PATH, KBS_METHOD, KBS_PATH_METHOD, KBS_PRECONDITION, KBS_CONFLICT,
    KBS_TOO_LARGE, KBS_TIMEOUT, KBS_UNAVAILABLE, KBS_READ_ONLY, KBS_FULL, KBS_UNKNOWN_PATH,
    KBS_ERROR_COUNT
};

/* Fills resp with the variant's status and a JSON body. detail NULL: the variant's own text.
 * `reference` gives the reference server's statuses (401 for nearly everything) and its names. */
void reply_error(struct response *resp, bool reference, enum kbs_error error, const char *detail);

/* The same with more members, which clients skip and our own commands read: `more` writes them. */
void reply_error_with(struct response *resp, bool reference, enum kbs_error error, const char *detail,
                      void (*more)(const void *arg, struct json_out *o), const void *arg);

/* Of a 503 that reply_error made: when to come again, if that is known (0: as it is). */
void reply_retry_after(struct response *resp, unsigned seconds);

/* What an error of the store or the token is to a client. */
enum kbs_error reply_error_of(struct err e);

/* 200 with an empty body; 200 with this JSON (the buffer's content is taken). */
void reply_empty(struct response *resp);
void reply_json(struct response *resp, struct buf *body);
