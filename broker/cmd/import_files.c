#include "broker/cmd/import_files.h"

#include "broker/base/bump.h"
#include "broker/base/file.h"
#include "broker/base/limits.h"
#include "broker/cmd/local_json.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <search.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define NESTED_DEPTH 3 /* repository, type, tag */

/* ---- what a path leads to ------------------------------------------------------------------ */

/* A place in the store that was looked at: opened only as far as to ask what it is (O_PATH), so that
 * no FIFO is waited for and no device is touched. */
struct spot {
    int fd;
    mode_t mode;
};

static void spot_close(struct spot *s)
{
    if (s->fd >= 0) close(s->fd);
}
#define _cleanup_spot_ _cleanup_(spot_close)
#define SPOT_INIT ((struct spot){.fd = -1})

static bool is_below(const char *path, const char *root)
{
    size_t len = strlen(root);
    if (strcmp(root, "/") == 0) return true;
    return strncmp(path, root, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

/* Asks the kernel where the opened thing really lies: whoever swaps a link meanwhile gains nothing. */
static err_t check_below(int fd, const char *root, const char *shown)
{
    char link[64], real[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, real, sizeof real - 1);
    if (n < 0) FAIL_ERRNO(ERR_INTERNAL, "cannot read %s; is /proc mounted?", link);
    real[n] = '\0';
    if (!is_below(real, root)) FAIL(ERR_USAGE, "%s is a link that leads out of the store", shown);
    return ERR_OK;
}

static err_t look(int dir, const char *name, const char *root, struct spot *ret)
{
    struct stat st;
    _cleanup_close_ int fd = openat(dir, name, O_PATH | O_CLOEXEC);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
        FAIL_ERRNO(ERR_INTERNAL, "cannot open the store");
    if (fd < 0) FAIL_ERRNO(errno == ENOENT ? ERR_NOTFOUND : ERR_USAGE, "it cannot be opened");
    TRY(check_below(fd, root, "it"));
    if (fstat(fd, &st) != 0) FAIL_ERRNO(ERR_INTERNAL, "cannot look at the store");
    *ret = (struct spot){fd, st.st_mode};
    fd = -1;
    return ERR_OK;
}

/* Opens for reading what was looked at: the very same thing. */
static err_t reopen(const struct spot *s, int flags, int *ret)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", s->fd);
    *ret = open(link, O_RDONLY | O_CLOEXEC | flags);
    if (*ret < 0) FAIL_ERRNO(ERR_USAGE, "it cannot be read");
    return ERR_OK;
}

/* ---- names in a folder --------------------------------------------------------------------- */

struct names {
    char **at;
    size_t count;
};

static void names_free(struct names *n)
{
    for (size_t i = 0; i < n->count; i++) free(n->at[i]);
    free(n->at);
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *) a, *(char *const *) b);
}

/* The names that begin with ".." are how Kubernetes swaps a mount at once (kbs-api.md 12.2). */
static err_t names_add(struct names *n, const char *name)
{
    if (strcmp(name, ".") == 0 || strncmp(name, "..", 2) == 0) return ERR_OK;
    if (n->count == IMPORT_MAX_ENTRIES)
        FAIL(ERR_TOOLARGE, "a folder of the store has more than %u names; move them in parts",
             IMPORT_MAX_ENTRIES);
    char **more = n->count % 64 ? n->at : realloc(n->at, (n->count + 64) * sizeof *more);
    if (!more) FAIL(ERR_INTERNAL, "out of memory");
    n->at = more;
    if (!(n->at[n->count] = strdup(name))) FAIL(ERR_INTERNAL, "out of memory");
    n->count++;
    return ERR_OK;
}

static void close_dir(DIR **d)
{
    if (*d) closedir(*d);
}

static err_t read_names(const struct spot *folder, struct names *ret)
{
    int fd = -1;
    TRY(reopen(folder, O_DIRECTORY, &fd));
    _cleanup_(close_dir) DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        FAIL(ERR_INTERNAL, "out of memory");
    }
    for (;;) {
        errno = 0;
        const struct dirent *e = readdir(dir);
        if (!e && errno) FAIL_ERRNO(ERR_USAGE, "it cannot be read");
        if (!e) break;
        TRY(names_add(ret, e->d_name));
    }
    if (ret->count) qsort(ret->at, ret->count, sizeof *ret->at, by_bytes);
    return ERR_OK;
}

/* ---- files as values ----------------------------------------------------------------------- */

struct reading {
    const char *root;
    enum kbs_space space;
    const struct import_walk *walk;
};

static err_t read_value(void *arg, size_t max, struct secret **ret)
{
    _cleanup_close_ int fd = -1;
    TRY(reopen(arg, O_NONBLOCK | O_NOCTTY, &fd));
    return file_read_fd_secret(fd, max, ret);
}

/* Every '/' of a flat key is the four characters \x2F. */
static void decode_key(const char *name, struct buf *out)
{
    while (*name) {
        bool slash = strncmp(name, "\\x2F", 4) == 0;
        buf_add_byte(out, slash ? '/' : (uint8_t) *name);
        name += slash ? 4 : 1;
    }
}

static err_t offer(const struct reading *r, const struct spot *s, const char *place,
                   struct span key, const char *flaw)
{
    const struct import_entry e = {
        .space = r->space, .key = key, .place = place, .flaw = flaw,
        .read = read_value, .arg = (void *) (uintptr_t) s,
    };
    return import_offer(r->walk, &e);
}

/* What cannot even be looked at. */
static err_t offer_flawed(const struct reading *r, const char *place, struct span key,
                          struct err why)
{
    char flaw[ERR_TEXT];
    if (why.code != ERR_USAGE && why.code != ERR_NOTFOUND) return why;
    snprintf(flaw, sizeof flaw, "%s", err_text(why));
    return offer(r, NULL, place, key, flaw);
}

/* ---- folders ------------------------------------------------------------------------------- */

enum pass { FILES, FOLDERS };

/* A folder of the store: its own key, which the keys in it begin with, and how deep it lies. */
struct folder {
    const struct spot *spot;
    const char *path, *key;
    unsigned depth;
};

static err_t walk_names(const struct reading *r, const struct folder *f, const struct names *names);

static err_t key_of(const struct folder *f, const char *name, struct buf *key)
{
    if (f->key[0]) buf_addf(key, "%s/", f->key);
    if (f->depth == 0) decode_key(name, key);
    else buf_add_str(key, name);
    return buf_ok(key);
}

static err_t walk_inner(const struct reading *r, const struct folder *f, const char *name,
                        const struct spot *s, const char *path, struct buf *key)
{
    if (r->space != KBS_REPOSITORY || f->depth + 1 == NESTED_DEPTH)
        return offer(r, NULL, path, buf_span(key), "it is a folder; a value is expected here");
    if (name[0] == '.') return offer(r, NULL, path, buf_span(key), "it is a hidden folder");
    _cleanup_(names_free) struct names names = {0};
    struct err e = read_names(s, &names);
    if (!err_ok(e)) return offer_flawed(r, path, buf_span(key), e);
    const struct folder inner = {s, path, buf_str(key), f->depth + 1};
    return walk_names(r, &inner, &names);
}

static err_t walk_name(const struct reading *r, const struct folder *f, const char *name,
                       enum pass pass)
{
    _cleanup_buf_ struct buf key = BUF_INIT;
    _cleanup_free_ char *path = NULL;
    _cleanup_spot_ struct spot s = SPOT_INIT;
    TRY(key_of(f, name, &key));
    TRY(path_join(f->path, name, &path));
    struct err e = look(f->spot->fd, name, r->root, &s);
    if (!err_ok(e)) return pass == FILES ? offer_flawed(r, path, buf_span(&key), e) : ERR_OK;
    if (S_ISDIR(s.mode) != (pass == FOLDERS)) return ERR_OK;
    if (S_ISDIR(s.mode)) return walk_inner(r, f, name, &s, path, &key);
    return offer(r, &s, path, buf_span(&key), S_ISREG(s.mode) ? NULL : "it is no regular file");
}

/* Recursion is bounded by NESTED_DEPTH. */
static err_t walk_names(const struct reading *r, const struct folder *f, const struct names *names)
{
    for (enum pass pass = FILES; pass <= FOLDERS; pass++)
        for (size_t i = 0; i < names->count; i++) TRY(walk_name(r, f, names->at[i], pass));
    return ERR_OK;
}

/* ---- one JSON file ------------------------------------------------------------------------- */

struct json_file {
    const struct reading *r;
    const char *path;
    int fd;
    struct secret **value; /* of the entry that is offered */
    struct bump arena;     /* of the keys */
    void *keys;            /* of search.h: struct json_key */
};

struct json_key {
    struct span text;
    bool twice;
};

static int by_text(const void *left, const void *right)
{
    const struct json_key *a = left, *b = right;
    if (a->text.len != b->text.len) return a->text.len < b->text.len ? -1 : 1;
    return a->text.len ? memcmp(a->text.data, b->text.data, a->text.len) : 0;
}

static void keep_key(void *node)
{
    (void) node; /* keys belong to the arena */
}

static void json_file_done(struct json_file *f)
{
    tdestroy(f->keys, keep_key);
    bump_free(&f->arena);
    if (f->fd >= 0) close(f->fd);
}

static struct json_key *find_key(const struct json_file *f, struct span text)
{
    const struct json_key wanted = {.text = text};
    struct json_key *const *found = tfind(&wanted, &f->keys, by_text);
    return found ? *found : NULL;
}

static err_t fill_window(void *arg, uint8_t *into, size_t room, size_t *ret_len)
{
    const struct json_file *f = arg;
    ssize_t n;
    do n = read(f->fd, into, room);
    while (n < 0 && errno == EINTR);
    if (n < 0) FAIL_ERRNO(ERR_INTERNAL, "cannot read %s", f->path);
    *ret_len = (size_t) n;
    return ERR_OK;
}

static err_t take_value(void *arg, size_t max, struct secret **ret)
{
    const struct json_file *f = arg;
    if (secret_len(*f->value) > max)
        FAIL(ERR_TOOLARGE, "its value is larger than the limit of %zu bytes", max);
    *ret = TAKE_PTR(*f->value);
    return ERR_OK;
}

/* Of a key that stands twice the KBS takes the last value. Which one is meant nobody can say here, so
 * none is taken. */
static err_t visit_json(void *arg, struct local_json_entry *entry)
{
    struct json_file *f = arg;
    char twice[ERR_TEXT];
    const struct json_key *key = find_key(f, entry->key);
    snprintf(twice, sizeof twice, "it stands twice in %s", f->path);
    f->value = entry->value;
    const struct import_entry e = {
        .space = f->r->space, .key = entry->key, .place = f->path, .keyed = true,
        .flaw = entry->flaw || !key || !key->twice ? entry->flaw : twice,
        .read = take_value, .arg = f,
    };
    return import_offer(f->r->walk, &e);
}

/* Before anything is offered: which keys there are. */
static err_t note_key(void *arg, struct local_json_entry *entry)
{
    struct json_file *f = arg;
    struct json_key *key = find_key(f, entry->key);
    if (key) {
        key->twice = true;
        return ERR_OK;
    }
    key = bump_alloc(&f->arena, sizeof *key);
    char *text = bump_text(&f->arena, entry->key);
    if (!key || !text) FAIL(ERR_INTERNAL, "out of memory");
    key->text = span_of(text, entry->key.len);
    if (!tsearch(key, &f->keys, by_text)) FAIL(ERR_INTERNAL, "out of memory");
    return ERR_OK;
}

static err_t read_json(struct json_file *f, bool keys_alone)
{
    const struct local_json_source source = {fill_window, f};
    const struct local_json_visitor visitor = {
        .values = !keys_alone && f->r->walk->values, .max = VALUE_MAX,
        .visit = keys_alone ? note_key : visit_json, .arg = f,
    };
    if (lseek(f->fd, 0, SEEK_SET) < 0) FAIL_ERRNO(ERR_INTERNAL, "cannot read %s", f->path);
    return local_json_read(&source, &visitor);
}

/* A file that is malformed anywhere gives nothing: so it is for the KBS. */
static err_t walk_json(const struct reading *r, const struct spot *s, const char *path)
{
    _cleanup_(json_file_done) struct json_file f = {.r = r, .path = path, .fd = -1};
    TRYC(reopen(s, O_NONBLOCK, &f.fd), "%s", path);
    struct err e = read_json(&f, true);
    if (e.code == ERR_USAGE) return offer_flawed(r, path, span_str(kbs_space_name(r->space)), e);
    TRYC(e, "%s", path);
    return read_json(&f, false);
}

/* ---- public -------------------------------------------------------------------------------- */

struct err import_files_walk(const char *root, const char *path, enum kbs_space space,
                             const struct import_walk *walk)
{
    _cleanup_free_ char *real = realpath(root, NULL);
    if (!real) FAIL_ERRNO(errno == ENOENT ? ERR_NOTFOUND : ERR_USAGE, "cannot read %s", root);
    const struct reading r = {.root = real, .space = space, .walk = walk};
    _cleanup_spot_ struct spot s = SPOT_INIT;
    TRYC(look(AT_FDCWD, path, real, &s), "%s", path);
    if (S_ISREG(s.mode)) return walk_json(&r, &s, path);
    if (!S_ISDIR(s.mode)) FAIL(ERR_USAGE, "%s is neither a folder nor a file", path);
    _cleanup_(names_free) struct names names = {0};
    TRYC(read_names(&s, &names), "%s", path);
    const struct folder top = {&s, path, "", 0};
    return walk_names(&r, &top, &names);
}

struct err import_file_offer(const char *path, enum kbs_space space, const char *key,
                             const struct import_walk *walk)
{
    const struct reading r = {.root = "/", .space = space, .walk = walk};
    _cleanup_spot_ struct spot s = SPOT_INIT;
    TRYC(look(AT_FDCWD, path, "/", &s), "%s", path);
    return offer(&r, &s, path, span_str(key), S_ISREG(s.mode) ? NULL : "it is no regular file");
}

struct err import_files_others(const char *folder, const struct import_others *others,
                               const struct import_walk *walk)
{
    const struct reading r = {.root = "/", .space = KBS_REPOSITORY, .walk = walk};
    _cleanup_spot_ struct spot s = SPOT_INIT;
    _cleanup_(names_free) struct names names = {0};
    TRYC(look(AT_FDCWD, folder, "/", &s), "%s", folder);
    TRYC(read_names(&s, &names), "%s", folder);
    for (size_t i = 0; i < names.count; i++) {
        const char *name = names.at[i];
        _cleanup_free_ char *path = NULL;
        if (name[0] == '.') continue;
        TRY(path_join(folder, name, &path));
        if (others->known(others->arg, path, name)) continue;
        TRY(offer(&r, NULL, path, span_str(name), others->flaw));
    }
    return ERR_OK;
}
