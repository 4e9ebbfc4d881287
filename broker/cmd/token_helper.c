/* strongroom token-helper: what the broker starts to have the vendor's module in. */
#include "broker/cmd/cmd.h"
#include "pkcs11/p11.h"

struct err cmd_token_helper(const struct command *self, int argc, char **argv)
{
    return p11_helper_run();
}
