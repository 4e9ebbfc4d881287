/* One value of the file into one field of the configuration. */
#pragma once

#include "broker/config/config_keys.h"
#include "broker/config/yaml.h"

/* Fills base's fields from a mapping (or null, as an empty one) by the table. seen may be NULL;
 * otherwise seen[i] becomes the node that gave keys[i]. Strings and lists go to the arena. */
err_t config_read_map(const struct config_table *table, const struct yaml_node *map, void *base,
                      struct bump *arena, const struct yaml_node **seen);

/* What a key takes: "8 to 16 seconds", "one of a, b", "text". */
void config_describe(const struct config_key *key, struct buf *ret);
