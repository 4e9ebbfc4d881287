#include "pkcs11/pin_marker.h"

#include "broker/base/file.h"
#include "broker/base/rand.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>
#include <unistd.h>

/* 16 MiB and some 50 ms a guess; OpenSSL's default bound on memory (32 MiB) allows it. */
#define SCRYPT_N 16384
#define SCRYPT_R 8
#define SCRYPT_P 1

#define MARKER_MAX 256

/* The words of the one line, in order. */
enum { WORD_MAGIC, WORD_FORMAT, WORD_STATE, WORD_SALT, WORD_HASH, WORDS };
static const char TRYING[] = "trying", FAILED[] = "failed";

static err_t hash_pin(struct secret *pin, const uint8_t salt[PIN_SALT], uint8_t ret[PIN_HASH])
{
    if (!EVP_PBE_scrypt((const char *) secret_data(pin), secret_len(pin), salt, PIN_SALT,
                        SCRYPT_N, SCRYPT_R, SCRYPT_P, 0, ret, PIN_HASH))
        FAIL(ERR_INTERNAL, "scrypt failed (it needs 16 MiB)");
    return ERR_OK;
}

/* False when it is not what pin_marker_write writes. */
static bool parse_words(char *text, struct pin_marker *ret, enum pin_verdict *ret_verdict)
{
    char *word[WORDS], *line = strsep(&text, "\n");
    for (int i = 0; i < WORDS; i++)
        if (!(word[i] = strsep(&line, " "))) return false;
    if (line || strcmp(word[WORD_MAGIC], "strongroom-pin") || strcmp(word[WORD_FORMAT], "1"))
        return false;
    bool failed = strcmp(word[WORD_STATE], FAILED) == 0;
    if (!failed && strcmp(word[WORD_STATE], TRYING)) return false;
    *ret_verdict = failed ? PIN_REFUSED : PIN_UNFINISHED;
    return hex_decode(word[WORD_SALT], ret->salt, PIN_SALT) &&
           hex_decode(word[WORD_HASH], ret->hash, PIN_HASH);
}

static err_t parse(struct buf *text, struct pin_marker *ret, enum pin_verdict *ret_verdict)
{
    buf_add_byte(text, '\0');
    TRY(buf_ok(text));
    if (!parse_words((char *) text->data, ret, ret_verdict))
        FAIL(ERR_HUMAN, "%s tells of a PIN that failed, but cannot be understood; check that the "
             "PIN is right, then delete the file", ret->path);
    return ERR_OK;
}

/* Whether the file is about this very PIN. */
static err_t compare(struct buf *text, struct secret *pin, struct pin_marker *m,
                     enum pin_verdict *ret_verdict)
{
    uint8_t hash[PIN_HASH] = {0};
    enum pin_verdict verdict = PIN_NEW;
    TRY(parse(text, m, &verdict));
    TRY(hash_pin(pin, m->salt, hash));
    bool same = secret_equal(span_of(hash, sizeof hash), span_of(m->hash, sizeof m->hash));
    explicit_bzero(hash, sizeof hash);
    *ret_verdict = same ? verdict : PIN_NEW;
    return ERR_OK;
}

err_t pin_marker_check(const char *path, struct secret *pin, struct pin_marker *ret,
                       enum pin_verdict *ret_verdict)
{
    _cleanup_buf_ struct buf text = BUF_INIT;
    struct pin_marker m = {.path = path};
    enum pin_verdict verdict = PIN_NEW;
    struct err read = file_read(path, MARKER_MAX, &text);
    if (err_ok(read))
        TRY(compare(&text, pin, &m, &verdict));
    else if (read.code == ERR_TOOLARGE)
        TRY(parse(&text, &m, &verdict)); /* empty text: says that it cannot be understood */
    else if (read.code != ERR_NOTFOUND)
        TRYC(read, "cannot read the PIN marker");
    if (verdict == PIN_NEW) {
        TRY(rand_bytes(m.salt, sizeof m.salt));
        TRY(hash_pin(pin, m.salt, m.hash));
    }
    *ret = m;
    *ret_verdict = verdict;
    return ERR_OK;
}

err_t pin_marker_write(const struct pin_marker *m, enum pin_verdict verdict)
{
    _cleanup_buf_ struct buf text = BUF_INIT;
    buf_addf(&text, "strongroom-pin 1 %s ", verdict == PIN_REFUSED ? FAILED : TRYING);
    buf_add_hex(&text, span_of(m->salt, sizeof m->salt));
    buf_add_byte(&text, ' ');
    buf_add_hex(&text, span_of(m->hash, sizeof m->hash));
    buf_add_byte(&text, '\n');
    TRY(buf_ok(&text));
    return file_write_atomic(m->path, buf_span(&text), 0600);
}

err_t pin_marker_remove(const struct pin_marker *m)
{
    if (unlink(m->path) && errno != ENOENT) FAIL_ERRNO(ERR_INTERNAL, "cannot remove %s", m->path);
    return ERR_OK;
}
