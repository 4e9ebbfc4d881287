/* A throw-away SoftHSM token for tests. Depends on libc and softhsm2-util alone, so that every
 * test program can link it, and so that a broken p11_token_init fails its own test only.
 *
 *     static struct softhsm hsm;
 *     static int setup(void **state) { return softhsm_start(&hsm, "test"); }
 *     static int teardown(void **state) { return softhsm_stop(&hsm); }
 *
 * One at a time in a process, as SOFTHSM2_CONF is the process's. Close every p11 before stop. */
#pragma once

#include <stddef.h>

#define SOFTHSM_PIN "12345678"
#define SOFTHSM_SO_PIN "87654321"

struct softhsm {
    char dir[256];       /* 0700; everything else lies in it */
    char tokens[300];    /* SoftHSM's directories.tokendir */
    char state[300];     /* for p11_config.state_dir */
    char pin_file[300];  /* SOFTHSM_PIN and a newline, 0600 */
    char control[300];   /* P11FAULT_CONTROL, made by softhsm_fault */
    char fault_log[300]; /* where the fault module appends the names of calls */
    char uri[128];       /* pkcs11:token=LABEL */
    const char *module;  /* path of libsofthsm2.so */
};

/* Makes the directory, SOFTHSM2_CONF and, unless label is NULL, one token with that label, both
 * PINs set. 0 on success; -1 and a line on stderr otherwise (also when SoftHSM is not there). */
int softhsm_start(struct softhsm *t, const char *label);
/* One more token; the same label twice is possible. */
int softhsm_add_token(struct softhsm *t, const char *label);
/* Removes all. Always 0, to end a cmocka teardown. */
int softhsm_stop(struct softhsm *t);

/* Path of the one file with this name below `tokens` ("token.object"); false unless exactly one. */
int softhsm_find_file(const struct softhsm *t, const char *name, char *ret, size_t size);
/* Writes a small file with this mode; the path is `dir`/name. Returns 0. */
int softhsm_write(const struct softhsm *t, const char *name, const char *text, unsigned mode,
                  char *ret_path, size_t size);

/* ---- the fault module (tests/fault/p11fault.c) in front of SoftHSM ---------------------- */

/* $STRONGROOM_FAULT_MODULE, or NULL: then skip() and say so. */
const char *softhsm_fault_module(void);
/* Replaces the rules; calls are logged too. "" ends all faults. Returns 0. */
int softhsm_fault(struct softhsm *t, const char *rules);
/* How often this call was made since the log was cleared. */
int softhsm_fault_count(const struct softhsm *t, const char *call);
void softhsm_fault_clear_log(const struct softhsm *t);
