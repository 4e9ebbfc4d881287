#include "broker/api/key_health.h"

#include "broker/jose/key_source.h"

#include <inttypes.h>

static uint64_t refreshes(const struct key_source_stats *s) { return s->refreshes; }
static uint64_t failures(const struct key_source_stats *s) { return s->failures; }
static uint64_t keys(const struct key_source_stats *s) { return s->keys; }
static uint64_t age(const struct key_source_stats *s) { return s->age_seconds; }

static const struct metric_row {
    const char *name, *type, *help;
    uint64_t (*value)(const struct key_source_stats *s);
    bool only_loaded;
} rows[] = {
    {"strongroom_key_refreshes_total", "counter", "Looks at a source of keys that went well",
     refreshes, false},
    {"strongroom_key_failures_total", "counter", "Looks at a source of keys that failed", failures,
     false},
    {"strongroom_keys", "gauge", "Keys that a source has", keys, false},
    {"strongroom_key_age_seconds", "gauge", "Since a source of keys was last read", age, true},
};

static void each_source(const struct api_config *c,
                        void (*visit)(void *arg, const struct key_source_stats *s), void *arg)
{
    if (c->attest) key_sources_stats(attest_keys(c->attest), visit, arg);
    if (c->admin) key_sources_stats(admin_keys(c->admin), visit, arg);
}

struct series {
    const struct metric_row *row;
    struct buf *out;
    bool begun;
};

/* Names are the configuration's and hold nothing that a label would have to escape. */
static void put_one(void *arg, const struct key_source_stats *s)
{
    struct series *o = arg;
    if (o->row->only_loaded && !s->loaded) return;
    if (!o->begun)
        buf_addf(o->out, "# HELP %s %s\n# TYPE %s %s\n", o->row->name, o->row->help, o->row->name,
                 o->row->type);
    o->begun = true;
    buf_addf(o->out, "%s{source=\"%s\"} %" PRIu64 "\n", o->row->name, s->name, o->row->value(s));
}

void key_health_metrics(const struct api_config *config, struct buf *out)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct series o = {.row = &rows[i], .out = out};
        each_source(config, put_one, &o);
    }
}

static void count_missing(void *arg, const struct key_source_stats *s)
{
    *(size_t *) arg += !s->loaded;
}

size_t key_health_missing(const struct api_config *config)
{
    size_t missing = 0;
    each_source(config, count_missing, &missing);
    return missing;
}
