/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel arguments of a new deployment: those of the one before. A commit may ask for changes, in its metadata, which its hash
 * covers; they are made where, and only where, the vehicle's own patterns allow each of them.
 */
#include "install/ostree-private.h"

#include <fnmatch.h>
#include <string.h>

#define APPEND "uptane.kargs-append"
#define DELETE "uptane.kargs-delete"
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

/* One word for the boot loader's configuration, whatever that quotes and splits; which deployment boots is libostree's business. */
static bool is_plain(const char *argument)
{
        size_t n = strlen(argument);

        if (n == 0 || n > LENGTH_MAX || g_str_has_prefix(argument, "ostree="))
                return false;
        for (size_t i = 0; i < n; i++)
                if (argument[i] <= ' ' || argument[i] > '~' || strchr("\"'\\`$;|&<>", argument[i]))
                        return false;
        return true;
}

static bool is_allowed(const InstallOstree *o, const char *argument)
{
        for (size_t i = 0; is_plain(argument) && o->kernel_arguments[i]; i++)
                if (fnmatch(o->kernel_arguments[i], argument, FNM_NOESCAPE) == 0)
                        return true;
        return false;
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
                return error_set(error, ERR_INSTALL, "%s of the commit is no list of at most %d strings", key, CHANGES_MAX);
        list = g_variant_dup_strv(value, NULL);
        for (size_t i = 0; list[i]; i++)
                if (!is_allowed(o, list[i]))
                        return error_set(error, ERR_INSTALL, "%s of the commit: '%.80s' is not allowed in this vehicle", key, list[i]);
        *ret = g_steal_pointer(&list);
        return 0;
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

int install_kernel_arguments(const InstallOstree *o, OstreeDeployment *merge, GVariant *commit, char ***ret, Error *error)
{
        g_autoptr(GPtrArray) arguments = arguments_of(merge);

        if (o->kernel_arguments && change(o, commit, arguments, error) < 0)
                return -1;
        g_ptr_array_add(arguments, NULL);
        *ret = (char **) g_ptr_array_free(g_steal_pointer(&arguments), FALSE);
        return 0;
}
