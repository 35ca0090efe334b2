/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arrays that get their memory after they are made, in tiles or at once: what the host's driver says of them, and
 * mapping memory into them, which the executor keeps count of.
 */
#include <stdlib.h>

#include "array.h"
#include "host_calls.h"
#include "virtual.h"

/* The id of an array that was made with the flag. */
static CUresult array_begin(CUarray handle, unsigned int flag, const void *answer, uint32_t *ret_context,
			    uint32_t *ret_id)
{
	const struct array *array;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, ret_context);

	if (result)
		return result;
	array = array_find(handle, ret_id);
	if (!array)
		return CUDA_ERROR_INVALID_HANDLE;
	return answer && array->descriptor.Flags & flag ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult mipmap_begin(CUmipmappedArray handle, unsigned int flag, const void *answer, uint32_t *ret_context,
			     uint32_t *ret_id)
{
	struct mipmap *mipmap;
	struct object *object;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, ret_context);

	if (result)
		return result;
	object = mipmap_find(handle, &mipmap);
	if (!object)
		return CUDA_ERROR_INVALID_HANDLE;
	*ret_id = object->id;
	return answer && mipmap->descriptor.Flags & flag ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

API(cuArrayGetSparseProperties, CUDA_ARRAY_SPARSE_PROPERTIES *properties, CUarray handle)
{
	CUDA_ARRAY_SPARSE_PROPERTIES found = {0};
	uint64_t tail_bytes;
	uint32_t context, id;
	CUresult result = array_begin(handle, CUDA_ARRAY3D_SPARSE, properties, &context, &id);

	if (!result)
		result = host_cuArrayGetSparseProperties(context, &found.tileExtent.width, &found.tileExtent.height,
							 &found.tileExtent.depth, &found.miptailFirstLevel, &tail_bytes,
							 &found.flags, id);
	if (result)
		return result;
	found.miptailSize = tail_bytes;
	*properties = found;
	return CUDA_SUCCESS;
}

API(cuMipmappedArrayGetSparseProperties, CUDA_ARRAY_SPARSE_PROPERTIES *properties, CUmipmappedArray handle)
{
	CUDA_ARRAY_SPARSE_PROPERTIES found = {0};
	uint64_t tail_bytes;
	uint32_t context, id;
	CUresult result = mipmap_begin(handle, CUDA_ARRAY3D_SPARSE, properties, &context, &id);

	if (!result)
		result = host_cuMipmappedArrayGetSparseProperties(
			context, &found.tileExtent.width, &found.tileExtent.height, &found.tileExtent.depth,
			&found.miptailFirstLevel, &tail_bytes, &found.flags, id);
	if (result)
		return result;
	found.miptailSize = tail_bytes;
	*properties = found;
	return CUDA_SUCCESS;
}

API(cuArrayGetMemoryRequirements, CUDA_ARRAY_MEMORY_REQUIREMENTS *requirements, CUarray handle, CUdevice dev)
{
	uint64_t bytes, alignment;
	uint32_t context, id;
	CUresult result = array_begin(handle, CUDA_ARRAY3D_DEFERRED_MAPPING, requirements, &context, &id);

	if (!result)
		result = host_cuArrayGetMemoryRequirements(context, &bytes, &alignment, id, dev);
	if (!result)
		*requirements = (CUDA_ARRAY_MEMORY_REQUIREMENTS){.size = (size_t)bytes, .alignment = (size_t)alignment};
	return result;
}

API(cuMipmappedArrayGetMemoryRequirements, CUDA_ARRAY_MEMORY_REQUIREMENTS *requirements, CUmipmappedArray handle,
    CUdevice dev)
{
	uint64_t bytes, alignment;
	uint32_t context, id;
	CUresult result = mipmap_begin(handle, CUDA_ARRAY3D_DEFERRED_MAPPING, requirements, &context, &id);

	if (!result)
		result = host_cuMipmappedArrayGetMemoryRequirements(context, &bytes, &alignment, id, dev);
	if (!result)
		*requirements = (CUDA_ARRAY_MEMORY_REQUIREMENTS){.size = (size_t)bytes, .alignment = (size_t)alignment};
	return result;
}

/* Which array, and how it got there: a level has none of its own to be mapped. */
static CUresult resource_id(const CUarrayMapInfo *info, uint32_t *ret_id)
{
	const struct array *array;
	struct object *object;
	struct mipmap *mipmap;

	if (info->resourceType == CU_RESOURCE_TYPE_ARRAY) {
		array = array_find(info->resource.array, ret_id);
		return array && !array->owner ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
	}
	if (info->resourceType != CU_RESOURCE_TYPE_MIPMAPPED_ARRAY)
		return CUDA_ERROR_INVALID_VALUE;
	object = mipmap_find(info->resource.mipmap, &mipmap);
	if (!object)
		return CUDA_ERROR_INVALID_VALUE;
	*ret_id = object->id;
	return CUDA_SUCCESS;
}

static CUresult map_read(const CUarrayMapInfo *info, struct vgpu_array_map *map)
{
	const bool is_map = info->memOperationType == CU_MEM_OPERATION_TYPE_MAP;
	CUresult result;

	*map = (struct vgpu_array_map){
		.is_tail = info->subresourceType == CU_ARRAY_SPARSE_SUBRESOURCE_TYPE_MIPTAIL,
		.operation = (uint32_t)info->memOperationType,
		.offset = info->offset,
		.device_mask = info->deviceBitMask,
	};
	if (info->memHandleType != CU_MEM_HANDLE_TYPE_GENERIC || info->flags || info->reserved[0] || info->reserved[1])
		return CUDA_ERROR_INVALID_VALUE;
	result = resource_id(info, &map->resource);
	/* What unmaps names no memory, or any. */
	if (!result && is_map)
		result = memory_handle_id(info->memHandle.memHandle, &map->memory);
	if (result)
		return result;
	if (map->is_tail) {
		map->layer = info->subresource.miptail.layer;
		map->tail_offset = info->subresource.miptail.offset;
		map->tail_bytes = info->subresource.miptail.size;
		return CUDA_SUCCESS;
	}
	map->level = info->subresource.sparseLevel.level;
	map->layer = info->subresource.sparseLevel.layer;
	map->at[0] = info->subresource.sparseLevel.offsetX;
	map->at[1] = info->subresource.sparseLevel.offsetY;
	map->at[2] = info->subresource.sparseLevel.offsetZ;
	map->extent[0] = info->subresource.sparseLevel.extentWidth;
	map->extent[1] = info->subresource.sparseLevel.extentHeight;
	map->extent[2] = info->subresource.sparseLevel.extentDepth;
	return CUDA_SUCCESS;
}

/* Those of a long list go in several requests, of which an error ends the rest. */
static CUresult maps_send(uint32_t context, uint32_t stream, const CUarrayMapInfo *list, unsigned int count)
{
	struct vgpu_array_map *maps = calloc(VGPU_ARRAY_MAPS_MAX, sizeof(*maps));
	CUresult result = maps ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;

	for (unsigned int done = 0; done < count && !result;) {
		uint32_t part = count - done < VGPU_ARRAY_MAPS_MAX ? count - done : VGPU_ARRAY_MAPS_MAX;

		for (uint32_t i = 0; i < part && !result; i++)
			result = map_read(&list[done + i], &maps[i]);
		/* The host maps in a stream that is idle; another thread may give it something in between. */
		while (!result) {
			result = host_cuStreamSynchronize(context, stream);
			if (!result)
				result = host_cuMemMapArrayAsync(context, stream, maps, part * (uint32_t)sizeof(*maps));
			if (result != CUDA_ERROR_NOT_READY)
				break;
			result = CUDA_SUCCESS;
		}
		done += part;
	}
	free(maps);
	return result;
}

static CUresult arrays_map(const CUarrayMapInfo *list, unsigned int count, CUstream stream, bool per_thread)
{
	uint32_t context, id;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	if (!list || !count)
		return CUDA_ERROR_INVALID_VALUE;
	result = stream_id(stream, per_thread, &id);
	return result ? result : maps_send(context, id, list, count);
}

API(cuMemMapArrayAsync, CUarrayMapInfo *list, unsigned int count, CUstream stream)
{
	return arrays_map(list, count, stream, false);
}

API(cuMemMapArrayAsync_ptsz, CUarrayMapInfo *list, unsigned int count, CUstream stream)
{
	return arrays_map(list, count, stream, true);
}
