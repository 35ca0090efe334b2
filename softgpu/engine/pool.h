/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool: memory that is given back all at once.  A module's parse tree and
 * code live in one.  The limit bounds what hostile PTX text can make us use.
 */
#ifndef SOFTGPU_POOL_H
#define SOFTGPU_POOL_H

#include <stddef.h>

struct pool;

struct pool *pool_create(size_t limit_bytes); /* NULL when out of memory */
void pool_destroy(struct pool *pool);	      /* accepts NULL */

/* Zeroed, aligned to 16; NULL when out of memory or over the limit. */
void *pool_allocate(struct pool *pool, size_t bytes);
void *pool_allocate_array(struct pool *pool, size_t count, size_t element_bytes);
char *pool_copy_text(struct pool *pool, const char *text, size_t bytes); /* adds a NUL */

#endif
