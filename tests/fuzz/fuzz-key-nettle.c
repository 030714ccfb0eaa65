/* SPDX-License-Identifier: Apache-2.0 */
/* The same keys, read by the library of the small uptane-secondary. */
#include "fuzz-key.c"
