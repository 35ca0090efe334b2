/* SPDX-License-Identifier: Apache-2.0 */
/* Mipmapped arrays: one allocation, an array for each level. */
#include <stdlib.h>

#include "arena.h"
#include "array.h"
#include "entry.h"
#include "memory.h"
#include "reference.h"
#include "stream.h"

#define LEVEL_ALIGNMENT 512u

static void mipmap_free(struct object *object)
{
	struct mipmap *mipmap = (struct mipmap *)object;

	if (mipmap->address)
		memory_free(mipmap->address, MEMORY_MASK(MEMORY_ARRAY), NULL);
	free(mipmap);
}

static void mipmap_retire(struct object *object)
{
	struct mipmap *mipmap = (struct mipmap *)object;

	for (uint32_t i = 0; i < mipmap->level_count; i++)
		if (mipmap->levels[i] && object_retire(mipmap->levels[i], OBJECT_ARRAY))
			object_release(&mipmap->levels[i]->object);
}

/* As many levels as asked for, but none after 1x1x1. */
static uint32_t level_count_of(const CUDA_ARRAY3D_DESCRIPTOR *descriptor, unsigned wanted)
{
	bool slices = descriptor->Flags & (CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_CUBEMAP);
	size_t extent = descriptor->Width | descriptor->Height | (slices ? 0 : descriptor->Depth);
	uint32_t most = 1;

	while (extent >>= 1)
		most++;
	if (most > ARRAY_LEVELS_MAXIMUM)
		most = ARRAY_LEVELS_MAXIMUM;
	return wanted < most ? wanted : most;
}

static CUresult levels_make(struct mipmap *mipmap)
{
	const CUDA_ARRAY3D_DESCRIPTOR *whole = &mipmap->descriptor;
	uint64_t address = mipmap->address;

	for (uint32_t i = 0; i < mipmap->level_count; i++) {
		CUDA_ARRAY3D_DESCRIPTOR descriptor = *whole;
		struct engine_level level;
		CUresult result;

		array_level_shape(whole, i, &level);
		level.address = address;
		address += (array_level_bytes(&level) + LEVEL_ALIGNMENT - 1) & ~(uint64_t)(LEVEL_ALIGNMENT - 1);
		array_level_extent(whole, i, &descriptor);
		result = array_new(mipmap->context, &descriptor, &level, mipmap, &mipmap->levels[i]);
		if (result)
			return result;
		if (!object_publish(&mipmap->levels[i]->object)) {
			object_release(&mipmap->levels[i]->object);
			mipmap->levels[i] = NULL;
			return CUDA_ERROR_OUT_OF_MEMORY;
		}
	}
	return CUDA_SUCCESS;
}

static CUresult mipmap_create(struct context *context, const CUDA_ARRAY3D_DESCRIPTOR *descriptor, unsigned levels,
			      struct mipmap **ret_mipmap)
{
	struct mipmap *mipmap = calloc(1, sizeof(*mipmap));
	struct memory_range range = {.kind = MEMORY_ARRAY, .device = context->device};
	CUresult result;

	if (!mipmap)
		return CUDA_ERROR_OUT_OF_MEMORY;
	object_prepare(&mipmap->object, OBJECT_MIPMAP, context, mipmap_free);
	mipmap->object.retire = mipmap_retire;
	mipmap->context = context;
	mipmap->descriptor = *descriptor;
	mipmap->level_count = level_count_of(descriptor, levels);
	for (uint32_t i = 0; i < mipmap->level_count; i++) {
		struct engine_level level;

		array_level_shape(descriptor, i, &level);
		range.bytes += (array_level_bytes(&level) + LEVEL_ALIGNMENT - 1) & ~(uint64_t)(LEVEL_ALIGNMENT - 1);
	}
	result = memory_allocate(&range, ARENA_PAGE_BYTES);
	if (!result) {
		mipmap->address = range.base;
		result = levels_make(mipmap);
	}
	if (!result && !object_publish(&mipmap->object))
		result = CUDA_ERROR_OUT_OF_MEMORY;
	if (result) {
		mipmap_retire(&mipmap->object);
		object_release(&mipmap->object);
		return result;
	}
	*ret_mipmap = mipmap;
	return CUDA_SUCCESS;
}

static CUresult mipmap_acquire(CUmipmappedArray handle, struct mipmap **ret_mipmap)
{
	struct context *context;
	CUresult result = context_current(&context);

	if (result)
		return result;
	*ret_mipmap = object_acquire(handle, OBJECT_MIPMAP);
	return *ret_mipmap ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

ENTRY(cuMipmappedArrayCreate,
      (CUmipmappedArray * ret_mipmap, const CUDA_ARRAY3D_DESCRIPTOR *descriptor, unsigned int levels))
{
	struct context *context;
	struct mipmap *mipmap;
	CUresult result = context_current(&context);

	if (result)
		return result;
	if (!ret_mipmap || !descriptor || !levels)
		return CUDA_ERROR_INVALID_VALUE;
	result = array_descriptor_check(descriptor);
	if (!result && !array_element_bytes(descriptor))
		result = CUDA_ERROR_INVALID_VALUE;
	if (!result)
		result = mipmap_create(context, descriptor, levels, &mipmap);
	if (!result)
		*ret_mipmap = (CUmipmappedArray)mipmap;
	return result;
}

ENTRY(cuMipmappedArrayGetLevel, (CUarray * ret_array, CUmipmappedArray handle, unsigned int level))
{
	struct mipmap *mipmap;
	CUresult result = mipmap_acquire(handle, &mipmap);

	if (result)
		return result;
	if (!ret_array || level >= mipmap->level_count)
		result = CUDA_ERROR_INVALID_VALUE;
	else
		*ret_array = (CUarray)mipmap->levels[level];
	object_release(&mipmap->object);
	return result;
}

ENTRY(cuMipmappedArrayDestroy, (CUmipmappedArray handle))
{
	struct mipmap *mipmap;
	CUresult result = mipmap_acquire(handle, &mipmap);

	if (result)
		return result;
	stream_wait_context(mipmap->context);
	if (object_retire(handle, OBJECT_MIPMAP))
		object_release(&mipmap->object);
	references_settle();
	object_release(&mipmap->object);
	return CUDA_SUCCESS;
}

/* Both are of arrays made to be mapped later or in parts, which are not there. */
ENTRY(cuMipmappedArrayGetMemoryRequirements,
      (CUDA_ARRAY_MEMORY_REQUIREMENTS * ret_requirements, CUmipmappedArray handle, CUdevice device))
{
	struct mipmap *mipmap;
	CUresult result = mipmap_acquire(handle, &mipmap);

	(void)ret_requirements;
	(void)device;
	if (result)
		return result;
	object_release(&mipmap->object);
	return CUDA_ERROR_INVALID_VALUE;
}

ENTRY(cuMipmappedArrayGetSparseProperties, (CUDA_ARRAY_SPARSE_PROPERTIES * ret_properties, CUmipmappedArray handle))
{
	struct mipmap *mipmap;
	CUresult result = mipmap_acquire(handle, &mipmap);

	(void)ret_properties;
	if (result)
		return result;
	object_release(&mipmap->object);
	return CUDA_ERROR_INVALID_VALUE;
}
