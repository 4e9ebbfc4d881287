/* Target Functions: attest_auth attest_evidence attest_by_token attestation_parse appraise */
#include "broker/attest/attest.h"
#include "broker/base/log.h"

#include <sanitizer/lsan_interface.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct attest *make(void)
{
    struct attest_config config = {.sample_verifier = true, .session_max = 64,
                                   .allow_rsa1_5 = true};
    struct attest *a = NULL;
    log_set_level(LOG_LEVEL_ERROR);
    /* OpenSSL's generators, made here at first use, are held by pointers in its secure heap, where
     * the leak check does not look. */
    __lsan_disable();
    if (!err_ok(attest_new(&config, &a))) abort();
    __lsan_enable();
    return a;
}

/* A body is offered as request, as attestation of a fresh session, and as token. None of them can
 * be bound to the nonce of that session, so no token may come back. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct attest *a;
    static const char request[] = "{\"version\":\"0.4.0\",\"tee\":\"sample\",\"extra-params\":\"\"}";
    struct span body = span_of(data, size);
    struct attest_challenge c = {0}, again = {0};
    struct buf token = BUF_INIT;
    struct guest *g = NULL;
    if (!a) a = make();
    err_ignore(attest_auth(a, body, &again)); /* whatever it is, it must not crash */
    if (!err_ok(attest_auth(a, span_str(request), &c))) abort();
    if (err_ok(attest_evidence(a, c.session, body, &token, &again)) || token.len) abort();
    if (err_ok(attest_by_session(a, c.session, &g))) abort();
    if (err_ok(attest_by_token(a, body, &g))) abort();
    buf_free(&token);
    return 0;
}
