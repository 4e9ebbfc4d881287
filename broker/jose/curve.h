/* What costs more to make than to use, made once for each EC curve: its group, and in each thread a
 * generator of keys and a key that takes others' points. Internal to jose/. */
#pragma once

#include "broker/jose/key_kind.h"

/* All three are of kinds of EC and thread-safe; ERR_INTERNAL when this OpenSSL lacks the curve or memory
 * is out. */

/* A public key of the point, the caller's. ERR_USAGE unless the point is uncompressed (SEC 1 2.3.3),
 * both coordinates are in the field, and it lies on the curve. */
err_t curve_key(const struct key_kind *kind, struct span point, EVP_PKEY **ret);

/* The same without a key of its own, for a tenth of the cost: this thread's, borrowed until its next call for
 * this curve. For one use at once. */
err_t curve_borrow(const struct key_kind *kind, struct span point, EVP_PKEY **ret);

/* A fresh key pair, the caller's. */
err_t curve_generate(const struct key_kind *kind, EVP_PKEY **ret);
