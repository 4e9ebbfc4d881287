/* Load from a process of its own, so that the memory and the cores of this one are the broker's alone: it is
 * forked for each run and leaves its results in shared memory. Meanwhile it asks for /healthz, on a fresh
 * connection each time, as a kubelet does. */
#pragma once

#include "tests/bench/open_load.h"

struct probe_result {
    struct latencies answers; /* 200 */
    uint64_t failed;          /* another status, no connection, or no answer within a second */
};

struct generator_result {
    struct open_result load;
    struct probe_result health;
};

/* With `half`, puts this process on the lower half of the cores and the generator on the others, unless there is
 * one only; else they share them all. Says how many this process has. Before any thread is started. */
unsigned generator_take_cores(bool half);

/* `load->server` is this process, whatever it says. */
err_t generator_run(const struct open_load *load, struct generator_result *ret);
