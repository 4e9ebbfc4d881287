#include "broker/api/policy_print.h"

#include "broker/base/log.h"

#include <stdio.h>

void policy_print_line(void *context, const char *line, size_t len)
{
    unsigned *left = context;
    char shown[512];
    if (*left == 0) return;
    if (--*left == 0) snprintf(shown, sizeof shown, "(no more lines are shown)");
    else snprintf(shown, sizeof shown, "%.*s", (int) (len < sizeof shown ? len : sizeof shown), line);
    log_debug("policy.print", LOG_S("line", shown));
}
