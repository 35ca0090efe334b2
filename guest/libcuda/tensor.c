/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tensor maps.  The host's driver makes them; that is a function of the arguments
 * and the device alone, so the last ones are remembered: programs encode the same
 * map before each launch.
 */
#include <pthread.h>
#include <string.h>

#include "context.h"
#include "host_calls.h"

#define MAP_ALIGNMENT 64
#define MEMORY_PLACES 64

enum tensor_form { TENSOR_TILED = 1, TENSOR_IM2COL, TENSOR_IM2COL_WIDE };

struct tensor_key {
	struct vgpu_tensor_map shape;
	uint32_t form;
	uint32_t device;
};

struct tensor_memory {
	struct tensor_key key; /* form 0: none */
	CUtensorMap map;
};

static pthread_mutex_t memory_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct tensor_memory memory[MEMORY_PLACES];

static struct tensor_memory *memory_place(const struct tensor_key *key)
{
	const unsigned char *bytes = (const unsigned char *)key;
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < sizeof(*key); i++)
		hash = (hash ^ bytes[i]) * 16777619u;
	return &memory[hash % MEMORY_PLACES];
}

static bool memory_find(const struct tensor_key *key, CUtensorMap *ret_map)
{
	const struct tensor_memory *place = memory_place(key);
	bool found;

	pthread_mutex_lock(&memory_mutex);
	found = memcmp(&place->key, key, sizeof(*key)) == 0;
	if (found)
		memcpy(ret_map, &place->map, sizeof(*ret_map));
	pthread_mutex_unlock(&memory_mutex);
	return found;
}

static void memory_keep(const struct tensor_key *key, const CUtensorMap *map)
{
	struct tensor_memory *place = memory_place(key);

	pthread_mutex_lock(&memory_mutex);
	memcpy(&place->key, key, sizeof(*key));
	memcpy(&place->map, map, sizeof(*map));
	pthread_mutex_unlock(&memory_mutex);
}

static CUresult map_ask(enum tensor_form form, uint32_t context, const struct vgpu_tensor_map *shape, CUtensorMap *map,
			uint32_t *ret_bytes)
{
	switch (form) {
	case TENSOR_TILED:
		return host_cuTensorMapEncodeTiled(context, shape, sizeof(*shape), map, sizeof(*map), ret_bytes);
	case TENSOR_IM2COL:
		return host_cuTensorMapEncodeIm2col(context, shape, sizeof(*shape), map, sizeof(*map), ret_bytes);
	case TENSOR_IM2COL_WIDE:
		break;
	}
	return host_cuTensorMapEncodeIm2colWide(context, shape, sizeof(*shape), map, sizeof(*map), ret_bytes);
}

static bool is_map(const CUtensorMap *map)
{
	return map && (uintptr_t)map % MAP_ALIGNMENT == 0;
}

static CUresult map_encode(enum tensor_form form, const struct vgpu_tensor_map *shape, CUtensorMap *ret_map)
{
	struct tensor_key key;
	uint32_t context, bytes = 0;
	CUtensorMap map;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	if (!is_map(ret_map))
		return CUDA_ERROR_INVALID_VALUE;
	memset(&key, 0, sizeof(key));
	key.shape = *shape;
	key.form = form;
	key.device = (uint32_t)thread_state.current->words[CONTEXT_DEVICE];
	if (memory_find(&key, &map)) {
		memcpy(ret_map, &map, sizeof(map));
		return CUDA_SUCCESS;
	}
	result = map_ask(form, context, shape, &map, &bytes);
	if (result)
		return result;
	if (bytes != sizeof(map))
		return CUDA_ERROR_UNKNOWN;
	memory_keep(&key, &map);
	memcpy(ret_map, &map, sizeof(map));
	return CUDA_SUCCESS;
}

/* What all forms have; false: there is no such tensor. */
static bool shape_begin(cuuint32_t rank, const void *address, const cuuint64_t *dimensions, const cuuint64_t *strides,
			const cuuint32_t *element_strides, struct vgpu_tensor_map *shape)
{
	memset(shape, 0, sizeof(*shape));
	if (rank == 0 || rank > VGPU_TENSOR_RANK_MAX || !dimensions || !element_strides || (rank > 1 && !strides))
		return false;
	shape->rank = rank;
	shape->address = (uintptr_t)address;
	for (cuuint32_t i = 0; i < rank; i++) {
		shape->dimensions[i] = dimensions[i];
		shape->element_strides[i] = element_strides[i];
		if (i + 1 < rank)
			shape->strides[i] = strides[i];
	}
	return true;
}

static void shape_end(struct vgpu_tensor_map *shape, CUtensorMapDataType type, CUtensorMapInterleave interleave,
		      CUtensorMapSwizzle swizzle, CUtensorMapL2promotion promotion, CUtensorMapFloatOOBfill fill)
{
	shape->data_type = (uint32_t)type;
	shape->interleave = (uint32_t)interleave;
	shape->swizzle = (uint32_t)swizzle;
	shape->promotion = (uint32_t)promotion;
	shape->fill = (uint32_t)fill;
}

API(cuTensorMapEncodeTiled, CUtensorMap *map, CUtensorMapDataType type, cuuint32_t rank, void *address,
    const cuuint64_t *dimensions, const cuuint64_t *strides, const cuuint32_t *box, const cuuint32_t *element_strides,
    CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle, CUtensorMapL2promotion promotion,
    CUtensorMapFloatOOBfill fill)
{
	struct vgpu_tensor_map shape;

	if (!shape_begin(rank, address, dimensions, strides, element_strides, &shape) || !box)
		return CUDA_ERROR_INVALID_VALUE;
	for (cuuint32_t i = 0; i < rank; i++)
		shape.box[i] = box[i];
	shape_end(&shape, type, interleave, swizzle, promotion, fill);
	return map_encode(TENSOR_TILED, &shape, map);
}

API(cuTensorMapEncodeIm2col, CUtensorMap *map, CUtensorMapDataType type, cuuint32_t rank, void *address,
    const cuuint64_t *dimensions, const cuuint64_t *strides, const int *lower, const int *upper, cuuint32_t channels,
    cuuint32_t pixels, const cuuint32_t *element_strides, CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
    CUtensorMapL2promotion promotion, CUtensorMapFloatOOBfill fill)
{
	struct vgpu_tensor_map shape;

	if (!shape_begin(rank, address, dimensions, strides, element_strides, &shape) || !lower || !upper)
		return CUDA_ERROR_INVALID_VALUE;
	for (cuuint32_t i = 0; i + 2 < rank; i++) {
		shape.lower[i] = lower[i];
		shape.upper[i] = upper[i];
	}
	shape.channels = channels;
	shape.pixels = pixels;
	shape_end(&shape, type, interleave, swizzle, promotion, fill);
	return map_encode(TENSOR_IM2COL, &shape, map);
}

API(cuTensorMapEncodeIm2colWide, CUtensorMap *map, CUtensorMapDataType type, cuuint32_t rank, void *address,
    const cuuint64_t *dimensions, const cuuint64_t *strides, int lower, int upper, cuuint32_t channels,
    cuuint32_t pixels, const cuuint32_t *element_strides, CUtensorMapInterleave interleave,
    CUtensorMapIm2ColWideMode mode, CUtensorMapSwizzle swizzle, CUtensorMapL2promotion promotion,
    CUtensorMapFloatOOBfill fill)
{
	struct vgpu_tensor_map shape;

	if (!shape_begin(rank, address, dimensions, strides, element_strides, &shape))
		return CUDA_ERROR_INVALID_VALUE;
	shape.lower[0] = lower;
	shape.upper[0] = upper;
	shape.channels = channels;
	shape.pixels = pixels;
	shape.mode = (uint32_t)mode;
	shape_end(&shape, type, interleave, swizzle, promotion, fill);
	return map_encode(TENSOR_IM2COL_WIDE, &shape, map);
}

API(cuTensorMapReplaceAddress, CUtensorMap *map, void *address)
{
	uint32_t context, bytes = 0;
	CUtensorMap changed;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	if (!is_map(map))
		return CUDA_ERROR_INVALID_VALUE;
	result = host_cuTensorMapReplaceAddress(context, (uintptr_t)address, map, sizeof(*map), &changed,
						sizeof(changed), &bytes);
	if (result)
		return result;
	if (bytes != sizeof(changed))
		return CUDA_ERROR_UNKNOWN;
	memcpy(map, &changed, sizeof(changed));
	return CUDA_SUCCESS;
}
