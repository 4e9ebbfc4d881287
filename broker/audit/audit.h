/* The record of every decision. A release, a denial or a change passes audit_write before its
 * response leaves: no record, no release (DESIGN 8). The file is the record: one JSON object a
 * line, appended by one write(2) each, linked to the line before it by hash (chain.h); journal and
 * syslog copies never gate. */
#pragma once

#include "broker/base/buf.h"

struct audit;

enum audit_sync { AUDIT_SYNC_NONE, AUDIT_SYNC_BATCH, AUDIT_SYNC_EACH };

struct audit_event {
    const char *action;    /* "release", "put", "delete", "set-policy", "attest", "start", ... */
    const char *decision;  /* "allow", "deny", "error", "done" */
    uint64_t request_id;   /* 0 when there is none */
    const char *principal; /* "guest:<fingerprint>", "admin:<role>", "local:uid=0", "" */
    const char *certificate; /* subject of the client certificate that verified, or "" */
    const char *peer;      /* address or "" */
    const char *resource;  /* name or "" */
    uint64_t version;      /* 0: none */
    const char *reason;    /* fixed words; never secrets, never policy text */
    const char *policy;    /* digest of the policy in force, or "" */
    unsigned rule;         /* line of the policy's rule that decided; 0: none */
    unsigned suite;        /* of the envelope that was opened (pkcs11/envelope.h); 0: none was */
    const char *tee;       /* TEE name or "" */
    uint64_t duration_us;  /* since the request began; 0: none */
    bool stranger;         /* refused before they showed who they are: many of these are only counted */
};

/* path NULL: no file (dev without audit is loud in the log); the serial is in every record.
 * The file is created 0600 and must be a regular file of ours (ERR_USAGE) that no other process
 * writes (ERR_CONFLICT). A torn line that it ends in gets a record of its own. */
err_t audit_open(const char *path, enum audit_sync sync, const char *token_serial,
                 struct audit **ret);
void audit_close(struct audit *a);

/* Thread-safe. An error means the decision must not take effect (503 to the client). Of strangers beyond
 * AUDIT_STRANGERS_BURST at once or AUDIT_STRANGERS_PER_SECOND one record (action "strangers") in
 * AUDIT_SUMMARY_SECONDS says how many they were: else anybody could fill the disk, and end all releases. */
err_t audit_write(struct audit *a, const struct audit_event *e);

/* After the file was renamed (log rotation): begins a new one at its path, whose first record links
 * to the old file's last. Without a new name nothing happens. On an error the old file stays in
 * use. Thread-safe. */
err_t audit_reopen(struct audit *a, bool *ret_changed);

/* False from a record that could not be written until one can be: what needs a record is refused meanwhile. Tries to
 * write the one (action "audit-back") that says how many are missing, which otherwise comes before the next record.
 * Thread-safe. */
bool audit_works(struct audit *a);
uint64_t audit_failures(const struct audit *a);
uint64_t audit_unrecorded(const struct audit *a); /* strangers that were counted only, since the start */
bool audit_sync_from(const char *name, enum audit_sync *ret); /* "none", "batch", "each" */
