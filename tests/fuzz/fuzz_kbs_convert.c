/* Target Functions: kbs_config_parse kbs_convert */
#include "broker/config/kbs_convert.h"

#include "broker/config/config.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte chooses the format. Whatever is read gives YAML that our own reader takes, or the note
 * that it does not take it yet. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *name = size && data[0] == 'y' ? "fuzz.yaml" : "fuzz.toml";
    struct yaml_node *root = NULL;
    struct config *config = NULL;
    _cleanup_(bump_free) struct bump arena = {0};
    _cleanup_(kbs_conversion_done) struct kbs_conversion c = {0};
    if (size == 0) return 0;
    if (!err_ok(kbs_config_parse(span_of(data + 1, size - 1), name, &arena, &root))) return 0;
    if (!err_ok(kbs_convert(root, name, &c))) abort();
    bool right = err_ok(config_parse(buf_span(&c.yaml), "out", &config)), told = false;
    config_free(config);
    for (const struct kbs_note *n = c.notes; n; n = n->next) told = told || strcmp(n->path, "(all)") == 0;
    if (!right && !told) abort();
    return 0;
}
