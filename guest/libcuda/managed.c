/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Managed memory.  The driver's own cannot be shared by two processes, so it is
 * pinned memory of this process that the executor has mapped and registered at the
 * same address: both sides and the device see the same bytes at any time, and no
 * page ever moves.  Where the executor cannot map it, it is the device's, mirrored here (mirror.h).
 */
#include "context.h"
#include "host_calls.h"
#include "memory.h"
#include "mirror.h"
#include "pinned.h"
#include "session.h"

static CUresult shared_allocate(struct memory_range *range)
{
	void *address;
	CUresult result = pinned_allocate((size_t)range->bytes, range->context, &address);

	if (result)
		return result;
	range->kind = MEMORY_MANAGED;
	range->address = (uintptr_t)address;
	return CUDA_SUCCESS;
}

static CUresult mirrored_allocate(struct memory_range *range)
{
	range->kind = MEMORY_MIRRORED;
	return mirror_allocate(range->context, (size_t)range->bytes, range->flags, &range->address);
}

API(cuMemAllocManaged, CUdeviceptr *dptr, size_t bytes, unsigned int flags)
{
	struct memory_range range = {.bytes = bytes, .flags = flags};
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &range.context);

	if (result)
		return result;
	if (!session_shares_memory() && !mirror_is_supported())
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!dptr || bytes == 0 || bytes > PINNED_BYTES_MAX ||
	    (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST))
		return CUDA_ERROR_INVALID_VALUE;
	result = session_shares_memory() ? shared_allocate(&range) : mirrored_allocate(&range);
	if (result)
		return result;
	range.device = (CUdevice)thread_state.current->words[CONTEXT_DEVICE];
	result = memory_note(&range);
	if (result) {
		(void)(range.kind == MEMORY_MANAGED ? pinned_free(&range, range.context) : mirror_free(range.address));
		return result;
	}
	*dptr = range.address;
	return CUDA_SUCCESS;
}

/* What is not mirrored every stream may use at any time: the call is checked, and there is nothing to restrict. */
static CUresult attach(CUstream stream, CUdeviceptr dptr, size_t bytes, unsigned int flags, bool per_thread_default)
{
	struct memory_range range;
	uint32_t context, stream_number;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (!result)
		result = stream_id(stream, per_thread_default, &stream_number);
	if (result)
		return result;
	if (!memory_lookup(dptr, &range) || !memory_kind_is_managed(range.kind))
		return host_cuStreamAttachMemAsync(context, stream_number, dptr, bytes, flags);
	if (dptr != range.address || (bytes && bytes != range.bytes) ||
	    (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST && flags != CU_MEM_ATTACH_SINGLE))
		return CUDA_ERROR_INVALID_VALUE;
	if (range.kind == MEMORY_MIRRORED)
		mirror_attach(dptr, flags, context, stream_number);
	return CUDA_SUCCESS;
}

API(cuStreamAttachMemAsync, CUstream stream, CUdeviceptr dptr, size_t bytes, unsigned int flags)
{
	return attach(stream, dptr, bytes, flags, false);
}

API(cuStreamAttachMemAsync_ptsz, CUstream stream, CUdeviceptr dptr, size_t bytes, unsigned int flags)
{
	return attach(stream, dptr, bytes, flags, true);
}
