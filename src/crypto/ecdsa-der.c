/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/ecdsa-der.h"

#define SEQUENCE 0x30
#define INTEGER 0x02
#define LONG 0x80 /* a length that does not fit into its own byte: that of none of these curves */

/* One element at the front of rest, which it is taken from. */
static bool take(Slice *rest, uint8_t tag, Slice *ret)
{
        size_t size = rest->size >= 2 ? rest->data[1] : LONG;

        if (size >= LONG || rest->data[0] != tag || size > rest->size - 2)
                return false;
        *ret = slice(rest->data + 2, size);
        *rest = slice(rest->data + 2 + size, rest->size - 2 - size);
        return true;
}

static bool take_number(Slice *rest, Slice *ret)
{
        if (!take(rest, INTEGER, ret) || ret->size == 0 || ret->data[0] >= 0x80)
                return false;
        return ret->size == 1 || ret->data[0] != 0 || ret->data[1] >= 0x80; /* no zeros in front but the sign */
}

bool ecdsa_der_read(Slice signature, Slice *ret_r, Slice *ret_s)
{
        Slice rest = signature, inside;

        return take(&rest, SEQUENCE, &inside) && rest.size == 0 && take_number(&inside, ret_r) && take_number(&inside, ret_s) && inside.size == 0;
}
