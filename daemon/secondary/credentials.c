/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a Primary hands down for the server of OSTree commits, where both were told to: its certificates, the one private key, and
 * whose certificates are to be trusted, as one text in PEM. They become files that uptane-ostree's unit can load; nothing here
 * uses them.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "io/file.h"
#include "secondary/secondary.h"

#define CREDENTIALS_MAX ((size_t) 48 * 1024)
#define BEGIN_CERTIFICATE "-----BEGIN CERTIFICATE-----"
#define KEY_MARK "PRIVATE KEY-----"

typedef struct Credentials {
        Slice certificate, key, ca;
} Credentials;

static bool begins(const char *text, const char *with)
{
        return strncmp(text, with, strlen(with)) == 0;
}

/* The key's block is the one thing that is not a certificate; what stands before and behind it tells whose they are. */
static int split(const char *text, Credentials *ret, Error *error)
{
        const char *mark = strstr(text, KEY_MARK), *key = mark, *ca = mark ? strstr(mark + 1, KEY_MARK) : NULL;

        while (key && key > text && key[-1] != '\n')
                key--;
        ca = ca ? strchr(ca, '\n') : NULL;
        if (!ca || !begins(text, BEGIN_CERTIFICATE) || !begins(key, "-----BEGIN ") || !begins(ca + 1, BEGIN_CERTIFICATE) || strstr(ca, KEY_MARK))
                return error_set(error, ERR_KEY, "credentials that are not certificates, one private key, and certificates in PEM");
        ca++;
        *ret = (Credentials) { slice(text, (size_t) (key - text)), slice(key, (size_t) (ca - key)), slice_str(ca) };
        return 0;
}

static int write_one(const Secondary *s, const char *name, Slice bytes, Error *error)
{
        cleanup_free char *path = xasprintf("%s/credentials/%s", s->config.state_directory, name);

        return file_write(path, bytes, 0600, error);
}

static int write_all(const Secondary *s, const char *text, Error *error)
{
        cleanup_free char *folder = xasprintf("%s/credentials", s->config.state_directory);
        Credentials c;

        if (split(text, &c, error) < 0)
                return -1;
        if (mkdir(folder, 0700) < 0 && errno != EEXIST)
                return error_set_errno(error, ERR_STORAGE, errno, "making %s", folder);
        if (write_one(s, "device.crt", c.certificate, error) < 0 || write_one(s, "device.key", c.key, error) < 0)
                return -1;
        return write_one(s, "ca.pem", c.ca, error);
}

int secondary_take_credentials(Secondary *secondary, Slice pem, Error *error)
{
        cleanup_free char *text = NULL;
        int r;

        if (!secondary->config.accept_credentials)
                return error_set(error, ERR_NOT_SUPPORTED, "credentials of others are not taken: this ECU fetches with its own");
        if (pem.size > CREDENTIALS_MAX)
                return error_set(error, ERR_KEY, "%zu bytes of credentials, at most %zu are taken", pem.size, CREDENTIALS_MAX);
        text = xstrndup((const char *) pem.data, pem.size);
        r = write_all(secondary, text, error);
        explicit_bzero(text, strlen(text));
        return r;
}
