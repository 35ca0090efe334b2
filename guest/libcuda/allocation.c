/* SPDX-License-Identifier: Apache-2.0 */
/* Device memory of a context. */
#include "capture.h"
#include "context.h"
#include "host_calls.h"
#include "memory.h"
#include "mirror.h"
#include "pinned.h"
#include "rest.h"
#include "session.h"

static CUresult allocation_note(uint64_t address, uint64_t bytes, uint32_t context)
{
	struct memory_range range = {
		.address = address,
		.bytes = bytes,
		.kind = MEMORY_DEVICE,
		.context = context,
		.device = (CUdevice)thread_state.current->words[CONTEXT_DEVICE],
	};
	CUresult result = memory_note(&range);

	if (result)
		(void)host_cuMemFree_v2(context, address);
	return result;
}

API(cuMemAlloc_v2, CUdeviceptr *dptr, size_t bytes)
{
	uint64_t address;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	if (!dptr || bytes == 0)
		return CUDA_ERROR_INVALID_VALUE;
	result = host_cuMemAlloc_v2(context, &address, bytes);
	if (!result)
		result = allocation_note(address, bytes, context);
	if (!result)
		*dptr = address;
	return result;
}

API(cuMemAllocPitch_v2, CUdeviceptr *dptr, size_t *pitch, size_t width, size_t height, unsigned int element_bytes)
{
	uint64_t address, row;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	if (!dptr || !pitch || width == 0 || height == 0)
		return CUDA_ERROR_INVALID_VALUE;
	result = host_cuMemAllocPitch_v2(context, &address, &row, width, height, element_bytes);
	if (!result)
		result = allocation_note(address, row * height, context);
	if (result)
		return result;
	*dptr = address;
	*pitch = (size_t)row;
	return CUDA_SUCCESS;
}

/* That no context is current comes last: nothing is to be freed, or nothing is there (measured, driver 580). */
static CUresult contextless_free(CUdeviceptr dptr)
{
	CUresult result = context_current_error();
	struct memory_range range;

	if (result != CUDA_ERROR_INVALID_CONTEXT || (dptr && memory_lookup(dptr, &range)))
		return result;
	return dptr ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

/* Waits for what the device does, as the driver does; the host too, so that nothing is left to do where that is known.
 */
static CUresult device_free(CUdeviceptr dptr, uint32_t owner, uint32_t context)
{
	const struct wire_cuMemFree_v2 request = {.dptr = dptr};
	const struct call_piece pieces[] = {{&request, sizeof(request)}};
	uint64_t begun = rest_begin();
	CUresult result;

	if (rest_is_known(owner))
		return host_cuMemFree_v2(context, dptr);
	result = call_wait(VGPU_CALL_cuMemFree_v2, context, pieces, 1, NULL, 0, NULL);
	if (!result)
		rest_note(owner, begun);
	return result;
}

API(cuMemFree_v2, CUdeviceptr dptr)
{
	struct memory_range range;
	uint32_t context;
	CUresult freed;
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	if (!result && !context)
		result = contextless_free(dptr);
	if (result || !dptr)
		return result;
	if (memory_is_of_graph(dptr)) {
		result = host_cuMemFree_v2(context, dptr);
		return result ? result : capture_settle_open(context, 0);
	}
	if (memory_remove(dptr, 1u << MEMORY_DEVICE, &range))
		return device_free(dptr, range.context, context);
	/* A pool's memory may be freed like this too: in order behind all work (API reference, cuMemFree). */
	if (memory_remove(dptr, 1u << MEMORY_POOL, &range))
		return host_cuMemFree_v2(context, dptr);
	if (memory_lookup(dptr, &range) && range.owner)
		return CUDA_ERROR_INVALID_VALUE; /* a variable of a module */
	if (memory_remove(dptr, 1u << MEMORY_MANAGED | 1u << MEMORY_MIRRORED, &range)) {
		/* What is running may use it, and the program sees its pages go at once. */
		result = host_cuCtxSynchronize(context);
		freed = range.kind == MEMORY_MANAGED ? pinned_free(&range, context) : mirror_free(dptr);
		return result ? result : freed;
	}
	return CUDA_ERROR_INVALID_VALUE;
}

API(cuMemGetAddressRange_v2, CUdeviceptr *base, size_t *bytes, CUdeviceptr dptr)
{
	struct memory_range range;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	/* Who asks for nothing is told nothing of the address either (driver 580). */
	if (result || (!base && !bytes))
		return result;
	if (!memory_lookup(dptr, &range) || range.kind == MEMORY_PLAIN || range.kind == MEMORY_REGISTERED ||
	    range.kind == MEMORY_MOVED)
		return CUDA_ERROR_NOT_FOUND;
	if (base)
		*base = range.address;
	if (bytes)
		*bytes = (size_t)range.bytes;
	return CUDA_SUCCESS;
}

/* Of before CUDA 3.2, as the others with 32-bit addresses (api/driver/removed.api). */
API(cuMemGetAddressRange, CUdeviceptr_v1 *base, unsigned int *bytes, CUdeviceptr_v1 address)
{
	const CUresult result = cuMemGetAddressRange_v2(NULL, NULL, address);

	return result || (!base && !bytes) ? result : CUDA_ERROR_INVALID_CONTEXT;
}

static unsigned int saturate(uint64_t bytes)
{
	return bytes > UINT32_MAX ? UINT32_MAX : (unsigned int)bytes;
}

API(cuMemGetInfo, unsigned int *free_bytes, unsigned int *total_bytes)
{
	uint64_t free_now, total;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	if (!free_bytes || !total_bytes)
		return CUDA_ERROR_INVALID_VALUE;
	result = host_cuMemGetInfo_v2(context, &free_now, &total);
	if (result)
		return result;
	*free_bytes = saturate(free_now);
	*total_bytes = saturate(total);
	return CUDA_SUCCESS;
}
