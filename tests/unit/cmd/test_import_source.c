/* Where a KBS keeps what it has. */
#include "broker/cmd/import_source.h"

#include "tests/unit/cmd/collect.h"

static char notes[1000];

static void walk_source(const char *what, const char *policy)
{
    struct import_source *s = NULL;
    buf_reset(&seen);
    assert_ok(import_source_open(what, policy, &s));
    snprintf(notes, sizeof notes, "%s", import_source_notes(s));
    struct err e = import_source_walk(s, &walk);
    import_source_close(s);
    assert_ok(e);
}

static void test_folder__namespaces_as_folders_and_files(void **state)
{
    make_folder("repository");
    make("repository/a\\x2Fb\\x2Fc", "1");
    make("kbs", "{\"resource-policy.rego\":\"b25l\"}");
    make_folder("local_json");
    make("local_json/reference_value", "{\"n\":\"b25l\"}");
    make_folder("provisioner");
    walk_source(dir, NULL);
    assert_string_equal(buf_str(&seen), "resource a/b/c = 1\npolicy resource-policy = one\n"
                        "reference-value n = one\n");
    assert_non_null(strstr(notes, "provisioner"));
    make("reference_value", "{\"m\":\"b25l\"}"); /* the one beside the others counts */
    walk_source(dir, NULL);
    assert_saw("reference-value m");
    assert_false(saw("reference-value n = "));
    assert_saw("resource reference_value ! it lies in local_json");
}

/* What lies beside namespaces is not read, and not passed over in silence: a nested store whose
 * repository is called as a namespace would be lost so. */
static void test_folder__what_lies_beside_namespaces(void **state)
{
    static const char *const passed[] = {"kbs_protocol_session", "lost+found", "provisioner", ".hidden", "..data",
                                         "default", "default/key"};
    for (size_t i = 0; i < sizeof passed / sizeof *passed; i++) make_folder(passed[i]);
    make_folder("reference_value");
    make("default/key/1", "one");
    make("notes.txt", "x");
    make("p.rego", "package policy");
    walk_source(dir, NULL);
    assert_string_equal(buf_str(&seen), /* in the order of their names */
        "resource default ! it is no namespace of a KBS, so it is not read; a nested repository is imported "
        "from a folder where no namespace is beside it\n"
        "resource notes.txt ! it is no namespace of a KBS, so it is not read; a nested repository is imported "
        "from a folder where no namespace is beside it\n"
        "resource p.rego ! it is no namespace of a KBS, so it is not read; a nested repository is imported "
        "from a folder where no namespace is beside it\n");
    walk_source(dir, in("p.rego")); /* that one has its use */
    assert_false(saw("p.rego"));
    assert_saw("policy resource-policy = package policy\n");
    make("local_json", "{}"); /* no folder: it is none of Trustee's */
    walk_source(dir, NULL);
    assert_saw("resource local_json ! it is no namespace");
}

static void test_folder__what_lies_in_local_json(void **state)
{
    make_folder("repository");
    make_folder("local_json");
    make("local_json/reference_value", "{\"n\":\"b25l\"}");
    make("local_json/repository", "{\"a/b/c\":\"b25l\"}");
    make("local_json/kbs_protocol_session", "{}");
    make("local_json/provisioner", "{}");
    walk_source(dir, NULL);
    assert_string_equal(buf_str(&seen), "reference-value n = one\nresource repository ! it lies in local_json, of "
                        "which reference values alone are read; import that folder by itself\n");
    assert_non_null(strstr(notes, "provisioner"));
}

static void test_folder__the_repository_itself(void **state)
{
    make_folder("default");
    make_folder("default/key");
    make("default/key/1", "one");
    make("p.rego", "package policy");
    walk_source(dir, in("p.rego"));
    assert_saw("resource default/key/1 = one\n");
    assert_saw("policy resource-policy = package policy\n");
    assert_non_null(strstr(notes, "read as a repository"));
    struct import_source *s = NULL;
    assert_ok(import_source_open(dir, in("none"), &s));
    struct err e = import_source_walk(s, &walk);
    import_source_close(s);
    assert_fails(e, ERR_NOTFOUND);
}

static void write_config(const char *name, const char *before, const char *folder, const char *after)
{
    char text[800];
    snprintf(text, sizeof text, "%s%s%s", before, folder, after);
    make(name, text);
}

static void test_config(void **state)
{
    make_folder("s");
    make_folder("s/repository");
    make("s/repository/a\\x2Fb\\x2Fc", "1");
    write_config("k.toml", "[storage_backend]\nstorage_type = \"LocalFs\"\n"
                 "[storage_backend.backends.local_fs]\ndir_path = \"", in("s"), "\"\n");
    walk_source(in("k.toml"), NULL);
    assert_string_equal(buf_str(&seen), "resource a/b/c = 1\n");
    make("s/policy", "package policy");
    write_config("old.yaml", "plugins:\n- {name: ResourceStorage, type: LocalFs, dir_path: \"",
                 in("s/repository"), "\"}\n");
    walk_source(in("old.yaml"), in("s/policy"));
    assert_string_equal(buf_str(&seen), "resource a/b/c = 1\npolicy resource-policy = package policy\n");
    write_config("older.json", "{\"repository_config\":{\"type\":\"LocalFs\",\"dir_path\":\"",
                 in("s/repository"), "\"}}");
    walk_source(in("older.json"), NULL);
    assert_string_equal(buf_str(&seen), "resource a/b/c = 1\n");
}

/* Until v0.10 the policy's section had another name; what such a KBS has elsewhere is not passed over in silence. */
static void test_config__until_v0_10(void **state)
{
    char text[800];
    make_folder("r");
    make_folder("r/a");
    make_folder("r/a/b");
    make("r/a/b/c", "1");
    make("p.rego", "package policy");
    snprintf(text, sizeof text, "[repository_config]\ntype = \"LocalFs\"\ndir_path = \"%s/r\"\n"
             "[policy_engine_config]\npolicy_path = \"%s/p.rego\"\n", dir, dir);
    make("k.toml", text);
    walk_source(in("k.toml"), NULL);
    assert_string_equal(buf_str(&seen), "resource a/b/c = 1\npolicy resource-policy = package policy\n");
    assert_non_null(strstr(notes, "not taken: attestation policies and reference values"));
}

/* Whoever went from a folder to [storage_backend] may have left the folder's lines. */
static void test_config__lines_that_were_left(void **state)
{
    char text[800];
    make_folder("s");
    make_folder("s/repository");
    make("s/repository/a\\x2Fb\\x2Fc", "new");
    make_folder("old");
    make_folder("old/a");
    make_folder("old/a/b");
    make("old/a/b/c", "old");
    for (int i = 0; i < 3; i++) {
        static const char *const said[] = {"storage_backend_type = \"kvstorage\"\n", "backend = \"kvstorage\"\n", ""};
        static const char *const value[] = {"new", "new", "old"};
        char wanted[60];
        snprintf(text, sizeof text, "[storage_backend]\nstorage_type = \"LocalFs\"\n"
                 "[storage_backend.backends.local_fs]\ndir_path = \"%s/s\"\n"
                 "[[plugins]]\nname = \"resource\"\n%stype = \"LocalFs\"\ndir_path = \"%s/old\"\n", dir, said[i], dir);
        make("k.toml", text);
        walk_source(in("k.toml"), NULL);
        snprintf(wanted, sizeof wanted, "resource a/b/c = %s\n", value[i]);
        assert_string_equal(buf_str(&seen), wanted);
        assert_null(strstr(notes, "not taken"));
    }
    snprintf(text, sizeof text, "[[plugins]]\nname = \"resource\"\nbackend = \"kvstorage\"\ntype = \"LocalFs\"\n"
             "dir_path = \"%s/old\"\n", dir); /* at first they belonged together */
    make("k.toml", text);
    walk_source(in("k.toml"), NULL);
    assert_string_equal(buf_str(&seen), "resource a/b/c = old\n");
}

static void refused(const char *what, enum err_class class_, const char *sentence)
{
    struct import_source *s = NULL;
    assert_fails_with(import_source_open(what, NULL, &s), class_, sentence);
}

static void test_refused(void **state)
{
    refused("redis://x", ERR_USAGE, "SCAN repository:*");
    refused("rediss://x", ERR_USAGE, "SCAN repository:*");
    refused("s3://x", ERR_USAGE, "postgresql:// URL");
    refused("postgres://u:secret@h/d", ERR_USAGE, "list of processes");
    refused(in("none"), ERR_NOTFOUND, "none");
    make("x.txt", "");
    refused(in("x.txt"), ERR_USAGE, "ends in .toml");
    make("a.toml", "[storage_backend]\nstorage_type = \"redis\"\n");
    refused(in("a.toml"), ERR_USAGE, "SCAN repository:*");
    make("b.toml", "[storage_backend]\nstorage_type = \"tape\"\n");
    refused(in("b.toml"), ERR_USAGE, "\"tape\" is none");
    make("c.toml", "[[plugins]]\nname = \"resource\"\nstorage_backend_type = \"aws\"\n");
    refused(in("c.toml"), ERR_USAGE, "kept by \"aws\"");
    make("d.toml", "[http_server]\n");
    refused(in("d.toml"), ERR_USAGE, "names no store");
    make("e.toml", "[[plugins]]\nname = \"resource\"\nbackend = \"Vault\"\n");
    refused(in("e.toml"), ERR_USAGE, "kept by \"Vault\"");
    make("f.toml", "[repository_config]\ntype = \"Aliyun\"\npassword = \"x\"\n");
    refused(in("f.toml"), ERR_USAGE, "kept by \"Aliyun\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIR(test_folder__namespaces_as_folders_and_files),
        IN_DIR(test_folder__the_repository_itself),
        IN_DIR(test_folder__what_lies_beside_namespaces),
        IN_DIR(test_folder__what_lies_in_local_json),
        IN_DIR(test_config),
        IN_DIR(test_config__until_v0_10),
        IN_DIR(test_config__lines_that_were_left),
        IN_DIR(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
