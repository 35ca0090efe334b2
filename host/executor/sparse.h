/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arrays that get their memory after they are made: in tiles (CUDA_ARRAY3D_SPARSE) or at once
 * (CUDA_ARRAY3D_DEFERRED_MAPPING). Which memory is mapped where is remembered, for memory is charged as long as an
 * array has any of it, whatever handle of it there is. The call is made in a stream that is idle, and waited for, so
 * that the order of calls is the order in which memory is mapped. Main thread.
 */
#ifndef EXECUTOR_SPARSE_H
#define EXECUTOR_SPARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cuda_abi.h"

struct executor;
struct physical;
struct context;

/* More than any extent has: the driver makes as many as there can be. */
#define SPARSE_LEVELS_MAX 32u
/* Tiles that are mapped, of all arrays. */
#define SPARSE_TILES_MAX 262144u
#define SPARSE_BUCKETS	 4096u

struct sparse_tile {
	struct sparse_tile *next; /* in the bucket */
	const void *array;
	uint64_t place; /* in the array */
	struct physical *physical;
};

/* An array, or a mipmapped one, as the driver knows it. */
struct sparse_array {
	struct sparse_array *next;
	const void *array;
	uint32_t context;
	bool is_deferred;
	uint32_t levels, layers;
	uint64_t extent[3]; /* of level 0, in texels */
	CUDA_ARRAY_SPARSE_PROPERTIES tiles;
};

struct sparse_arrays {
	struct sparse_array *list;
	struct sparse_tile *buckets[SPARSE_BUCKETS];
	uint32_t tile_count;
};

static inline bool is_mapped_later(const CUDA_ARRAY3D_DESCRIPTOR *descriptor)
{
	return descriptor->Flags & (CUDA_ARRAY3D_SPARSE | CUDA_ARRAY3D_DEFERRED_MAPPING);
}

/* One that the driver has made, with 'levels' of them: 1 for an array. */
CUresult sparse_add(struct executor *executor, const void *array, uint32_t context, bool is_mipmapped,
		    const CUDA_ARRAY3D_DESCRIPTOR *descriptor, uint32_t levels);

/* After the driver's array has ended, whatever it was; a context's, before the context does. */
void sparse_remove(struct executor *executor, const void *array);
void sparse_forget_context(struct executor *executor, const struct context *context);

#endif
