/* Target Functions: directory_path_read directory_path_make directory_bucket */
#include "broker/store/directory_internal.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What reads as a path of ours is written so again, and every label has a path that reads back. */
static void there_and_back(const char *label, uint64_t handle, const char *want)
{
    struct buf path = BUF_INIT;
    char again[P11_LABEL_MAX];
    uint64_t number = 0;
    if (!err_ok(directory_path_make(label, handle, &path))) abort();
    if (want && strcmp(buf_str(&path), want) != 0) abort();
    if (!directory_path_read(buf_str(&path), again, &number)) abort();
    if (strcmp(again, label) != 0 || number != handle) abort();
    buf_free(&path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[2048], label[P11_LABEL_MAX];
    uint64_t handle = 0;
    if (size >= sizeof text || (size && memchr(data, 0, size))) return 0;
    if (size) memcpy(text, data, size);
    text[size] = '\0';
    if (directory_path_read(text, label, &handle)) there_and_back(label, handle, text);
    if (size && size < P11_LABEL_MAX)
        there_and_back(text, (uint64_t) directory_bucket(text) << 56 | 1u, NULL);
    return 0;
}
