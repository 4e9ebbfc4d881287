/* Guests against a broker that runs already, for tests and by hand:
 *
 *     bench_guests ADDRESS MODE ROUNDS [KEY [CONNECTIONS [RESOURCE]]]
 *
 * MODE: auth, handshake, fetch (a handshake and a GET), cookie, bearer. KEY: P-256, P-521, RSA-2048.
 * Prints one line of JSON; ends with 1 when a request is not answered with 200. */
#include "broker/base/log.h"
#include "broker/base/secret.h"
#include "broker/base/limits.h"
#include "tests/bench/guests.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *argument(int argc, char **argv, int at, const char *fallback)
{
    return at < argc ? argv[at] : fallback;
}

static err_t run(int argc, char **argv)
{
    const struct guests_mode *mode = guests_mode_named(argv[2]);
    _cleanup_(guests_freep) struct guests *guests = NULL;
    uint64_t rounds = strtoull(argv[3], NULL, 10);
    unsigned long connections = strtoul(argument(argc, argv, 5, "16"), NULL, 10);
    if (!mode || rounds == 0 || connections == 0 || connections > LOAD_CONNECTIONS_MAX)
        FAIL(ERR_USAGE, "a mode, a number of rounds and 1 to %u connections are wanted",
             LOAD_CONNECTIONS_MAX);
    TRY(secret_init(SECRET_BUDGET_COMMAND, true, false));
    TRY(guests_new(mode, argument(argc, argv, 4, "P-256"), argument(argc, argv, 6, "bench/value/0"),
                   true, &guests));
    struct load load = {.address = argv[1], .connections = (unsigned) connections,
                        .threads = connections > 1 ? 2 : 1,
                        .answers = rounds * guests_requests(mode),
                        .ask = guests_ask, .hear = guests_hear, .context = guests};
    struct load_result r;
    TRY(load_run(&load, &r));
    printf("{\"mode\":\"%s\",\"answers\":%ju,\"seconds\":%.3f,\"rounds_per_s\":%.0f}\n", mode->name,
           (uintmax_t) r.answers, r.seconds,
           (double) r.answers / guests_requests(mode) / r.seconds);
    return ERR_OK;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: bench_guests ADDRESS MODE ROUNDS [KEY [CONNECTIONS [RESOURCE]]]\n");
        return 2;
    }
    log_set_level(LOG_LEVEL_ERROR);
    struct err e = run(argc, argv);
    if (!err_ok(e)) fprintf(stderr, "bench_guests: %s\n", err_text(e));
    return err_exit_code(e.code);
}
