/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Textures and surfaces. Their handles are the host driver's values, for kernels
 * use them; the objects behind them are found by value. What describes one is
 * remembered here, with the program's own handles in it.
 */
#include <pthread.h>
#include <stdlib.h>

#include "array.h"
#include "host_calls.h"

#define BUCKETS 1024u

struct texture {
	struct texture *next; /* in the bucket */
	struct object *object;
	uint64_t value;
	CUDA_RESOURCE_DESC resource;
	CUDA_TEXTURE_DESC description;
	CUDA_RESOURCE_VIEW_DESC view;
	bool has_view;
};

/* Of one kind. */
struct texture_map {
	enum vgpu_kind kind;
	struct texture *buckets[BUCKETS];
};

static struct texture_map textures = {.kind = VGPU_KIND_TEXTURE};
static struct texture_map surfaces = {.kind = VGPU_KIND_SURFACE};
static pthread_mutex_t maps_mutex = PTHREAD_MUTEX_INITIALIZER;

/* Values are small numbers or addresses. */
static struct texture **bucket_of(struct texture_map *map, uint64_t value)
{
	return &map->buckets[(value ^ value >> 10 ^ value >> 20 ^ value >> 32) % BUCKETS];
}

static void map_add(struct texture_map *map, struct texture *texture)
{
	struct texture **bucket = bucket_of(map, texture->value);

	pthread_mutex_lock(&maps_mutex);
	texture->next = *bucket;
	*bucket = texture;
	pthread_mutex_unlock(&maps_mutex);
}

/* A copy of what is known of a value; false: nothing. */
static bool map_find(struct texture_map *map, uint64_t value, struct texture *ret_texture)
{
	const struct texture *found;

	pthread_mutex_lock(&maps_mutex);
	for (found = *bucket_of(map, value); found && found->value != value;)
		found = found->next;
	if (found)
		*ret_texture = *found;
	pthread_mutex_unlock(&maps_mutex);
	return found;
}

/* The caller's from now on; NULL: there is none. */
static struct texture *map_take(struct texture_map *map, uint64_t value)
{
	struct texture **place, *found;

	pthread_mutex_lock(&maps_mutex);
	for (place = bucket_of(map, value); *place && (*place)->value != value;)
		place = &(*place)->next;
	found = *place;
	if (found)
		*place = found->next;
	pthread_mutex_unlock(&maps_mutex);
	return found;
}

static void texture_end(struct texture *texture)
{
	object_release(texture->object);
	free(texture);
}

static struct texture *texture_new(enum vgpu_kind kind, uint32_t context)
{
	struct texture *texture = calloc(1, sizeof(*texture));

	if (!texture)
		return NULL;
	texture->object = object_mint(kind, context);
	if (texture->object)
		return texture;
	free(texture);
	return NULL;
}

/* What the host is told of a resource. */
struct wire_resource {
	uint32_t id;
	uint64_t address;
	uint32_t format;
	uint32_t channels;
	uint64_t width, height, pitch;
};

static CUresult resource_translate(const CUDA_RESOURCE_DESC *resource, struct wire_resource *wire)
{
	*wire = (struct wire_resource){0};
	switch (resource->resType) {
	case CU_RESOURCE_TYPE_ARRAY:
		return resource->res.array.hArray ? object_id(resource->res.array.hArray, VGPU_KIND_ARRAY, &wire->id)
						  : CUDA_ERROR_INVALID_VALUE;
	case CU_RESOURCE_TYPE_MIPMAPPED_ARRAY:
		return object_id(resource->res.mipmap.hMipmappedArray, VGPU_KIND_MIPMAPPED_ARRAY, &wire->id);
	case CU_RESOURCE_TYPE_LINEAR:
		wire->address = resource->res.linear.devPtr;
		wire->format = (uint32_t)resource->res.linear.format;
		wire->channels = resource->res.linear.numChannels;
		wire->width = resource->res.linear.sizeInBytes;
		return CUDA_SUCCESS;
	case CU_RESOURCE_TYPE_PITCH2D:
		wire->address = resource->res.pitch2D.devPtr;
		wire->format = (uint32_t)resource->res.pitch2D.format;
		wire->channels = resource->res.pitch2D.numChannels;
		wire->width = resource->res.pitch2D.width;
		wire->height = resource->res.pitch2D.height;
		wire->pitch = resource->res.pitch2D.pitchInBytes;
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

API(cuTexObjectCreate, CUtexObject *handle, const CUDA_RESOURCE_DESC *resource, const CUDA_TEXTURE_DESC *description,
    const CUDA_RESOURCE_VIEW_DESC *view)
{
	struct wire_resource wire;
	struct texture *texture;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	if (!handle || !resource || !description || resource->flags)
		return CUDA_ERROR_INVALID_VALUE;
	result = resource_translate(resource, &wire);
	if (result)
		return result;
	texture = texture_new(VGPU_KIND_TEXTURE, context);
	if (!texture)
		return CUDA_ERROR_OUT_OF_MEMORY;
	texture->resource = *resource;
	texture->description = *description;
	if (view) {
		texture->view = *view;
		texture->has_view = true;
	}
	result = host_cuTexObjectCreate(context, texture->object->id, (uint32_t)resource->resType, wire.id,
					wire.address, wire.format, wire.channels, wire.width, wire.height, wire.pitch,
					texture->has_view, &texture->description, &texture->view, &texture->value);
	if (result) {
		texture_end(texture);
		return result;
	}
	map_add(&textures, texture);
	*handle = texture->value;
	return CUDA_SUCCESS;
}

API(cuTexObjectDestroy, CUtexObject handle)
{
	struct texture *texture;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result || !handle)
		return result;
	texture = map_take(&textures, handle);
	if (!texture)
		return CUDA_ERROR_INVALID_VALUE;
	result = host_cuTexObjectDestroy(context, texture->object->id);
	texture_end(texture);
	return result;
}

static CUresult described_find(struct texture_map *map, uint64_t handle, const void *answer,
			       struct texture *ret_texture)
{
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	return answer && map_find(map, handle, ret_texture) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

API(cuTexObjectGetResourceDesc, CUDA_RESOURCE_DESC *resource, CUtexObject handle)
{
	struct texture texture;
	CUresult result = described_find(&textures, handle, resource, &texture);

	if (!result)
		*resource = texture.resource;
	return result;
}

API(cuTexObjectGetTextureDesc, CUDA_TEXTURE_DESC *description, CUtexObject handle)
{
	struct texture texture;
	CUresult result = described_find(&textures, handle, description, &texture);

	if (!result)
		*description = texture.description;
	return result;
}

API(cuTexObjectGetResourceViewDesc, CUDA_RESOURCE_VIEW_DESC *view, CUtexObject handle)
{
	struct texture texture;
	CUresult result = described_find(&textures, handle, view, &texture);

	if (!result && !texture.has_view)
		result = CUDA_ERROR_INVALID_VALUE;
	if (!result)
		*view = texture.view;
	return result;
}

API(cuSurfObjectCreate, CUsurfObject *handle, const CUDA_RESOURCE_DESC *resource)
{
	struct texture *surface;
	uint32_t context, array;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	if (!handle || !resource || resource->flags || resource->resType != CU_RESOURCE_TYPE_ARRAY)
		return CUDA_ERROR_INVALID_VALUE;
	result = object_id(resource->res.array.hArray, VGPU_KIND_ARRAY, &array);
	if (result)
		return result;
	surface = texture_new(VGPU_KIND_SURFACE, context);
	if (!surface)
		return CUDA_ERROR_OUT_OF_MEMORY;
	surface->resource = *resource;
	result = host_cuSurfObjectCreate(context, surface->object->id, array, &surface->value);
	if (result) {
		texture_end(surface);
		return result;
	}
	map_add(&surfaces, surface);
	*handle = surface->value;
	return CUDA_SUCCESS;
}

API(cuSurfObjectDestroy, CUsurfObject handle)
{
	struct texture *surface;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result || !handle)
		return result;
	surface = map_take(&surfaces, handle);
	if (!surface)
		return CUDA_ERROR_INVALID_VALUE;
	result = host_cuSurfObjectDestroy(context, surface->object->id);
	texture_end(surface);
	return result;
}

API(cuSurfObjectGetResourceDesc, CUDA_RESOURCE_DESC *resource, CUsurfObject handle)
{
	struct texture surface;
	CUresult result = described_find(&surfaces, handle, resource, &surface);

	if (!result)
		*resource = surface.resource;
	return result;
}

static void map_forget(struct texture_map *map, uint32_t context)
{
	for (uint32_t i = 0; i < BUCKETS; i++) {
		struct texture **place = &map->buckets[i];

		while (*place) {
			struct texture *texture = *place;

			if (texture->object->context != context) {
				place = &texture->next;
				continue;
			}
			*place = texture->next;
			texture_end(texture);
		}
	}
}

void textures_forget_context(uint32_t context)
{
	pthread_mutex_lock(&maps_mutex);
	map_forget(&textures, context);
	map_forget(&surfaces, context);
	pthread_mutex_unlock(&maps_mutex);
}
