/* SPDX-License-Identifier: Apache-2.0 */
#include "loop.h"

#include <errno.h>
#include <string.h>

#include "driver.h"
#include "executor.h"
#include "idle.h"
#include "latency.h"
#include "launch.h"
#include "log.h"
#include "overhead.h"
#include "opcode.h"
#include "vgpu_api_wire.h"

/* Records between two looks at what the GPU has finished. */
#define RECORDS_IN_A_ROW 32

/* A look is a system call. */
#define ROUNDS_BETWEEN_PRINT_POLLS 64

struct loop {
	struct executor *executor;
	struct idle idle;
	_Alignas(8) uint8_t record[VGPU_RECORD_BYTES_MAX];
	_Alignas(8) uint8_t reply[VGPU_RECORD_BYTES_MAX];
};

static CUresult call_execute(struct executor *executor, const struct request *request, struct reply *reply)
{
	switch (request->opcode) {
	case VGPU_OPCODE_HELLO:
		return hello_execute(executor, request, reply);
	case VGPU_OPCODE_SNAPSHOT:
		return snapshot_execute(executor, request, reply);
	case VGPU_OPCODE_UPLOAD:
		return copy_upload_execute(executor, request);
	case VGPU_OPCODE_UPLOAD_INLINE:
		return copy_upload_inline_execute(executor, request);
	case VGPU_OPCODE_DOWNLOAD:
		return copy_download_execute(executor, request);
	case VGPU_OPCODE_DOWNLOAD_INLINE:
		return copy_download_inline_execute(executor, request, reply);
	case VGPU_OPCODE_STAGE:
		return stage_execute(executor, request);
	case VGPU_OPCODE_HOST_MAP:
		return pinned_map_execute(executor, request);
	case VGPU_OPCODE_HOST_UNMAP:
		return pinned_unmap_execute(executor, request);
	case VGPU_OPCODE_HOST_AREA:
		return pinned_area_execute(executor, request);
	case VGPU_OPCODE_HOST_PLACE:
		return pinned_place_execute(executor, request);
	case VGPU_OPCODE_HOST_PIN:
		return pinned_pin_execute(executor, request);
	case VGPU_OPCODE_FUNCTION_INFO:
		return function_info_execute(executor, request, reply);
	case VGPU_OPCODE_UPLOAD_WINDOW_RELEASE:
		return copy_window_release_execute(executor, request);
	case VGPU_OPCODE_ARRAY_UPLOAD:
		return copy_array_upload_execute(executor, request);
	case VGPU_OPCODE_ARRAY_DOWNLOAD:
		return copy_array_download_execute(executor, request);
	default:
		if (request->opcode < VGPU_OPCODE_API)
			return EXECUTE_PROTOCOL;
		return execute_api(executor, request, reply);
	}
}

static CUresult request_execute(struct executor *executor, const struct request *request, struct reply *reply)
{
	struct overhead_mark mark;
	CUresult result;

	if (request->opcode == VGPU_OPCODE_LAUNCH)
		return launch_execute(executor, request);
	if (!overhead_opcode_loads(request->opcode))
		return call_execute(executor, request, reply);
	result = overhead_use_begin(executor, &mark);
	if (result)
		return result;
	result = call_execute(executor, request, reply);
	overhead_use_end(executor, &mark);
	return result;
}

/* On the processor, not on the GPU. */
static bool opcode_takes_long(uint16_t opcode)
{
	switch (opcode) {
	case VGPU_CALL_cuDevicePrimaryCtxRetain:
	case VGPU_CALL_cuCtxCreate_v2:
	case VGPU_CALL_cuModuleLoadDataEx:
	case VGPU_CALL_cuModuleExamineManaged:
	case VGPU_CALL_cuLibraryLoadData:
	case VGPU_CALL_cuLinkAddData_v2:
	case VGPU_CALL_cuLinkComplete:
		return true;
	default:
		return false;
	}
}

static void record_finish(struct loop *loop, const struct request *request, const struct reply *reply, CUresult result)
{
	struct executor *executor = loop->executor;

	counter_add(&executor->counters->calls, 1);
	if (result == EXECUTE_DEFERRED)
		return;
	if (result == EXECUTE_PROTOCOL) {
		executor_fault(executor, VGPU_ERROR_PROTOCOL,
			       "the guest sent a %s request (opcode %u) that is malformed",
			       opcode_name(request->opcode), request->opcode);
		return;
	}
	if (result && result != CUDA_ERROR_NOT_READY)
		reply_failure_note(executor, request, result);
	if (request->flags & VGPU_FLAG_REPLY)
		reply_send(executor, request, result, reply->payload, reply->bytes);
}

static void record_execute(struct loop *loop)
{
	struct executor *executor = loop->executor;
	struct vgpu_record header;
	struct request request;
	struct reply reply = {.payload = loop->reply, .capacity = sizeof(loop->reply) - sizeof(struct vgpu_record)};
	CUresult result;
	bool is_measured;

	memcpy(&header, loop->record, sizeof(header));
	request = (struct request){
		.opcode = header.opcode,
		.flags = header.flags,
		.sequence = header.sequence,
		.context = header.context_or_result,
		.payload = loop->record + sizeof(header),
		.payload_bytes = header.length - sizeof(header),
	};
	if (!executor->is_greeted && request.opcode != VGPU_OPCODE_HELLO) {
		executor_fault(executor, VGPU_ERROR_PROTOCOL, "the guest did not say HELLO");
		return;
	}
	is_measured = latency_begin(&executor->latency, &request);
	if (executor->telemetry.is_serving) {
		result = telemetry_execute(executor, &request, &reply);
		record_finish(loop, &request, &reply, result);
		if (is_measured)
			latency_end(executor, &request, result);
		return;
	}
	pending_settle(executor);
	if (request.opcode != VGPU_OPCODE_LAUNCH)
		launch_chain_end(executor, request.opcode);
	if (executor->gate.own->deadline_ns && opcode_takes_long(request.opcode))
		gate_drain(executor);
	context_enter(executor, request.context);
	recent_note(&executor->recent, request.opcode);
	executor->request = &request;
	result = request_execute(executor, &request, &reply);
	executor->request = NULL;
	if (result == CUDA_ERROR_OUT_OF_MEMORY && memory_wait_defer(executor, &request))
		result = EXECUTE_DEFERRED;
	if (result == CUDA_ERROR_INVALID_CONTEXT && executor->contexts.enter_result)
		result = executor->contexts.enter_result;
	record_finish(loop, &request, &reply, result);
	if (is_measured)
		latency_end(executor, &request, result);
	if (request.opcode == VGPU_OPCODE_HELLO)
		idle_open(&loop->idle, executor->driver_is_software);
}

static bool record_is_admitted(struct executor *executor)
{
	return executor->telemetry.is_serving ? telemetry_admits(executor) : gate_admits(executor, &executor->gate);
}

/* Uncounted it would be on the GPU in the next tenant's turn. */
static bool record_is_right(struct loop *loop)
{
	struct vgpu_record header;

	memcpy(&header, loop->record, sizeof(header));
	if (gate_pass_is_right(&loop->executor->gate, header.opcode))
		return true;
	executor_fault(loop->executor, VGPU_ERROR_PROTOCOL, "the guest changed a request that it had made");
	return false;
}

/* True: at least one record was executed. */
static bool records_take(struct loop *loop)
{
	struct executor *executor = loop->executor;
	struct ring *commands = &executor->channel.commands;
	int count = 0;

	while (count < RECORDS_IN_A_ROW && !executor->fault && !executor->replies.first &&
	       record_is_admitted(executor)) {
		enum ring_status status = ring_take(commands, loop->record, sizeof(loop->record));

		if (status == RING_FATAL)
			executor_fault(executor, VGPU_ERROR_PROTOCOL, "the guest broke the command ring");
		if (status != RING_OK || !record_is_right(loop))
			break;
		record_execute(loop);
		count++;
	}
	launch_chain_issue(executor);
	/* Not for every bit of room: a guest that is woken for a few records only sleeps again. */
	if (count > 0 && commands->other - commands->own <= commands->bytes / 2 && ring_producer_waits(commands))
		channel_notify(&executor->channel);
	return count > 0;
}

/* True: there may be work already, do not sleep. */
static bool sleep_prepare(struct executor *executor)
{
	enum ring_status status;

	if (executor->replies.first)
		return !reply_backlog_prepare_wait(executor);
	/* Records may lie there: the permit is waited for, which wakes us. */
	if (executor->gate.is_refusing)
		return false;
	status = ring_prepare_sleep(&executor->channel.commands);
	if (status == RING_FATAL)
		executor_fault(executor, VGPU_ERROR_PROTOCOL, "the guest broke the command ring");
	return status != RING_EMPTY;
}

static void loop_sleep(struct loop *loop, enum idle_reason reason)
{
	struct executor *executor = loop->executor;
	int woken;

	if (executor->telemetry.delayed_until_ns) {
		idle_nap(&loop->idle, executor->telemetry.delayed_until_ns);
		return;
	}
	/* Before the preparation, which depends on what waits to be sent. */
	print_poll(executor);
	if (sleep_prepare(executor))
		return;
	/* softgpu's threads print while kernels run (print_poll); a real driver prints in our own calls. */
	if (print_is_possible(&executor->print) && executor->driver_is_software)
		reason = IDLE_FOR_GPU;
	woken = idle_sleep(&loop->idle, executor->channel.doorbell, executor->gate.wake, reason);
	ring_wake(&executor->channel.commands);
	if (woken < 0)
		executor_fault(executor, VGPU_ERROR_EXECUTOR_DIED, "the doorbell does not work: %s", strerror(errno));
	if (woken > 0) {
		channel_doorbell_clear(&executor->channel);
		gate_wake_clear(&executor->gate);
		counter_add(&executor->counters->wakeups, 1);
	}
}

static enum idle_reason idle_reason(const struct executor *executor, bool waits_for_gpu)
{
	if (waits_for_gpu)
		return IDLE_FOR_GPU;
	return executor->gate.is_refusing || executor->replies.first ? IDLE_FOR_OTHERS : IDLE_FOR_RECORDS;
}

void loop_run(struct executor *executor)
{
	/* On a page of its own: at other places records are copied into it more slowly, a tenth of a launch. */
	static _Alignas(4096) struct loop loop;
	unsigned rounds = 0;

	loop = (struct loop){.executor = executor};
	executor->replies.failure_limit = (struct log_limit){.free_count = 100, .per_second = 5};
	idle_open(&loop.idle, executor->driver_is_software);
	while (!executor->fault) {
		bool progress = reply_backlog_flush(executor) && records_take(&loop);
		enum idle_reason reason;

		if (pending_poll(executor))
			progress = true;
		if (gate_poll(executor))
			progress = true;
		if (share_poll(executor))
			progress = true;
		if (memory_wait_poll(executor))
			progress = true;
		program_copies_poll(executor);
		reason = idle_reason(executor, copy_poll(executor) || executor->shares.count ||
						       executor->memory_waits.count || executor->pendings.first ||
						       gate_is_watching(&executor->gate));
		if (++rounds % ROUNDS_BETWEEN_PRINT_POLLS == 0)
			print_poll(executor);
		if (progress)
			idle_end(&loop.idle);
		else if (!idle_spin(&loop.idle, reason))
			loop_sleep(&loop, reason);
	}
}
