/* SPDX-License-Identifier: Apache-2.0 */
#include "event.h"

#include "call.h"
#include "host_calls.h"

/* object.words of an event. One that was never recorded is complete (API reference, cuEventQuery). */
enum event_word {
	EVENT_RECORDED, /* how often it was recorded */
	EVENT_COMPLETE, /* the last of these recordings that has been seen complete */
	EVENT_ESCAPED,
	EVENT_SHARED,
};

void event_escape(struct object *event)
{
	__atomic_store_n(&event->words[EVENT_ESCAPED], 1, __ATOMIC_SEQ_CST);
}

void event_share(struct object *event)
{
	event_escape(event);
	event->words[EVENT_SHARED] = 1;
}

bool event_is_shared(uint32_t id)
{
	const struct object *event = object_by_id(id);

	return event && event->words[EVENT_SHARED];
}

CUresult event_id_escaping(CUevent handle, uint32_t *ret_id)
{
	struct object *event = object_find(handle, VGPU_KIND_EVENT);

	if (!event)
		return CUDA_ERROR_INVALID_HANDLE;
	event_escape(event);
	*ret_id = event->id;
	return CUDA_SUCCESS;
}

/*
 * After the host was told to record it, whatever came of that: who reads the number then asks later than that. Before,
 * another thread could ask in between, and take the answer about an earlier recording for this one's.
 */
static void recording_note(struct object *event)
{
	(void)__atomic_add_fetch(&event->words[EVENT_RECORDED], 1, __ATOMIC_SEQ_CST);
}

/* Asks the host unless the answer is known to be CUDA_SUCCESS. */
static CUresult completion_ask(CUevent handle, CUresult (*ask)(uint32_t context, uint32_t event))
{
	struct object *event;
	uint32_t context;
	uint64_t recorded;
	CUresult result;

	if (!handle)
		return CUDA_ERROR_INVALID_HANDLE;
	result = call_begin(CALL_NEEDS_INIT, &context);
	if (result)
		return result;
	event = object_find(handle, VGPU_KIND_EVENT);
	if (!event)
		return CUDA_ERROR_INVALID_HANDLE;
	recorded = __atomic_load_n(&event->words[EVENT_RECORDED], __ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&event->words[EVENT_ESCAPED], __ATOMIC_SEQ_CST) &&
	    __atomic_load_n(&event->words[EVENT_COMPLETE], __ATOMIC_SEQ_CST) == recorded)
		return CUDA_SUCCESS;
	result = ask(context, event->id);
	if (!result)
		__atomic_store_n(&event->words[EVENT_COMPLETE], recorded, __ATOMIC_SEQ_CST);
	return result;
}

API(cuEventQuery, CUevent event)
{
	return completion_ask(event, host_cuEventQuery);
}

API(cuEventSynchronize, CUevent event)
{
	return completion_ask(event, host_cuEventSynchronize);
}

CUresult event_begin(const CUevent *ret_event, uint32_t *ret_context, struct object **ret_object)
{
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, ret_context);

	if (result)
		return result;
	if (!ret_event)
		return CUDA_ERROR_INVALID_VALUE;
	*ret_object = object_mint(VGPU_KIND_EVENT, *ret_context);
	return *ret_object ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult event_end(struct object *object, CUresult result, CUevent *ret_event)
{
	if (result)
		object_release(object);
	else
		*ret_event = (CUevent)object;
	return result;
}

API(cuEventCreate, CUevent *ret_event, unsigned int flags)
{
	struct object *event;
	uint32_t context;
	CUresult result = event_begin(ret_event, &context, &event);

	if (result)
		return result;
	if (flags & CU_EVENT_INTERPROCESS)
		event_share(event);
	return event_end(event, host_cuEventCreate(context, event->id, flags), ret_event);
}

static CUresult event_record(CUevent handle, CUstream stream, unsigned int flags, bool per_thread_default)
{
	struct object *event;
	uint32_t context, id;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	event = object_find(handle, VGPU_KIND_EVENT);
	if (!event)
		return CUDA_ERROR_INVALID_HANDLE;
	result = stream_id(stream, per_thread_default, &id);
	if (result)
		return result;
	if (flags) {
		/* In a capture it becomes a node, whose graph records it at each launch. */
		event_escape(event);
		result = host_cuEventRecordWithFlags(context, event->id, id, flags);
	} else {
		result = host_cuEventRecord(context, event->id, id);
	}
	recording_note(event);
	return result;
}

API(cuEventRecord, CUevent event, CUstream stream)
{
	return event_record(event, stream, 0, false);
}

API(cuEventRecord_ptsz, CUevent event, CUstream stream)
{
	return event_record(event, stream, 0, true);
}

API(cuEventRecordWithFlags, CUevent event, CUstream stream, unsigned int flags)
{
	return event_record(event, stream, flags, false);
}

API(cuEventRecordWithFlags_ptsz, CUevent event, CUstream stream, unsigned int flags)
{
	return event_record(event, stream, flags, true);
}

API(cuCtxRecordEvent, CUcontext handle, CUevent event_handle)
{
	uint32_t context, id, event;
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	if (!result)
		result = object_id(handle, VGPU_KIND_CONTEXT, &id);
	if (!result)
		result = event_id_escaping(event_handle, &event);
	return result ? result : host_cuCtxRecordEvent(context, id, event);
}
