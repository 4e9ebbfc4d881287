/* The module's functions with each call watched and measured (watch.h, pace.h): the same function list,
 * whose entries note when they begin and end. Whoever calls notices nothing.
 *
 * A function list has no place for a context, so one module of the process is metered at a time, the first
 * that is loaded; the program serves one. Calls of others go straight through. */
#pragma once

#include <p11-kit/pkcs11.h>

/* The metered list for this module, or `real` itself. The caller serialises both (module.c). */
CK_FUNCTION_LIST *meter_wrap(CK_FUNCTION_LIST *real);
/* From now on calls of the metered module wait for each other, all of them: for one that bears no two at
 * a time. What such a call waits counts for its deadline. Before others may call; ends with meter_unwrap. */
void meter_serialize(void);
/* Before the module is unloaded. */
void meter_unwrap(const CK_FUNCTION_LIST *real);
