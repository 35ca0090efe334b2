/* SPDX-License-Identifier: Apache-2.0 */
#include "copy_side.h"

#include <stdbool.h>

#include "array.h"
#include "copy.h"
#include "doubt.h"
#include "memory.h"

/* One side of the descriptor. */
struct description {
	CUmemorytype type;
	const void *host;
	CUdeviceptr device;
	CUarray array;
	size_t x_bytes, y, z, level, pitch, height;
};

static bool span_fits(size_t begin, size_t count, size_t extent)
{
	return begin <= extent && count <= extent - begin;
}

static CUresult array_read(const struct description *description, const CUDA_MEMCPY3D *copy, struct side *ret_side)
{
	uint32_t id;
	const struct array *array = array_find(description->array, &id);

	if (!array)
		return description->array ? CUDA_ERROR_INVALID_HANDLE : CUDA_ERROR_INVALID_VALUE;
	/* A width that ends inside a texel is the driver's to interpret: it takes it (seen with driver 580). */
	if (!array->element_bytes || description->x_bytes % array->element_bytes ||
	    !span_fits(description->x_bytes, copy->WidthInBytes, array_columns(array) * array->element_bytes) ||
	    !span_fits(description->y, copy->Height, array_rows(array)) ||
	    !span_fits(description->z, copy->Depth, array_slices(array)))
		return CUDA_ERROR_INVALID_VALUE;
	*ret_side = (struct side){
		.kind = SIDE_ARRAY,
		.array_id = id,
		.element_bytes = array->element_bytes,
		.x_bytes = description->x_bytes,
		.y = description->y,
		.z = description->z,
	};
	return CUDA_SUCCESS;
}

/* A pitch or height of 0 says that rows or slices follow each other closely. */
static CUresult linear_read(const struct description *description, const CUDA_MEMCPY3D *copy, struct side *side)
{
	size_t pitch = description->pitch, height = description->height;
	size_t row_reach, slice_reach, rows, offset, bytes;

	if (__builtin_add_overflow(description->x_bytes, copy->WidthInBytes, &row_reach) ||
	    __builtin_add_overflow(description->y, copy->Height, &slice_reach))
		return CUDA_ERROR_INVALID_VALUE;
	if (pitch > DOUBT_PITCH_MAX && (copy->Height > 1 || copy->Depth > 1))
		return CUDA_ERROR_INVALID_VALUE;
	if (!pitch)
		pitch = row_reach;
	if (!height || (copy->Depth == 1 && !description->z && height < slice_reach))
		height = slice_reach;
	if (pitch < row_reach || height < slice_reach)
		return CUDA_ERROR_INVALID_VALUE;
	if (__builtin_mul_overflow(description->z, height, &rows) ||
	    __builtin_add_overflow(rows, description->y, &rows) || __builtin_mul_overflow(rows, pitch, &offset) ||
	    __builtin_add_overflow(offset, description->x_bytes, &offset) ||
	    __builtin_add_overflow(side->address, offset, &side->address))
		return CUDA_ERROR_INVALID_VALUE;
	if (__builtin_mul_overflow(copy->Depth - 1, height, &rows) ||
	    __builtin_add_overflow(rows, copy->Height - 1, &rows) || __builtin_mul_overflow(rows, pitch, &bytes) ||
	    __builtin_add_overflow(bytes, copy->WidthInBytes, &bytes) || side->address + bytes < side->address)
		return CUDA_ERROR_INVALID_VALUE;
	side->row_bytes = pitch;
	side->slice_rows = height;
	side->bytes = bytes;
	return CUDA_SUCCESS;
}

static CUresult side_read(const struct description *description, const CUDA_MEMCPY3D *copy, struct side *ret_side)
{
	struct side side = {0};
	CUresult result;

	if (description->level)
		return CUDA_ERROR_INVALID_VALUE;
	switch (description->type) {
	case CU_MEMORYTYPE_HOST:
		/* As in copy_up(). */
		side.address = (uintptr_t)description->host;
		side.kind = copy_host_is_device(side.address) ? SIDE_DEVICE : SIDE_HOST;
		break;
	case CU_MEMORYTYPE_DEVICE:
		side.address = description->device;
		side.kind = SIDE_DEVICE;
		break;
	case CU_MEMORYTYPE_UNIFIED:
		side.address = description->device;
		side.kind = memory_is_device(description->device) ? SIDE_DEVICE : SIDE_HOST;
		break;
	case CU_MEMORYTYPE_ARRAY:
		return array_read(description, copy, ret_side);
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
	if (!side.address)
		return CUDA_ERROR_INVALID_VALUE;
	result = linear_read(description, copy, &side);
	if (result)
		return result;
	if (side.kind == SIDE_HOST && copy_host_is_shared((const void *)(uintptr_t)side.address, side.bytes))
		side.kind = SIDE_SHARED;
	*ret_side = side;
	return CUDA_SUCCESS;
}

CUDA_MEMCPY3D copy_sides_wire(const struct side *to, const struct side *from, const CUDA_MEMCPY3D *copy)
{
	static const CUmemorytype types[] = {
		[SIDE_DEVICE] = CU_MEMORYTYPE_DEVICE,
		[SIDE_ARRAY] = CU_MEMORYTYPE_ARRAY,
		[SIDE_SHARED] = CU_MEMORYTYPE_HOST,
		[SIDE_HOST] = CU_MEMORYTYPE_HOST,
	};
	CUDA_MEMCPY3D wire = {
		.srcMemoryType = types[from->kind],
		.srcXInBytes = from->x_bytes,
		.srcY = from->y,
		.srcZ = from->z,
		.srcPitch = from->row_bytes,
		.srcHeight = from->slice_rows,
		.dstMemoryType = types[to->kind],
		.dstXInBytes = to->x_bytes,
		.dstY = to->y,
		.dstZ = to->z,
		.dstPitch = to->row_bytes,
		.dstHeight = to->slice_rows,
		.WidthInBytes = copy->WidthInBytes,
		.Height = copy->Height,
		.Depth = copy->Depth,
	};

	if (from->kind == SIDE_DEVICE)
		wire.srcDevice = from->address;
	else
		wire.srcHost = (const void *)(uintptr_t)from->address;
	if (to->kind == SIDE_DEVICE)
		wire.dstDevice = to->address;
	else
		wire.dstHost = (void *)(uintptr_t)to->address;
	return wire;
}

CUresult copy_sides_read(const CUDA_MEMCPY3D *copy, struct side *ret_to, struct side *ret_from)
{
	const struct description source = {
		.type = copy->srcMemoryType,
		.host = copy->srcHost,
		.device = copy->srcDevice,
		.array = copy->srcArray,
		.x_bytes = copy->srcXInBytes,
		.y = copy->srcY,
		.z = copy->srcZ,
		.level = copy->srcLOD,
		.pitch = copy->srcPitch,
		.height = copy->srcHeight,
	};
	const struct description destination = {
		.type = copy->dstMemoryType,
		.host = copy->dstHost,
		.device = copy->dstDevice,
		.array = copy->dstArray,
		.x_bytes = copy->dstXInBytes,
		.y = copy->dstY,
		.z = copy->dstZ,
		.level = copy->dstLOD,
		.pitch = copy->dstPitch,
		.height = copy->dstHeight,
	};
	CUresult result = side_read(&destination, copy, ret_to);

	return result ? result : side_read(&source, copy, ret_from);
}
