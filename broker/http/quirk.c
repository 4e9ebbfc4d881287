#include "broker/http/quirk.h"

#include <microhttpd.h>
#include <string.h>

bool quirk_applies(void)
{
    return strncmp(MHD_get_version(), "0.", 2) == 0;
}

bool quirk_folded(const char *name, size_t name_len, const char *value)
{
    const char *at = name + name_len + 1;
    return value != at + strspn(at, " \t");
}

void quirk_hide_arguments(char *target)
{
    char *mark = strchr(target, '?');
    if (mark && mark[1]) mark[1] = '\0';
}

bool quirk_nul_in_target(const char *url, const char *version, size_t target_len)
{
    return url + target_len + 1 != version;
}
