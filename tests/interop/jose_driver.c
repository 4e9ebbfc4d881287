/* What tests/interop/jose.py drives: one operation of jose/ a run, result on stdout.
 *
 *     encrypt JWK-FILE PLAINTEXT-FILE      the JWE
 *     decrypt PEM-FILE JWE-FILE            the plaintext
 *     sign ALG PEM-FILE PAYLOAD-FILE       the compact token
 *     verify JWK-FILE TOKEN-FILE           the payload
 *
 * Exit code 0 when done, 1 when refused (the reason on stderr), 2 on misuse. */
#include "broker/base/file.h"
#include "broker/jose/jwe.h"
#include "broker/jose/jws.h"

#include <stdio.h>
#include <string.h>

#define MAX_FILE (8u << 20)

static err_t encrypt(char **arg)
{
    _cleanup_buf_ struct buf jwk = BUF_INIT;
    _cleanup_buf_ struct buf plaintext = BUF_INIT;
    _cleanup_buf_ struct buf out = BUF_INIT;
    _cleanup_json_ struct json_doc *doc = NULL;
    _cleanup_(jwe_key_freep) struct jwe_key *key = NULL;
    TRY(file_read(arg[0], MAX_FILE, &jwk));
    TRY(file_read(arg[1], MAX_FILE, &plaintext));
    TRY(json_parse(buf_span(&jwk), &doc));
    TRY(jwe_key_from_json(json_root(doc), true, &key));
    TRY(jwe_encrypt(key, buf_span(&plaintext), &out));
    return file_write_all(STDOUT_FILENO, buf_span(&out));
}

static err_t read_key(const char *path, EVP_PKEY **ret)
{
    _cleanup_buf_ struct buf pem = BUF_INIT; /* a test's key, which guards nothing */
    TRY(file_read(path, MAX_FILE, &pem));
    return key_from_pem(buf_span(&pem), ret);
}

static err_t decrypt(char **arg)
{
    _cleanup_pkey_ EVP_PKEY *key = NULL;
    _cleanup_buf_ struct buf jwe = BUF_INIT;
    _cleanup_secret_ struct secret *out = NULL;
    TRY(read_key(arg[0], &key));
    TRY(file_read(arg[1], MAX_FILE, &jwe));
    TRY(jwe_decrypt(key, buf_span(&jwe), &out));
    return file_write_all(STDOUT_FILENO, secret_span(out));
}

static err_t sign(char **arg)
{
    _cleanup_pkey_ EVP_PKEY *key = NULL;
    _cleanup_buf_ struct buf payload = BUF_INIT;
    _cleanup_buf_ struct buf header = BUF_INIT;
    _cleanup_buf_ struct buf out = BUF_INIT;
    TRY(read_key(arg[1], &key));
    TRY(file_read(arg[2], MAX_FILE, &payload));
    buf_addf(&header, "{\"alg\":\"%s\"}", arg[0]);
    TRY(jws_sign(arg[0], key, buf_span(&header), buf_span(&payload), &out));
    return file_write_all(STDOUT_FILENO, buf_span(&out));
}

static err_t verify(char **arg)
{
    _cleanup_buf_ struct buf text = BUF_INIT;
    _cleanup_buf_ struct buf compact = BUF_INIT;
    _cleanup_json_ struct json_doc *doc = NULL;
    _cleanup_jwk_ struct jwk *key = NULL;
    _cleanup_jws_ struct jws *token = NULL;
    TRY(file_read(arg[0], MAX_FILE, &text));
    TRY(file_read(arg[1], MAX_FILE, &compact));
    TRY(json_parse(buf_span(&text), &doc));
    TRY(jwk_from_json(json_root(doc), &key));
    TRY(jws_parse(buf_span(&compact), &token));
    TRY(jws_verify(token, key));
    return file_write_all(STDOUT_FILENO, jws_payload(token));
}

static const struct {
    const char *name;
    int args;
    err_t (*run)(char **arg);
} COMMANDS[] = {{"encrypt", 2, encrypt}, {"decrypt", 2, decrypt}, {"sign", 3, sign}, {"verify", 2, verify}};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof COMMANDS / sizeof COMMANDS[0]; i++) {
        if (strcmp(argv[1], COMMANDS[i].name) != 0 || argc != 2 + COMMANDS[i].args) continue;
        struct err e = COMMANDS[i].run(argv + 2);
        if (!err_ok(e)) fprintf(stderr, "%s\n", err_text(e));
        return err_ok(e) ? 0 : 1;
    }
    fprintf(stderr, "usage: jose_driver encrypt|decrypt|sign|verify ARGUMENT...\n");
    return 2;
}
