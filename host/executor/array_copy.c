/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of more than one dimension, and those between arrays and the channel's windows. */
#include "copy.h"

#include <string.h>

#include "capture.h"
#include "executor.h"
#include "executor_calls.h"

/* Bytes of pitched memory up to the last one that is copied; false: too many. */
static bool shape_span(uint64_t pitch, uint64_t height, const CUDA_MEMCPY3D *copy, uint64_t x, uint64_t y, uint64_t z,
		       uint64_t *ret_bytes)
{
	uint64_t rows, bytes, reach;

	/* 0: closely packed, for the driver as for us. */
	if (__builtin_add_overflow(x, copy->WidthInBytes, &reach))
		return false;
	if (!pitch)
		pitch = reach;
	if (__builtin_add_overflow(y, copy->Height, &reach))
		return false;
	if (!height)
		height = reach;
	if (!copy->WidthInBytes || !copy->Height || !copy->Depth || __builtin_add_overflow(z, copy->Depth - 1, &rows) ||
	    __builtin_mul_overflow(rows, height, &rows) || __builtin_add_overflow(rows, y, &rows) ||
	    __builtin_add_overflow(rows, copy->Height - 1, &rows) || __builtin_mul_overflow(rows, pitch, &bytes) ||
	    __builtin_add_overflow(bytes, x, &bytes) || __builtin_add_overflow(bytes, copy->WidthInBytes, &bytes))
		return false;
	*ret_bytes = bytes;
	return true;
}

/* All that a side may name: device memory, an array that there is, mapped pinned memory. */
static CUresult side_check(struct executor *executor, CUmemorytype type, uint32_t array_id, uint64_t host,
			   uint64_t pitch, uint64_t height, const CUDA_MEMCPY3D *copy, uint64_t x, uint64_t y,
			   uint64_t z, CUarray *ret_array)
{
	void *array = NULL;
	uint64_t bytes;
	CUresult result;

	switch (type) {
	case CU_MEMORYTYPE_DEVICE:
		break;
	case CU_MEMORYTYPE_ARRAY:
		result = execute_find(executor, VGPU_KIND_ARRAY, array_id, &array);
		if (result)
			return result;
		break;
	case CU_MEMORYTYPE_HOST:
		if (!shape_span(pitch, height, copy, x, y, z, &bytes) || !pinned_holds(&executor->pinned, host, bytes))
			return CUDA_ERROR_INVALID_VALUE;
		break;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
	*ret_array = array;
	return CUDA_SUCCESS;
}

CUresult copy_shape_take(struct executor *executor, const CUDA_MEMCPY3D *wire, uint32_t source_array,
			 uint32_t destination_array, CUDA_MEMCPY3D *ret_copy)
{
	CUDA_MEMCPY3D copy = *wire;
	CUresult result;

	copy.reserved0 = NULL;
	copy.reserved1 = NULL;
	copy.srcArray = NULL;
	copy.dstArray = NULL;
	result = side_check(executor, copy.srcMemoryType, source_array, (uintptr_t)copy.srcHost, copy.srcPitch,
			    copy.srcHeight, &copy, copy.srcXInBytes, copy.srcY, copy.srcZ, &copy.srcArray);
	if (!result)
		result = side_check(executor, copy.dstMemoryType, destination_array, (uintptr_t)copy.dstHost,
				    copy.dstPitch, copy.dstHeight, &copy, copy.dstXInBytes, copy.dstY, copy.dstZ,
				    &copy.dstArray);
	*ret_copy = copy;
	return result;
}

CUresult copy_shape_take_program(struct executor *executor, const struct vgpu_graph_memcpy *wire, void *memory,
				 CUDA_MEMCPY3D *ret_copy, uint64_t *ret_bytes)
{
	CUDA_MEMCPY3D copy = wire->copy;
	bool up = copy.srcMemoryType == CU_MEMORYTYPE_HOST;
	/* A single row has no pitch, which could be larger than a pitch may be (CU_DEVICE_ATTRIBUTE_MAX_PITCH). */
	bool has_rows = copy.Height > 1 || copy.Depth > 1;
	CUresult result;

	copy.reserved0 = NULL;
	copy.reserved1 = NULL;
	copy.srcArray = NULL;
	copy.dstArray = NULL;
	if (up == (copy.dstMemoryType == CU_MEMORYTYPE_HOST) || !copy.WidthInBytes || !copy.Height || !copy.Depth ||
	    __builtin_mul_overflow(copy.WidthInBytes, copy.Height, ret_bytes) ||
	    __builtin_mul_overflow(*ret_bytes, copy.Depth, ret_bytes))
		return CUDA_ERROR_INVALID_VALUE;
	if (up) {
		copy.srcHost = memory;
		copy.srcXInBytes = copy.srcY = copy.srcZ = copy.srcLOD = 0;
		copy.srcPitch = has_rows ? copy.WidthInBytes : 0;
		copy.srcHeight = has_rows ? copy.Height : 0;
		result = side_check(executor, copy.dstMemoryType, wire->destination_array, 0, copy.dstPitch,
				    copy.dstHeight, &copy, copy.dstXInBytes, copy.dstY, copy.dstZ, &copy.dstArray);
	} else {
		copy.dstHost = memory;
		copy.dstXInBytes = copy.dstY = copy.dstZ = copy.dstLOD = 0;
		copy.dstPitch = has_rows ? copy.WidthInBytes : 0;
		copy.dstHeight = has_rows ? copy.Height : 0;
		result = side_check(executor, copy.srcMemoryType, wire->source_array, 0, copy.srcPitch, copy.srcHeight,
				    &copy, copy.srcXInBytes, copy.srcY, copy.srcZ, &copy.srcArray);
	}
	*ret_copy = copy;
	return result;
}

void copy_shape_name(struct executor *executor, const CUDA_MEMCPY3D *copy)
{
	if (copy->srcMemoryType == CU_MEMORYTYPE_HOST)
		pinned_name(&executor->pinned, (uintptr_t)copy->srcHost);
	if (copy->dstMemoryType == CU_MEMORYTYPE_HOST)
		pinned_name(&executor->pinned, (uintptr_t)copy->dstHost);
}

/* In a capture. */
static CUresult copy_arrays_hold(struct executor *executor, CUstream stream, const CUDA_MEMCPY3D *copy,
				 uint32_t source_array, uint32_t destination_array)
{
	CUresult result = CUDA_SUCCESS;

	if (copy->srcMemoryType == CU_MEMORYTYPE_ARRAY)
		result = graph_hold_captured(executor, stream, source_array);
	if (!result && copy->dstMemoryType == CU_MEMORYTYPE_ARRAY)
		result = graph_hold_captured(executor, stream, destination_array);
	return result;
}

CUresult execute_cuMemcpy3DAsync_v2(struct executor *executor, const struct request *request,
				    const struct wire_cuMemcpy3DAsync_v2 *arguments)
{
	CUDA_MEMCPY3D copy;
	CUstream stream;
	CUresult result = execute_find_stream(executor, arguments->hStream, &stream);

	(void)request;
	if (!executor->driver.cuMemcpy3DAsync_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!result)
		result = copy_shape_take(executor, &arguments->copy, arguments->srcArray, arguments->dstArray, &copy);
	if (!result && executor->captures.count) {
		copy_shape_name(executor, &copy);
		result = copy_arrays_hold(executor, stream, &arguments->copy, arguments->srcArray, arguments->dstArray);
	}
	return result ? result : executor->driver.cuMemcpy3DAsync_v2(&copy, stream);
}

/* A box between contexts, for the driver. stream: whose capture it may be a part of. */
static CUresult peer_take(struct executor *executor, const CUDA_MEMCPY3D *wire, const uint32_t arrays[2],
			  const uint32_t contexts[2], CUstream stream, CUDA_MEMCPY3D_PEER *ret_peer)
{
	const struct context *source = context_find(executor, contexts[0]);
	const struct context *destination = context_find(executor, contexts[1]);
	CUDA_MEMCPY3D copy;
	CUresult result;

	if (!source || !destination)
		return CUDA_ERROR_INVALID_CONTEXT;
	result = copy_shape_take(executor, wire, arrays[0], arrays[1], &copy);
	if (!result && executor->captures.count) {
		copy_shape_name(executor, &copy);
		result = copy_arrays_hold(executor, stream, wire, arrays[0], arrays[1]);
	}
	if (result)
		return result;
	/* Contexts lie where those of one device have nothing. */
	static_assert(sizeof(*ret_peer) == sizeof(copy), "alike");
	static_assert(offsetof(CUDA_MEMCPY3D_PEER, srcContext) == offsetof(CUDA_MEMCPY3D, reserved0), "alike");
	static_assert(offsetof(CUDA_MEMCPY3D_PEER, dstContext) == offsetof(CUDA_MEMCPY3D, reserved1), "alike");
	memcpy(ret_peer, &copy, sizeof(*ret_peer));
	ret_peer->srcContext = source->object;
	ret_peer->dstContext = destination->object;
	return CUDA_SUCCESS;
}

CUresult execute_cuMemcpy3DPeerAsync(struct executor *executor, const struct request *request,
				     const struct wire_cuMemcpy3DPeerAsync *arguments)
{
	const uint32_t arrays[2] = {arguments->srcArray, arguments->dstArray};
	const uint32_t contexts[2] = {arguments->srcContext, arguments->dstContext};
	CUDA_MEMCPY3D_PEER peer;
	CUstream stream;
	CUresult result = execute_find_stream(executor, arguments->hStream, &stream);

	(void)request;
	if (!executor->driver.cuMemcpy3DPeerAsync)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!result)
		result = peer_take(executor, &arguments->copy, arrays, contexts, stream, &peer);
	return result ? result : executor->driver.cuMemcpy3DPeerAsync(&peer, stream);
}

CUresult execute_cuMemcpy3DPeer(struct executor *executor, const struct request *request,
				const struct wire_cuMemcpy3DPeer *arguments)
{
	const uint32_t arrays[2] = {arguments->srcArray, arguments->dstArray};
	const uint32_t contexts[2] = {arguments->srcContext, arguments->dstContext};
	CUDA_MEMCPY3D_PEER peer;
	CUresult result;

	(void)request;
	if (!executor->driver.cuMemcpy3DPeer)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = peer_take(executor, &arguments->copy, arrays, contexts, NULL, &peer);
	return result ? result : executor->driver.cuMemcpy3DPeer(&peer);
}

/* Whether the extent is one that the windows can hold, and how many bytes it has. */
static bool rows_bytes(const struct vgpu_array_rows *rows, uint64_t *ret_bytes)
{
	return rows->width_bytes && rows->rows && !__builtin_mul_overflow(rows->width_bytes, rows->rows, ret_bytes);
}

/* The rows' side of a copy; the driver checks them against the array's extent. */
static CUresult rows_describe(struct executor *executor, const struct vgpu_array_rows *rows, CUDA_MEMCPY3D *ret_copy,
			      CUarray *ret_array, CUstream *ret_stream)
{
	void *array;
	CUresult result = execute_find_stream(executor, rows->stream, ret_stream);

	if (!result)
		result = capture_check(executor, *ret_stream);
	if (!result)
		result = execute_find(executor, VGPU_KIND_ARRAY, rows->array, &array);
	if (result)
		return result;
	if (!executor->driver.cuMemcpy3DAsync_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!executor->contexts.current)
		return CUDA_ERROR_INVALID_CONTEXT;
	*ret_array = array;
	*ret_copy = (CUDA_MEMCPY3D){.WidthInBytes = rows->width_bytes, .Height = rows->rows, .Depth = 1};
	return CUDA_SUCCESS;
}

CUresult copy_array_upload_execute(struct executor *executor, const struct request *request)
{
	const struct vgpu_array_upload *arguments = request->payload;
	const struct vgpu_array_rows *rows = &arguments->rows;
	CUstream stream = NULL;
	CUDA_MEMCPY3D copy;
	uint64_t bytes, place;
	CUarray array;
	CUresult result;

	if (request->payload_bytes < sizeof(*arguments) || !rows_bytes(rows, &bytes) ||
	    copy_window_place(executor, arguments->window_position, bytes, &place))
		return EXECUTE_PROTOCOL;
	/* Whatever becomes of the copy, the guest gets its window back. */
	result = rows_describe(executor, rows, &copy, &array, &stream);
	if (!result) {
		copy_windows_register(executor);
		copy.srcMemoryType = CU_MEMORYTYPE_HOST;
		copy.srcHost = executor->channel.upload + place;
		copy.srcPitch = rows->width_bytes;
		copy.srcHeight = rows->rows;
		copy.dstMemoryType = CU_MEMORYTYPE_ARRAY;
		copy.dstArray = array;
		copy.dstXInBytes = rows->x_bytes;
		copy.dstY = rows->y;
		copy.dstZ = rows->z;
		result = executor->driver.cuMemcpy3DAsync_v2(&copy, stream);
	}
	if (!result)
		counter_add(&executor->counters->bytes_to_device, bytes);
	return copy_window_used(executor, arguments->window_position + bytes, arguments->rows.stream, result);
}

CUresult copy_array_download_execute(struct executor *executor, const struct request *request)
{
	const struct vgpu_array_download *arguments = request->payload;
	const struct vgpu_array_rows *rows = &arguments->rows;
	struct channel *channel = &executor->channel;
	CUDA_MEMCPY3D copy;
	CUstream stream;
	CUarray array;
	uint64_t bytes;
	CUresult result;

	if (request->payload_bytes < sizeof(*arguments) || !rows_bytes(rows, &bytes) ||
	    arguments->window_offset > channel->download_bytes ||
	    bytes > channel->download_bytes - arguments->window_offset)
		return EXECUTE_PROTOCOL;
	result = rows_describe(executor, rows, &copy, &array, &stream);
	if (result)
		return result;
	copy_windows_register(executor);
	copy.srcMemoryType = CU_MEMORYTYPE_ARRAY;
	copy.srcArray = array;
	copy.srcXInBytes = rows->x_bytes;
	copy.srcY = rows->y;
	copy.srcZ = rows->z;
	copy.dstMemoryType = CU_MEMORYTYPE_HOST;
	copy.dstHost = channel->download + arguments->window_offset;
	copy.dstPitch = rows->width_bytes;
	copy.dstHeight = rows->rows;
	result = executor->driver.cuMemcpy3DAsync_v2(&copy, stream);
	if (result)
		return result;
	counter_add(&executor->counters->bytes_from_device, bytes);
	return pending_add_copy(executor, request, rows->stream, NULL, 0);
}
