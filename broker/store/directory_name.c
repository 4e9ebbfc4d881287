#include "broker/store/directory_internal.h"

#include <stdio.h>
#include <string.h>

/* File systems take 255 bytes a name; what is longer is cut into folders of exactly this length. */
#define COMPONENT 200u
#define SUFFIX ".env"
#define TAIL (1u + 16u + sizeof SUFFIX - 1) /* ~, number, suffix */
#define JOINED_MAX (3u * P11_LABEL_MAX + TAIL + 1u)

uint8_t directory_bucket(const char *label)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (const char *c = label; *c; c++) hash = (hash ^ (uint8_t) *c) * 16777619u;
    return (uint8_t) (hash ^ hash >> 8 ^ hash >> 16 ^ hash >> 24);
}

static bool is_plain(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           c == '.' || c == '-' || c == '_' || c == ':';
}

static void add_escaped(struct buf *b, const char *label)
{
    for (const char *c = label; *c; c++) {
        bool hidden = c == label && *c == '.'; /* ls would not show it */
        if (*c == '/') buf_add_byte(b, '+');
        else if (is_plain(*c) && !hidden) buf_add_byte(b, (uint8_t) *c);
        else buf_addf(b, "%%%02X", (unsigned) (uint8_t) *c);
    }
}

err_t directory_path_make(const char *label, uint64_t handle, struct buf *ret)
{
    _cleanup_buf_ struct buf joined = BUF_INIT;
    add_escaped(&joined, label);
    buf_addf(&joined, "~%016llx" SUFFIX, (unsigned long long) handle);
    TRY(buf_ok(&joined));
    buf_addf(ret, "%02x", (unsigned) directory_bucket_of(handle));
    for (size_t at = 0; at < joined.len; at += COMPONENT) {
        size_t rest = joined.len - at;
        buf_add_byte(ret, '/');
        buf_add(ret, joined.data + at, rest < COMPONENT ? rest : COMPONENT);
    }
    return buf_ok(ret);
}

/* Without its folders: what they cut is one text again. False: too long. */
static bool join(const char *path, char out[JOINED_MAX])
{
    size_t n = 0;
    for (const char *c = path; *c; c++) {
        if (*c == '/') continue;
        if (n + 1 >= JOINED_MAX) return false;
        out[n++] = *c;
    }
    out[n] = '\0';
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool read_label(const char *text, size_t len, char out[P11_LABEL_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        int byte = text[i] == '+' ? '/' : text[i];
        if (text[i] == '%') {
            int high = i + 2 < len ? hex_digit(text[i + 1]) : -1;
            int low = i + 2 < len ? hex_digit(text[i + 2]) : -1;
            byte = high < 0 || low < 0 ? 0 : high * 16 + low;
            i += 2;
        } else if (text[i] != '+' && !is_plain(text[i])) {
            return false;
        }
        if (!byte || n + 1 >= P11_LABEL_MAX) return false;
        out[n++] = (char) byte;
    }
    out[n] = '\0';
    return true;
}

static bool read_tail(const char *tail, uint64_t *ret)
{
    uint64_t handle = 0;
    if (tail[0] != '~' || strcmp(tail + 17, SUFFIX) != 0) return false;
    for (size_t i = 1; i <= 16; i++) {
        int digit = tail[i] >= 'a' && tail[i] <= 'f' ? tail[i] - 'a' + 10 : hex_digit(tail[i]);
        if (digit < 0) return false;
        handle = handle << 4 | (uint64_t) digit;
    }
    *ret = handle;
    return true;
}

bool directory_path_read(const char *path, char ret_label[P11_LABEL_MAX], uint64_t *ret_handle)
{
    char joined[JOINED_MAX];
    if (strlen(path) < 3 || path[2] != '/' || !join(path + 3, joined)) return false;
    size_t len = strlen(joined);
    if (len <= TAIL || !read_tail(joined + len - TAIL, ret_handle)) return false;
    if (!read_label(joined, len - TAIL, ret_label)) return false;
    /* There is one way to write each path: any other is not ours, and would not be found again. */
    _cleanup_buf_ struct buf again = BUF_INIT;
    return *ret_handle && directory_bucket(ret_label) == directory_bucket_of(*ret_handle) &&
           err_ok(directory_path_make(ret_label, *ret_handle, &again)) &&
           strcmp(buf_str(&again), path) == 0;
}
