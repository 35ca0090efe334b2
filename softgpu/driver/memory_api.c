/* SPDX-License-Identifier: Apache-2.0 */
/* cuMemAlloc, cuMemFree, managed memory and what the driver says of them. */
#include "arena.h"
#include "context.h"
#include "device_table.h"
#include "driver.h"
#include "entry.h"
#include "memory.h"
#include "pool.h"
#include "stream.h"

/* Pitches are a multiple of this, as the real driver's are. */
#define PITCH_ALIGNMENT 512

static CUresult allocate(struct context *context, size_t bytes, enum memory_kind kind, unsigned attach_flags,
			 CUdeviceptr *ret_address)
{
	struct memory_range range = {
		.bytes = bytes,
		.kind = kind,
		.attach_flags = attach_flags,
		.device = context->device,
		.context = context,
	};
	CUresult result = memory_allocate(&range, ARENA_PAGE_BYTES);

	if (result == CUDA_ERROR_OUT_OF_MEMORY && range.bytes <= device_memory_bytes(context->device)) {
		/* cuMemFreeAsync that streams have not reached yet may make room. */
		stream_wait_context(context);
		result = memory_allocate(&range, ARENA_PAGE_BYTES);
	}
	if (!result)
		*ret_address = range.base;
	return result;
}

ENTRY(cuMemAlloc_v2, (CUdeviceptr * ret_address, size_t bytes))
{
	struct context *context;
	CUresult result = context_current(&context);

	if (result)
		return result;
	if (!ret_address || !bytes)
		return CUDA_ERROR_INVALID_VALUE;
	return allocate(context, bytes, MEMORY_DEVICE, 0, ret_address);
}

ENTRY(cuMemAllocPitch_v2,
      (CUdeviceptr * ret_address, size_t *ret_pitch, size_t width, size_t height, unsigned int element_bytes))
{
	struct context *context;
	size_t pitch, bytes;
	CUresult result = context_current(&context);

	if (result)
		return result;
	if (!ret_address || !ret_pitch || !width || !height ||
	    (element_bytes != 4 && element_bytes != 8 && element_bytes != 16))
		return CUDA_ERROR_INVALID_VALUE;
	if (__builtin_add_overflow(width, PITCH_ALIGNMENT - 1, &pitch))
		return CUDA_ERROR_INVALID_VALUE;
	pitch &= ~(size_t)(PITCH_ALIGNMENT - 1);
	if (__builtin_mul_overflow(pitch, height, &bytes))
		return CUDA_ERROR_INVALID_VALUE;
	result = allocate(context, bytes, MEMORY_DEVICE, 0, ret_address);
	if (!result)
		*ret_pitch = pitch;
	return result;
}

ENTRY(cuMemAllocManaged, (CUdeviceptr * ret_address, size_t bytes, unsigned int flags))
{
	struct context *context;
	CUresult result = context_current(&context);

	if (result)
		return result;
	if (!ret_address || !bytes || (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST))
		return CUDA_ERROR_INVALID_VALUE;
	return allocate(context, bytes, MEMORY_MANAGED, flags, ret_address);
}

ENTRY(cuMemFree_v2, (CUdeviceptr address))
{
	const unsigned mask = MEMORY_MASK(MEMORY_DEVICE) | MEMORY_MASK(MEMORY_MANAGED);
	struct memory_range range;
	struct context *context;
	CUresult result = context_current(&context);

	if (result)
		return result;
	if (!address)
		return CUDA_SUCCESS;
	if (!memory_find(address, &range) || range.base != address ||
	    !(MEMORY_MASK(range.kind) & (mask | MEMORY_MASK(MEMORY_GRAPH))))
		return CUDA_ERROR_INVALID_VALUE;
	/* Work in flight may use it: the real driver waits too. */
	stream_wait_context(context);
	result = context_check(context);
	if (result)
		return result;
	if (range.kind == MEMORY_GRAPH)
		return memory_set_live(address, false) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
	return memory_free(address, mask, NULL);
}

ENTRY(cuMemGetInfo_v2, (size_t * ret_free, size_t *ret_total))
{
	struct context *context;
	CUresult result = context_current(&context);

	if (result)
		return result;
	if (!ret_free || !ret_total)
		return CUDA_ERROR_INVALID_VALUE;
	*ret_total = device_memory_bytes(context->device);
	*ret_free = *ret_total - arena_used_bytes(context->device);
	return CUDA_SUCCESS;
}

ENTRY(cuMemGetAddressRange_v2, (CUdeviceptr * ret_base, size_t *ret_bytes, CUdeviceptr address))
{
	struct memory_range range;
	struct context *context;
	CUresult result = context_current(&context);

	if (result)
		return result;
	if (!memory_find(address, &range))
		return CUDA_ERROR_NOT_FOUND;
	if (ret_base)
		*ret_base = range.base;
	if (ret_bytes)
		*ret_bytes = range.bytes;
	return CUDA_SUCCESS;
}
