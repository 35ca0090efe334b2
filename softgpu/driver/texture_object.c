/* SPDX-License-Identifier: Apache-2.0 */
#include "texture_object.h"

#include <pthread.h>
#include <stdlib.h>

#include "array.h"
#include "array_block.h"
#include "driver.h"

#define SLOTS_FIRST 64u

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct texture_object **slots; /* by the low bits of the handle */
static uint32_t slot_count;

static uint32_t slot_of(uint64_t handle)
{
	return (uint32_t)(handle & (ENGINE_TEXTURE_SLOTS - 1));
}

static bool slot_set(uint64_t handle, struct texture_object *object)
{
	uint32_t slot = slot_of(handle), count = slot_count ? slot_count : SLOTS_FIRST;
	bool set = true;

	pthread_mutex_lock(&lock);
	while (count <= slot)
		count *= 2;
	if (count != slot_count) {
		struct texture_object **grown = realloc(slots, count * sizeof(struct texture_object *));

		if (grown) {
			for (uint32_t i = slot_count; i < count; i++)
				grown[i] = NULL;
			slots = grown;
			slot_count = count;
		} else {
			set = false;
		}
	}
	if (set)
		slots[slot] = object;
	pthread_mutex_unlock(&lock);
	return set;
}

static void texture_object_free(struct object *object)
{
	free(object);
}

static void texture_object_retire(struct object *object)
{
	struct texture_object *texture = (struct texture_object *)object;

	slot_set(texture->handle, NULL);
	engine_texture_destroy(driver_engine(), texture->handle, object->kind == OBJECT_SURFACE);
}

CUresult texture_object_create(struct context *context, const struct texture_object *model,
			       const struct engine_image *image, const struct engine_sampler *sampler,
			       uint64_t *ret_handle)
{
	struct texture_object *texture = malloc(sizeof(*texture));

	if (!texture)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*texture = *model;
	object_prepare(&texture->object, sampler ? OBJECT_TEXTURE : OBJECT_SURFACE, context, texture_object_free);
	texture->object.retire = texture_object_retire;
	texture->handle = engine_texture_create(driver_engine(), image, sampler);
	if (!texture->handle) {
		free(texture);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	*ret_handle = texture->handle;
	if (slot_set(texture->handle, texture) && object_publish(&texture->object))
		return CUDA_SUCCESS;
	texture_object_retire(&texture->object);
	free(texture);
	return CUDA_ERROR_OUT_OF_MEMORY;
}

struct texture_object *texture_object_acquire(uint64_t handle, enum object_kind kind)
{
	uint32_t slot = slot_of(handle);
	struct texture_object *found = NULL;

	pthread_mutex_lock(&lock);
	if (slot < slot_count && slots[slot] && slots[slot]->handle == handle && slots[slot]->object.kind == kind) {
		found = slots[slot];
		object_retain(&found->object);
	}
	pthread_mutex_unlock(&lock);
	return found;
}

CUresult texture_object_destroy(uint64_t handle, enum object_kind kind)
{
	struct texture_object *texture = texture_object_acquire(handle, kind);

	if (!texture)
		return CUDA_ERROR_INVALID_VALUE;
	/* Of two threads one retires it. */
	if (object_retire(texture, kind))
		object_release(&texture->object);
	object_release(&texture->object);
	return CUDA_SUCCESS;
}

/* Compressed texels can be copied, but the engine does not read them. */
static CUresult image_describe(const CUDA_ARRAY3D_DESCRIPTOR *descriptor, struct engine_image *ret_image)
{
	array_image(descriptor, ret_image);
	return array_block_bytes(descriptor->Format) ? CUDA_ERROR_NOT_SUPPORTED : CUDA_SUCCESS;
}

CUresult resource_image(const CUDA_RESOURCE_DESC *resource, struct engine_image *ret_image, unsigned *ret_flags)
{
	CUresult result;

	if (resource->resType == CU_RESOURCE_TYPE_ARRAY) {
		struct array *array = object_acquire(resource->res.array.hArray, OBJECT_ARRAY);

		if (!array)
			return CUDA_ERROR_INVALID_HANDLE;
		/* Of several planes, each has texels of its own. */
		if (!array->element_bytes) {
			object_release(&array->object);
			return CUDA_ERROR_INVALID_VALUE;
		}
		result = image_describe(&array->descriptor, ret_image);
		ret_image->level_count = 1;
		ret_image->levels[0] = array->level;
		*ret_flags = array->descriptor.Flags;
		object_release(&array->object);
	} else {
		struct mipmap *mipmap = object_acquire(resource->res.mipmap.hMipmappedArray, OBJECT_MIPMAP);

		if (!mipmap)
			return CUDA_ERROR_INVALID_HANDLE;
		result = image_describe(&mipmap->descriptor, ret_image);
		ret_image->level_count = mipmap->level_count;
		for (uint32_t i = 0; i < mipmap->level_count; i++)
			ret_image->levels[i] = mipmap->levels[i]->level;
		*ret_flags = mipmap->descriptor.Flags;
		object_release(&mipmap->object);
	}
	return result;
}
