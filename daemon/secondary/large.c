/* SPDX-License-Identifier: Apache-2.0 */
/* uptane-secondary with everything it can do (program.h). */
#include <string.h>

#include "secondary/address.h"
#include "secondary/program.h"

const char *const program_that_can_more = NULL;

int program_resolve(const char *address, bool listen, struct sockaddr_storage *ret, socklen_t *ret_size, Error *error)
{
        cleanup_addrinfo struct addrinfo *list = NULL;

        if (secondary_address_resolve(address, listen, &list, error) < 0)
                return -1;
        memcpy(ret, list->ai_addr, list->ai_addrlen);
        *ret_size = list->ai_addrlen;
        return 0;
}
