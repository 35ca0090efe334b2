/* SPDX-License-Identifier: Apache-2.0 */
#include "pool.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
	POOL_ALIGNMENT = 16,
	POOL_CHUNK_BYTES = 64 * 1024,
};

struct pool_chunk {
	struct pool_chunk *next;
	size_t bytes;
	size_t used;
	_Alignas(POOL_ALIGNMENT) unsigned char data[];
};

struct pool {
	struct pool_chunk *chunks;
	size_t limit_bytes;
	size_t total_bytes;
};

struct pool *pool_create(size_t limit_bytes)
{
	struct pool *pool = calloc(1, sizeof(*pool));

	if (pool)
		pool->limit_bytes = limit_bytes;
	return pool;
}

void pool_destroy(struct pool *pool)
{
	if (!pool)
		return;
	while (pool->chunks) {
		struct pool_chunk *next = pool->chunks->next;

		free(pool->chunks);
		pool->chunks = next;
	}
	free(pool);
}

void *pool_allocate(struct pool *pool, size_t bytes)
{
	struct pool_chunk *chunk = pool->chunks;

	if (bytes > pool->limit_bytes)
		return NULL;
	bytes = (bytes + POOL_ALIGNMENT - 1) & ~(size_t)(POOL_ALIGNMENT - 1);
	if (!chunk || chunk->bytes - chunk->used < bytes) {
		size_t chunk_bytes = bytes > POOL_CHUNK_BYTES / 4 ? bytes : POOL_CHUNK_BYTES;

		if (chunk_bytes > pool->limit_bytes - pool->total_bytes)
			return NULL;
		chunk = calloc(1, sizeof(*chunk) + chunk_bytes);
		if (!chunk)
			return NULL;
		chunk->bytes = chunk_bytes;
		pool->total_bytes += chunk_bytes;
		/* A big object's chunk is full at once: keep the open one in front. */
		if (chunk_bytes == bytes && pool->chunks) {
			chunk->next = pool->chunks->next;
			pool->chunks->next = chunk;
		} else {
			chunk->next = pool->chunks;
			pool->chunks = chunk;
		}
	}
	void *memory = chunk->data + chunk->used;

	chunk->used += bytes;
	return memory;
}

void *pool_allocate_array(struct pool *pool, size_t count, size_t element_bytes)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, element_bytes, &bytes))
		return NULL;
	return pool_allocate(pool, bytes);
}

char *pool_copy_text(struct pool *pool, const char *text, size_t bytes)
{
	char *copy = bytes < SIZE_MAX ? pool_allocate(pool, bytes + 1) : NULL;

	if (copy)
		memcpy(copy, text, bytes);
	return copy;
}
