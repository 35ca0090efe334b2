/* SPDX-License-Identifier: Apache-2.0 */
/* cuMemcpy* of one dimension and cuMemset*. */
#include "copy.h"
#include "driver.h"
#include "context.h"
#include "entry.h"
#include "stream.h"

static CUresult copy_linear(CUstream stream, enum copy_space to, uint64_t destination, enum copy_space from,
			    uint64_t source, size_t bytes, bool asynchronous)
{
	const struct copy copy = {
		.source = {.space = from, .address = source},
		.destination = {.space = to, .address = destination},
		.width_bytes = bytes,
		.rows = 1,
		.slices = 1,
	};

	return copy_submit(stream, &copy, asynchronous);
}

#define HOST_ADDRESS(pointer) ((uint64_t)(uintptr_t)(pointer))

ENTRY_DEFAULT_STREAM(cuMemcpyHtoD_v2, (CUdeviceptr destination, const void *source, size_t bytes),
		     (destination, source, bytes))
{
	return copy_linear(stream, COPY_DEVICE, destination, COPY_HOST, HOST_ADDRESS(source), bytes, false);
}

ENTRY_DEFAULT_STREAM(cuMemcpyDtoH_v2, (void *destination, CUdeviceptr source, size_t bytes),
		     (destination, source, bytes))
{
	return copy_linear(stream, COPY_HOST, HOST_ADDRESS(destination), COPY_DEVICE, source, bytes, false);
}

ENTRY_DEFAULT_STREAM(cuMemcpyDtoD_v2, (CUdeviceptr destination, CUdeviceptr source, size_t bytes),
		     (destination, source, bytes))
{
	return copy_linear(stream, COPY_DEVICE, destination, COPY_DEVICE, source, bytes, false);
}

ENTRY_DEFAULT_STREAM(cuMemcpy, (CUdeviceptr destination, CUdeviceptr source, size_t bytes),
		     (destination, source, bytes))
{
	return copy_linear(stream, COPY_UNIFIED, destination, COPY_UNIFIED, source, bytes, false);
}

ENTRY_STREAM(cuMemcpyHtoDAsync_v2, (CUdeviceptr destination, const void *source, size_t bytes, CUstream stream),
	     (destination, source, bytes, stream))
{
	return copy_linear(stream, COPY_DEVICE, destination, COPY_HOST, HOST_ADDRESS(source), bytes, true);
}

ENTRY_STREAM(cuMemcpyDtoHAsync_v2, (void *destination, CUdeviceptr source, size_t bytes, CUstream stream),
	     (destination, source, bytes, stream))
{
	return copy_linear(stream, COPY_HOST, HOST_ADDRESS(destination), COPY_DEVICE, source, bytes, true);
}

ENTRY_STREAM(cuMemcpyDtoDAsync_v2, (CUdeviceptr destination, CUdeviceptr source, size_t bytes, CUstream stream),
	     (destination, source, bytes, stream))
{
	return copy_linear(stream, COPY_DEVICE, destination, COPY_DEVICE, source, bytes, true);
}

ENTRY_STREAM(cuMemcpyAsync, (CUdeviceptr destination, CUdeviceptr source, size_t bytes, CUstream stream),
	     (destination, source, bytes, stream))
{
	return copy_linear(stream, COPY_UNIFIED, destination, COPY_UNIFIED, source, bytes, true);
}

/* Between contexts: devices share their addresses, so the copy is an ordinary one. */
static CUresult contexts_check(CUcontext first, CUcontext second)
{
	struct context *context;
	CUresult result = context_acquire(first, &context);

	if (result)
		return result;
	object_release(&context->object);
	result = context_acquire(second, &context);
	if (result)
		return result;
	object_release(&context->object);
	return CUDA_SUCCESS;
}

/* API reference, cuMemcpyPeer: serialized with the work of both contexts and of the current one. */
CUresult copy_context_wait(CUcontext handle)
{
	struct context *context;
	CUresult result = context_acquire(handle, &context);

	if (result)
		return result;
	stream_wait_context(context);
	object_release(&context->object);
	return CUDA_SUCCESS;
}

ENTRY_DEFAULT_STREAM(cuMemcpyPeer,
		     (CUdeviceptr destination, CUcontext destination_context, CUdeviceptr source,
		      CUcontext source_context, size_t bytes),
		     (destination, destination_context, source, source_context, bytes))
{
	struct context *current;
	CUresult result = context_current(&current);

	if (!result)
		result = copy_context_wait(destination_context);
	if (!result)
		result = copy_context_wait(source_context);
	if (!result)
		result = copy_linear(stream, COPY_DEVICE, destination, COPY_DEVICE, source, bytes, false);
	if (!result)
		stream_wait_context(current);
	return result;
}

ENTRY_STREAM(cuMemcpyPeerAsync,
	     (CUdeviceptr destination, CUcontext destination_context, CUdeviceptr source, CUcontext source_context,
	      size_t bytes, CUstream stream),
	     (destination, destination_context, source, source_context, bytes, stream))
{
	CUresult result = contexts_check(destination_context, source_context);

	if (result)
		return result;
	return copy_linear(stream, COPY_DEVICE, destination, COPY_DEVICE, source, bytes, true);
}

static CUresult fill_rows(CUstream stream, CUdeviceptr address, size_t pitch, uint32_t value, unsigned element_bytes,
			  size_t width, size_t rows, bool asynchronous)
{
	const struct fill fill = {
		.address = address,
		.row_bytes = pitch,
		.width = width,
		.rows = rows,
		.value = value,
		.element_bytes = element_bytes,
	};

	return fill_submit(stream, &fill, asynchronous);
}

ENTRY_DEFAULT_STREAM(cuMemsetD8_v2, (CUdeviceptr address, unsigned char value, size_t count), (address, value, count))
{
	return fill_rows(stream, address, 0, value, 1, count, 1, false);
}

ENTRY_DEFAULT_STREAM(cuMemsetD16_v2, (CUdeviceptr address, unsigned short value, size_t count), (address, value, count))
{
	return fill_rows(stream, address, 0, value, 2, count, 1, false);
}

ENTRY_DEFAULT_STREAM(cuMemsetD32_v2, (CUdeviceptr address, unsigned int value, size_t count), (address, value, count))
{
	return fill_rows(stream, address, 0, value, 4, count, 1, false);
}

ENTRY_DEFAULT_STREAM(cuMemsetD2D8_v2,
		     (CUdeviceptr address, size_t pitch, unsigned char value, size_t width, size_t height),
		     (address, pitch, value, width, height))
{
	return fill_rows(stream, address, pitch, value, 1, width, height, false);
}

ENTRY_DEFAULT_STREAM(cuMemsetD2D16_v2,
		     (CUdeviceptr address, size_t pitch, unsigned short value, size_t width, size_t height),
		     (address, pitch, value, width, height))
{
	return fill_rows(stream, address, pitch, value, 2, width, height, false);
}

ENTRY_DEFAULT_STREAM(cuMemsetD2D32_v2,
		     (CUdeviceptr address, size_t pitch, unsigned int value, size_t width, size_t height),
		     (address, pitch, value, width, height))
{
	return fill_rows(stream, address, pitch, value, 4, width, height, false);
}

ENTRY_STREAM(cuMemsetD8Async, (CUdeviceptr address, unsigned char value, size_t count, CUstream stream),
	     (address, value, count, stream))
{
	return fill_rows(stream, address, 0, value, 1, count, 1, true);
}

ENTRY_STREAM(cuMemsetD16Async, (CUdeviceptr address, unsigned short value, size_t count, CUstream stream),
	     (address, value, count, stream))
{
	return fill_rows(stream, address, 0, value, 2, count, 1, true);
}

ENTRY_STREAM(cuMemsetD32Async, (CUdeviceptr address, unsigned int value, size_t count, CUstream stream),
	     (address, value, count, stream))
{
	return fill_rows(stream, address, 0, value, 4, count, 1, true);
}

ENTRY_STREAM(cuMemsetD2D8Async,
	     (CUdeviceptr address, size_t pitch, unsigned char value, size_t width, size_t height, CUstream stream),
	     (address, pitch, value, width, height, stream))
{
	return fill_rows(stream, address, pitch, value, 1, width, height, true);
}

ENTRY_STREAM(cuMemsetD2D16Async,
	     (CUdeviceptr address, size_t pitch, unsigned short value, size_t width, size_t height, CUstream stream),
	     (address, pitch, value, width, height, stream))
{
	return fill_rows(stream, address, pitch, value, 2, width, height, true);
}

ENTRY_STREAM(cuMemsetD2D32Async,
	     (CUdeviceptr address, size_t pitch, unsigned int value, size_t width, size_t height, CUstream stream),
	     (address, pitch, value, width, height, stream))
{
	return fill_rows(stream, address, pitch, value, 4, width, height, true);
}
