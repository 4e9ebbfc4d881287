/* One writer per token on this host: flock(2) on a file named by the token's serial number. */
#pragma once

#include "broker/base/err.h"

struct writer_lock;

/* `who` ("strongroom serve") and our pid are written into the file for the one who finds it taken.
 * lock_dir is made (0755) when missing; who can do that and owns it is the caller's affair.
 * ERR_CONFLICT names the holder and what to do. The file stays; the lock ends with the process. */
err_t writer_lock_take(const char *lock_dir, const char *serial, const char *who,
                       struct writer_lock **ret);
void writer_lock_release(struct writer_lock *l);
