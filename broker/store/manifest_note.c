#include "broker/store/manifest_note.h"

#include "broker/base/file.h"
#include "broker/base/limits.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FIRST "strongroom-manifest-note 1\n"

/* "word digits\n" at *at, which is moved behind it. */
static bool read_number(const char **at, const char *word, uint64_t *ret)
{
    size_t len = strlen(word);
    if (strncmp(*at, word, len) != 0 || (*at)[len] < '0' || (*at)[len] > '9') return false;
    char *end = NULL;
    errno = 0;
    *ret = strtoull(*at + len, &end, 10);
    if (errno || *end != '\n') return false;
    *at = end + 1;
    return true;
}

struct err manifest_note_read(const char *path, struct manifest_note *ret)
{
    _cleanup_buf_ struct buf text = BUF_INIT;
    struct manifest_note n = {0};
    *ret = n;
    if (!path) return ERR_OK;
    struct err e = file_read(path, MANIFEST_NOTE_MAX, &text);
    if (e.code == ERR_NOTFOUND) return ERR_OK;
    TRY(e);
    const char *at = buf_str(&text);
    bool sound = strlen(at) == text.len && strncmp(at, FIRST, strlen(FIRST)) == 0;
    if (sound) {
        at += strlen(FIRST);
        sound = read_number(&at, "known ", &n.known) &&
                read_number(&at, "lost-known ", &n.lost_known) &&
                read_number(&at, "lost-found ", &n.lost_found) && !*at;
    }
    if (!sound) FAIL(ERR_DAMAGED, "%s is no note of a manifest; see what happened to it, then remove it", path);
    *ret = n;
    return ERR_OK;
}

struct err manifest_note_write(const char *path, const struct manifest_note *n)
{
    _cleanup_buf_ struct buf text = BUF_INIT;
    if (!path) return ERR_OK;
    buf_addf(&text, FIRST "known %" PRIu64 "\nlost-known %" PRIu64 "\nlost-found %" PRIu64 "\n",
             n->known, n->lost_known, n->lost_found);
    TRY(buf_ok(&text));
    return file_write_atomic(path, buf_span(&text), 0600);
}
