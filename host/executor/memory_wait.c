/* SPDX-License-Identifier: Apache-2.0 */
#include "memory_wait.h"

#include <string.h>

#include "executor.h"
#include "launch_chain.h"
#include "limit.h"
#include "vgpu_api_wire.h"

/* A stream that needs what the program does next never frees: then there is no memory, after all. */
#define WAIT_NS_MAX 10000000000u

static void mark_end(struct executor *executor, size_t index)
{
	struct memory_waits *waits = &executor->memory_waits;

	context_mark_give(executor, waits->marks[index].context, waits->marks[index].mark);
	waits->mark_count--;
	memmove(&waits->marks[index], &waits->marks[index + 1], (waits->mark_count - index) * sizeof(waits->marks[0]));
}

/* True: at least one has been reached, or has come to an error. */
static bool marks_poll(struct executor *executor)
{
	struct memory_waits *waits = &executor->memory_waits;
	bool any_reached = false;

	for (size_t i = waits->mark_count; i-- > 0;) {
		if (context_enter(executor, waits->marks[i].context->id) &&
		    executor->driver.cuEventQuery(waits->marks[i].mark) == CUDA_ERROR_NOT_READY)
			continue;
		mark_end(executor, i);
		any_reached = true;
	}
	return any_reached;
}

void memory_wait_note_free(struct executor *executor, uint32_t stream_id)
{
	struct memory_waits *waits = &executor->memory_waits;
	struct context *context;
	CUstream stream;
	CUevent mark;

	if (!memory_is_limited(executor) || execute_enter_stream(executor, stream_id, &stream))
		return;
	context = executor->contexts.current;
	if (!context)
		return;
	if (waits->mark_count == MEMORY_MARKS_MAX) {
		(void)marks_poll(executor);
		context_enter(executor, context->id);
	}
	if (waits->mark_count == MEMORY_MARKS_MAX)
		mark_end(executor, 0);
	/* Without one nobody waits for it. */
	if (!context_mark_take(executor, context, stream, &mark))
		waits->marks[waits->mark_count++] = (struct memory_mark){.context = context, .mark = mark};
}

/* Those that leave nothing behind when they fail. */
static bool opcode_waits(uint16_t opcode)
{
	switch (opcode) {
	case VGPU_CALL_cuMemAlloc_v2:
	case VGPU_CALL_cuMemAllocPitch_v2:
	case VGPU_CALL_cuMemAllocFromPoolAsync:
	case VGPU_CALL_cuMemCreate:
	case VGPU_CALL_cuArray3DCreate_v2:
	case VGPU_CALL_cuMipmappedArrayCreate:
		return true;
	default:
		return false;
	}
}

bool memory_wait_defer(struct executor *executor, const struct request *request)
{
	struct memory_waits *waits = &executor->memory_waits;
	bool is_refused = waits->is_refused;
	struct memory_wait *wait;

	waits->is_refused = false;
	if (!is_refused || !waits->mark_count || !opcode_waits(request->opcode) ||
	    !(request->flags & VGPU_FLAG_REPLY) || request->payload_bytes > MEMORY_WAIT_PAYLOAD_BYTES ||
	    waits->count == MEMORY_WAITS_MAX)
		return false;
	wait = &waits->waits[waits->count++];
	*wait = (struct memory_wait){.request = *request, .mark = executor->latency.mark, .since_ns = schedule_now()};
	memcpy(wait->payload, request->payload, request->payload_bytes);
	return true;
}

/* False: it waits on. */
static bool wait_retry(struct executor *executor, struct memory_wait *wait)
{
	static _Alignas(8) uint8_t bytes[VGPU_RECORD_BYTES_MAX];
	struct reply reply = {.payload = bytes, .capacity = sizeof(bytes) - sizeof(struct vgpu_record)};
	struct memory_waits *waits = &executor->memory_waits;
	CUresult result;

	wait->request.payload = wait->payload;
	pending_settle(executor);
	launch_chain_end(executor, wait->request.opcode);
	context_enter(executor, wait->request.context);
	executor->request = &wait->request;
	waits->is_refused = false;
	result = execute_api(executor, &wait->request, &reply);
	executor->request = NULL;
	if (result == CUDA_ERROR_OUT_OF_MEMORY && waits->is_refused && waits->mark_count &&
	    schedule_now() - wait->since_ns < WAIT_NS_MAX)
		return false;
	if (result)
		reply_failure_note(executor, &wait->request, result);
	reply_send(executor, &wait->request, result, reply.payload, reply.bytes);
	latency_end_deferred(executor, &wait->request, &wait->mark);
	return true;
}

bool memory_wait_poll(struct executor *executor)
{
	struct memory_waits *waits = &executor->memory_waits;
	size_t kept = 0;

	if (!waits->count)
		return false;
	if (!marks_poll(executor) && waits->mark_count && schedule_now() - waits->waits[0].since_ns < WAIT_NS_MAX)
		return false;
	for (size_t i = 0; i < waits->count; i++) {
		if (wait_retry(executor, &waits->waits[i]))
			continue;
		if (kept != i)
			waits->waits[kept] = waits->waits[i];
		kept++;
	}
	if (kept == waits->count)
		return false;
	waits->count = kept;
	return true;
}

void memory_wait_forget_context(struct executor *executor, struct context *context)
{
	struct memory_waits *waits = &executor->memory_waits;

	for (size_t i = waits->mark_count; i-- > 0;)
		if (waits->marks[i].context == context)
			mark_end(executor, i);
}
