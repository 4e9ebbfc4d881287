#include "broker/store/store_internal.h"

#include "broker/base/clock.h"
#include "broker/base/log.h"

#include <string.h>

static err_t start(struct store *s)
{
    SCOPED_WORK(s);
    /* A writer that was killed may have told nobody of its last write. And where there is an epoch object,
     * readers look at a label through a handle instead of searching for something that is not there. */
    char epoch[P11_EPOCH_TEXT] = "";
    struct err told = s->config.writable ? p11_epoch_touch(s->config.token, epoch) : ERR_OK;
    if (!err_ok(told)) log_warn_err(told, "store.epoch", LOG_S("effect", "other brokers may see the last write late"));
    TRYC(rescan_locked(s), "reading the objects of token '%s'", p11_label(s->config.token));
    return ERR_OK;
}

struct err store_open(const struct store_config *config, struct store **ret)
{
    _cleanup_(store_closep) struct store *s = calloc(1, sizeof *s);
    if (!s) FAIL(ERR_INTERNAL, "out of memory");
    pthread_mutex_init(&s->work, NULL);
    pthread_mutex_init(&s->lock, NULL);
    scrub_init(s);
    pthread_mutex_init(&s->listening, NULL);
    s->config = *config;
    s->config.writer = config->writer ? strdup(config->writer) : NULL;
    if (config->writer && !s->config.writer) FAIL(ERR_INTERNAL, "out of memory");
    if (s->config.keep_versions == 0) s->config.keep_versions = 1;
    if (s->config.keep_policies == 0) s->config.keep_policies = 1;
    if (s->config.value_max == 0 || s->config.value_max > VALUE_MAX)
        s->config.value_max = VALUE_MAX;
    TRY(manifest_init(s, config->state_dir));
    s->config.state_dir = NULL; /* the caller's */
    uint64_t begun = clock_mono_ns();
    TRY(start(s));
    s->rescans = 0; /* counts those after the first scan */
    struct store_stats stats;
    store_stats(s, &stats);
    if (config->watch) TRY(refresher_start(s));
    log_info("store.open", LOG_S("token", p11_label(config->token)), LOG_U("live", stats.live),
             LOG_U("deleted", stats.deleted), LOG_U("damaged", stats.damaged),
             LOG_U("foreign", stats.foreign), LOG_U("torn", stats.torn),
             LOG_U("ms", (clock_mono_ns() - begun) / (CLOCK_SECOND_NS / 1000)));
    *ret = TAKE_PTR(s);
    return ERR_OK;
}

void store_close(struct store *s)
{
    if (!s) return;
    scrub_done(s);
    refresher_stop(s);
    if (s->manifest.dirty) manifest_flush(s);
    manifest_done(s);
    catalog_free(s->catalog);
    free((char *) s->config.writer);
    pthread_mutex_destroy(&s->listening);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->work);
    free(s);
}
