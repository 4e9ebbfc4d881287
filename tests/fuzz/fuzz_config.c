/* Target Functions: config_parse yaml_parse config_read_map nearest_distance */
#include "broker/config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config *config = NULL;
    err_ignore(config_parse(span_of(data, size), "fuzz", &config)); /* any verdict will do */
    config_free(config);
    return 0;
}
