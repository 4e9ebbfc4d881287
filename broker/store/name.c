#include "broker/store/store.h"

#include <string.h>

/* kbs-api.md 1.3: exactly three segments, each [A-Za-z0-9_-][A-Za-z0-9_.-]*. */
static const char *const PARTS[] = {"repository", "type", "tag"};
#define PART_COUNT (sizeof PARTS / sizeof *PARTS)

static bool is_word(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           c == '_' || c == '-';
}

static err_t check_segment(const char *part, struct span segment)
{
    if (segment.len == 0)
        FAIL(ERR_USAGE, "the %s is empty; a resource is named repository/type/tag", part);
    if (segment.data[0] == '.') FAIL(ERR_USAGE, "the %s begins with a dot", part);
    for (size_t i = 0; i < segment.len; i++) {
        char c = (char) segment.data[i];
        if (!is_word(c) && c != '.')
            FAIL(ERR_USAGE, "the %s has the byte 0x%02x; letters, digits, '_', '-' and '.' are "
                 "allowed", part, (unsigned) segment.data[i]);
    }
    return ERR_OK;
}

struct err store_check_name(const char *name)
{
    size_t len = strlen(name), segments = 1;
    if (len > NAME_MAX_BYTES)
        FAIL(ERR_USAGE, "the name is %zu bytes long; the limit is %u", len, NAME_MAX_BYTES);
    for (const char *c = name; *c; c++) segments += *c == '/';
    if (segments != PART_COUNT)
        FAIL(ERR_USAGE, "the name has %zu segments; it needs exactly three: repository/type/tag",
             segments);
    const char *at = name;
    for (size_t i = 0; i < PART_COUNT; i++) {
        size_t n = strcspn(at, "/");
        TRY(check_segment(PARTS[i], span_of(at, n)));
        at += n + 1;
    }
    return ERR_OK;
}
