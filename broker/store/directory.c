#include "broker/store/directory_internal.h"

#include "broker/base/file.h"
#include "broker/base/log.h"
#include "broker/base/rand.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define MARK_TEXT "Strongroom envelopes 1\n"
#define FOREIGN_LABEL "strongroom:foreign-file:" /* nobody's label: broker/store/label.c */
#define LOOKS_MAX 8u /* at one bucket that changes while it is read */

struct directory {
    char *path, *text;
    bool writable;
    int lock;                 /* held by a writer; -1 */
    struct p11_beside beside;
};

/* ---- the root ---------------------------------------------------------------------------- */

/* By its path each time: whoever moves the directory away means it, and one that comes back is found.
 * The mark tells an empty mount point from a directory without objects. */
static err_t open_root(const struct directory *d, int *ret)
{
    _cleanup_close_ int fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        FAIL_ERRNO(ERR_TOKEN_DOWN, "the directory of envelopes %s cannot be opened", d->path);
    if (faccessat(fd, DIRECTORY_MARK, F_OK, 0))
        FAIL_ERRNO(ERR_TOKEN_DOWN, "%s is no directory of envelopes (no file %s in it); is it mounted?",
                   d->path, DIRECTORY_MARK);
    *ret = fd;
    fd = -1;
    return ERR_OK;
}

static err_t in_use(void *arg, bool *ret)
{
    const struct directory *d = arg;
    _cleanup_free_ char *mark = NULL;
    struct stat st;
    TRY(path_join(d->path, DIRECTORY_MARK, &mark));
    *ret = lstat(mark, &st) == 0;
    if (*ret || errno == ENOENT || errno == ENOTDIR) return ERR_OK;
    FAIL_ERRNO(ERR_USAGE, "cannot look at %s", mark);
}

static err_t check_rights(const struct directory *d, int root)
{
    struct stat st;
    if (fstat(root, &st)) FAIL_ERRNO(ERR_USAGE, "cannot look at %s", d->path);
    if (st.st_uid != geteuid() && st.st_uid != 0)
        FAIL(ERR_USAGE, "%s belongs to user %u; it must be ours", d->path, (unsigned) st.st_uid);
    if (st.st_mode & 022)
        FAIL(ERR_USAGE, "others may write to %s (mode %03o); run: chmod 700 %s", d->path,
             (unsigned) (st.st_mode & 0777), d->path);
    return ERR_OK;
}

static err_t take_lock(struct directory *d, int root)
{
    d->lock = openat(root, DIRECTORY_LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (d->lock < 0) FAIL_ERRNO(ERR_USAGE, "cannot open %s/%s", d->path, DIRECTORY_LOCK);
    if (flock(d->lock, LOCK_EX | LOCK_NB) == 0) return ERR_OK;
    if (errno != EWOULDBLOCK) FAIL_ERRNO(ERR_INTERNAL, "cannot lock %s/%s", d->path, DIRECTORY_LOCK);
    FAIL(ERR_CONFLICT, "another program writes to %s; stop it, or be its reader (token.role)", d->path);
}

static err_t check_mark(const struct directory *d, int root)
{
    _cleanup_buf_ struct buf mark = BUF_INIT;
    TRYC(directory_file_read(root, DIRECTORY_MARK, &mark), "in %s", d->path);
    if (!span_eq_str(buf_span(&mark), MARK_TEXT))
        FAIL(ERR_USAGE, "%s/%s says another format than this program writes; a newer Strongroom made it",
             d->path, DIRECTORY_MARK);
    return ERR_OK;
}

static err_t begin(void *arg)
{
    struct directory *d = arg;
    bool used = false;
    struct directory_write mark = {DIRECTORY_MARK, SPAN_LIT(MARK_TEXT), .replace = true, .sync = true};
    TRY(in_use(d, &used));
    if (!used && !d->writable)
        FAIL(ERR_USAGE, "there are no envelopes in %s yet; the token's writer begins", d->path);
    TRY(file_make_dirs(d->path, 0700));
    _cleanup_close_ int root = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) FAIL_ERRNO(ERR_USAGE, "cannot open %s", d->path);
    TRY(check_rights(d, root));
    if (used) TRY(check_mark(d, root));
    if (!d->writable || d->lock >= 0) return ERR_OK;
    TRY(take_lock(d, root));
    directory_sweep(root);
    return used ? ERR_OK : directory_file_write(root, &mark);
}

/* ---- objects ----------------------------------------------------------------------------- */

static err_t new_handle(const char *label, uint64_t *ret)
{
    uint64_t random = 0;
    TRY(rand_bytes(&random, sizeof random));
    *ret = (uint64_t) directory_bucket(label) << 56 | random >> 8 | 1u; /* never 0 */
    return ERR_OK;
}

/* As if for the first time; and what was not read back must not be found later. */
static err_t read_back(int root, const struct directory_write *w)
{
    _cleanup_buf_ struct buf bytes = {.max = ENVELOPE_MAX + 1};
    struct err e = directory_file_read(root, w->path, &bytes);
    if (err_ok(e) && span_eq(buf_span(&bytes), w->value)) return ERR_OK;
    err_ignore(directory_file_remove(root, w->path));
    TRYC(e, "reading back");
    FAIL(ERR_TOKEN_DOWN, "%s comes back changed; it was removed", w->path);
}

static err_t create(void *arg, const char *label, struct span value, uint64_t *ret)
{
    const struct directory *d = arg;
    _cleanup_close_ int root = -1;
    _cleanup_buf_ struct buf path = BUF_INIT;
    uint64_t handle = 0;
    TRY(open_root(d, &root));
    TRY(new_handle(label, &handle));
    TRY(directory_path_make(label, handle, &path));
    struct directory_write w = {buf_str(&path), value, .sync = true};
    struct err e = directory_file_write(root, &w);
    /* It may be there, but not for good. */
    if (!err_ok(e)) err_ignore(directory_file_remove(root, w.path));
    TRYC(e, "writing %s", label);
    TRY(read_back(root, &w));
    *ret = handle;
    return ERR_OK;
}

static err_t find_path(int root, uint64_t handle, char **ret)
{
    _cleanup_listing_ struct listing l = {0};
    char label[P11_LABEL_MAX];
    uint64_t is = 0;
    TRY(listing_read(root, directory_bucket_of(handle), &l));
    for (size_t i = 0; i < l.n; i++) {
        if (!directory_path_read(l.at[i], label, &is) || is != handle) continue;
        *ret = TAKE_PTR(l.at[i]);
        return ERR_OK;
    }
    FAIL(ERR_NOTFOUND, "the directory of envelopes has no file %016llx", (unsigned long long) handle);
}

static err_t read_object(void *arg, uint64_t handle, struct buf *ret)
{
    _cleanup_close_ int root = -1;
    _cleanup_free_ char *path = NULL;
    TRY(open_root(arg, &root));
    TRY(find_path(root, handle, &path));
    return directory_file_read(root, path, ret);
}

static err_t destroy(void *arg, uint64_t handle)
{
    _cleanup_close_ int root = -1;
    _cleanup_free_ char *path = NULL;
    TRY(open_root(arg, &root));
    TRY(find_path(root, handle, &path));
    return directory_file_remove(root, path);
}

static err_t find(void *arg, const char *label, uint64_t *ret, size_t max, size_t *ret_n)
{
    _cleanup_close_ int root = -1;
    _cleanup_listing_ struct listing l = {0};
    char is[P11_LABEL_MAX];
    uint64_t handle = 0;
    size_t n = 0;
    TRY(open_root(arg, &root));
    TRY(listing_read(root, directory_bucket(label), &l));
    for (size_t i = 0; i < l.n && n < max; i++)
        if (directory_path_read(l.at[i], is, &handle) && strcmp(is, label) == 0) ret[n++] = handle;
    *ret_n = n;
    return ERR_OK;
}

/* ---- scanning ---------------------------------------------------------------------------- */

struct scan {
    int root;
    bool with_values;
    err_t (*visit)(void *arg, const struct p11_seen *seen);
    void *arg;
    struct listing seen; /* of this bucket: what was visited */
    bool outrun;         /* a file went while we read: another may have come in its place */
};

static void scan_done(struct scan *s)
{
    listing_free(&s->seen);
}

static err_t visit_foreign(struct scan *s, const char *path)
{
    char label[P11_LABEL_MAX], safe[P11_LABEL_MAX - sizeof FOREIGN_LABEL];
    snprintf(label, sizeof label, FOREIGN_LABEL "%s",
             log_escape(safe, sizeof safe, span_str(path)));
    struct p11_seen seen = {.object.epoch = P11_EPOCH_BESIDE, .label = label};
    return s->visit(s->arg, &seen);
}

static bool is_empty_folder(const char *path)
{
    return path[strlen(path) - 1] == '/';
}

static err_t visit_path(struct scan *s, const char *path)
{
    if (is_empty_folder(path)) { /* the file in it may have gone just now; in the next look it was seen */
        s->outrun = true;
        return ERR_OK;
    }
    _cleanup_buf_ struct buf value = {.max = ENVELOPE_MAX + 1};
    char label[P11_LABEL_MAX];
    struct p11_seen seen = {.object.epoch = P11_EPOCH_BESIDE, .label = label};
    if (!directory_path_read(path, label, &seen.object.handle)) return visit_foreign(s, path);
    struct err e = s->with_values ? directory_file_read(s->root, path, &value) : ERR_OK;
    if (e.code == ERR_NOTFOUND) {
        s->outrun = true;
        return ERR_OK;
    }
    seen.unreadable = e.code == ERR_DAMAGED;
    if (seen.unreadable) log_warn_err(e, "store.file-unreadable", LOG_S("label", label));
    else TRY(e);
    seen.value = buf_span(&value);
    return s->visit(s->arg, &seen);
}

static bool was_seen(const struct scan *s, const char *path)
{
    for (size_t i = 0; i < s->seen.n; i++)
        if (strcmp(s->seen.at[i], path) == 0) return true;
    return false;
}

/* A writer puts the new version before it takes the old one away: who found the old one gone looks
 * again, and finds the new one in the same bucket. */
static err_t scan_bucket(struct scan *s, uint8_t bucket)
{
    s->outrun = true;
    for (unsigned look = 0; s->outrun; look++) {
        _cleanup_listing_ struct listing now = {0};
        if (look == LOOKS_MAX) FAIL(ERR_BUSY, "the directory of envelopes changes faster than it can "
                                    "be read; try again");
        TRY(listing_read(s->root, bucket, &now));
        s->outrun = now.outrun;
        for (size_t i = 0; i < now.n; i++)
            if (!was_seen(s, now.at[i])) TRY(visit_path(s, now.at[i]));
        listing_free(&s->seen);
        s->seen = now;
        now = (struct listing){0};
    }
    listing_free(&s->seen);
    return ERR_OK;
}

static err_t scan(void *arg, bool with_values,
                  err_t (*visit)(void *visit_arg, const struct p11_seen *seen), void *visit_arg)
{
    _cleanup_close_ int root = -1;
    _cleanup_listing_ struct listing strangers = {0};
    TRY(open_root(arg, &root));
    _cleanup_(scan_done) struct scan s = {.root = root, .with_values = with_values, .visit = visit,
                                          .arg = visit_arg};
    for (unsigned bucket = 0; bucket < DIRECTORY_BUCKETS; bucket++)
        TRY(scan_bucket(&s, (uint8_t) bucket));
    TRY(listing_read_root(root, &strangers));
    for (size_t i = 0; i < strangers.n; i++) TRY(visit_foreign(&s, strangers.at[i]));
    return ERR_OK;
}

/* ---- the epoch --------------------------------------------------------------------------- */

static err_t epoch_read(void *arg, char ret[P11_EPOCH_TEXT])
{
    _cleanup_close_ int root = -1;
    _cleanup_buf_ struct buf text = BUF_INIT;
    TRY(open_root(arg, &root));
    TRY(directory_file_read(root, DIRECTORY_EPOCH, &text));
    if (text.len >= P11_EPOCH_TEXT || !span_starts(buf_span(&text), P11_EPOCH_LABEL) ||
        memchr(text.data, 0, text.len))
        FAIL(ERR_NOTFOUND, "the directory of envelopes has an epoch that is none");
    memcpy(ret, text.data, text.len);
    ret[text.len] = '\0';
    return ERR_OK;
}

/* Not synced: after a power cut everybody reads everything anyway. */
static err_t epoch_write(void *arg, const char *epoch)
{
    _cleanup_close_ int root = -1;
    struct directory_write w = {DIRECTORY_EPOCH, span_str(epoch), .replace = true};
    TRY(open_root(arg, &root));
    return directory_file_write(root, &w);
}

/* ---- life -------------------------------------------------------------------------------- */

err_t directory_new(const struct directory_config *config, struct directory **ret)
{
    _cleanup_buf_ struct buf text = BUF_INIT;
    if (config->path[0] != '/') FAIL(ERR_USAGE, "%s: give the full path of the directory", config->path);
    _cleanup_(directory_freep) struct directory *d = calloc(1, sizeof *d);
    if (!d) FAIL(ERR_INTERNAL, "out of memory");
    d->lock = -1;
    d->writable = config->writable;
    d->path = strdup(config->path);
    buf_addf(&text, "directory %s", config->path);
    d->text = strdup(buf_str(&text));
    if (!d->path || !d->text) FAIL(ERR_INTERNAL, "out of memory");
    d->beside = (struct p11_beside){
        .arg = d, .text = d->text, .in_use = in_use, .begin = begin, .create = create,
        .read = read_object, .destroy = destroy, .scan = scan, .find = find,
        .epoch_read = epoch_read, .epoch_write = epoch_write,
    };
    *ret = TAKE_PTR(d);
    return ERR_OK;
}

void directory_free(struct directory *d)
{
    if (!d) return;
    if (d->lock >= 0) close(d->lock);
    free(d->path);
    free(d->text);
    free(d);
}

const struct p11_beside *directory_beside(struct directory *d)
{
    return &d->beside;
}
