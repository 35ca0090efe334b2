/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of rows with gaps between them. Arrays are not built yet. */
#include <string.h>

#include "copy.h"
#include "host_calls.h"
#include "memory.h"
#include "transfer.h"

/* One side of a copy, as an address whose first byte is copied. */
struct side {
	bool is_device;
	uint64_t address;
	size_t pitch;
};

static CUresult side_read(CUmemorytype type, const void *host, CUdeviceptr device, size_t pitch, size_t x, size_t y,
			  const CUDA_MEMCPY2D *copy, struct side *ret_side)
{
	struct side side = {.pitch = pitch ? pitch : x + copy->WidthInBytes};
	size_t offset;

	switch (type) {
	case CU_MEMORYTYPE_HOST:
		side.address = (uintptr_t)host;
		break;
	case CU_MEMORYTYPE_DEVICE:
		side.address = device;
		side.is_device = true;
		break;
	case CU_MEMORYTYPE_UNIFIED:
		side.address = device;
		side.is_device = memory_is_device(device);
		break;
	case CU_MEMORYTYPE_ARRAY:
		return CUDA_ERROR_NOT_SUPPORTED;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
	if (!side.address || side.pitch < x || side.pitch - x < copy->WidthInBytes ||
	    __builtin_mul_overflow(y, side.pitch, &offset))
		return CUDA_ERROR_INVALID_VALUE;
	side.address += offset + x;
	*ret_side = side;
	return CUDA_SUCCESS;
}

static CUresult rows_device(const struct copy_order *order, const struct side *to, const struct side *from,
			    size_t width, size_t height)
{
	CUresult result = CUDA_SUCCESS;

	if (to->pitch == width && from->pitch == width)
		return host_cuMemcpyDtoDAsync_v2(order->context, to->address, from->address, width * height,
						 order->stream);
	for (size_t row = 0; row < height && !result; row++)
		result = host_cuMemcpyDtoDAsync_v2(order->context, to->address + row * to->pitch,
						   from->address + row * from->pitch, width, order->stream);
	return result;
}

static CUresult rows_host(const struct copy_order *order, const struct side *to, const struct side *from, size_t width,
			  size_t height)
{
	CUresult result = host_cuStreamSynchronize(order->context, order->stream);

	for (size_t row = 0; row < height && !result; row++)
		memmove((void *)(uintptr_t)(to->address + row * to->pitch),
			(const void *)(uintptr_t)(from->address + row * from->pitch), width);
	return result;
}

static CUresult rows_copy(const struct copy_order *order, const struct side *to, const struct side *from, size_t width,
			  size_t height)
{
	const struct side *device = to->is_device ? to : from;
	const struct side *host = to->is_device ? from : to;
	struct transfer transfer = {
		.device = device->address,
		.device_pitch = device->pitch,
		.host = (uint8_t *)(uintptr_t)host->address,
		.host_pitch = host->pitch,
		.width = width,
		.height = height,
		.context = order->context,
		.stream = order->stream,
	};

	if (to->is_device && from->is_device)
		return rows_device(order, to, from, width, height);
	if (!to->is_device && !from->is_device)
		return rows_host(order, to, from, width, height);
	return to->is_device ? transfer_up(&transfer) : transfer_down(&transfer);
}

static CUresult copy_2d(const CUDA_MEMCPY2D *copy, CUstream stream, bool per_thread_default)
{
	struct copy_order order;
	struct side to, from;
	CUresult result = copy_begin(stream, per_thread_default, false, &order);

	if (result)
		return result;
	if (!copy)
		return CUDA_ERROR_INVALID_VALUE;
	if (copy->WidthInBytes == 0 || copy->Height == 0)
		return CUDA_SUCCESS;
	result = side_read(copy->dstMemoryType, copy->dstHost, copy->dstDevice, copy->dstPitch, copy->dstXInBytes,
			   copy->dstY, copy, &to);
	if (!result)
		result = side_read(copy->srcMemoryType, copy->srcHost, copy->srcDevice, copy->srcPitch,
				   copy->srcXInBytes, copy->srcY, copy, &from);
	return result ? result : rows_copy(&order, &to, &from, copy->WidthInBytes, copy->Height);
}

API(cuMemcpy2D_v2, const CUDA_MEMCPY2D *copy)
{
	return copy_2d(copy, NULL, false);
}

API(cuMemcpy2D_v2_ptds, const CUDA_MEMCPY2D *copy)
{
	return copy_2d(copy, NULL, true);
}

API(cuMemcpy2DUnaligned_v2, const CUDA_MEMCPY2D *copy)
{
	return copy_2d(copy, NULL, false);
}

API(cuMemcpy2DUnaligned_v2_ptds, const CUDA_MEMCPY2D *copy)
{
	return copy_2d(copy, NULL, true);
}

API(cuMemcpy2DAsync_v2, const CUDA_MEMCPY2D *copy, CUstream stream)
{
	return copy_2d(copy, stream, false);
}

API(cuMemcpy2DAsync_v2_ptsz, const CUDA_MEMCPY2D *copy, CUstream stream)
{
	return copy_2d(copy, stream, true);
}
