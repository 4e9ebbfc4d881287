/* The token: what the rest of the broker may know of PKCS#11.
 *
 * Bytes and names go in, bytes and names come out; no CK_* type appears here. The calls are shaped
 * as messages so that they can be served in this process or, one day, by a helper process that
 * alone holds module and PIN. Errors carry the CKR_* name in their chain.
 *
 * Threads: one owner of the module per process; after p11_open every function may be called from
 * any thread. Object calls exclude each other inside; opening and sealing do not wait for them. */
#pragma once

#include "broker/base/secret.h"
#include "pkcs11/envelope.h"

#include <sys/types.h>

struct p11;

/* ---- opening ---------------------------------------------------------------------------- */

/* A process of its own for the module, between which and this one the PIN never passes. */
struct p11_helper {
    const char *program;     /* what is run with the one argument token-helper, and calls p11_helper_run;
                              * NULL: this program */
    bool network;            /* the module may open sockets beyond this host */
    size_t memory_locked;    /* bytes of the helper's locked memory; 0: SECRET_BUDGET_DEFAULT */
    bool best_effort;        /* it may stay unlocked */
    unsigned hang_ms;        /* a call that takes longer ends the helper; 0: WALL_HANG_MS */
    const char *init_args;   /* set by whoever loads: p11_config.init_args */
};

enum p11_place {
    P11_PLACE_AUTO,   /* where they are; at first on the token, if it keeps data objects */
    P11_PLACE_TOKEN,
    P11_PLACE_BESIDE, /* struct p11_beside */
};
struct p11_beside;

struct p11_config {
    const char *module;      /* path of the PKCS#11 module; NULL: the URI's module-path */
    const char *init_args;   /* text for C_Initialize (NSS: "configdir='sql:DIR' ..."); NULL: none */
    const char *token_uri;   /* RFC 7512: token= and/or serial= (manufacturer=, model= too) */
    const char *pin_source;  /* see p11_pin_read; NULL: the URI's pin-source, else prompt */
    const char *state_dir;   /* where the marker of a PIN that failed lies; must exist */
    unsigned max_sessions;   /* cap of the pool; 0: P11_SESSIONS_DEFAULT */
    unsigned cek_cache;      /* unwrapped content keys kept as handles; 0: none */
    bool serialize_all;      /* quirk: no two calls into the module at one time */
    const struct p11_helper *helper; /* NULL: the module is loaded into this process */
    /* Called when the token is found, before the login; an error ends the opening. NULL: nothing. */
    err_t (*found)(void *arg, const char *serial);
    void *found_arg;
    enum p11_place place;    /* where labelled objects lie */
    const struct p11_beside *beside; /* outlives the p11; NULL: on the token, whatever place says */
};

/* Loads the module, finds exactly one token and logs in through the gate; finds the KEKs, checks
 * their attributes and canaries, and negotiates the suite by a live self-test. The strings of the
 * config are copied. Errors: ERR_USAGE (URI, module, PIN file), ERR_NOTFOUND (no such token: lists
 * those there are), ERR_CONFLICT (several match: names their serials), ERR_HUMAN (PIN wrong or
 * locked: says what to do), ERR_TOKEN_DOWN. A token without a KEK opens too (p11_has_kek). */
err_t p11_open(const struct p11_config *config, struct p11 **ret);
/* The whole of the helper: serves the broker that started this process until that ends, then ends the process.
 * Returns only an error: that no broker started it, or that it cannot confine itself. */
err_t p11_helper_run(void);
/* Whether the module that p11_open would load is SoftHSM's, by its name. */
bool p11_uses_softhsm(const char *module, const char *token_uri);
/* Of the helper of this process; zeros when there is none. */
struct p11_helper_stats {
    pid_t pid;       /* 0: none runs */
    uint64_t starts; /* how many there have been */
};
struct p11_helper_stats p11_helper_stats(void);

void p11_close(struct p11 *p); /* logs out, C_Finalize; NULL-safe */
DEFINE_CLEANUP(struct p11, p11_close);
#define _cleanup_p11_ _cleanup_(p11_closep)

/* The PIN, from "file:/path" or "/path" (mode checked, one trailing newline dropped),
 * "credential:NAME" ($CREDENTIALS_DIRECTORY/NAME) or "prompt" (the terminal, no echo; `what` is
 * shown). Limit PIN_MAX. */
err_t p11_pin_read(const char *pin_source, const char *what, struct secret **ret);
/* Whether a start will find its PIN, as far as that shows beforehand: nobody is asked for one, and a
 * credential is shown to the service alone. p11_pin_read's errors. */
err_t p11_pin_check(const char *pin_source);
/* Whether there is a file for a module; it is not loaded. ERR_USAGE names what is wrong. */
err_t p11_module_check(const char *path);

struct p11_token_info {
    char label[33], serial[17], manufacturer[33], model[17];
    char module_description[33], module_manufacturer[33];
    char firmware[12], hardware[12]; /* "2.6" */
    bool initialized, user_pin_initialized, login_required, write_protected;
    bool pin_count_low, pin_final_try, pin_locked;
    uint64_t max_sessions; /* 0: no limit known */
    uint64_t slot;         /* for display only */
};

/* Whether the token of this label and serial number is one that the URI names, as far as these two tell. */
bool p11_uri_names(const char *token_uri, const char *label, const char *serial);
/* The token's state now (C_GetTokenInfo), without logging in; of an opened one see p11_last_info. */
err_t p11_info_by_uri(const char *module, const char *init_args, const char *token_uri,
                      struct p11_token_info *ret);
const char *p11_serial(const struct p11 *p);
const char *p11_label(const struct p11 *p);
/* Sessions that work can have at once: as configured, or as the token allows. */
unsigned p11_sessions(struct p11 *p);

/* Initialises an uninitialised token (`token init`): C_InitToken in a free slot with this label,
 * then the user PIN. Refuses (ERR_CONFLICT) a label that exists. For SoftHSM keeps a copy of
 * token.object in state_dir (tokens.md 2.2: a kill within C_Login can truncate it) and returns its
 * path in *ret_backup (malloc; NULL for other modules). */
err_t p11_token_init(const char *module, const char *label, struct secret *so_pin,
                     struct secret *user_pin, const char *state_dir,
                     struct p11_token_info *ret, char **ret_backup);

/* ---- its life --------------------------------------------------------------------------- */

/* Up: it worked when last looked at. Recovering: it is being brought back. Waiting: that failed, and is tried again
 * after a pause; or the keeper's own call hangs. Human: a person must act (PIN wrong or locked, another token). */
enum p11_state { P11_UP, P11_RECOVERING, P11_WAITING, P11_HUMAN, P11_STATE_COUNT };

/* The ladder of tokens.md 6, mildest first: a look by the canary; an operation repeated on another
 * session; new sessions and a login; the module initialised again, the token found anew. */
enum p11_step { P11_STEP_LOOK, P11_STEP_SESSION, P11_STEP_LOGIN, P11_STEP_RESTART, P11_STEP_COUNT };

const char *p11_state_name(enum p11_state state); /* "up", "recovering", "waiting", "human" */
const char *p11_step_name(enum p11_step step);    /* "look", "session", "login", "restart" */

struct p11_status {
    enum p11_state state;
    int64_t since;       /* Unix seconds */
    uint64_t seconds;    /* since then, by a clock that does not jump */
    enum p11_step next;  /* the step that is being taken, or comes next */
    uint64_t next_ms;    /* until then; 0: now */
    unsigned tries;      /* rounds of the ladder that failed since it was up */
    enum err_class why;  /* of the last failure; ERR_NONE when up */
    char reason[ERR_TEXT]; /* its text: for operators, it names the token and the module's code */
    uint64_t taken[P11_STEP_COUNT], helped[P11_STEP_COUNT]; /* since p11_open */
};

/* What is known, without asking the token. Never waits. */
void p11_status(struct p11 *p, struct p11_status *ret);
/* The token's own words, as of the last time that it was looked at and answered; never waits. */
void p11_last_info(struct p11 *p, struct p11_token_info *ret);

/* Keeping the token up, for one thread of the program (the keeper):
 *
 *     while (p11_await(p)) p11_tend(p, &keeper);
 *
 * p11_await waits until a look or the next try is due, or somebody met trouble, and is false after
 * p11_keep_end. p11_tend looks, and when the token does not work takes the steps. Requests that meet
 * trouble meanwhile wait for it a moment (P11_MEND_MS) and are repeated where they may be. Without a
 * keeper (commands) nothing is brought back. */
struct p11_keeper {
    /* Handles are new: what keeps some looks again. ERR_TOKEN_DOWN: it went away again. */
    err_t (*came_back)(void *arg);
    /* The state changed; called by the keeper's thread, or while a call of it hangs by the watcher of calls;
     * without locks, and by one at a time. */
    void (*changed)(void *arg, const struct p11_status *now);
    void *arg;
};
bool p11_await(struct p11 *p);
void p11_tend(struct p11 *p, const struct p11_keeper *keeper);
void p11_hurry(struct p11 *p);    /* a person acted: try now; any thread */
void p11_keep_end(struct p11 *p); /* any thread */

/* All steps from the login on, at once, for who keeps no token (tests). The handles of before are then
 * of an old epoch. While it fails, all else fails at once. ERR_TOKEN_DOWN, ERR_HUMAN; ERR_BUSY when
 * sessions do not come back, or another recovery runs. */
err_t p11_recover(struct p11 *p);

/* ---- keys ------------------------------------------------------------------------------- */

struct p11_kek_info {
    uint8_t id[ENVELOPE_KEK_ID];
    uint32_t generation;
    char label[64];
    bool sensitive, extractable, always_sensitive, never_extractable, local, modifiable;
    bool can_wrap, can_unwrap, can_encrypt, can_decrypt, can_sign, can_verify, can_derive;
    bool sound;       /* attributes are as we demand */
    bool canary_ok;   /* unwraps its canary */
    bool active;      /* new envelopes name this one: the highest sound generation */
};

/* Makes the KEK of the next generation (AES-256, attributes of DESIGN 3, random id, canary) and
 * reads its attributes back. ERR_CONFLICT when one exists and `next` is false. */
err_t p11_kek_create(struct p11 *p, bool next, struct p11_kek_info *ret);
err_t p11_kek_list(struct p11 *p, struct p11_kek_info *ret, size_t max, size_t *ret_n);
bool p11_has_kek(const struct p11 *p);
/* Looks at the keys on the token again: another process may have made a generation, whose
 * envelopes look foreign until then. Costs a find and a self-test. */
err_t p11_kek_reload(struct p11 *p);
/* Grows whenever the keys were looked at: whose generation an envelope names may be another by then. */
uint64_t p11_kek_changes(struct p11 *p);

/* What the self-test found, as words for status: "AES-KW recipients, AES-GCM payloads". */
const char *p11_suite_text(const struct p11 *p);

/* Health as the canary tells it: opens it once with the active KEK; or, when no canary opens, the self-test with
 * the newest sound one. ERR_TOKEN_DOWN is reported to the keeper, too. ERR_HUMAN: there is no such key. */
err_t p11_check(struct p11 *p);

/* ---- sealing and opening ---------------------------------------------------------------- */

/* Makes a complete envelope for the active KEK: content key made, used and wrapped on the token.
 * meta->suite is filled in by the token. ERR_TOKEN_DOWN, ERR_HUMAN "no KEK", ERR_TOOLARGE. */
err_t p11_seal(struct p11 *p, const struct envelope_meta *meta, struct span plaintext,
               struct buf *ret);

/* Opens an envelope inside the token. ERR_DAMAGED when it does not verify (tag, wrapped key) while
 * the canary does; ERR_TOKEN_DOWN when the canary fails too; ERR_NOTFOUND when it is foreign. */
err_t p11_unseal(struct p11 *p, const struct envelope *e, struct secret **ret);

/* Whether an envelope opens, with the errors of p11_unseal: past the cache of content keys, whose place
 * others need, and what comes out is wiped at once. */
err_t p11_verify(struct p11 *p, const struct envelope *e);

/* Appends the same envelope for the active KEK: the content key is unwrapped and wrapped again inside
 * the token; header, payload and recipients that are not ours stay byte for byte. ERR_CONFLICT when it
 * names the active KEK and no other of ours already, ERR_NOTFOUND when it is foreign, ERR_DAMAGED when
 * the wrapped key does not verify. Whether the payload opens is for the caller to try. */
err_t p11_rewrap(struct p11 *p, const struct envelope *e, struct buf *ret);

/* The generation that new envelopes name; 0: none. */
uint32_t p11_active_generation(struct p11 *p);

/* Removes a KEK and its canary from the token, for ever. ERR_NOTFOUND; ERR_CONFLICT: it is the active
 * one. That no envelope names it any more is for the caller to know. */
err_t p11_kek_destroy(struct p11 *p, uint32_t generation);

/* Whether one of the recipients is a KEK of this token; its generation (0: foreign). */
uint32_t p11_recipient_generation(struct p11 *p, const struct envelope *e);

/* ---- objects: labelled bytes (CKO_DATA, CKA_APPLICATION "strongroom", or beside the token) - */

/* Names one object of this token as long as the token is open; epoch tells handles of an earlier
 * opening apart. */
struct p11_object { uint64_t handle; uint64_t epoch; };

/* Changes when the token was opened again: handles of before are void. */
uint64_t p11_opening(struct p11 *p);

#define P11_LABEL_MAX 320u /* bytes of a label: "strongroom:<kind>:" and a name */

/* Creates, then reads back through a fresh find and compares (DESIGN 3, Writing). When the token went
 * away meanwhile and came back, looks whether it is there before it tries again.
 * ERR_FULL when the token has no room, ERR_TOKEN_DOWN when what is read differs. */
err_t p11_object_create(struct p11 *p, const char *label, struct span value,
                        struct p11_object *ret);
/* One of several objects to be made; label and value are the caller's. */
struct p11_draft {
    const char *label;
    struct span value;
    struct p11_object object; /* what was made, when the outcome is no error */
    struct err_chain outcome; /* as p11_object_create would tell (err_load) */
};
/* The same for at most STORE_BATCH_MAX: all are created, then one fresh find reads them back. What fails
 * fails alone. */
void p11_objects_create(struct p11 *p, struct p11_draft *drafts, size_t n);
/* Appends the value. ERR_NOTFOUND when the object is gone (or its handle is of another epoch),
 * ERR_DAMAGED when the token cannot show it although its canary opens. */
err_t p11_object_read(struct p11 *p, struct p11_object o, struct buf *ret);
/* ERR_NOTFOUND when it is gone already; ERR_TOKEN_DOWN when nobody knows (a handle of another epoch, or the
 * answer was lost on a token that may give a handle to the next object). */
err_t p11_object_destroy(struct p11 *p, struct p11_object o);
/* What a scan shows of an object. All of it is good during the visit alone. */
struct p11_seen {
    struct p11_object object;
    const char *label; /* "" when the token does not show it, or it is none that we wrote */
    struct span value; /* empty unless with_values */
    bool unreadable;   /* the token does not show the label, or the value that was asked for */
};
/* Calls visit for every object of ours. One that the token cannot show any more, while its canary
 * opens, is visited all the same: it may be the newest of its name. A visit that returns an error
 * ends the scan with it. ERR_TOKEN_DOWN when not the object but the token fails, or was opened again
 * meanwhile: then what was visited is not all. */
err_t p11_object_scan(struct p11 *p, bool with_values,
                      err_t (*visit)(void *arg, const struct p11_seen *seen), void *arg);
/* A scan with values by who made one before, in this opening. */
struct p11_rescan {
    /* Whether this object is known: then it is there, and is neither read nor visited. Asked of each, but only
     * where a handle names no second object as long as the token is open, as that of SoftHSM, which counts
     * them; elsewhere all are read. Our objects are never changed in place, but for the epoch's label. What
     * somebody else changes in one is seen by the next p11_object_scan. */
    err_t (*knows)(void *arg, struct p11_object object, bool *ret);
    err_t (*visit)(void *arg, const struct p11_seen *seen);
    void *arg;
};
err_t p11_object_rescan(struct p11 *p, const struct p11_rescan *again);
/* Objects with exactly this label. */
err_t p11_object_find(struct p11 *p, const char *label, struct p11_object *ret, size_t max,
                      size_t *ret_n);

#define P11_EPOCH_TEXT 64 /* bytes of an epoch with its NUL */
#define P11_EPOCH_LABEL "strongroom:epoch:"

/* Objects that lie beside the token: a directory of envelopes (broker/store/directory.h). Their
 * handles are good for ever, and for every process. Functions as those above, which call them. */
#define P11_EPOCH_BESIDE UINT64_MAX /* p11_object.epoch of them all */
struct p11_beside {
    void *arg;
    const char *text; /* "directory /path" */
    err_t (*in_use)(void *arg, bool *ret); /* whether anything was kept there before */
    err_t (*begin)(void *arg);             /* it was chosen: makes what it needs */
    err_t (*create)(void *arg, const char *label, struct span value, uint64_t *ret);
    err_t (*read)(void *arg, uint64_t handle, struct buf *ret);
    err_t (*destroy)(void *arg, uint64_t handle);
    err_t (*scan)(void *arg, bool with_values,
                  err_t (*visit)(void *visit_arg, const struct p11_seen *seen), void *visit_arg);
    err_t (*find)(void *arg, const char *label, uint64_t *ret, size_t max, size_t *ret_n);
    err_t (*epoch_read)(void *arg, char ret[P11_EPOCH_TEXT]); /* ERR_NOTFOUND: none yet */
    err_t (*epoch_write)(void *arg, const char *epoch);
};
/* "token", or p11_beside.text. */
const char *p11_place_text(const struct p11 *p);

/* Files that SoftHSM's own store keeps and that are no objects: see softhsm_files.h. Visits none for
 * other modules. */
err_t p11_leftovers(struct p11 *p, err_t (*visit)(void *arg, const char *path), void *arg);

/* The epoch object `strongroom:epoch:<random>`: relabelled by every writer when it is done, read
 * (through its handle, cheap) by everybody who keeps an index. */
err_t p11_epoch_read(struct p11 *p, char ret[P11_EPOCH_TEXT]);
err_t p11_epoch_touch(struct p11 *p, char ret[P11_EPOCH_TEXT]);
