/* SPDX-License-Identifier: Apache-2.0 */
/* Memory and events that processes share: their handles are opaque here too. */
#include <string.h>

#include "context.h"
#include "event.h"
#include "host_calls.h"
#include "memory.h"
#include "object.h"

API(cuIpcGetMemHandle, CUipcMemHandle *ret_handle, CUdeviceptr address)
{
	struct memory_range range;
	CUipcMemHandle handle;
	uint32_t context, bytes = 0;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	if (!ret_handle || (memory_lookup(address, &range) && memory_kind_is_managed(range.kind)))
		return CUDA_ERROR_INVALID_VALUE;
	result = host_cuIpcGetMemHandle(context, address, &handle, sizeof(handle), &bytes);
	if (result)
		return result;
	if (bytes != sizeof(handle))
		return CUDA_ERROR_UNKNOWN;
	*ret_handle = handle;
	return CUDA_SUCCESS;
}

/* Where the driver does not tell how much it is, the first byte is all that is known. */
static CUresult opened_note(uint32_t context, uint64_t address)
{
	struct memory_range range = {
		.address = address,
		.bytes = 1,
		.kind = MEMORY_OPENED,
		.context = context,
		.device = (CUdevice)thread_state.current->words[CONTEXT_DEVICE],
	};
	uint64_t base, bytes;
	CUresult result;

	if (!host_cuMemGetAddressRange_v2(context, &base, &bytes, address) && base <= address && bytes > address - base)
		range.bytes = bytes - (address - base);
	result = memory_note(&range);
	if (result)
		(void)host_cuIpcCloseMemHandle(context, address);
	return result;
}

API(cuIpcOpenMemHandle_v2, CUdeviceptr *ret_address, CUipcMemHandle handle, unsigned int flags)
{
	uint64_t address;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	if (!ret_address)
		return CUDA_ERROR_INVALID_VALUE;
	result = host_cuIpcOpenMemHandle_v2(context, &handle, flags, &address);
	if (!result)
		result = opened_note(context, address);
	if (!result)
		*ret_address = address;
	return result;
}

API(cuIpcOpenMemHandle, CUdeviceptr *ret_address, CUipcMemHandle handle, unsigned int flags)
{
	return cuIpcOpenMemHandle_v2(ret_address, handle, flags);
}

API(cuIpcCloseMemHandle, CUdeviceptr address)
{
	struct memory_range range;
	uint64_t base, bytes;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	result = host_cuIpcCloseMemHandle(context, address);
	/* Who has opened it more than once has it still. */
	if (!result && host_cuMemGetAddressRange_v2(context, &base, &bytes, address))
		(void)memory_remove(address, 1u << MEMORY_OPENED, &range);
	return result;
}

API(cuIpcGetEventHandle, CUipcEventHandle *ret_handle, CUevent event)
{
	CUipcEventHandle handle;
	uint32_t context, id, bytes = 0;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (!result && (!ret_handle || !event))
		result = CUDA_ERROR_INVALID_VALUE;
	if (!result)
		result = object_id(event, VGPU_KIND_EVENT, &id);
	if (result)
		return result;
	result = host_cuIpcGetEventHandle(context, id, &handle, sizeof(handle), &bytes);
	if (result)
		return result;
	if (bytes != sizeof(handle))
		return CUDA_ERROR_UNKNOWN;
	*ret_handle = handle;
	return CUDA_SUCCESS;
}

API(cuIpcOpenEventHandle, CUevent *ret_event, CUipcEventHandle handle)
{
	struct object *event;
	uint32_t context;
	CUresult result = event_begin(ret_event, &context, &event);

	if (result)
		return result;
	event_share(event);
	return event_end(event, host_cuIpcOpenEventHandle(context, event->id, &handle), ret_event);
}
