#include "broker/config/config_diff.h"

#include "broker/config/config_keys.h"

#include <string.h>

static const void *field(const void *base, size_t offset)
{
    return (const uint8_t *) base + offset;
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_texts(const void *a, const void *b, size_t count)
{
    const char *const *x = *(const char *const *const *) a, *const *y = *(const char *const *const *) b;
    for (size_t i = 0; i < count; i++)
        if (!same_text(x[i], y[i])) return false;
    return true;
}

static bool same_value(const struct config_key *key, const void *a, const void *b);

static bool same_records(const struct config_table *table, const void *a, const void *b, size_t count)
{
    const uint8_t *x = *(const uint8_t *const *) a, *y = *(const uint8_t *const *) b;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < table->count; k++)
            if (!same_value(&table->keys[k], x + i * table->size, y + i * table->size)) return false;
    return true;
}

static bool same_list(const struct config_key *key, const void *a, const void *b)
{
    size_t count = *(const size_t *) field(a, key->count_offset);
    if (count != *(const size_t *) field(b, key->count_offset)) return false;
    a = field(a, key->offset);
    b = field(b, key->offset);
    return key->type == CONFIG_RECORDS ? same_records(key->record, a, b, count) : same_texts(a, b, count);
}

/* `a` and `b` are what the key's table fills. */
static bool same_value(const struct config_key *key, const void *a, const void *b)
{
    switch (key->type) {
    case CONFIG_TEXTS:
    case CONFIG_PATHS:
    case CONFIG_PLACES:
    case CONFIG_RECORDS: return same_list(key, a, b);
    case CONFIG_TEXT:
    case CONFIG_PATH:
    case CONFIG_PLACE:
    case CONFIG_WORD:
        return same_text(*(const char *const *) field(a, key->offset), *(const char *const *) field(b, key->offset));
    case CONFIG_TRUTH:
    case CONFIG_NUMBER:
    case CONFIG_SIZE:
    case CONFIG_CHOICE: break;
    }
    return memcmp(field(a, key->offset), field(b, key->offset), key->size) == 0;
}

static void add_path(const struct config_key *key, struct buf *ret)
{
    if (ret->len) buf_add_byte(ret, ' ');
    buf_add_str(ret, key->path);
}

void config_reloaded_keys(struct buf *ret)
{
    for (size_t i = 0; i < config_keys.count; i++)
        if (config_keys.keys[i].flags & CONFIG_RELOADED) add_path(&config_keys.keys[i], ret);
}

void config_restart_keys(const struct config *running, const struct config *fresh, struct buf *ret)
{
    for (size_t i = 0; i < config_keys.count; i++) {
        const struct config_key *key = &config_keys.keys[i];
        if (!(key->flags & CONFIG_RELOADED) && !same_value(key, running, fresh)) add_path(key, ret);
    }
}
