/* SPDX-License-Identifier: Apache-2.0 */
/* Pinned host memory: allocated here, or registered by the program.  Its device address is its own. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "arena.h"
#include "context.h"
#include "driver.h"
#include "entry.h"
#include "memory.h"
#include "stream.h"

static CUresult host_allocate(void **ret_pointer, size_t bytes, unsigned flags)
{
	struct memory_range range = {.bytes = bytes, .kind = MEMORY_HOST, .flags = flags};
	void *pointer;
	CUresult result = context_current(&range.context);

	if (result)
		return result;
	if (!ret_pointer || !bytes ||
	    flags & ~(unsigned)(CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_WRITECOMBINED))
		return CUDA_ERROR_INVALID_VALUE;
	pointer = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pointer == MAP_FAILED)
		return CUDA_ERROR_OUT_OF_MEMORY;
	range.base = (uint64_t)(uintptr_t)pointer;
	range.device = range.context->device;
	result = memory_register(&range);
	if (result) {
		munmap(pointer, bytes);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	*ret_pointer = pointer;
	return CUDA_SUCCESS;
}

ENTRY(cuMemHostAlloc, (void **ret_pointer, size_t bytes, unsigned int flags))
{
	return host_allocate(ret_pointer, bytes, flags);
}

ENTRY(cuMemAllocHost_v2, (void **ret_pointer, size_t bytes))
{
	return host_allocate(ret_pointer, bytes, 0);
}

ENTRY(cuMemFreeHost, (void *pointer))
{
	struct context *context;
	CUresult result = context_current(&context);

	if (result)
		return result;
	if (!pointer)
		return CUDA_SUCCESS;
	stream_wait_context(context);
	return memory_free((uint64_t)(uintptr_t)pointer, MEMORY_MASK(MEMORY_HOST), NULL);
}

/* Every page of the range is mapped in this process. */
static bool range_mapped(uint64_t address, uint64_t bytes)
{
	uint64_t page = address & ~(uint64_t)(ARENA_PAGE_BYTES - 1);
	uint64_t end = address + bytes;
	unsigned char resident[4096];

	while (page < end) {
		uint64_t part = end - page;

		if (part > sizeof(resident) * ARENA_PAGE_BYTES)
			part = sizeof(resident) * ARENA_PAGE_BYTES;
		if (mincore((void *)page, part, resident))
			return false;
		page += part;
	}
	return true;
}

ENTRY(cuMemHostRegister_v2, (void *pointer, size_t bytes, unsigned int flags))
{
	const unsigned known = CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP |
			       CU_MEMHOSTREGISTER_IOMEMORY | CU_MEMHOSTREGISTER_READ_ONLY;
	struct memory_range range = {
		.base = (uint64_t)(uintptr_t)pointer,
		.bytes = bytes,
		.kind = MEMORY_REGISTERED,
		.flags = flags,
	};
	CUresult result = context_current(&range.context);

	if (result)
		return result;
	if (!pointer || !bytes || flags & ~known || range.base + bytes < range.base)
		return CUDA_ERROR_INVALID_VALUE;
	if (flags & CU_MEMHOSTREGISTER_IOMEMORY)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (arena_holds(range.base) || !range_mapped(range.base, bytes))
		return CUDA_ERROR_INVALID_VALUE;
	range.device = range.context->device;
	return memory_register(&range);
}

ENTRY(cuMemHostUnregister, (void *pointer))
{
	struct context *context;
	CUresult result = context_current(&context);

	if (result)
		return result;
	if (!pointer)
		return CUDA_ERROR_INVALID_VALUE;
	stream_wait_context(context);
	result = memory_free((uint64_t)(uintptr_t)pointer, MEMORY_MASK(MEMORY_REGISTERED), NULL);
	return result == CUDA_ERROR_INVALID_VALUE ? CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED : result;
}

ENTRY(cuMemHostGetDevicePointer_v2, (CUdeviceptr * ret_address, void *pointer, unsigned int flags))
{
	struct memory_range range;
	struct context *context;
	CUresult result = context_current(&context);

	if (result)
		return result;
	if (!ret_address || !pointer || flags)
		return CUDA_ERROR_INVALID_VALUE;
	if (!memory_find((uint64_t)(uintptr_t)pointer, &range) || !memory_kind_is_host(range.kind))
		return CUDA_ERROR_INVALID_VALUE;
	*ret_address = (uint64_t)(uintptr_t)pointer;
	return CUDA_SUCCESS;
}

/* With unified addressing all pinned memory is mapped and portable, whatever was asked for. */
ENTRY(cuMemHostGetFlags, (unsigned int *ret_flags, void *pointer))
{
	struct memory_range range;
	struct context *context;
	CUresult result = context_current(&context);

	if (result)
		return result;
	if (!ret_flags || !memory_find((uint64_t)(uintptr_t)pointer, &range) || range.kind != MEMORY_HOST)
		return CUDA_ERROR_INVALID_VALUE;
	*ret_flags = range.flags | CU_MEMHOSTALLOC_DEVICEMAP;
	return CUDA_SUCCESS;
}
