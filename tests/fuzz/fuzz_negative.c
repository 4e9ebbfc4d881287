/* Target Functions: none; it crashes on its own seed, so that run.sh proves that it sees crashes */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 4 && memcmp(data, "BOOM", 4) == 0) __builtin_trap();
    return 0;
}
