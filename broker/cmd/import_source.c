#include "broker/cmd/import_source.h"

#include "broker/base/bump.h"
#include "broker/base/file.h"
#include "broker/base/log.h"
#include "broker/cmd/import_files.h"
#include "broker/cmd/import_postgres.h"
#include "broker/config/kbs_config.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define OLD_REPOSITORY "/opt/confidential-containers/kbs/repository" /* of a KBS until v0.18 */

/* Where one namespace lies. */
struct place {
    const char *root; /* folder that links may not leave; NULL: not in files */
    const char *path; /* below it */
    bool postgres;
};

struct import_source {
    struct bump arena; /* of every text here */
    struct place places[KBS_SPACES];
    const char *policy; /* one file, or NULL */
    const char *folder; /* namespaces were found there: what lies beside them is told; or NULL */
    const char *json;   /* the same of its local_json */
    struct import_postgres *postgres;
    struct buf notes;
};

void import_source_close(struct import_source *s)
{
    if (!s) return;
    import_postgres_close(s->postgres);
    buf_free(&s->notes);
    bump_free(&s->arena);
    free(s);
}

const char *import_source_notes(struct import_source *s) { return buf_str(&s->notes); }

static bool is_there(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static err_t keep(struct import_source *s, const char *text, const char **ret)
{
    *ret = bump_text(&s->arena, span_str(text));
    if (!*ret) FAIL(ERR_INTERNAL, "out of memory");
    return ERR_OK;
}

static err_t put_place(struct import_source *s, enum kbs_space space, const char *root,
                       const char *name)
{
    _cleanup_free_ char *path = NULL;
    if (name) TRY(path_join(root, name, &path));
    s->places[space].postgres = false;
    TRY(keep(s, root, &s->places[space].root));
    return keep(s, path ? path : root, &s->places[space].path);
}

/* ---- a folder ------------------------------------------------------------------------------ */

static err_t put_if_there(struct import_source *s, enum kbs_space space, const char *root,
                          const char *name, size_t *found)
{
    _cleanup_free_ char *path = NULL;
    TRY(path_join(root, name, &path));
    if (!is_there(path)) return ERR_OK;
    (*found)++;
    return put_place(s, space, root, name);
}

/* What else a KBS keeps beside it and nobody can use here. */
static err_t note_others(struct import_source *s, const char *folder)
{
    static const char *const others[] = {"provisioner"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        _cleanup_free_ char *path = NULL;
        TRY(path_join(folder, others[i], &path));
        if (is_there(path))
            buf_addf(&s->notes, "not taken: the namespace %s, which is of a plugin that is not here\n",
                     others[i]);
    }
    return ERR_OK;
}

/* A store has its namespaces below it, as folders or files; the operator keeps reference values
 * beside the others (kbs-api.md 12.1). Anything else is taken for the repository itself. */
static err_t from_folder(struct import_source *s, const char *folder)
{
    _cleanup_free_ char *json = NULL;
    size_t found = 0, beside = 0;
    for (enum kbs_space i = 0; i < KBS_SPACES; i++)
        TRY(put_if_there(s, i, folder, kbs_space_name(i), &found));
    if (!s->places[KBS_REFERENCE_VALUES].root)
        TRY(put_if_there(s, KBS_REFERENCE_VALUES, folder, "local_json/reference_value", &beside));
    TRY(note_others(s, folder));
    TRY(path_join(folder, "local_json", &json));
    if (found && is_folder(json)) {
        TRY(note_others(s, json));
        TRY(keep(s, json, &s->json));
    }
    if (found) return keep(s, folder, &s->folder);
    buf_addf(&s->notes, "no namespaces below this folder, so it is read as a repository\n");
    return put_place(s, KBS_REPOSITORY, folder, NULL);
}

static bool is_same_file(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* What has its place in a store, here or elsewhere: namespaces that are read or have their note, sessions
 * (which are not taken), and what file systems keep in their root. */
static bool is_known(void *arg, const char *path, const char *name)
{
    static const char *const passed[] = {"kbs_protocol_session", "provisioner", "lost+found"};
    const struct import_source *s = arg;
    for (size_t i = 0; i < sizeof passed / sizeof *passed; i++)
        if (strcmp(name, passed[i]) == 0) return true;
    for (enum kbs_space i = 0; i < KBS_SPACES; i++)
        if (s->places[i].path && strcmp(path, s->places[i].path) == 0) return true;
    if (s->json && strcmp(path, s->json) == 0) return true;
    return s->policy && is_same_file(path, s->policy);
}

static err_t walk_others(struct import_source *s, const struct import_walk *walk)
{
    const struct import_others beside = {is_known, s, "it is no namespace of a KBS, so it is not read; a nested "
                                         "repository is imported from a folder where no namespace is beside it"};
    const struct import_others inside = {is_known, s, "it lies in local_json, of which reference values alone are "
                                         "read; import that folder by itself"};
    if (s->folder) TRY(import_files_others(s->folder, &beside, walk));
    return s->json ? import_files_others(s->json, &inside, walk) : ERR_OK;
}

/* ---- a configuration ----------------------------------------------------------------------- */

#define REDIS_SENTENCE                                                                           \
    "Redis is not read here: write each key that SCAN repository:* finds to a file with GET "    \
    "(repository/default\\x2Fkey\\x2F1), and import that folder"

enum backend { BACKEND_FILES, BACKEND_POSTGRES, BACKEND_NONE };

/* Storage types by their names without '_' and case (kbs-api.md 8.4). */
static const struct {
    const char *name;
    enum backend backend;
    const char *path, *fallback; /* where its folder is named; what it is otherwise */
    const char *sentence;        /* why not */
} backends[] = {
    {"localfs", BACKEND_FILES, "storage_backend.backends.local_fs.dir_path",
     "/opt/confidential-containers/storage/local_fs", NULL},
    {"localjson", BACKEND_FILES, "storage_backend.backends.local_json.file_dir_path",
     "/opt/confidential-containers/storage/local_json", NULL},
    {"postgres", BACKEND_POSTGRES, NULL, NULL, NULL},
    {"redis", BACKEND_NONE, NULL, NULL, REDIS_SENTENCE},
    {"memory", BACKEND_NONE, NULL, NULL,
     "it is kept in the KBS's memory: nothing lies anywhere, so set it here anew"},
};

static err_t put_text(struct buf *out, const char *keyword, const char *value)
{
    if (!value) return ERR_OK;
    buf_addf(out, "%s='", keyword);
    for (; *value; value++) {
        if (*value == '\'' || *value == '\\') buf_add_byte(out, '\\');
        buf_add_byte(out, (uint8_t) *value);
    }
    buf_add_str(out, "' ");
    return buf_ok(out);
}

static err_t connect_to(struct import_source *s, const char *conninfo)
{
    const char *warning = NULL;
    TRY(import_postgres_open(conninfo, &s->postgres, &warning));
    if (warning) buf_addf(&s->notes, "%s\n", warning);
    return ERR_OK;
}

/* The password in the file is not used: it would have to pass through memory that nobody wipes. */
static err_t open_postgres(struct import_source *s, const struct yaml_node *root)
{
    static const char *const keys[][2] = {{"host", "host"}, {"port", "port"}, {"dbname", "db"},
                                          {"user", "username"}};
    const struct yaml_node *section = kbs_config_member(root, "storage_backend");
    section = kbs_config_member(kbs_config_member(section, "backends"), "postgres");
    _cleanup_buf_ struct buf info = BUF_INIT;
    if (s->postgres) return ERR_OK;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        TRY(put_text(&info, keys[i][0], kbs_config_text(section, keys[i][1])));
    if (!kbs_config_member(section, "db")) TRY(put_text(&info, "dbname", "postgres"));
    if (!kbs_config_member(section, "host")) TRY(put_text(&info, "host", "localhost"));
    if (kbs_config_member(section, "password"))
        buf_add_str(&s->notes, "the password in that file is left alone; libpq looks in ~/.pgpass and "
                               "PGPASSFILE\n");
    return connect_to(s, buf_str(&info));
}

static err_t put_backend(struct import_source *s, const struct yaml_node *root,
                         enum kbs_space space, const char *type)
{
    char shown[60];
    for (size_t i = 0; i < sizeof backends / sizeof *backends; i++) {
        if (!kbs_config_is_word(type, backends[i].name)) continue;
        if (backends[i].backend == BACKEND_POSTGRES) {
            s->places[space].postgres = true;
            return open_postgres(s, root);
        }
        if (backends[i].backend == BACKEND_NONE) {
            buf_addf(&s->notes, "%s: %s\n", kbs_space_name(space), backends[i].sentence);
            return ERR_OK;
        }
        const char *folder = kbs_config_text(root, backends[i].path);
        return put_place(s, space, folder ? folder : backends[i].fallback, kbs_space_name(space));
    }
    FAIL(ERR_USAGE, "the storage type \"%s\" is none that a KBS has",
         log_escape(shown, sizeof shown, span_str(type)));
}

static const char *or_else(const char *text, const char *otherwise) { return text ? text : otherwise; }

static err_t put_backends(struct import_source *s, const struct yaml_node *root)
{
    const char *type = kbs_config_text(root, "storage_backend.storage_type");
    const char *service = kbs_config_text(root, "attestation_service.storage_type");
    const char *values = kbs_config_text(root, "attestation_service.rvps_config.storage_type");
    if (!type && kbs_config_member(root, "storage_backend")) type = "memory";
    if (!type) return ERR_OK;
    TRY(put_backend(s, root, KBS_REPOSITORY, type));
    TRY(put_backend(s, root, KBS_POLICIES, type));
    TRY(put_backend(s, root, KBS_ATTESTATION_POLICIES, or_else(service, type)));
    return put_backend(s, root, KBS_REFERENCE_VALUES, or_else(values, or_else(service, type)));
}

static bool is_name_of_resource_plugin(const char *name)
{
    return name && (strcmp(name, "resource") == 0 || strcmp(name, "ResourceStorage") == 0);
}

/* What keeps the resources, by the word of the day: "storage_backend_type", before that "backend", before
 * that "type". Whoever moved on may have left old lines, which the KBS passes over. */
static const char *keeper_of(const struct import_source *s, const struct yaml_node *plugin)
{
    const struct place *kept = &s->places[KBS_REPOSITORY];
    const char *type = kbs_config_text(plugin, "storage_backend_type");
    const char *backend = kbs_config_text(plugin, "backend");
    if (type) return type;
    /* At first "kvstorage" had its "type" and folder beside it, and no [storage_backend]. */
    if (backend && (kept->root || kept->postgres || !kbs_config_is_word(backend, "kvstorage"))) return backend;
    return kbs_config_text(plugin, "type");
}

/* The resource plugin, and the section before there were plugins: with a folder of its own until v0.18,
 * with another keeper now and then. */
static err_t put_resources(struct import_source *s, const struct yaml_node *plugin)
{
    const char *type = keeper_of(s, plugin), *folder = kbs_config_text(plugin, "dir_path");
    char shown[60];
    if (type && kbs_config_is_word(type, "kvstorage")) return ERR_OK;
    if (type && !kbs_config_is_word(type, "localfs"))
        FAIL(ERR_USAGE, "its resources are kept by \"%s\", which is not read here: write them to "
             "files <repository>/<type>/<tag>, and import that folder",
             log_escape(shown, sizeof shown, span_str(type)));
    if (!type && !folder) return ERR_OK;
    return put_place(s, KBS_REPOSITORY, or_else(folder, OLD_REPOSITORY), NULL);
}

static err_t from_config(struct import_source *s, const char *file)
{
    struct yaml_node *root = NULL;
    TRY(kbs_config_read(file, &s->arena, &root));
    TRY(put_backends(s, root));
    const struct yaml_node *plugins = kbs_config_member(root, "plugins");
    const struct yaml_node *plugin = plugins && plugins->type == YAML_LIST ? plugins->first : NULL;
    for (; plugin; plugin = plugin->next)
        if (is_name_of_resource_plugin(kbs_config_text(plugin, "name"))) TRY(put_resources(s, plugin));
    TRY(put_resources(s, kbs_config_member(root, "repository_config")));
    if (!s->policy) s->policy = kbs_config_text(root, "policy_engine.policy_path");
    if (!s->policy) s->policy = kbs_config_text(root, "policy_engine_config.policy_path");
    bool old = !kbs_config_member(root, "storage_backend");
    for (enum kbs_space i = 0; i < KBS_SPACES; i++) {
        if (!s->places[i].root && !s->places[i].postgres) continue;
        if (old)
            buf_addf(&s->notes, "not taken: attestation policies and reference values, which a KBS until v0.18 "
                     "keeps elsewhere: set them (policy set --attestation, reference-value set)\n");
        return ERR_OK;
    }
    if (s->notes.len) FAIL(ERR_USAGE, "%s: %s", file, buf_str(&s->notes));
    FAIL(ERR_USAGE, "%s names no store: without [storage_backend] a KBS keeps everything in memory, and one "
         "until v0.18 in " OLD_REPOSITORY ": then name that folder", file);
}

/* ---- public -------------------------------------------------------------------------------- */

static bool begins(const char *text, const char *with)
{
    return strncasecmp(text, with, strlen(with)) == 0;
}

static err_t from_url(struct import_source *s, const char *url)
{
    TRY(import_postgres_check_url(url));
    TRY(connect_to(s, url));
    for (enum kbs_space i = 0; i < KBS_SPACES; i++) s->places[i].postgres = true;
    return ERR_OK;
}

static err_t open_what(struct import_source *s, const char *what)
{
    if (begins(what, "postgresql://") || begins(what, "postgres://")) return from_url(s, what);
    if (begins(what, "redis://") || begins(what, "rediss://"))
        FAIL(ERR_USAGE, REDIS_SENTENCE);
    if (strstr(what, "://"))
        FAIL(ERR_USAGE, "--from-kbs takes a folder, a KBS configuration or a postgresql:// URL");
    if (!is_there(what)) FAIL(ERR_NOTFOUND, "there is no file or folder %s", what);
    return is_folder(what) ? from_folder(s, what) : from_config(s, what);
}

struct err import_source_open(const char *what, const char *policy, struct import_source **ret)
{
    _cleanup_(import_source_closep) struct import_source *s = calloc(1, sizeof *s);
    if (!s) FAIL(ERR_INTERNAL, "out of memory");
    if (policy) TRY(keep(s, policy, &s->policy));
    TRY(open_what(s, what));
    TRY(buf_ok(&s->notes));
    *ret = TAKE_PTR(s);
    return ERR_OK;
}

/* A namespace that was never used is not there. */
static err_t walk_place(struct import_source *s, enum kbs_space space,
                        const struct import_walk *walk)
{
    const struct place *p = &s->places[space];
    bool there = true;
    if (p->postgres && space != KBS_REPOSITORY) TRY(import_postgres_has(s->postgres, space, &there));
    if (!there) return ERR_OK;
    if (p->postgres) return import_postgres_walk(s->postgres, space, walk);
    if (!p->root) return ERR_OK;
    if (!is_there(p->path) && space != KBS_REPOSITORY) return ERR_OK;
    return import_files_walk(p->root, p->path, space, walk);
}

struct err import_source_walk(struct import_source *s, const struct import_walk *walk)
{
    for (enum kbs_space i = 0; i < KBS_SPACES; i++) TRY(walk_place(s, i, walk));
    TRY(walk_others(s, walk));
    if (s->policy && is_there(s->policy))
        return import_file_offer(s->policy, KBS_POLICIES, "resource-policy.rego", walk);
    if (s->policy) FAIL(ERR_NOTFOUND, "there is no policy file %s", s->policy);
    return ERR_OK;
}
