/* What an existing KBS holds, one entry at a time: the words that the readers of its layouts, the
 * import itself and its report share. */
#pragma once

#include "broker/base/secret.h"

/* The namespaces of a KBS's store that are taken (kbs-api.md 8.4). */
enum kbs_space {
    KBS_REPOSITORY,
    KBS_POLICIES,
    KBS_ATTESTATION_POLICIES,
    KBS_REFERENCE_VALUES,
    KBS_SPACES
};
const char *kbs_space_name(enum kbs_space space); /* "repository", "kbs", ... */

/* What an entry becomes here. */
enum import_kind {
    IMPORT_RESOURCE,
    IMPORT_RELEASE_POLICY,
    IMPORT_ATTESTATION_POLICY,
    IMPORT_REFERENCE_VALUE,
    IMPORT_KINDS
};
const char *import_kind_name(enum import_kind kind); /* "resource", "policy", ... */

struct import_item {
    enum import_kind kind;
    const char *name;           /* as we call it; of a skipped one its key, escaped */
    const char *where;          /* file, or file or table with the key; printable */
    const struct secret *value; /* NULL: it was not asked for, or the item is skipped */
    const char *skip;           /* why it cannot be taken; NULL: it can */
};

/* Whoever walks through a store. An error of visit ends the walk. Everything in an item is valid
 * only during the visit. */
struct import_walk {
    bool values; /* read them too */
    err_t (*visit)(void *arg, const struct import_item *item);
    void *arg;
};

/* An entry as a reader found it. */
struct import_entry {
    enum kbs_space space;
    struct span key;   /* as the KBS has it, any bytes */
    const char *place; /* file or table; any text */
    bool keyed;        /* several entries lie in that place: `where` names the key too */
    const char *flaw;  /* why the reader cannot read it, or NULL */
    /* Gives the value, at most max bytes of it. What is wrong with this one entry is ERR_USAGE,
     * ERR_NOTFOUND or ERR_TOOLARGE, and it is skipped; any other error ends the walk. */
    err_t (*read)(void *arg, size_t max, struct secret **ret);
    void *arg;
};

/* Finds what the entry is called here and visits it, with its value when the walk wants values, or
 * with the reason why it cannot be taken. Resources by kbs-api.md 1.3 and VALUE_MAX, policies by
 * POLICY_MAX and not empty, reference values by REFERENCE_NAME_MAX. */
err_t import_offer(const struct import_walk *walk, const struct import_entry *e);

/* What a reference value's record says (kbs-api.md 8.4). */
struct import_record {
    struct span value; /* its JSON, within the text */
    int64_t expires;   /* Unix seconds; 0: never */
};
struct json_doc;
/* ERR_USAGE says what is wrong with it. The record lives as long as *ret_doc, which the caller
 * frees. */
err_t import_record_parse(struct span text, struct json_doc **ret_doc, struct import_record *ret);
