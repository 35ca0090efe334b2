/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcpy for pieces of a large copy.  A piece alone is small enough that libc's
 * memcpy would pull the destination into the cache only to overwrite it; the
 * copy as a whole is not.  Stores that bypass the cache nearly double the rate.
 */
#ifndef VGPU_BULK_COPY_H
#define VGPU_BULK_COPY_H

#include <stddef.h>

void bulk_copy(void *to, const void *from, size_t bytes);

#endif
