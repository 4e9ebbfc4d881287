/* Every limit on what comes from outside, with its name. The manual lists this file. */
#pragma once

/* Values and names (kbs-api.md 1.3) */
#define VALUE_MAX (2u << 20)       /* bytes of one resource; bodies too unless configured lower */
#define NAME_MAX_BYTES 255u        /* repository/type/tag */
#define NOT_AFTER_MAX INT64_C(253402300799) /* Unix seconds: a date has four digits for the year */
#define POLICY_MAX (256u << 10)    /* bytes of a policy's text */

/* JSON and TOML text from outside */
#define JSON_MAX_TEXT (4u << 20)   /* bytes */
#define JSON_MAX_DEPTH 64u
#define JSON_MAX_VALUES 200000u
#define TOML_MAX_TEXT (1u << 20)
#define TOML_MAX_DEPTH 32u
#define TOML_MAX_VALUES 20000u

/* JOSE */
#define JOSE_MAX_TOKEN (96u << 10) /* bytes of a compact JWS */
#define JOSE_MAX_X5C 8u            /* certificates in a chain */
#define JOSE_MAX_KEYS 128u          /* keys of one JWK set */
#define JOSE_MAX_RSA_BITS 8192u
#define JOSE_MIN_RSA_BITS 2048u

/* Keys of others, from files and the network (jose/key_source.h) */
#define KEY_SOURCE_MAX (1u << 20)  /* bytes of a JWK set, a PEM text, a discovery document */
#define KEY_URI_MAX 2048u          /* bytes of a jwks_uri */
#define KEY_FETCH_MS 10000u        /* one request */
#define KEY_START_MS 5000u         /* a start waits for the first answers so long, then goes on */
#define KEY_REFRESH_SECONDS 3600u  /* between looks, unless the answer has a max-age, which counts within */
#define KEY_REFRESH_MIN_SECONDS 300u
#define KEY_REFRESH_MAX_SECONDS 86400u
#define KEY_RETRY_SECONDS 5u       /* after a failure, doubled with each, up to */
#define KEY_RETRY_MAX_SECONDS 300u
#define KEY_UNKNOWN_SECONDS 30u    /* between looks that tokens of unknown keys cause */

/* HTTP */
#define HTTP_MAX_TARGET (64u << 10)  /* bytes of the request target */
#define HTTP_MAX_HEADERS 100u        /* header lines */
#define HTTP_MAX_THREADS 256u
#define HTTP_HEAD_BYTES (128u << 10) /* memory of a connection, for the head of a request and little more */
#define HTTP_HEAD_MIN (48u << 10)    /* below 32 KiB it would come from the heap, and leave plaintext there */
#define HTTP_HEAD_MAX (1u << 20)
#define HTTP_MAX_CONNECTIONS 4096u
#define HTTP_HEAD_SECONDS 10u        /* from the first byte to the end of the head */
#define HTTP_BODY_SECONDS 30u        /* from the end of the head to the end of the body */
#define HTTP_IDLE_SECONDS 30u        /* a kept-alive connection */
#define HTTP_REQUEST_SECONDS 60u     /* the whole request */
#define HTTP_DISCARD_MAX (64u << 10) /* bytes of a body that nobody wants, read to keep the connection */
#define HTTP_DRAIN_MAX (1u << 20)    /* bytes beyond body_limit read before a chunked body is cut */
#define HTTP_PUBLIC_BODY_OWN (64u << 10) /* bytes of a body that anybody may send which each connection has */
#define HTTP_PUBLIC_BODIES_MAX (64u << 20) /* bytes of such bodies beyond that, all together */
#define HTTP_ADMIN_CONNECTIONS 16u   /* on the admin socket, beside HTTP_MAX_CONNECTIONS */
#define HTTP_PROBE_CONNECTIONS 64u   /* that begin with a probe, beside those as well */
#define HTTP_PROBE_SECONDS 5u        /* for each step of such a one */
#define HTTP_SILENT_SECONDS 3        /* the system keeps a plain connection that says nothing for so long */
#define HTTP_HANDSHAKE_SECONDS 10u   /* from the connection to the end of the TLS handshake */
#define HTTP_STUCK_MS 100u           /* an event loop in the handler for so long gets no new connections */
#define HTTP_TURN 16u                /* requests that an event loop serves in a row, before it sends their answers */
#define HTTP_TURN_BYTES (1u << 20)   /* of answers, after which a turn ends earlier */
#define HTTP_STOP_SECONDS 15u        /* for pending jobs at stop, beyond the grace; > P11_JOB_SECONDS */
#define START_TELL_SECONDS 10u       /* a start that takes so long says what for, again and again */
#define STOP_SECONDS 28u             /* a stop in all; what starts and stops this program gives it longer */

/* Services that we ask (base/outbound.h) */
#define OUTBOUND_CONNECT_MS 5000u    /* until a connection stands, TLS included */
#define OUTBOUND_TOTAL_MS 30000u     /* a whole request */
#define OUTBOUND_ANSWER_MAX (1u << 20) /* bytes of an answer's body */
#define OUTBOUND_HEADERS_MAX (64u << 10) /* bytes of its headers and trailers */
#define OUTBOUND_IDLE_MAX 16u        /* connections to one service kept between requests */

/* TLS (http/tls.h) */
#define TLS_MAX_PEM (256u << 10)     /* bytes of one file of certificates or of a key */
#define TLS_MAX_CHAIN 8u             /* certificates of a chain, ours or a client's */
#define TLS_MAX_CAS 64u              /* certificates that clients' may chain to */
#define TLS_MAX_KEY_BITS 8192u       /* of the key of a client's certificate */
#define TLS_MAX_RSA_E 8u             /* bytes of its exponent; longer ones make each use slow */
#define TLS_SOON_DAYS 14u            /* before its end, a certificate is warned of at start */
/* An attestation service (attest/as_service.h) */
#define AS_POOL_DEFAULT 16u        /* questions at once; each has a thread and a connection */
#define AS_POOL_MAX 128u
#define AS_QUEUE_MAX 256u          /* requests waiting for their turn, P11_JOB_SECONDS at most */
#define AS_CALL_SECONDS 30u        /* one question */
#define AS_CALL_SECONDS_MAX 300u
#define AS_REQUEST_MAX (8u << 20)  /* bytes of a question: evidence in base64, runtime data */
#define AS_ANSWER_MAX (1u << 20)   /* bytes of an answer: a token, a challenge, a reference value */
#define AS_CHALLENGE_MAX (64u << 10) /* bytes of a challenge that the service makes */
#define AS_REASON_MAX 1024u        /* bytes of what it says of a refusal that are read */
#define AS_BREAKER_FAILURES 5u     /* in a row, after which it is asked whether it is there at all */
#define AS_PROBE_SECONDS 5u        /* that question; call_timeout where it is shorter */
#define AS_BREAKER_MS 2000u        /* not asked for so long, at first; doubled with each failed try */
#define AS_BREAKER_MAX_MS 30000u

/* Guests */
#define SESSION_NONCE_BYTES (64ul << 20) /* of challenges of other makers for sessions not attested */
#define SESSION_MAX 100000u        /* sessions at once; unattested ones make room first */
#define SESSION_SECONDS 300u       /* from auth */
#define SESSION_BYTES (2ul << 30)  /* of memory for the guests of all sessions */
#define GUEST_CACHE_MAX 10000u     /* verified tokens remembered */
#define GUEST_CACHE_BYTES (256ul << 20) /* of memory for them; a token's claims: policy_claims.h */
#define TEE_EVIDENCE_MAX 8u        /* additional pieces of evidence */
#define TOKEN_ADDITIONAL_MAX (16u << 10) /* bytes of additional evidence that a token of ours repeats */

/* Appraisal */
#define ATTESTATION_POLICIES_MAX 64u /* ids */
#define ATTESTATION_POLICY_ID_MAX 64u /* bytes of an id */
#define REFERENCE_VALUES_MAX 2048u   /* names */
#define REFERENCE_VALUES_BYTES (512u << 10) /* of all of them as text */
#define REFERENCE_NAME_MAX 255u      /* bytes of a name */

/* Operators */
#define ADMIN_ROLE_MAX 64u         /* bytes of a role's name, NUL included */
#define ACL_MATCH_LIMIT 20000u     /* steps of one regular expression over one path */

/* Envelope (pkcs11/envelope.h) */
#define ENVELOPE_MAX_RECIPIENTS 8u
#define ENVELOPE_MAX_ATTRIBUTES 16u
#define ENVELOPE_MAX_ATTRIBUTE 1024u /* bytes of one attribute's value */
#define ENVELOPE_MAX_WRAPPED 1024u   /* bytes of one wrapped content key (RSA-8192) */
#define ENVELOPE_MAX (VALUE_MAX + 64u * 1024u)

/* Token */
#define PIN_MAX 255u               /* bytes */
#define MODULE_ARGS_MAX 2048u      /* bytes of token.init_args */
#define KEK_MAX 64u                /* generations on one token */
#define KEYPAIRS_MAX 256u             /* private keys on one token */
#define KEYPAIR_LABEL_MAX 64u      /* bytes */
#define KEYPAIR_RSA_MIN_BITS 2048u
#define KEYPAIR_RSA_DEFAULT_BITS 3072u
#define KEYPAIR_RSA_MAX_BITS 4096u /* longer ones take a token too long to make */
#define KEYPAIR_MISSING_MS 1000u   /* how often a key pair that is not there is looked for */
#define WRAP_BODY_MAX 4096u        /* bytes of a body for wrap-key; a block is far smaller */
#define KEK_CANARY_MAX 512u        /* bytes of a canary's envelope */
#define P11_SLOTS_MAX 4096u        /* tokens of one module */
#define P11_SESSIONS_DEFAULT 16u
#define P11_SESSIONS_MAX 256u
#define P11_SESSIONS_SECONDS 30u   /* a token that gave no more sessions is asked for more after so long */
#define P11_JOB_QUEUE_MAX 1024u    /* jobs waiting for a worker, of each kind */
#define P11_JOB_SECONDS 10u        /* until a job begins; waiting for a session */
#define P11_MEND_MS 250u           /* a request that met trouble waits so long for the token to come back */
#define TOKEN_LOOK_MS 2000u        /* between looks at a token that works */
#define TOKEN_RETRY_MS 1000u       /* until the next try to bring it back, doubled with each, up to */
#define TOKEN_RETRY_MAX_MS 60000u
#define TOKEN_SETTLED_MS 10000u    /* who fails sooner after coming back has a relapse */
#define TOKEN_RELAPSES 8u          /* in a row; then there are pauses before it is brought back */
#define P11_WAIT_SECONDS 30u       /* waiting for somebody else's object call, or login, to end */
#define P11_OBJECT_WORKERS 2u      /* threads for what goes through objects */
#define P11_CRYPTO_MS 250u         /* deadline of one call of cryptography */
#define P11_OBJECT_MS 5000u        /* .. of one that goes through objects */
#define P11_BUSY_MS 2000u          /* what a call has beyond its deadline while it only lacks a core */
#define P11_LONG_MS 60000u         /* .. of a login, or of making a key pair */
#define P11_DEADLINE_MIN_MS 10u    /* what may be configured for both */
#define P11_DEADLINE_MAX_MS 30000u
#define P11_LOST_MAX 16u           /* calls that hang at once; beyond it no more threads are spent */
#define P11_HANG_SECONDS 30u       /* so many hang, or an event loop: then only a restart helps */
#define P11_HANG_MAX_SECONDS 3600u /* what may be configured */
#define P11_STUCK_MS 20u           /* an event loop in one call for so long: the others call no more */
#define P11_STOP_MS 2000u          /* a stop waits so long for calls that hang */
#define PACE_SLOW_US 1000u         /* average of a call beyond which work goes to workers */
#define PACE_FAST_US 300u          /* a quarter of the calls below it: work runs where the request is */
#define PACE_STUMBLE_MS 50u        /* two calls beyond it in PACE_CALLS are enough */
#define PACE_CALLS 16u             /* that the average is of */
#define PACE_FIRST 4u              /* calls before it says anything */
#define PACE_WINDOW 64u            /* calls that going back is decided by */
#define PACE_HOLD_MS 1000u         /* slow for so long at least, doubled when going back was wrong, */
#define PACE_HOLD_MAX_MS 60000u    /* up to */
#define WATCH_THREADS 512u         /* threads whose calls to the token are watched */
/* A helper that has the module (pkcs11/wall.h) */
#define WALL_FRAME_MAX (ENVELOPE_MAX + 128u * 1024u) /* bytes of one call, and of its results */
#define WALL_ATTRIBUTES 32u        /* of one template */
#define WALL_CHANNELS_MAX (P11_SESSIONS_MAX + 8u) /* calls at once */
#define WALL_HANG_MS 5000u         /* a call that takes longer ends the helper */
#define WALL_LONG_MS 60000u        /* at least, for a start, a login and making a key pair */
#define WALL_PROMPT_MS 600000u     /* a PIN that a person types */
#define WALL_STEADY_MS 60000u      /* a helper that lived so long is not held to be broken; one that did not */
#define WALL_PAUSE_MS 1000u        /* waits so long before it is started a third time, doubled with each, */
#define WALL_PAUSE_MAX_MS 60000u   /* up to */
#define WALL_LAST_MS 2000u         /* calls under way when the broker ends */
#define CEK_CACHE_DEFAULT 4096u    /* unwrapped content-key handles */
#define P11_WORKERS_MAX 64u        /* threads that do token jobs */
#define CEK_CACHE_MAX 65536u       /* what may be configured */
#define STORE_MAX_OBJECTS 100000u  /* objects on one token, foreign ones too, until nothing more is put */
#define STORE_SPARE_DELETE 256u    /* tombstones beyond them: a purge makes room after a delete */
#define STORE_SPARE_MOVE 512u      /* beyond them, tombstones too: copies of rotations that were cut off */
#define STORE_READ_MAX (STORE_MAX_OBJECTS + 1024u) /* that are read: all that may be written, and what the broker
                                    * keeps for itself (epoch, canaries, manifest) */
#define STORE_CACHE_DEFAULT (64u << 20) /* bytes of envelopes kept in memory */
#define STORE_BATCH_MAX 64u        /* objects that are made together and read back by one find */
#define STORE_BATCH_BYTES (4u << 20) /* of their envelopes, beside one that is larger */
#define STORE_REWRAP_MAX 16u       /* objects that one request of a rotation moves; each old one goes by a
                                    * call that takes as long as a third of a find */
#define STORE_KEEP_VERSIONS_MAX 100u /* complete versions of one resource, or of the policy */
#define STORE_EPOCH_MS 100u        /* how often the epoch object is looked at */
#define STORE_FINDINGS_MAX 1000u   /* faulty objects that are named; the rest is counted */
#define STORE_MANIFEST_MAX VALUE_MAX /* bytes of the manifest; names beyond it are not guarded by it */
#define MANIFEST_SECONDS 1u        /* after a write, until the manifest has it; longer where writing it is slow */
#define MANIFEST_SHARE 4u          /* writing it takes at most one part in so many and one of the time */
#define MANIFEST_RETRY_SECONDS 5u  /* after the token did not take it, doubled with each, up to */
#define MANIFEST_RETRY_MAX_SECONDS 600u
#define MANIFEST_NOTE_MAX 256u     /* bytes of the host's note of it */
#define SCRUB_RATE_DEFAULT 20u     /* objects a second that the scrubber opens */
#define SCRUB_RATE_MAX 10000u
#define SCRUB_PAUSE_SECONDS 3600u  /* from the end of a pass to the next */
#define SCRUB_FIRST_SECONDS 30u    /* from the start to the first, or that pause if it is shorter */
#define SCRUB_SHARE 20u            /* a slow token: the scrubber takes one part in so many and one of the time */
#define SCRUB_CONFIRM_MS 1000u     /* what seems gone is looked at again so much later */
#define LEFTOVER_SECONDS 60u       /* an empty object file of SoftHSM's that is younger may be in the making */
#define SOFTHSM_VALUE_MAX (64u << 20) /* bytes; a value in its files that claims more is damaged */
#define STORE_BLIND_MS 1000u       /* nobody has looked for so long: readers look themselves */
#define STORED_READ_SECONDS 10u    /* a policy is being read for so long: somebody else reads it too */
#define STORE_BEHIND_SECONDS 120u  /* what others wrote is not read for so long: nothing is served */
#define STORE_RESCAN_SECONDS 600u  /* a scan even so: for writers that are no Strongroom */

/* Requests that are remembered to try a policy on (api/recent.h) */
#define RECENT_SETS 64u            /* each with a lock of its own */
#define RECENT_WAYS 4u             /* requests in a set */
#define RECENT_MAX (RECENT_SETS * RECENT_WAYS)
#define RECENT_TEXT_MAX 512u       /* bytes of one request's path and query */
#define RECENT_BYTES_MAX (16u << 20) /* bytes of tokens and claims that are kept for it */
#define DRY_RUN_REQUESTS_MAX 64u   /* requests that a dry run brings along */
#define DRY_RUN_MS 1000u           /* for all evaluations of a dry run; the rest is left out */

/* Audit */
#define AUDIT_MEMBER_MAX 1024u     /* bytes of one text in a record; longer ones are cut */
#define AUDIT_LINE_MAX (64u << 10) /* one record; its texts, each byte escaped, fit */
#define AUDIT_STRANGERS_BURST 10000u /* records of who has not shown who they are, at once; then so many a second: */
#define AUDIT_STRANGERS_PER_SECOND 10u
#define AUDIT_SUMMARY_SECONDS 60u  /* how often a record tells how many more there were */
#define AUDIT_PROBLEMS_MAX 100u    /* told one by one by `audit verify`; the rest is counted */

/* Log */
#define LOG_LINES_BURST 1000u      /* of one event at once, but for debugging; then so many a second: */
#define LOG_LINES_PER_SECOND 1u
#define LOG_EVENTS_MAX 256u        /* with a share of their own */

/* Moving in from a KBS (cmd/import.c) */
#define IMPORT_MAX_ENTRIES 10000u  /* of one import, and names in one of its folders */
#define IMPORT_KEY_MAX 1024u       /* bytes of an entry's key */
#define IMPORT_BATCH_BYTES (128u << 10) /* of small resources that are written together */
#define IMPORT_WINDOW 16384u       /* bytes of a JSON file that are looked at together */

/* Memory */
#define SECRET_BUDGET_DEFAULT (8u << 20)
#define SECRET_BUDGET_COMMAND (6u << 20) /* for commands that need no configuration */
#define BUF_MAX_DEFAULT (16u << 20)

/* Configuration */
#define CONFIG_MAX (1u << 20)
#define CONFIG_MAX_LIST 64u        /* entries of one list */
#define CONFIG_MAX_SECONDS 86400u  /* of any time-out or life */
#define CONFIG_MAX_CACHE (64ull << 30) /* bytes of any cache */
#define CONFIG_MAX_LOCKED (1ull << 30) /* bytes of locked memory */
#define CONFIG_MIN_LOCKED (1ull << 20)
#define YAML_MAX_DEPTH 16u
#define YAML_MAX_ENTRIES 256u      /* of one mapping or sequence */
