#include "broker/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What each class means outside: one row, read by the HTTP edge and by main. The exit codes are
 * documented in `strongroom help`. */
static const struct {
    const char *name;
    int http_status, exit_code;
} classes[ERR_CLASS_COUNT] = {
    [ERR_NONE] = {"ok", 200, 0},
    [ERR_USAGE] = {"usage", 400, 2},
    [ERR_AUTH] = {"auth", 401, 4},
    [ERR_DENIED] = {"denied", 403, 4},
    [ERR_NOTFOUND] = {"not-found", 404, 3},
    [ERR_CONFLICT] = {"conflict", 409, 5},
    [ERR_PRECONDITION] = {"precondition", 412, 5},
    [ERR_TOOLARGE] = {"too-large", 413, 2},
    [ERR_LIMIT] = {"limit", 429, 6},
    [ERR_CRYPTO] = {"crypto", 400, 4},
    [ERR_DAMAGED] = {"damaged", 500, 8},
    [ERR_INTERNAL] = {"internal", 500, 1},
    [ERR_BUSY] = {"busy", 503, 6},
    [ERR_TOKEN_DOWN] = {"token-down", 503, 6},
    [ERR_READONLY] = {"read-only", 503, 5},
    [ERR_HUMAN] = {"needs-a-person", 503, 7},
    [ERR_TIMEOUT] = {"timeout", 504, 6},
    [ERR_FULL] = {"full", 507, 6},
    [ERR_PARTIAL] = {"partial", 500, 9},
};

static _Thread_local struct err_chain chain;

__attribute__((format(printf, 3, 0)))
static void put_text(char *out, size_t size, const char *fmt, va_list ap)
{
    int n = vsnprintf(out, size, fmt, ap);
    if (n < 0) out[0] = '\0';
    if (n < (int) size) return;
    size_t at = size - 4;
    for (size_t i = 0; i < 3 && at > 0 && ((unsigned char) out[at] & 0xc0) == 0x80; i++) at--; /* no half of a character */
    memcpy(out + at, "...", 4);
}

static struct err_frame *push(const char *file, int line, const char *func)
{
    /* When full the outermost frame is overwritten: the innermost ones tell the cause. */
    if (chain.count < ERR_FRAMES) chain.count++;
    struct err_frame *f = &chain.frames[chain.count - 1];
    f->file = file;
    f->line = line;
    f->func = func;
    f->text[0] = '\0';
    f->native[0] = '\0';
    return f;
}

__attribute__((format(printf, 6, 0)))
static struct err start(enum err_class code, const char *native, const char *file, int line,
                        const char *func, const char *fmt, va_list ap)
{
    chain.count = 0;
    chain.err = (struct err){code};
    struct err_frame *f = push(file, line, func);
    put_text(f->text, sizeof f->text, fmt, ap);
    if (native) snprintf(f->native, sizeof f->native, "%s", native);
    return chain.err;
}

struct err err_start(enum err_class code, const char *native, const char *file, int line,
                     const char *func, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct err e = start(code, native, file, line, func, fmt, ap);
    va_end(ap);
    return e;
}

struct err err_start_errno(enum err_class code, int err_no, const char *file, int line,
                           const char *func, const char *fmt, ...)
{
    char text[80];
    const char *native = strerror_r(err_no, text, sizeof text);
    va_list ap;
    va_start(ap, fmt);
    struct err e = start(code, native, file, line, func, fmt, ap);
    va_end(ap);
    return e;
}

struct err err_add(struct err e, const char *file, int line, const char *func, const char *fmt, ...)
{
    struct err_frame *f = push(file, line, func);
    va_list ap;
    va_start(ap, fmt);
    put_text(f->text, sizeof f->text, fmt, ap);
    va_end(ap);
    return e;
}

void err_save(struct err e, struct err_chain *ret_chain)
{
    *ret_chain = chain;
    ret_chain->err = e;
    chain.count = 0;
}

struct err err_load(const struct err_chain *saved)
{
    chain = *saved;
    return saved->err;
}

const char *err_text(struct err e)
{
    static _Thread_local char text[ERR_FRAMES * (ERR_TEXT + 100)];
    if (err_ok(e)) return "ok";
    if (chain.count == 0 || chain.err.code == ERR_NONE) return err_class_name(e.code);
    size_t at = 0;
    text[0] = '\0';
    for (int i = chain.count - 1; i >= 0; i--) {
        const struct err_frame *f = &chain.frames[i];
        int n = snprintf(text + at, sizeof text - at, "%s%s%s%s%s", at ? ": " : "", f->text,
                         f->native[0] ? " [" : "", f->native, f->native[0] ? "]" : "");
        if (n < 0 || (size_t) n >= sizeof text - at) break;
        at += (size_t) n;
    }
    return text;
}

const char *err_reason(struct err e)
{
    if (err_ok(e)) return "ok";
    return chain.count ? chain.frames[0].text : err_class_name(e.code);
}

const char *err_where(struct err e)
{
    static _Thread_local char text[160];
    if (err_ok(e) || chain.count == 0) return "";
    snprintf(text, sizeof text, "%s:%d", chain.frames[0].file, chain.frames[0].line);
    return text;
}

const char *err_class_name(enum err_class code)
{
    return code < ERR_CLASS_COUNT ? classes[code].name : "unknown";
}

int err_http_status(enum err_class code)
{
    return code < ERR_CLASS_COUNT ? classes[code].http_status : 500;
}

int err_exit_code(enum err_class code)
{
    return code < ERR_CLASS_COUNT ? classes[code].exit_code : 1;
}

_Noreturn void err_abort(const char *cond, const char *file, int line)
{
    fprintf(stderr, "strongroom: broken invariant: %s at %s:%d\n", cond, file, line);
    abort();
}
