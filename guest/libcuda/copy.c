/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of one span.  Memory that the executor has mapped is named by address;
 * all other memory of the program goes through the windows.
 */
#include "copy.h"

#include <string.h>

#include "address_space.h"
#include "capture.h"
#include "context.h"
#include "doubt.h"
#include "host_calls.h"
#include "host_function.h"
#include "memory.h"
#include "mirror.h"
#include "rest.h"
#include "session.h"
#include "transfer.h"

CUresult copy_begin(CUstream stream, bool per_thread_default, bool waits, struct copy_order *ret_order)
{
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &ret_order->context);

	ret_order->waits = waits;
	ret_order->peers = NULL;
	return result ? result : stream_id(stream, per_thread_default, &ret_order->stream);
}

bool copy_is_synchronous(uint64_t address)
{
	return memory_is_synchronous(address) || thread_state.current->words[CONTEXT_FLAGS] & CU_CTX_SYNC_MEMOPS;
}

bool copy_host_is_shared(const void *host, size_t bytes)
{
	struct memory_range range;
	uint64_t address = (uintptr_t)host;

	return session_shares_memory() && memory_lookup(address, &range) && memory_kind_is_shared(range.kind) &&
	       bytes <= range.bytes - (address - range.address);
}

bool copy_host_is_pinned(const void *host)
{
	struct memory_range range;

	return memory_lookup((uintptr_t)host, &range) &&
	       (range.kind == MEMORY_PLAIN || range.kind == MEMORY_REGISTERED);
}

bool copy_is_made_at_return(const void *host, size_t bytes)
{
	return (bytes > 64u << 10 && bytes < 256u << 10) || copy_host_is_pinned(host);
}

bool copy_source_is_prompt(const struct copy_order *order, const void *host)
{
	return !order->waits && copy_host_is_pinned(host);
}

CUresult copy_source_await(const struct copy_order *order, const void *host)
{
	if (!host_functions_expected())
		return CUDA_SUCCESS;
	if (!order->waits && !copy_source_is_prompt(order, host))
		return CUDA_SUCCESS;
	return rest_stream_await(order->context, order->stream);
}

static CUresult copy_settle(const struct copy_order *order, CUresult result)
{
	if (!result && order->waits)
		result = host_cuStreamSynchronize(order->context, order->stream);
	return result;
}

CUresult copy_device_span_check(uint64_t address, size_t bytes)
{
	struct memory_range range;

	/* Mappings lie side by side: the host knows where they end. */
	if (!memory_lookup(address, &range) || range.kind == MEMORY_MAPPED)
		return CUDA_ERROR_NOT_FOUND;
	return bytes <= range.bytes - (address - range.address) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

bool copy_host_is_device(uint64_t address)
{
	struct memory_range range;

	/* What the program had mapped before us may lie among the device's addresses too. */
	return address_is_device(address) && memory_lookup(address, &range) && memory_kind_is_device(range.kind);
}

/* It returns before it is done, unless the program can look at the memory, or has asked for it. */
static CUresult copy_on_device(const struct copy_order *order, CUdeviceptr to, CUdeviceptr from, size_t bytes)
{
	CUresult result = host_cuMemcpyDtoDAsync_v2(order->context, to, from, bytes, order->stream);

	if (result || !order->waits || (!copy_is_synchronous(to) && !copy_is_synchronous(from)))
		return result;
	return host_cuStreamSynchronize(order->context, order->stream);
}

static CUresult copy_up(const struct copy_order *order, CUdeviceptr to, const void *from, size_t bytes)
{
	struct transfer transfer = {
		.device = to,
		.device_pitch = bytes,
		.host = (uint8_t *)(uintptr_t)from,
		.host_pitch = bytes,
		.width = bytes,
		.height = 1,
		.context = order->context,
		.stream = order->stream,
	};
	struct copy_order unsure = *order;
	CUresult known;
	CUresult result;

	if (bytes == 0)
		return CUDA_SUCCESS;
	if (!to || !from)
		return CUDA_ERROR_INVALID_VALUE;
	if (copy_host_is_device((uintptr_t)from))
		return copy_on_device(order, to, (uintptr_t)from, bytes);
	if (copy_host_is_shared(from, bytes))
		return copy_settle(
			order, host_cuMemcpyHtoDAsync_v2(order->context, to, (uintptr_t)from, bytes, order->stream));
	known = copy_device_span_check(to, bytes);
	if (known == CUDA_ERROR_INVALID_VALUE)
		return known;
	result = capture_refuse(order->context, order->stream);
	if (result)
		return copy_capture(order, result,
				    &(CUDA_MEMCPY3D){.srcMemoryType = CU_MEMORYTYPE_HOST,
						     .srcHost = from,
						     .dstMemoryType = CU_MEMORYTYPE_DEVICE,
						     .dstDevice = to,
						     .WidthInBytes = bytes,
						     .Height = 1,
						     .Depth = 1});
	result = copy_source_await(order, from);
	transfer.is_prompt = copy_source_is_prompt(order, from);
	if (!result)
		result = mirror_transfer_up(&transfer);
	/* The bytes are staged, which is all that a short copy promises, unless it may fail or be looked at. */
	unsure.waits = order->waits && (known == CUDA_ERROR_NOT_FOUND || copy_is_made_at_return(from, bytes) ||
					copy_is_synchronous(to));
	if (!result && !order->waits && known == CUDA_ERROR_NOT_FOUND && doubt_span(to, bytes, 1))
		return capture_settle_open(order->context, order->stream);
	return copy_settle(&unsure, result);
}

/* To memory that the executor cannot reach it returns when the bytes are there, as the real driver does. */
static CUresult copy_down(const struct copy_order *order, void *to, CUdeviceptr from, size_t bytes)
{
	struct transfer transfer = {
		.device = from,
		.device_pitch = bytes,
		.host = to,
		.host_pitch = bytes,
		.width = bytes,
		.height = 1,
		.context = order->context,
		.stream = order->stream,
	};
	CUresult result;

	if (bytes == 0)
		return CUDA_SUCCESS;
	if (!to || !from)
		return CUDA_ERROR_INVALID_VALUE;
	if (copy_host_is_device((uintptr_t)to))
		return copy_on_device(order, (uintptr_t)to, from, bytes);
	if (copy_host_is_shared(to, bytes))
		return copy_settle(
			order, host_cuMemcpyDtoHAsync_v2(order->context, (uintptr_t)to, from, bytes, order->stream));
	if (copy_device_span_check(from, bytes) == CUDA_ERROR_INVALID_VALUE)
		return CUDA_ERROR_INVALID_VALUE;
	result = capture_refuse(order->context, order->stream);
	if (result)
		return copy_capture(order, result,
				    &(CUDA_MEMCPY3D){.srcMemoryType = CU_MEMORYTYPE_DEVICE,
						     .srcDevice = from,
						     .dstMemoryType = CU_MEMORYTYPE_HOST,
						     .dstHost = to,
						     .WidthInBytes = bytes,
						     .Height = 1,
						     .Depth = 1});
	return mirror_transfer_down(&transfer);
}

/* From the program's memory to the program's memory. */
static CUresult copy_host(const struct copy_order *order, void *to, const void *from, size_t bytes)
{
	CUresult result = order->waits ? CUDA_SUCCESS : capture_refuse(order->context, order->stream);

	if (result)
		return copy_capture(order, result,
				    &(CUDA_MEMCPY3D){.srcMemoryType = CU_MEMORYTYPE_HOST,
						     .srcHost = from,
						     .dstMemoryType = CU_MEMORYTYPE_HOST,
						     .dstHost = to,
						     .WidthInBytes = bytes,
						     .Height = 1,
						     .Depth = 1});
	/* In stream order, which for memory of the program means when the stream has come there. */
	result = host_cuStreamSynchronize(order->context, order->stream);
	if (!result)
		memmove(to, from, bytes);
	return result;
}

/* Untyped addresses: what they are is known here. */
static CUresult copy_any(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream, bool per_thread_default,
			 bool waits)
{
	bool to_device, from_device;
	struct copy_order order;
	CUresult result = copy_begin(stream, per_thread_default, waits, &order);

	if (result || bytes == 0)
		return result;
	if (!to || !from)
		return CUDA_ERROR_INVALID_VALUE;
	to_device = memory_is_device(to);
	from_device = memory_is_device(from);
	if (to_device && from_device)
		return copy_on_device(&order, to, from, bytes);
	if (to_device)
		return copy_up(&order, to, (const void *)(uintptr_t)from, bytes);
	if (from_device)
		return copy_down(&order, (void *)(uintptr_t)to, from, bytes);
	return copy_host(&order, (void *)(uintptr_t)to, (const void *)(uintptr_t)from, bytes);
}

API(cuMemcpy, CUdeviceptr dst, CUdeviceptr src, size_t bytes)
{
	return copy_any(dst, src, bytes, NULL, false, true);
}

API(cuMemcpy_ptds, CUdeviceptr dst, CUdeviceptr src, size_t bytes)
{
	return copy_any(dst, src, bytes, NULL, true, true);
}

API(cuMemcpyAsync, CUdeviceptr dst, CUdeviceptr src, size_t bytes, CUstream stream)
{
	return copy_any(dst, src, bytes, stream, false, false);
}

API(cuMemcpyAsync_ptsz, CUdeviceptr dst, CUdeviceptr src, size_t bytes, CUstream stream)
{
	return copy_any(dst, src, bytes, stream, true, false);
}

static CUresult typed_up(CUdeviceptr dst, const void *src, size_t bytes, CUstream stream, bool per_thread_default,
			 bool waits)
{
	struct copy_order order;
	CUresult result = copy_begin(stream, per_thread_default, waits, &order);

	return result ? result : copy_up(&order, dst, src, bytes);
}

static CUresult typed_down(void *dst, CUdeviceptr src, size_t bytes, CUstream stream, bool per_thread_default,
			   bool waits)
{
	struct copy_order order;
	CUresult result = copy_begin(stream, per_thread_default, waits, &order);

	return result ? result : copy_down(&order, dst, src, bytes);
}

API(cuMemcpyHtoD_v2, CUdeviceptr dst, const void *src, size_t bytes)
{
	return typed_up(dst, src, bytes, NULL, false, true);
}

API(cuMemcpyHtoD_v2_ptds, CUdeviceptr dst, const void *src, size_t bytes)
{
	return typed_up(dst, src, bytes, NULL, true, true);
}

API(cuMemcpyHtoDAsync_v2, CUdeviceptr dst, const void *src, size_t bytes, CUstream stream)
{
	return typed_up(dst, src, bytes, stream, false, false);
}

API(cuMemcpyHtoDAsync_v2_ptsz, CUdeviceptr dst, const void *src, size_t bytes, CUstream stream)
{
	return typed_up(dst, src, bytes, stream, true, false);
}

API(cuMemcpyDtoH_v2, void *dst, CUdeviceptr src, size_t bytes)
{
	return typed_down(dst, src, bytes, NULL, false, true);
}

API(cuMemcpyDtoH_v2_ptds, void *dst, CUdeviceptr src, size_t bytes)
{
	return typed_down(dst, src, bytes, NULL, true, true);
}

API(cuMemcpyDtoHAsync_v2, void *dst, CUdeviceptr src, size_t bytes, CUstream stream)
{
	return typed_down(dst, src, bytes, stream, false, false);
}

API(cuMemcpyDtoHAsync_v2_ptsz, void *dst, CUdeviceptr src, size_t bytes, CUstream stream)
{
	return typed_down(dst, src, bytes, stream, true, false);
}
