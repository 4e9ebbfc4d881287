/* A KBS's store in files: flat, nested, mounted by Kubernetes, or one JSON file (kbs-api.md 8.4, 12).
 * Nothing is ever written there. */
#pragma once

#include "broker/cmd/import_item.h"

/* A namespace at path, whatever it is: a folder whose file names are keys with every '/' written as \x2F; below the
 * repository also folders <repository>/<type>/<tag>, as a KBS until v0.18 and Kubernetes mounts have them; or a
 * JSON object of keys and base64url values (local_json.h), of which a key that stands twice is flawed each time.
 * Entries come in the order of their names, flat ones before nested ones. Names that begin with ".." are
 * Kubernetes' own and are passed over. A symbolic link is followed as long as what it leads to lies below root;
 * FIFOs and devices are not opened. ERR_NOTFOUND: nothing is there. ERR_TOOLARGE over IMPORT_MAX_ENTRIES names in
 * one folder. */
err_t import_files_walk(const char *root, const char *path, enum kbs_space space,
                        const struct import_walk *walk);

/* One file that is the value of this key, such as the policy of a KBS until v0.18. */
err_t import_file_offer(const char *path, enum kbs_space space, const char *key,
                        const struct import_walk *walk);

/* The visible names of a folder, in order, that known() does not answer for: each is offered as a flawed
 * resource with this sentence. Nothing in them is read. */
struct import_others {
    bool (*known)(void *arg, const char *path, const char *name); /* path: folder/name */
    void *arg;
    const char *flaw;
};
err_t import_files_others(const char *folder, const struct import_others *others,
                          const struct import_walk *walk);
