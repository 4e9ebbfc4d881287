/* strongroom dev: a broker on a SoftHSM token of its own, gone when it ends. */
#include "broker/base/file.h"
#include "broker/base/log.h"
#include "broker/base/rand.h"
#include "broker/cmd/admin_token.h"
#include "broker/cmd/cmd.h"
#include "broker/cmd/daemon.h"
#include "broker/cmd/policy_upload.h"
#include "broker/cmd/vault.h"
#include "broker/config/config_check.h"
#include "pkcs11/p11.h"
#include "policy/policy.h"

#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#define ISSUER "strongroom-dev"
#define ADMIN_SOCKET "/run/admin.sock" /* in its folder */

struct dev {
    const char *listen, *module;
    bool keep;
    char dir[512];
};

static err_t dev_path(const struct dev *d, const char *name, char **ret)
{
    return path_join(d->dir, name, ret);
}

static err_t write_file(const struct dev *d, const char *name, struct span data, unsigned mode)
{
    _cleanup_free_ char *path = NULL;
    TRY(dev_path(d, name, &path));
    return file_write_atomic(path, data, mode);
}

/* ---- making the world ---------------------------------------------------------------------- */

static err_t make_folder(struct dev *d)
{
    const char *wanted = getenv("TMPDIR");
    if (!wanted || !*wanted) wanted = "/tmp";
    _cleanup_free_ char *base = realpath(wanted, NULL); /* the configuration wants whole paths */
    if (!base) FAIL_ERRNO(ERR_USAGE, "TMPDIR: %s", wanted);
    const size_t room = sizeof((struct sockaddr_un *) NULL)->sun_path;
    if (strlen(base) + sizeof "/strongroom-dev.XXXXXX" + sizeof ADMIN_SOCKET > room)
        FAIL(ERR_USAGE, "TMPDIR is too long for a socket below it; say a shorter one: %s", base);
    snprintf(d->dir, sizeof d->dir, "%s/strongroom-dev.XXXXXX", base);
    if (!mkdtemp(d->dir)) FAIL_ERRNO(ERR_USAGE, "cannot create the folder %s", d->dir);
    static const char *const folders[] = {"tokens", "state", "run"};
    for (size_t i = 0; i < 3; i++) {
        _cleanup_free_ char *path = NULL;
        TRY(dev_path(d, folders[i], &path));
        TRY(file_make_dirs(path, 0700));
    }
    return ERR_OK;
}

/* 128 random bits as hex digits, in locked memory from the first bit on. */
static err_t random_pin(struct secret **ret)
{
    static const char digits[] = "0123456789abcdef";
    TRY(secret_new(32, ret));
    uint8_t *pin = secret_data(*ret);
    TRY(rand_bytes(pin, 32));
    for (size_t i = 0; i < 32; i++) pin[i] = (uint8_t) digits[pin[i] & 15];
    return ERR_OK;
}

static err_t make_token(struct dev *d)
{
    _cleanup_buf_ struct buf conf = BUF_INIT;
    _cleanup_free_ char *conf_path = NULL;
    _cleanup_free_ char *state = NULL;
    _cleanup_free_ char *backup = NULL;
    _cleanup_secret_ struct secret *so_pin = NULL;
    _cleanup_secret_ struct secret *pin = NULL;
    struct p11_token_info info = {0};
    buf_addf(&conf, "directories.tokendir = %s/tokens\nobjectstore.backend = file\nlog.level = ERROR\n",
             d->dir);
    TRY(write_file(d, "softhsm2.conf", buf_span(&conf), 0600));
    TRY(dev_path(d, "softhsm2.conf", &conf_path));
    TRY(dev_path(d, "state", &state));
    setenv("SOFTHSM2_CONF", conf_path, 1);
    TRY(random_pin(&so_pin));
    TRY(random_pin(&pin));
    TRY(write_file(d, "pin", secret_span(pin), 0600));
    return p11_token_init(d->module, "strongroom-dev", so_pin, pin, state, &info, &backup);
}

/* The operator's key, a token of his for a day, and the same as a header for `curl -H @FILE`. */
static err_t make_operator(struct dev *d)
{
    _cleanup_free_ char *key = NULL;
    _cleanup_free_ char *public_key = NULL;
    _cleanup_buf_ struct buf token = BUF_INIT;
    _cleanup_buf_ struct buf header = BUF_INIT;
    struct admin_token t = {.role = "admin", .subject = "dev", .issuer = ISSUER,
                            .audience = "KBS", .seconds = 86400};
    TRY(dev_path(d, "admin.pem", &key));
    TRY(dev_path(d, "admin.pem.pub", &public_key));
    TRY(admin_keygen(key, public_key));
    TRY(admin_token_sign(key, &t, &token));
    TRY(write_file(d, "admin-token", buf_span(&token), 0600));
    buf_add_str(&header, "Authorization: Bearer ");
    buf_add_span(&header, buf_span(&token));
    buf_add_str(&header, "\n");
    return write_file(d, "admin-header", buf_span(&header), 0600);
}

static err_t make_config(struct dev *d, struct config **ret)
{
    _cleanup_buf_ struct buf b = BUF_INIT;
    _cleanup_free_ char *path = NULL;
    buf_addf(&b, "# Made by `strongroom dev`; good for nothing but trying things out.\n"
                 "http_server: {sockets: [\"%s\"], admin_socket: \"%s" ADMIN_SOCKET "\"}\n",
             d->listen, d->dir);
    buf_addf(&b, "token: {module: \"%s\", uri: \"pkcs11:token=strongroom-dev\", "
                 "pin_source: \"file:%s/pin\"}\n", d->module, d->dir);
    buf_addf(&b, "attestation_service: {verifier: sample}\n"
                 "admin:\n  authorization_mode: AuthenticatedAuthorization\n"
                 "  authentication: {bearer_jwt: {identity_providers: [{public_key_uri: "
                 "\"%s/admin.pem.pub\", default_role: admin}]}}\n", d->dir);
    buf_addf(&b, "storage: {keep_versions: 3}\n"
                 "audit: {file: \"%s/audit.jsonl\", sync: none}\n"
                 "process: {state_dir: \"%s/state\", run_dir: \"%s/run\", "
                 "memory_lock: best-effort}\n", d->dir, d->dir, d->dir);
    TRY(write_file(d, "strongroom.yaml", buf_span(&b), 0600));
    TRY(dev_path(d, "strongroom.yaml", &path));
    return config_load(path, ret);
}

static err_t post(struct vault *vault, const char *path, struct span body)
{
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    return vault_ask(vault, &(struct vault_request){"POST", path, .body = body}, path, &answer);
}

static err_t fill(const struct config *config)
{
    _cleanup_buf_ struct buf allow_all = BUF_INIT;
    TRY(policy_upload_body(NULL, SPAN_LIT(POLICY_ALLOW_ALL_TEXT), &allow_all));
    _cleanup_(vault_closep) struct vault *vault = NULL;
    TRY(vault_open(config, "strongroom dev", &vault));
    TRY(post(vault, "/strongroom/v1/keks", span_of(NULL, 0)));
    TRY(post(vault, "/kbs/v0/resource-policy", buf_span(&allow_all)));
    TRY(post(vault, "/kbs/v0/resource/default/hello/world", SPAN_LIT("Hello from the vault.\n")));
    return post(vault, "/kbs/v0/resource/default/key/1", SPAN_LIT("an example key\n"));
}

/* ---- running and removing ------------------------------------------------------------------ */

static err_t tell(void *arg, const char *url)
{
    const struct dev *d = arg;
    printf("Strongroom %s, for development only: any program on this host can attest.\n\n"
           "  broker         %s\n  everything in  %s%s\n  resources      default/hello/world, "
           "default/key/1 (policy: allow all)\n\n", STRONGROOM_VERSION, url, d->dir,
           d->keep ? "" : " (removed at exit)");
    printf("As a guest:\n"
           "  strongroom fetch --url %s kbs:///default/hello/world\n"
           "  kbs-client --url %s get-resource --path default/hello/world\n\n", url, url);
    printf("As an operator:\n"
           "  echo secret | strongroom resource put -c %s/strongroom.yaml default/my/secret\n"
           "  curl -H @%s/admin-header --data-binary @FILE %s/kbs/v0/resource/default/my/file\n"
           "  kbs-client --url %s config --admin-token-file %s/admin-token set-resource \\\n"
           "      --path default/my/file --resource-file FILE\n\n", d->dir, d->dir, url, url,
           d->dir);
    printf("What the token holds (its PIN lies in %s/pin):\n"
           "  SOFTHSM2_CONF=%s/softhsm2.conf pkcs11-tool --module %s -O --login\n\n"
           "Ctrl-C ends it.\n", d->dir, d->dir, d->module);
    fflush(stdout);
    return ERR_OK;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

/* So that nothing is left of what was begun, token and PIN above all: who interrupts is heard between two steps, and
 * by daemon_run from then on. */
static void hold_interrupts(sigset_t *ret)
{
    sigemptyset(ret);
    sigaddset(ret, SIGTERM);
    sigaddset(ret, SIGINT);
    sigaddset(ret, SIGHUP);
    pthread_sigmask(SIG_BLOCK, ret, NULL);
}

static err_t check_interrupts(const sigset_t *held)
{
    sigset_t pending;
    sigpending(&pending);
    for (int i = 1; i < NSIG; i++)
        if (sigismember(held, i) == 1 && sigismember(&pending, i) == 1) FAIL(ERR_INTERNAL, "interrupted");
    return ERR_OK;
}

static err_t make_all(struct dev *d, const sigset_t *held, struct config **ret)
{
    TRY(secret_init(SECRET_BUDGET_DEFAULT, true, false));
    TRY(make_token(d));
    TRY(check_interrupts(held));
    TRY(make_operator(d));
    TRY(make_config(d, ret));
    TRY(check_interrupts(held));
    return fill(*ret);
}

static err_t run(struct dev *d, const sigset_t *held)
{
    _cleanup_(config_freep) struct config *config = NULL;
    TRY(make_all(d, held, &config));
    log_set_level(LOG_LEVEL_INFO);
    struct daemon_hooks hooks = {.ready = tell, .arg = d};
    return daemon_run(config, "strongroom dev", &hooks);
}

struct err cmd_dev(const struct command *self, int argc, char **argv)
{
    struct dev d = {.listen = "127.0.0.1:8080", .module = "/usr/lib/softhsm/libsofthsm2.so"};
    const struct opt table[] = {
        {"listen", 'l', OPT_TEXT, &d.listen, "ADDRESS", "loopback address (default 127.0.0.1:8080)"},
        {"module", 'm', OPT_TEXT, &d.module, "FILE", "SoftHSM's module"},
        {"keep", 0, OPT_FLAG, &d.keep, NULL, "keep the folder at exit"},
        {0},
    };
    TRY(opt_parse(self, table, "",
                  "Makes a temporary token with a random PIN, an operator's key and two resources,\n"
                  "and serves them on loopback with the sample verifier until Ctrl-C.",
                  argc, argv, 0, 0, NULL));
    const char *wrong = config_check_socket(d.listen);
    if (wrong) FAIL(ERR_USAGE, "--listen %s", wrong);
    if (!config_is_loopback(d.listen))
        FAIL(ERR_USAGE, "dev listens on loopback only (127.0.0.1:PORT), not on %s", d.listen);
    sigset_t held;
    hold_interrupts(&held);
    TRY(make_folder(&d));
    struct err_chain chain;
    struct err e = run(&d, &held);
    if (!err_ok(e)) err_save(e, &chain);
    if (d.keep) printf("kept: %s\n", d.dir);
    else nftw(d.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return err_ok(e) ? e : err_load(&chain);
}
