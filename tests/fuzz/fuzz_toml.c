/* Target Functions: toml_to_json json_parse */
#include "broker/base/json.h"
#include "broker/base/toml.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever it accepts must be JSON that our strict reader takes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_buf_ struct buf json = BUF_INIT;
    if (!err_ok(toml_to_json(span_of(data, size), &json))) return 0;
    _cleanup_json_ struct json_doc *doc = NULL;
    if (!err_ok(json_parse(buf_span(&json), &doc))) abort();
    return 0;
}
