/* strongroom admin keygen|token */
#include "broker/base/clock.h"
#include "broker/base/file.h"
#include "broker/base/json.h"
#include "broker/base/limits.h"
#include "broker/cmd/admin_token.h"
#include "broker/cmd/cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Never overwrites: a key in use must not be lost to a repeated command. On failure there is no such file
 * unless there was one. */
static err_t write_new(const char *path, struct span data, unsigned mode)
{
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0)
        FAIL_ERRNO(errno == EEXIST ? ERR_CONFLICT : ERR_USAGE, "cannot create %s", path);
    struct err e = file_write_all(fd, data);
    if (!err_ok(e)) unlink(path);
    TRYC(e, "%s", path);
    return ERR_OK;
}

struct err admin_keygen(const char *key_file, const char *public_file)
{
    _cleanup_pkey_ EVP_PKEY *key = NULL;
    _cleanup_secret_ struct secret *pem = NULL;
    _cleanup_buf_ struct buf public_pem = BUF_INIT;
    TRY(key_generate_ed25519(&key));
    TRY(key_to_pem(key, &pem));
    TRY(key_public_pem(key, &public_pem));
    TRY(write_new(key_file, secret_span(pem), 0600));
    struct err e = write_new(public_file, buf_span(&public_pem), 0644);
    if (!err_ok(e)) unlink(key_file); /* half a pair would be in the way of the next try */
    return e;
}

struct err admin_token_sign(const char *key_file, const struct admin_token *t, struct buf *ret)
{
    _cleanup_secret_ struct secret *pem = NULL;
    _cleanup_pkey_ EVP_PKEY *key = NULL;
    TRY(file_read_secret(key_file, 16384, &pem));
    TRYC(key_from_pem(secret_span(pem), &key), "%s", key_file);
    bool ed25519 = EVP_PKEY_is_a(key, "ED25519") == 1;
    _cleanup_buf_ struct buf claims = BUF_INIT;
    struct json_out o = JSON_OUT(&claims);
    int64_t now = clock_now();
    json_begin_object(&o);
    if (t->issuer) json_member_str(&o, "iss", t->issuer);
    if (t->audience) json_member_str(&o, "aud", t->audience);
    if (t->subject) json_member_str(&o, "sub", t->subject);
    json_member_str(&o, "role", t->role);
    json_member_int(&o, "iat", now);
    json_member_int(&o, "exp", now + t->seconds);
    json_end_object(&o);
    TRY(buf_ok(&claims));
    TRYC(jws_sign(ed25519 ? "EdDSA" : "ES256", key,
                  ed25519 ? SPAN_LIT("{\"alg\":\"EdDSA\",\"typ\":\"JWT\"}")
                          : SPAN_LIT("{\"alg\":\"ES256\",\"typ\":\"JWT\"}"), buf_span(&claims), ret),
         "%s: an operator's key is Ed25519 or EC P-256", key_file);
    return ERR_OK;
}

struct err cmd_admin_keygen(const struct command *self, int argc, char **argv)
{
    const char *operands[1];
    const struct opt table[] = {{0}};
    TRY(opt_parse(self, table, "FILE",
                  "Writes an Ed25519 private key to FILE (mode 0600) and its public half to\n"
                  "FILE.pub, which goes into admin.authentication.bearer_jwt.", argc, argv, 1, 1,
                  operands));
    TRY(secret_init(SECRET_BUDGET_COMMAND, true, false));
    _cleanup_free_ char *public_file = NULL;
    if (asprintf(&public_file, "%s.pub", operands[0]) < 0) FAIL(ERR_INTERNAL, "out of memory");
    TRY(admin_keygen(operands[0], public_file));
    fprintf(stderr, "wrote %s and %s\n", operands[0], public_file);
    return ERR_OK;
}

struct err cmd_admin_token(const struct command *self, int argc, char **argv)
{
    const char *key_file = NULL;
    unsigned seconds = 7200;
    struct admin_token t = {.role = "admin"};
    const struct opt table[] = {
        {"key", 'k', OPT_TEXT, &key_file, "FILE", "private key, PEM (Ed25519 or EC P-256)"},
        {"role", 0, OPT_TEXT, &t.role, "ROLE", "role claim (default admin)"},
        {"subject", 0, OPT_TEXT, &t.subject, "NAME", "sub claim, for the audit record"},
        {"issuer", 0, OPT_TEXT, &t.issuer, "NAME", "iss claim"},
        {"audience", 0, OPT_TEXT, &t.audience, "NAME", "aud claim"},
        {"seconds", 0, OPT_NUMBER, &seconds, "N", "how long it is good (default 7200)"},
        {0},
    };
    TRY(opt_parse(self, table, "", "Prints the token; keep it in a file of mode 0600.", argc, argv,
                  0, 0, NULL));
    if (seconds == 0) FAIL(ERR_USAGE, "--seconds wants a number from 1 on");
    if (!key_file) FAIL(ERR_USAGE, "--key is needed; `strongroom admin keygen` makes one");
    TRY(secret_init(SECRET_BUDGET_COMMAND, true, false));
    t.seconds = seconds;
    _cleanup_buf_ struct buf token = BUF_INIT;
    TRY(admin_token_sign(key_file, &t, &token));
    printf("%s\n", buf_str(&token));
    return ERR_OK;
}
