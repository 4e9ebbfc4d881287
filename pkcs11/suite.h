/* The suite of this token, found by trying it. suite_negotiate is in p11_internal.h. */
#pragma once

#include "pkcs11/p11_internal.h"

/* Makes, wraps, unwraps, uses and tampers content keys under this KEK, on session objects alone.
 * ERR_USAGE names the step that this token cannot do or does wrongly; ERR_TOKEN_DOWN when it
 * stopped answering. */
err_t suite_self_test(struct p11 *p, CK_OBJECT_HANDLE kek);
/* The same, and the result is what this token seals with from now on. */
err_t suite_negotiate_with(struct p11 *p, CK_OBJECT_HANDLE kek);
