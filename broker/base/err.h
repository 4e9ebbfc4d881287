/* Errors: one value that cannot be mistaken for an int or dropped, and a chain of context.
 *
 * A fallible function is declared `err_t f(...)` and gives results through `ret_` parameters,
 * written only on success. `err_t` is a macro because gcc ties warn_unused_result to functions,
 * not to types; a variable that holds an error is a `struct err`.
 *
 * FAIL starts a chain of frames (thread-local, no malloc), TRY and TRYC hand it on. Library code
 * neither logs nor exits; the edge (request, main) logs the chain once with log_err(). What a
 * client may read is decided at the edge: class and a fixed sentence, never the chain. */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a caller can do about it. One table (err.c) gives HTTP status and exit code per class. */
enum err_class {
    ERR_NONE = 0,
    ERR_USAGE,        /* 400: the input is wrong; the text says what to change */
    ERR_AUTH,         /* 401: nobody we know */
    ERR_DENIED,       /* 403: known, and may not */
    ERR_NOTFOUND,     /* 404 */
    ERR_CONFLICT,     /* 409: exists already, or another one holds it */
    ERR_PRECONDITION, /* 412: If-Match did not match */
    ERR_TOOLARGE,     /* 413: over a named limit */
    ERR_LIMIT,        /* 429: too many, come back later */
    ERR_CRYPTO,       /* 400, opaque: something did not verify or open; never says why outside */
    ERR_DAMAGED,      /* 500: a stored thing does not verify */
    ERR_INTERNAL,     /* 500 */
    ERR_BUSY,         /* 503: queue or locked memory is full; retry */
    ERR_TOKEN_DOWN,   /* 503: the token does not answer as it should; retry */
    ERR_READONLY,     /* 503: this broker does not write; another one does */
    ERR_HUMAN,        /* 503: stopped until a person acts (PIN wrong, PIN locked) */
    ERR_TIMEOUT,      /* 504: deadline passed */
    ERR_FULL,         /* 507: no room on the token */
    ERR_PARTIAL,      /* of commands: done, but something was left out and named */
    ERR_CLASS_COUNT
};

struct err {
    enum err_class code;
};

#define err_t __attribute__((warn_unused_result)) struct err
#define ERR_OK ((struct err){ERR_NONE})

static inline bool err_ok(struct err e) { return e.code == ERR_NONE; }

/* An ignored result is spelt out: err_ignore(f()); with the reason in a comment. */
static inline void err_ignore(struct err e) { (void) e; }

#define ERR_FRAMES 8
#define ERR_TEXT 240

/* One frame of context. `native` names a foreign code ("CKR_PIN_LOCKED (0xa4)", an errno or
 * OpenSSL text) or is empty. */
struct err_frame {
    const char *file;
    const char *func;
    int line;
    char text[ERR_TEXT];
    char native[96];
};

/* A chain taken off its thread, so that it can travel with a job. Plain data, no ownership. */
struct err_chain {
    struct err err;
    int count;
    struct err_frame frames[ERR_FRAMES];
};

/* Starting and growing a chain; use the macros. Thread rule: each thread has its own chain. */
struct err err_start(enum err_class code, const char *native, const char *file, int line,
                     const char *func, const char *fmt, ...)
    __attribute__((format(printf, 6, 7), cold));
struct err err_add(struct err e, const char *file, int line, const char *func, const char *fmt, ...)
    __attribute__((format(printf, 5, 6), cold));
struct err err_start_errno(enum err_class code, int err_no, const char *file, int line,
                           const char *func, const char *fmt, ...)
    __attribute__((format(printf, 6, 7), cold));

#define ERR_MAKE(code, ...) err_start((code), NULL, __FILE__, __LINE__, __func__, __VA_ARGS__)
#define FAIL(code, ...) return ERR_MAKE(code, __VA_ARGS__)
#define FAIL_ERRNO(code, ...) \
    return err_start_errno((code), errno, __FILE__, __LINE__, __func__, __VA_ARGS__)

#define TRY(expr)                                                                \
    do {                                                                         \
        struct err try_e_ = (expr);                                              \
        if (!err_ok(try_e_)) return try_e_;                                      \
    } while (0)
#define TRYC(expr, ...)                                                          \
    do {                                                                         \
        struct err try_e_ = (expr);                                              \
        if (!err_ok(try_e_))                                                     \
            return err_add(try_e_, __FILE__, __LINE__, __func__, __VA_ARGS__);   \
    } while (0)

/* Moves this thread's chain into *ret_chain (the thread's own is then empty), and back again on
 * the thread that goes on with the job. err_load returns chain->err. */
void err_save(struct err e, struct err_chain *ret_chain);
struct err err_load(const struct err_chain *chain);

/* Reading the current thread's chain of `e`: outermost context first, joined by ": ", with the
 * native codes. Valid until the next FAIL or TRYC on this thread. For the log and for a person
 * at a terminal, never for a client. */
const char *err_text(struct err e);

/* The innermost frame's text alone: the sentence that names the thing and the way out. */
const char *err_reason(struct err e);

/* file:line of the innermost frame, for debug logs. */
const char *err_where(struct err e);

/* The class's name ("token-down"), HTTP status and exit code. */
const char *err_class_name(enum err_class code);
int err_http_status(enum err_class code);
int err_exit_code(enum err_class code);

/* A broken invariant of ours, not bad input: aborts in every build. */
#define ENSURE(cond) \
    ((cond) ? (void) 0 : err_abort(#cond, __FILE__, __LINE__))
_Noreturn void err_abort(const char *cond, const char *file, int line);
