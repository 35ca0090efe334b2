/* SPDX-License-Identifier: Apache-2.0 */
/* cuMemcpy2D and cuMemcpy3D, of linear memory and of arrays. */
#include "copy.h"
#include "array.h"
#include "context.h"
#include "copy_peer.h"
#include "driver.h"
#include "entry.h"
#include "stream.h"

/* One side of either descriptor, in the terms of the three-dimensional one. */
struct side {
	CUmemorytype type;
	const void *host;
	CUdeviceptr device;
	CUarray array;
	size_t x_bytes, y, z;
	size_t pitch_bytes;
	size_t height_rows; /* of a slice */
	size_t level;
};

static bool span_fits(size_t begin, size_t count, size_t extent)
{
	return begin <= extent && count <= extent - begin;
}

/* What is copied of an array begins with an element and lies within it. */
static CUresult array_resolve(const struct side *side, size_t width_bytes, size_t rows, size_t slices,
			      struct copy_end *ret_end)
{
	struct array *array = object_acquire(side->array, OBJECT_ARRAY);
	const struct engine_level *level;
	CUresult result = CUDA_ERROR_INVALID_VALUE;

	if (!array)
		return CUDA_ERROR_INVALID_HANDLE;
	level = &array->level;
	if (!side->level && array->element_bytes && side->x_bytes % array->element_bytes == 0 &&
	    span_fits(side->x_bytes, width_bytes, (size_t)level->width * array->element_bytes) &&
	    span_fits(side->y, rows, level->height) && span_fits(side->z, slices, level->depth)) {
		*ret_end = (struct copy_end){
			.space = COPY_DEVICE,
			.address = level->address + side->z * level->slice_bytes + side->y * level->row_bytes +
				   side->x_bytes,
			.row_bytes = level->row_bytes,
			.slice_bytes = level->slice_bytes,
		};
		result = CUDA_SUCCESS;
	}
	object_release(&array->object);
	return result;
}

static CUresult side_resolve(const struct side *side, size_t width_bytes, size_t rows, size_t slices,
			     struct copy_end *ret_end)
{
	uint64_t pitch = side->pitch_bytes, height = side->height_rows, slice, part, reach, address;

	switch (side->type) {
	case CU_MEMORYTYPE_HOST:
		ret_end->space = COPY_HOST;
		address = (uint64_t)(uintptr_t)side->host;
		break;
	case CU_MEMORYTYPE_DEVICE:
		ret_end->space = COPY_DEVICE;
		address = side->device;
		break;
	case CU_MEMORYTYPE_UNIFIED:
		ret_end->space = COPY_UNIFIED;
		address = side->device;
		break;
	case CU_MEMORYTYPE_ARRAY:
		return array_resolve(side, width_bytes, rows, slices, ret_end);
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
	if (side->level)
		return CUDA_ERROR_INVALID_VALUE;
	/* A pitch and a height of 0 say that rows and slices follow each other closely. */
	if (__builtin_add_overflow(side->x_bytes, width_bytes, &reach))
		return CUDA_ERROR_INVALID_VALUE;
	if (!pitch)
		pitch = reach;
	if (pitch < reach && (rows > 1 || slices > 1 || side->y || side->z))
		return CUDA_ERROR_INVALID_VALUE;
	if (__builtin_add_overflow(side->y, rows, &reach))
		return CUDA_ERROR_INVALID_VALUE;
	if (!height)
		height = reach;
	if (height < reach && (slices > 1 || side->z))
		return CUDA_ERROR_INVALID_VALUE;
	if (__builtin_mul_overflow(pitch, height, &slice) || __builtin_mul_overflow(slice, side->z, &part) ||
	    __builtin_add_overflow(address, part, &address) || __builtin_mul_overflow(pitch, side->y, &part) ||
	    __builtin_add_overflow(address, part, &address) || __builtin_add_overflow(address, side->x_bytes, &address))
		return CUDA_ERROR_INVALID_VALUE;
	ret_end->address = address;
	ret_end->row_bytes = pitch;
	ret_end->slice_bytes = slice;
	return CUDA_SUCCESS;
}

static CUresult copy_resolve(const struct side *source, const struct side *destination, struct copy *copy)
{
	CUresult result = side_resolve(source, copy->width_bytes, copy->rows, copy->slices, &copy->source);

	return result ? result
		      : side_resolve(destination, copy->width_bytes, copy->rows, copy->slices, &copy->destination);
}

static CUresult copy_shaped(CUstream stream, const struct side *source, const struct side *destination,
			    size_t width_bytes, size_t rows, size_t slices, bool asynchronous)
{
	struct copy copy = {.width_bytes = width_bytes, .rows = rows, .slices = slices};
	struct context *context;
	CUresult result = context_current(&context);

	if (!result)
		result = copy_resolve(source, destination, &copy);
	return result ? result : copy_submit(stream, &copy, asynchronous);
}

static CUresult copy_2d(CUstream stream, const CUDA_MEMCPY2D *copy, bool asynchronous)
{
	struct side source, destination;

	if (!copy)
		return CUDA_ERROR_INVALID_VALUE;
	source = (struct side){
		.type = copy->srcMemoryType,
		.host = copy->srcHost,
		.device = copy->srcDevice,
		.array = copy->srcArray,
		.x_bytes = copy->srcXInBytes,
		.y = copy->srcY,
		.pitch_bytes = copy->srcPitch,
	};
	destination = (struct side){
		.type = copy->dstMemoryType,
		.host = copy->dstHost,
		.device = copy->dstDevice,
		.array = copy->dstArray,
		.x_bytes = copy->dstXInBytes,
		.y = copy->dstY,
		.pitch_bytes = copy->dstPitch,
	};
	return copy_shaped(stream, &source, &destination, copy->WidthInBytes, copy->Height, 1, asynchronous);
}

static void sides_read(const CUDA_MEMCPY3D *copy, struct side *ret_source, struct side *ret_destination)
{
	*ret_source = (struct side){
		.type = copy->srcMemoryType,
		.host = copy->srcHost,
		.device = copy->srcDevice,
		.array = copy->srcArray,
		.x_bytes = copy->srcXInBytes,
		.y = copy->srcY,
		.z = copy->srcZ,
		.pitch_bytes = copy->srcPitch,
		.height_rows = copy->srcHeight,
		.level = copy->srcLOD,
	};
	*ret_destination = (struct side){
		.type = copy->dstMemoryType,
		.host = copy->dstHost,
		.device = copy->dstDevice,
		.array = copy->dstArray,
		.x_bytes = copy->dstXInBytes,
		.y = copy->dstY,
		.z = copy->dstZ,
		.pitch_bytes = copy->dstPitch,
		.height_rows = copy->dstHeight,
		.level = copy->dstLOD,
	};
}

CUresult copy_3d(CUstream stream, const CUDA_MEMCPY3D *copy, bool asynchronous)
{
	struct side source, destination;

	if (!copy)
		return CUDA_ERROR_INVALID_VALUE;
	sides_read(copy, &source, &destination);
	return copy_shaped(stream, &source, &destination, copy->WidthInBytes, copy->Height, copy->Depth, asynchronous);
}

CUresult copy_3d_work_make(const CUDA_MEMCPY3D *descriptor, struct work **ret_work)
{
	struct copy copy = {
		.width_bytes = descriptor->WidthInBytes, .rows = descriptor->Height, .slices = descriptor->Depth};
	struct side source, destination;
	CUresult result;

	sides_read(descriptor, &source, &destination);
	result = copy_resolve(&source, &destination, &copy);
	return result ? result : copy_work_make(&copy, ret_work);
}

/* Devices share their addresses: the copy is an ordinary one. */
static CUresult copy_3d_peer(CUstream stream, const CUDA_MEMCPY3D_PEER *peer, bool asynchronous)
{
	CUDA_MEMCPY3D copy;

	if (!peer)
		return CUDA_ERROR_INVALID_VALUE;
	copy = copy_of_peer(peer);
	return copy_3d(stream, &copy, asynchronous);
}

ENTRY_DEFAULT_STREAM(cuMemcpy2D_v2, (const CUDA_MEMCPY2D *copy), (copy))
{
	return copy_2d(stream, copy, false);
}

/* Any alignment suits the CPU. */
ENTRY_DEFAULT_STREAM(cuMemcpy2DUnaligned_v2, (const CUDA_MEMCPY2D *copy), (copy))
{
	return copy_2d(stream, copy, false);
}

ENTRY_STREAM(cuMemcpy2DAsync_v2, (const CUDA_MEMCPY2D *copy, CUstream stream), (copy, stream))
{
	return copy_2d(stream, copy, true);
}

ENTRY_DEFAULT_STREAM(cuMemcpy3D_v2, (const CUDA_MEMCPY3D *copy), (copy))
{
	return copy_3d(stream, copy, false);
}

ENTRY_STREAM(cuMemcpy3DAsync_v2, (const CUDA_MEMCPY3D *copy, CUstream stream), (copy, stream))
{
	return copy_3d(stream, copy, true);
}

ENTRY_DEFAULT_STREAM(cuMemcpy3DPeer, (const CUDA_MEMCPY3D_PEER *copy), (copy))
{
	struct context *current;
	CUresult result = copy ? context_current(&current) : CUDA_ERROR_INVALID_VALUE;

	if (!result)
		result = copy_context_wait(copy->srcContext);
	if (!result)
		result = copy_context_wait(copy->dstContext);
	if (!result)
		result = copy_3d_peer(stream, copy, false);
	if (!result)
		stream_wait_context(current);
	return result;
}

ENTRY_STREAM(cuMemcpy3DPeerAsync, (const CUDA_MEMCPY3D_PEER *copy, CUstream stream), (copy, stream))
{
	return copy_3d_peer(stream, copy, true);
}
