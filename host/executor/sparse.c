/* SPDX-License-Identifier: Apache-2.0 */
#include "sparse.h"

#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "executor.h"
#include "executor_calls.h"
#include "virtual.h"
#include "vgpu_wire.h"

/* Of a place: a tile of a level, or of the mip tail. */
#define PLACE_TAIL	(1ull << 63)
#define PLACE_LEVEL(n)	((uint64_t)(n) << 56)
#define PLACE_LAYER(n)	((uint64_t)(n) << 42)
#define PLACE_LAYER_MAX (1u << 14)
#define PLACE_AXIS_BITS 14u
#define PLACE_AXIS_MAX	(1ull << PLACE_AXIS_BITS)

/* Tiles have the size that the driver maps memory in. */
#define TILE_BYTES 65536u

static struct sparse_array *array_find(const struct executor *executor, const void *array)
{
	struct sparse_array *found = executor->sparse.list;

	while (found && found->array != array)
		found = found->next;
	return found;
}

CUresult sparse_add(struct executor *executor, const void *array, uint32_t context, bool is_mipmapped,
		    const CUDA_ARRAY3D_DESCRIPTOR *descriptor, uint32_t levels)
{
	const struct driver *driver = &executor->driver;
	const bool is_layered = descriptor->Flags & (CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_CUBEMAP);
	struct sparse_array *made;
	CUresult result = CUDA_SUCCESS;

	if (!driver->cuMemMapArrayAsync || !driver->cuArrayGetSparseProperties ||
	    !driver->cuMipmappedArrayGetSparseProperties)
		return CUDA_ERROR_NOT_SUPPORTED;
	made = calloc(1, sizeof(*made));
	if (!made)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*made = (struct sparse_array){
		.array = array,
		.context = context,
		.is_deferred = descriptor->Flags & CUDA_ARRAY3D_DEFERRED_MAPPING,
		.levels = levels < SPARSE_LEVELS_MAX ? levels : SPARSE_LEVELS_MAX,
		.layers = is_layered ? (uint32_t)descriptor->Depth : 1,
		.extent = {descriptor->Width, descriptor->Height, is_layered ? 1 : descriptor->Depth},
	};
	if (!made->is_deferred)
		result = is_mipmapped
				 ? driver->cuMipmappedArrayGetSparseProperties(&made->tiles, (CUmipmappedArray)array)
				 : driver->cuArrayGetSparseProperties(&made->tiles, (CUarray)array);
	if (!result && !made->is_deferred &&
	    (!made->tiles.tileExtent.width || !made->tiles.tileExtent.height || !made->tiles.tileExtent.depth))
		result = CUDA_ERROR_UNKNOWN;
	if (result) {
		free(made);
		return result;
	}
	made->next = executor->sparse.list;
	executor->sparse.list = made;
	return CUDA_SUCCESS;
}

/* Where the tile stands, or would. */
static struct sparse_tile **tile_place(struct executor *executor, const void *array, uint64_t place)
{
	const uint64_t hash = ((uintptr_t)array >> 4 ^ place ^ place >> 28 ^ place >> 42) * 0x9e3779b97f4a7c15ull;
	struct sparse_tile **found = &executor->sparse.buckets[hash >> 52];

	while (*found && ((*found)->array != array || (*found)->place != place))
		found = &(*found)->next;
	return found;
}
_Static_assert(SPARSE_BUCKETS == 1u << 12, "the hash's upper bits");

static void tile_end(struct executor *executor, struct sparse_tile **place)
{
	struct sparse_tile *tile = *place;

	*place = tile->next;
	free(tile);
	executor->sparse.tile_count--;
}

static void physical_leave(struct executor *executor, struct physical *physical)
{
	physical->mappings--;
	physical_settle(executor, physical);
}

void sparse_remove(struct executor *executor, const void *array)
{
	struct sparse_array **place = &executor->sparse.list, *ended;

	while (*place && (*place)->array != array)
		place = &(*place)->next;
	ended = *place;
	if (!ended)
		return;
	*place = ended->next;
	free(ended);
	for (uint32_t i = 0; i < SPARSE_BUCKETS; i++) {
		for (struct sparse_tile **tile = &executor->sparse.buckets[i]; *tile;) {
			if ((*tile)->array != array) {
				tile = &(*tile)->next;
				continue;
			}
			physical_leave(executor, (*tile)->physical);
			tile_end(executor, tile);
		}
	}
}

void sparse_forget_context(struct executor *executor, const struct context *context)
{
	for (struct sparse_array *array = executor->sparse.list, *next; array; array = next) {
		next = array->next;
		if (array->context == context->id)
			sparse_remove(executor, array->array);
	}
}

/* The tiles that an operation is about: from, up to but not including. */
struct region {
	uint64_t base; /* of their places */
	uint64_t from[3], to[3];
};

static CUresult level_region(const struct sparse_array *array, const struct vgpu_array_map *map, struct region *region)
{
	const uint64_t tile[3] = {array->tiles.tileExtent.width, array->tiles.tileExtent.height,
				  array->tiles.tileExtent.depth};

	if (map->level >= array->levels || map->layer >= array->layers || map->layer >= PLACE_LAYER_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	region->base = PLACE_LEVEL(map->level) | PLACE_LAYER(map->layer);
	for (int i = 0; i < 3; i++) {
		uint64_t extent = array->extent[i] >> map->level;

		if (!extent)
			extent = 1;
		if (map->at[i] % tile[i] || map->at[i] >= extent || !map->extent[i])
			return CUDA_ERROR_INVALID_VALUE;
		region->from[i] = map->at[i] / tile[i];
		region->to[i] = (map->at[i] + (uint64_t)map->extent[i] + tile[i] - 1) / tile[i];
		if (region->to[i] > (extent + tile[i] - 1) / tile[i] || region->to[i] > PLACE_AXIS_MAX)
			return CUDA_ERROR_INVALID_VALUE;
	}
	return CUDA_SUCCESS;
}

static CUresult tail_region(const struct sparse_array *array, const struct vgpu_array_map *map, struct region *region)
{
	const uint64_t bytes = array->tiles.miptailSize;

	if (map->layer >= array->layers || map->layer >= PLACE_LAYER_MAX || map->tail_offset % TILE_BYTES ||
	    !map->tail_bytes || map->tail_offset > bytes || map->tail_bytes > bytes - map->tail_offset)
		return CUDA_ERROR_INVALID_VALUE;
	*region = (struct region){
		.base = PLACE_TAIL | PLACE_LAYER(map->layer),
		.from = {map->tail_offset / TILE_BYTES, 0, 0},
		.to = {(map->tail_offset + map->tail_bytes + TILE_BYTES - 1) / TILE_BYTES, 1, 1},
	};
	return region->to[0] <= PLACE_AXIS_MAX ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult region_of(const struct sparse_array *array, const struct vgpu_array_map *map, struct region *region)
{
	/* All of it, whatever the operation names. */
	if (array->is_deferred) {
		*region = (struct region){.base = 0, .to = {1, 1, 1}};
		return CUDA_SUCCESS;
	}
	return map->is_tail ? tail_region(array, map, region) : level_region(array, map, region);
}

static uint64_t region_tiles(const struct region *region)
{
	return (region->to[0] - region->from[0]) * (region->to[1] - region->from[1]) *
	       (region->to[2] - region->from[2]);
}

#define EACH_TILE(region, place)                                                                                       \
	for (uint64_t z_ = (region)->from[2]; z_ < (region)->to[2]; z_++)                                              \
		for (uint64_t y_ = (region)->from[1]; y_ < (region)->to[1]; y_++)                                      \
			for (uint64_t x_ = (region)->from[0],                                                          \
				      place = (region)->base | z_ << 2 * PLACE_AXIS_BITS | y_ << PLACE_AXIS_BITS | x_; \
			     x_ < (region)->to[0]; x_++, place++)

/* One operation, as the tables and the driver need it. */
struct operation {
	const void *array;
	struct physical *physical; /* NULL: it unmaps */
	struct region region;
};

static CUresult operation_read(struct executor *executor, const struct vgpu_array_map *map, struct operation *operation,
			       CUarrayMapInfo *info)
{
	const bool is_mipmapped = VGPU_ID_KIND(map->resource) == VGPU_KIND_MIPMAPPED_ARRAY;
	const struct handle *handle = handles_find(
		&executor->handles, is_mipmapped ? VGPU_KIND_MIPMAPPED_ARRAY : VGPU_KIND_ARRAY, map->resource);
	const struct sparse_array *array = handle ? array_find(executor, handle->object) : NULL;
	void *physical = NULL;
	CUresult result;

	if (!array || (map->operation != CU_MEM_OPERATION_TYPE_MAP && map->operation != CU_MEM_OPERATION_TYPE_UNMAP))
		return CUDA_ERROR_INVALID_VALUE;
	if (map->operation == CU_MEM_OPERATION_TYPE_MAP &&
	    execute_find(executor, VGPU_KIND_MEMORY_HANDLE, map->memory, &physical))
		return CUDA_ERROR_INVALID_VALUE;
	result = region_of(array, map, &operation->region);
	if (result)
		return result;
	operation->array = array->array;
	operation->physical = physical;
	*info = (CUarrayMapInfo){
		.resourceType = is_mipmapped ? CU_RESOURCE_TYPE_MIPMAPPED_ARRAY : CU_RESOURCE_TYPE_ARRAY,
		.subresourceType = map->is_tail ? CU_ARRAY_SPARSE_SUBRESOURCE_TYPE_MIPTAIL
						: CU_ARRAY_SPARSE_SUBRESOURCE_TYPE_SPARSE_LEVEL,
		.memOperationType = (CUmemOperationType)map->operation,
		.memHandleType = CU_MEM_HANDLE_TYPE_GENERIC,
		.memHandle.memHandle = operation->physical ? operation->physical->handle : 0,
		.offset = map->offset,
		.deviceBitMask = map->device_mask,
	};
	if (is_mipmapped)
		info->resource.mipmap = handle->object;
	else
		info->resource.array = handle->object;
	if (map->is_tail) {
		info->subresource.miptail.layer = map->layer;
		info->subresource.miptail.offset = map->tail_offset;
		info->subresource.miptail.size = map->tail_bytes;
		return CUDA_SUCCESS;
	}
	info->subresource.sparseLevel.level = map->level;
	info->subresource.sparseLevel.layer = map->layer;
	info->subresource.sparseLevel.offsetX = map->at[0];
	info->subresource.sparseLevel.offsetY = map->at[1];
	info->subresource.sparseLevel.offsetZ = map->at[2];
	info->subresource.sparseLevel.extentWidth = map->extent[0];
	info->subresource.sparseLevel.extentHeight = map->extent[1];
	info->subresource.sparseLevel.extentDepth = map->extent[2];
	return CUDA_SUCCESS;
}

/* Tiles that no memory is mapped to are not kept. */
static void operation_undo(struct executor *executor, const struct operation *operation)
{
	EACH_TILE(&operation->region, place)
	{
		struct sparse_tile **tile = tile_place(executor, operation->array, place);

		if (*tile && !(*tile)->physical)
			tile_end(executor, tile);
	}
}

/* Room for what the operation maps. */
static CUresult operation_reserve(struct executor *executor, const struct operation *operation)
{
	if (!operation->physical)
		return CUDA_SUCCESS;
	EACH_TILE(&operation->region, place)
	{
		struct sparse_tile **tile = tile_place(executor, operation->array, place);

		if (*tile)
			continue;
		if (executor->sparse.tile_count >= SPARSE_TILES_MAX)
			return CUDA_ERROR_OUT_OF_MEMORY;
		*tile = malloc(sizeof(**tile));
		if (!*tile)
			return CUDA_ERROR_OUT_OF_MEMORY;
		**tile = (struct sparse_tile){.array = operation->array, .place = place};
		executor->sparse.tile_count++;
	}
	return CUDA_SUCCESS;
}

/* What was there goes to the list, which has room. */
static size_t operation_note(struct executor *executor, const struct operation *operation, struct physical **before)
{
	size_t count = 0;

	EACH_TILE(&operation->region, place)
	{
		struct sparse_tile **tile = tile_place(executor, operation->array, place);

		if (!*tile)
			continue;
		if ((*tile)->physical)
			before[count++] = (*tile)->physical;
		(*tile)->physical = operation->physical;
		if (operation->physical)
			operation->physical->mappings++;
		else
			tile_end(executor, tile);
	}
	return count;
}

/*
 * In a stream that has nothing to do, so that the wait is short, and what is unmapped is charged no more only when it
 * is. One by one, for of a list the driver does not say how far it came.
 */
static CUresult operation_make(struct executor *executor, const struct operation *operation,
			       CUarrayMapInfo *information, CUstream stream)
{
	const uint64_t tiles = region_tiles(&operation->region);
	struct physical **before;
	size_t count = 0;
	CUresult result;

	if (tiles > SPARSE_TILES_MAX)
		return CUDA_ERROR_OUT_OF_MEMORY;
	before = calloc((size_t)tiles, sizeof(*before));
	if (!before)
		return CUDA_ERROR_OUT_OF_MEMORY;
	result = operation_reserve(executor, operation);
	if (!result)
		result = executor->driver.cuMemMapArrayAsync(information, 1, stream);
	if (result) {
		operation_undo(executor, operation);
	} else {
		result = executor->driver.cuStreamSynchronize(stream);
		count = operation_note(executor, operation, before);
	}
	for (size_t i = 0; i < count; i++)
		physical_leave(executor, before[i]);
	free(before);
	return result;
}

CUresult execute_cuMemMapArrayAsync(struct executor *executor, const struct request *request,
				    const struct wire_cuMemMapArrayAsync *arguments, const void *wire)
{
	const uint32_t count = arguments->maps_bytes / sizeof(struct vgpu_array_map);
	const struct vgpu_array_map *maps = wire;
	struct operation *operations;
	CUarrayMapInfo *information;
	CUstream stream;
	CUresult result = execute_find_stream(executor, arguments->hStream, &stream);

	(void)request;
	if (result)
		return result;
	if (!executor->driver.cuMemMapArrayAsync)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!count || arguments->maps_bytes % sizeof(struct vgpu_array_map))
		return CUDA_ERROR_INVALID_VALUE;
	result = capture_check(executor, stream);
	/* The guest waits for the stream, and asks again if another thread has given it something meanwhile. */
	if (!result)
		result = executor->driver.cuStreamQuery(stream);
	if (result)
		return result;
	operations = calloc(count, sizeof(*operations));
	information = calloc(count, sizeof(*information));
	if (!operations || !information)
		result = CUDA_ERROR_OUT_OF_MEMORY;
	for (uint32_t i = 0; i < count && !result; i++)
		result = operation_read(executor, &maps[i], &operations[i], &information[i]);
	for (uint32_t i = 0; i < count && !result; i++)
		result = operation_make(executor, &operations[i], &information[i], stream);
	free(operations);
	free(information);
	return result;
}
