#include "tests/lib/softhsm.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static const char *const MODULES[] = {
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
};

static int complain(const char *what)
{
    fprintf(stderr, "softhsm: %s: %s\n", what, errno ? strerror(errno) : "failed");
    return -1;
}

static const char *find_module(void)
{
    const char *named = getenv("STRONGROOM_SOFTHSM");
    if (named) return named;
    for (size_t i = 0; i < sizeof MODULES / sizeof *MODULES; i++)
        if (access(MODULES[i], R_OK) == 0) return MODULES[i];
    return NULL;
}

/* dir/name into a field of the struct; names are short and of our own making. */
static void set_path(char *out, size_t size, const char *dir, const char *name)
{
    int n = snprintf(out, size, "%s/%s", dir, name);
    if (n < 0 || (size_t) n >= size) abort();
}

int softhsm_write(const struct softhsm *t, const char *name, const char *text, unsigned mode,
                  char *ret_path, size_t size)
{
    set_path(ret_path, size, t->dir, name);
    int fd = open(ret_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return complain(ret_path);
    size_t len = strlen(text);
    int ok = write(fd, text, len) == (ssize_t) len && fchmod(fd, mode) == 0;
    close(fd);
    return ok ? 0 : complain(ret_path);
}

static int write_conf(struct softhsm *t)
{
    char text[600], path[300];
    snprintf(text, sizeof text,
             "directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n"
             "slots.removable = false\n", t->tokens);
    if (softhsm_write(t, "softhsm2.conf", text, 0600, path, sizeof path)) return -1;
    return setenv("SOFTHSM2_CONF", path, 1);
}

int softhsm_start(struct softhsm *t, const char *label)
{
    memset(t, 0, sizeof *t);
    errno = 0;
    t->module = find_module();
    if (!t->module) return complain("libsofthsm2.so (install softhsm2)");
    const char *tmp = getenv("TMPDIR");
    set_path(t->dir, sizeof t->dir, tmp && *tmp ? tmp : P_tmpdir, "strongroom-test-XXXXXX");
    if (!mkdtemp(t->dir)) return complain(t->dir);
    set_path(t->tokens, sizeof t->tokens, t->dir, "tokens");
    set_path(t->state, sizeof t->state, t->dir, "state");
    set_path(t->control, sizeof t->control, t->dir, "fault-control");
    set_path(t->fault_log, sizeof t->fault_log, t->dir, "fault-log");
    if (mkdir(t->tokens, 0700) || mkdir(t->state, 0700)) return complain(t->dir);
    if (softhsm_write(t, "pin", SOFTHSM_PIN "\n", 0600, t->pin_file, sizeof t->pin_file))
        return -1;
    if (write_conf(t)) return complain("softhsm2.conf");
    if (!label) return 0;
    snprintf(t->uri, sizeof t->uri, "pkcs11:token=%s", label);
    return softhsm_add_token(t, label);
}

int softhsm_add_token(struct softhsm *t, const char *label)
{
    (void) t;
    char *const argv[] = {"softhsm2-util", "--init-token", "--free", "--label", (char *) label,
                          "--so-pin", SOFTHSM_SO_PIN, "--pin", SOFTHSM_PIN, NULL};
    posix_spawn_file_actions_t quiet;
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    pid_t pid = 0;
    int status = 0;
    errno = posix_spawnp(&pid, argv[0], &quiet, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&quiet);
    if (errno) return complain("softhsm2-util (install softhsm2)");
    if (waitpid(pid, &status, 0) != pid || status != 0) return complain("softhsm2-util");
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void) st, (void) flag, (void) ftw;
    return remove(path);
}

int softhsm_stop(struct softhsm *t)
{
    if (t->dir[0]) nftw(t->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    unsetenv("SOFTHSM2_CONF");
    unsetenv("P11FAULT_CONTROL");
    memset(t, 0, sizeof *t);
    return 0;
}

static struct {
    const char *name;
    char path[300];
    int count;
} sought; /* nftw passes no argument */

static int look_at(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void) st;
    if (flag == FTW_F && strcmp(path + ftw->base, sought.name) == 0) {
        sought.count++;
        snprintf(sought.path, sizeof sought.path, "%s", path);
    }
    return 0;
}

int softhsm_find_file(const struct softhsm *t, const char *name, char *ret, size_t size)
{
    sought.name = name;
    sought.count = 0;
    nftw(t->tokens, look_at, 16, FTW_PHYS);
    if (sought.count != 1) return 0;
    snprintf(ret, size, "%s", sought.path);
    return 1;
}

/* ---- faults ----------------------------------------------------------------------------- */

const char *softhsm_fault_module(void)
{
    const char *path = getenv("STRONGROOM_FAULT_MODULE");
    return path && access(path, R_OK) == 0 ? path : NULL;
}

int softhsm_fault(struct softhsm *t, const char *rules)
{
    char text[2048], made[300];
    int n = snprintf(text, sizeof text, "log %s\n%s\n", t->fault_log, rules);
    if (n < 0 || (size_t) n >= sizeof text) return -1;
    /* Written beside and renamed: the module must never read half of it. */
    if (softhsm_write(t, "fault-control.new", text, 0600, made, sizeof made)) return -1;
    if (rename(made, t->control)) return complain(t->control);
    setenv("P11FAULT_MODULE", t->module, 1);
    return setenv("P11FAULT_CONTROL", t->control, 1);
}

int softhsm_fault_count(const struct softhsm *t, const char *call)
{
    FILE *f = fopen(t->fault_log, "re");
    if (!f) return 0;
    char line[128];
    int count = 0;
    size_t len = strlen(call);
    while (fgets(line, sizeof line, f))
        if (strncmp(line, call, len) == 0 && (line[len] == '\n' || line[len] == ' ')) count++;
    fclose(f);
    return count;
}

void softhsm_fault_clear_log(const struct softhsm *t)
{
    if (truncate(t->fault_log, 0)) return; /* not there yet is as good */
}
