/* Rego files of a command line: files as they are, folders with all *.rego below them. */
#pragma once

#include "broker/cmd/cmd.h"

struct rego_module;

#define POLICY_FILES_DEPTH_MAX 16u /* folders within folders */

struct policy_files {
    struct rego_module *modules; /* names are the paths, or the ends of long ones */
    size_t count;
};

/* Sorted by path within a folder; hidden files and symbolic links to folders are left out. ERR_NOTFOUND;
 * ERR_USAGE for more than POLICY_FILES_MAX, for a folder too deep, and when there is none at all. The caller
 * frees, success or not. */
err_t policy_files_read(const char *const *paths, size_t count, struct policy_files *ret);
void policy_files_free(struct policy_files *f);
