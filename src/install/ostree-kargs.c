/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel arguments of a new deployment: those of the one before. A commit may ask for changes, in its metadata, which its hash
 * covers, and so may the Director; they are made where, and only where, the vehicle's own patterns allow each of them. What
 * decides what boots, and who guards it, is beyond all patterns: whoever can sign metadata must not get a shell by a '*'.
 */
#include "install/ostree-private.h"

#include <fnmatch.h>
#include <string.h>

#define APPEND "uptane.kargs-append"
#define DELETE "uptane.kargs-delete"
#define WANTED "kernelArguments"
#define CHANGES_MAX 32
#define LENGTH_MAX 256

static GPtrArray *arguments_of(OstreeDeployment *merge)
{
        const char *options = merge ? ostree_bootconfig_parser_get(ostree_deployment_get_bootconfig(merge), "options") : NULL;
        g_autoptr(OstreeKernelArgs) args = options ? ostree_kernel_args_from_string(options) : NULL;
        g_auto(GStrv) list = args ? ostree_kernel_args_to_strv(args) : NULL;
        GPtrArray *result = g_ptr_array_new_with_free_func(g_free);

        for (size_t i = 0; list && list[i]; i++)
                g_ptr_array_add(result, g_strdup(list[i]));
        return result;
}

/* Patterns of names, with '_' for '-' as the kernel takes it: root, init and initrd, OSTree, systemd, rescue modes, guards. */
static const char *const reserved[] = { "root*",    "init*",     "rdinit",     "ro",    "rw",       "ostree*",   "rd.*",    "systemd.*",
                                        "luks*",    "mount.usr*", "usrhash",   "resume*", "single", "emergency", "rescue",  "s",
                                        "S",        "[0-9]",     "-*",         "_*",    "b",        "lsm*",      "security", "selinux",
                                        "enforcing", "apparmor", "lockdown",   "module.sig_enforce", "ima_*", "evm", "dm_mod.*", "dm_verity.*" };

static size_t name_length(const char *argument)
{
        return strcspn(argument, "=");
}

static bool is_reserved(const char *argument)
{
        g_autofree char *name = g_strndup(argument, name_length(argument));

        g_strdelimit(name, "-", '_');
        for (size_t i = 0; i < ELEMENTSOF(reserved); i++)
                if (fnmatch(reserved[i], name, FNM_NOESCAPE) == 0)
                        return true;
        return false;
}

/* One word for the boot loader's configuration, whatever that quotes and splits. */
static bool is_plain(const char *argument)
{
        size_t n = strlen(argument);

        if (n == 0 || n > LENGTH_MAX)
                return false;
        for (size_t i = 0; i < n; i++)
                if (argument[i] <= ' ' || argument[i] > '~' || strchr("\"'\\`$;|&<>", argument[i]))
                        return false;
        return true;
}

static int check_allowed(const InstallOstree *o, const char *whose, const char *argument, Error *error)
{
        if (is_plain(argument) && is_reserved(argument))
                return error_set(error, ERR_KERNEL_ARGUMENT, "%s: '%.80s' is never changed by metadata", whose, argument);
        for (size_t i = 0; is_plain(argument) && o->kernel_arguments && o->kernel_arguments[i]; i++)
                if (fnmatch(o->kernel_arguments[i], argument, FNM_NOESCAPE) == 0)
                        return 0;
        return error_set(error, ERR_KERNEL_ARGUMENT, "%s: '%.80s' is not allowed in this vehicle", whose, argument);
}

static int check_list(const InstallOstree *o, const char *whose, const char *const *list, Error *error)
{
        size_t n = 0;

        for (; list && list[n]; n++)
                if (check_allowed(o, whose, list[n], error) < 0)
                        return -1;
        return n > CHANGES_MAX ? error_set(error, ERR_KERNEL_ARGUMENT, "%s: more than %d", whose, CHANGES_MAX) : 0;
}

/* A list of strings in the commit's metadata; NULL if there is none. */
static int read_changes(const InstallOstree *o, GVariant *commit, const char *key, char ***ret, Error *error)
{
        g_autoptr(GVariant) metadata = g_variant_get_child_value(commit, 0);
        g_autoptr(GVariant) value = g_variant_lookup_value(metadata, key, NULL);
        g_auto(GStrv) list = NULL;

        *ret = NULL;
        if (!value)
                return 0;
        if (!g_variant_is_of_type(value, G_VARIANT_TYPE_STRING_ARRAY) || g_variant_n_children(value) > CHANGES_MAX)
                return error_set(error, ERR_KERNEL_ARGUMENT, "%s of the commit is no list of at most %d strings", key, CHANGES_MAX);
        list = g_variant_dup_strv(value, NULL);
        if (check_list(o, key, (const char *const *) list, error) < 0)
                return -1;
        *ret = g_steal_pointer(&list);
        return 0;
}

int install_check_kernel_arguments(const InstallOstree *o, GVariant *commit, Error *error)
{
        g_auto(GStrv) append = NULL, delete = NULL;

        if (check_list(o, WANTED, o->wanted_arguments, error) < 0)
                return -1;
        if (!commit || !o->kernel_arguments || !*o->kernel_arguments)
                return 0;
        return read_changes(o, commit, DELETE, &delete, error) < 0 || read_changes(o, commit, APPEND, &append, error) < 0 ? -1 : 0;
}

static guint find(GPtrArray *arguments, const char *argument)
{
        for (guint i = 0; i < arguments->len; i++)
                if (strcmp(g_ptr_array_index(arguments, i), argument) == 0)
                        return i;
        return G_MAXUINT;
}

static int change(const InstallOstree *o, GVariant *commit, GPtrArray *arguments, Error *error)
{
        g_auto(GStrv) append = NULL, delete = NULL;

        if (read_changes(o, commit, DELETE, &delete, error) < 0 || read_changes(o, commit, APPEND, &append, error) < 0)
                return -1;
        for (size_t i = 0; delete && delete[i]; i++)
                for (guint at; (at = find(arguments, delete[i])) != G_MAXUINT;)
                        g_ptr_array_remove_index(arguments, at);
        for (size_t i = 0; append && append[i]; i++)
                if (find(arguments, append[i]) == G_MAXUINT)
                        g_ptr_array_add(arguments, g_strdup(append[i]));
        return 0;
}

static bool has_name_of(const char *argument, const char *other)
{
        size_t n = name_length(argument);

        if (n != name_length(other))
                return false;
        for (size_t i = 0; i < n; i++)
                if (argument[i] != other[i] && !(strchr("-_", argument[i]) && strchr("-_", other[i])))
                        return false;
        return true;
}

/* All of a name are taken out before the first of them is put in: the list says every value that a name has. */
static int set_wanted(const InstallOstree *o, GPtrArray *arguments, Error *error)
{
        if (check_list(o, WANTED, o->wanted_arguments, error) < 0)
                return -1;
        for (size_t i = 0; o->wanted_arguments && o->wanted_arguments[i]; i++)
                for (guint at = 0; at < arguments->len;) {
                        const char *old = g_ptr_array_index(arguments, at);

                        if (!has_name_of(o->wanted_arguments[i], old)) {
                                at++;
                                continue;
                        }
                        if (check_allowed(o, WANTED ", what is replaced", old, error) < 0)
                                return -1;
                        g_ptr_array_remove_index(arguments, at);
                }
        for (size_t i = 0; o->wanted_arguments && o->wanted_arguments[i]; i++)
                g_ptr_array_add(arguments, g_strdup(o->wanted_arguments[i]));
        return 0;
}

bool install_has_wanted_arguments(const InstallOstree *o, OstreeDeployment *d)
{
        g_autoptr(GPtrArray) arguments = arguments_of(d);

        for (size_t i = 0; o->wanted_arguments && o->wanted_arguments[i]; i++)
                if (find(arguments, o->wanted_arguments[i]) == G_MAXUINT)
                        return false;
        return true;
}

int install_kernel_arguments(const InstallOstree *o, OstreeDeployment *merge, GVariant *commit, char ***ret, Error *error)
{
        g_autoptr(GPtrArray) arguments = arguments_of(merge);

        if (o->kernel_arguments && *o->kernel_arguments && change(o, commit, arguments, error) < 0)
                return -1;
        if (set_wanted(o, arguments, error) < 0)
                return -1;
        g_ptr_array_add(arguments, NULL);
        *ret = (char **) g_ptr_array_free(g_steal_pointer(&arguments), FALSE);
        return 0;
}
