/* SPDX-License-Identifier: Apache-2.0 */
#include "copy.h"

#include "capture.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "context_work.h"
#include "executor.h"
#include "executor_calls.h"
#include "log.h"

#define BOUNCE_BYTES_ALL ((size_t)BOUNCES_COUNT * VGPU_RECORD_BYTES_MAX)

int copy_open(struct copies *copies)
{
	copies->bounce_memory =
		mmap(NULL, BOUNCE_BYTES_ALL, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (copies->bounce_memory == MAP_FAILED)
		return -errno;
	for (size_t i = 0; i < BOUNCES_COUNT; i++) {
		struct bounce *bounce = &copies->bounces[i];

		bounce->bytes = copies->bounce_memory + i * VGPU_RECORD_BYTES_MAX;
		bounce->next = copies->free_bounces;
		copies->free_bounces = bounce;
	}
	return 0;
}

void copy_windows_register(struct executor *executor)
{
	const struct driver *driver = &executor->driver;
	struct channel *channel = &executor->channel;
	size_t windows_bytes = (size_t)channel->upload_bytes + channel->download_bytes;
	CUresult result;

	if (executor->copies.registered_in || !executor->contexts.current ||
	    executor->copies.refused_in == executor->contexts.current || !driver->cuMemHostRegister_v2)
		return;
	result = driver->cuMemHostRegister_v2(channel->upload, windows_bytes, CU_MEMHOSTREGISTER_PORTABLE);
	if (!result) {
		result = driver->cuMemHostRegister_v2(executor->copies.bounce_memory, BOUNCE_BYTES_ALL,
						      CU_MEMHOSTREGISTER_PORTABLE);
		if (result)
			driver->cuMemHostUnregister(channel->upload);
	}
	if (!result) {
		executor->copies.registered_in = context_owner(executor, executor->contexts.current);
		return;
	}
	executor->copies.refused_in = executor->contexts.current;
	log_write("the channel's windows cannot be pinned (error %d): copies go through pageable memory", result);
}

static struct bounce *bounce_take(struct copies *copies)
{
	struct bounce *bounce = copies->free_bounces;

	if (bounce)
		copies->free_bounces = bounce->next;
	return bounce;
}

void copy_bounce_give(struct executor *executor, struct bounce *bounce)
{
	bounce->next = executor->copies.free_bounces;
	executor->copies.free_bounces = bounce;
}

uint8_t *copy_bounce_bytes(struct bounce *bounce)
{
	return bounce->bytes;
}

CUresult copy_window_place(struct executor *executor, uint64_t position, uint64_t bytes, uint64_t *ret_place)
{
	struct copies *copies = &executor->copies;
	uint64_t window_bytes = executor->channel.upload_bytes;
	uint64_t place = position % window_bytes;

	/* In order, within one turn of the window, and in one piece. */
	if (bytes > window_bytes - place || position - copies->upload_used > window_bytes ||
	    position + bytes - copies->upload_released > window_bytes)
		return EXECUTE_PROTOCOL;
	*ret_place = place;
	return CUDA_SUCCESS;
}

/* Takes finished uploads off the queue; with 'wait' at least one. */
static void uploads_retire(struct executor *executor, bool wait)
{
	const struct driver *driver = &executor->driver;
	struct copies *copies = &executor->copies;
	uint64_t released = copies->upload_released;

	while (copies->upload_head != copies->upload_tail) {
		struct upload *upload = &copies->uploads[copies->upload_head % UPLOADS_MAX];

		if (upload->mark) {
			context_enter(executor, upload->context->id);
			if (wait)
				driver->cuEventSynchronize(upload->mark);
			else if (driver->cuEventQuery(upload->mark) == CUDA_ERROR_NOT_READY)
				break;
			/* A copy that failed has shown its error elsewhere; its bytes are not read any more. */
			context_mark_give(executor, upload->context, upload->mark);
		}
		released = upload->end;
		copies->upload_head++;
		wait = false;
	}
	if (released != copies->upload_released) {
		copies->upload_released = released;
		channel_upload_release(&executor->channel, released);
	}
}

static void upload_add(struct executor *executor, uint64_t end, struct context *context, CUevent mark)
{
	struct copies *copies = &executor->copies;

	if (copies->upload_tail - copies->upload_head == UPLOADS_MAX) {
		uint32_t current = executor->contexts.current ? executor->contexts.current->id : 0;

		uploads_retire(executor, true);
		context_enter(executor, current);
	}
	copies->uploads[copies->upload_tail++ % UPLOADS_MAX] =
		(struct upload){.end = end, .context = context, .mark = mark};
	copies->upload_used = end;
}

CUresult copy_window_pass(struct executor *executor, uint64_t position)
{
	struct copies *copies = &executor->copies;

	if (position - copies->upload_used > executor->channel.upload_bytes ||
	    position - copies->upload_released > executor->channel.upload_bytes)
		return EXECUTE_PROTOCOL;
	upload_add(executor, position, NULL, NULL);
	return CUDA_SUCCESS;
}

CUresult copy_window_release_execute(struct executor *executor, const struct request *request)
{
	const struct vgpu_upload_window_release *arguments = request->payload;

	if (request->payload_bytes < sizeof(*arguments))
		return EXECUTE_PROTOCOL;
	return copy_window_pass(executor, arguments->position);
}

CUresult copy_window_used(struct executor *executor, uint64_t end, uint32_t stream_id, CUresult result)
{
	CUevent mark = NULL;

	if (!result) {
		CUstream stream;

		if (!stream_id)
			context_legacy_copy(executor->contexts.current);
		result = execute_enter_stream(executor, stream_id, &stream);
		if (!result)
			result = context_mark_take(executor, executor->contexts.current, stream, &mark);
		if (result)
			executor->driver.cuStreamSynchronize(stream);
	}
	upload_add(executor, end, executor->contexts.current, mark);
	return result;
}

CUresult copy_upload_execute(struct executor *executor, const struct request *request)
{
	const struct vgpu_upload *arguments = request->payload;
	const struct driver *driver = &executor->driver;
	CUstream stream = NULL;
	uint64_t place;
	CUresult result;

	if (request->payload_bytes < sizeof(*arguments) ||
	    copy_window_place(executor, arguments->window_position, arguments->bytes, &place))
		return EXECUTE_PROTOCOL;
	/* Whatever becomes of the copy, the guest gets its window back. */
	result =
		arguments->array ? CUDA_ERROR_NOT_SUPPORTED : execute_find_stream(executor, arguments->stream, &stream);
	if (!result)
		result = capture_check(executor, stream);
	if (!result && !executor->contexts.current)
		result = CUDA_ERROR_INVALID_CONTEXT;
	if (!result) {
		copy_windows_register(executor);
		result = driver->cuMemcpyHtoDAsync_v2(arguments->destination, executor->channel.upload + place,
						      arguments->bytes, stream);
	}
	if (!result)
		counter_add(&executor->counters->bytes_to_device, arguments->bytes);
	return copy_window_used(executor, arguments->window_position + arguments->bytes, arguments->stream, result);
}

CUresult copy_upload_inline_execute(struct executor *executor, const struct request *request)
{
	const struct vgpu_upload_inline *arguments = request->payload;
	CUstream stream;
	CUresult result;

	if (request->payload_bytes < sizeof(*arguments) ||
	    arguments->bytes > request->payload_bytes - sizeof(*arguments))
		return EXECUTE_PROTOCOL;
	result = execute_find_stream(executor, arguments->stream, &stream);
	if (!result)
		result = capture_check(executor, stream);
	if (result)
		return result;
	/* From pageable memory: the driver has its own copy of the bytes when it returns. */
	result = executor->driver.cuMemcpyHtoDAsync_v2(arguments->destination, arguments + 1, arguments->bytes, stream);
	if (!result)
		counter_add(&executor->counters->bytes_to_device, arguments->bytes);
	if (!arguments->stream)
		context_legacy_copy(executor->contexts.current);
	return result;
}

CUresult copy_download_execute(struct executor *executor, const struct request *request)
{
	const struct vgpu_download *arguments = request->payload;
	struct channel *channel = &executor->channel;
	CUstream stream;
	CUresult result;

	if (request->payload_bytes < sizeof(*arguments) || arguments->window_offset > channel->download_bytes ||
	    arguments->bytes > channel->download_bytes - arguments->window_offset)
		return EXECUTE_PROTOCOL;
	result = execute_find_stream(executor, arguments->stream, &stream);
	if (!result)
		result = capture_check(executor, stream);
	if (result)
		return result;
	copy_windows_register(executor);
	result = executor->driver.cuMemcpyDtoHAsync_v2(channel->download + arguments->window_offset, arguments->source,
						       arguments->bytes, stream);
	if (result)
		return result;
	counter_add(&executor->counters->bytes_from_device, arguments->bytes);
	return pending_add_copy(executor, request, arguments->stream, NULL, 0);
}

/* Every bounce buffer is in flight: waits here, for a program may have any number of threads that copy. */
static CUresult download_inline_wait(struct executor *executor, const struct vgpu_download_inline *arguments,
				     CUstream stream, struct reply *reply)
{
	const struct driver *driver = &executor->driver;
	CUresult result = driver->cuMemcpyDtoHAsync_v2(reply->payload, arguments->source, arguments->bytes, stream);

	if (!result)
		result = driver->cuStreamSynchronize(stream);
	print_forward(executor);
	if (result)
		return result;
	counter_add(&executor->counters->bytes_from_device, arguments->bytes);
	reply->bytes = arguments->bytes;
	return CUDA_SUCCESS;
}

CUresult copy_download_inline_execute(struct executor *executor, const struct request *request, struct reply *reply)
{
	const struct vgpu_download_inline *arguments = request->payload;
	struct bounce *bounce;
	CUstream stream;
	CUresult result;

	if (request->payload_bytes < sizeof(*arguments) ||
	    arguments->bytes > VGPU_RECORD_BYTES_MAX - sizeof(struct vgpu_record))
		return EXECUTE_PROTOCOL;
	result = execute_find_stream(executor, arguments->stream, &stream);
	if (!result)
		result = capture_check(executor, stream);
	if (result)
		return result;
	copy_windows_register(executor);
	bounce = bounce_take(&executor->copies);
	if (!bounce)
		return download_inline_wait(executor, arguments, stream, reply);
	result = executor->driver.cuMemcpyDtoHAsync_v2(bounce->bytes, arguments->source, arguments->bytes, stream);
	if (!result) {
		counter_add(&executor->counters->bytes_from_device, arguments->bytes);
		result = pending_add_copy(executor, request, arguments->stream, bounce, arguments->bytes);
		if (result == EXECUTE_DEFERRED)
			return result;
	}
	copy_bounce_give(executor, bounce);
	return result;
}

bool copy_poll(struct executor *executor)
{
	if (executor->copies.upload_head == executor->copies.upload_tail)
		return false;
	uploads_retire(executor, false);
	return executor->copies.upload_head != executor->copies.upload_tail;
}

void copy_forget_context(struct executor *executor, struct context *context)
{
	struct copies *copies = &executor->copies;

	for (uint32_t i = copies->upload_head; i != copies->upload_tail; i++) {
		struct upload *upload = &copies->uploads[i % UPLOADS_MAX];

		if (upload->context != context || !upload->mark)
			continue;
		context_enter(executor, context->id);
		executor->driver.cuEventSynchronize(upload->mark);
		upload->mark = NULL;
	}
	if (copies->refused_in == context)
		copies->refused_in = NULL;
	if (copies->registered_in == context) {
		context_enter(executor, context->id);
		executor->driver.cuMemHostUnregister(executor->channel.upload);
		executor->driver.cuMemHostUnregister(copies->bounce_memory);
		copies->registered_in = NULL;
	}
}

/* The stream of a copy to or from memory of the program that is mapped here; a capture that goes on may keep its name.
 */
static CUresult mapped_begin(struct executor *executor, uint32_t stream_id, uint64_t host, uint64_t bytes,
			     CUstream *ret_stream)
{
	CUresult result = execute_find_stream(executor, stream_id, ret_stream);

	if (result)
		return result;
	if (!pinned_holds(&executor->pinned, host, bytes))
		return CUDA_ERROR_INVALID_VALUE;
	if (executor->captures.count)
		pinned_name(&executor->pinned, host);
	return CUDA_SUCCESS;
}

CUresult execute_cuMemcpyHtoDAsync_v2(struct executor *executor, const struct request *request,
				      const struct wire_cuMemcpyHtoDAsync_v2 *arguments)
{
	CUstream stream;
	CUresult result = mapped_begin(executor, arguments->hStream, arguments->srcHost, arguments->ByteCount, &stream);

	(void)request;
	if (result)
		return result;
	result = executor->driver.cuMemcpyHtoDAsync_v2(
		arguments->dstDevice, (const void *)(uintptr_t)arguments->srcHost, arguments->ByteCount, stream);
	if (!result)
		counter_add(&executor->counters->bytes_to_device, arguments->ByteCount);
	return result;
}

CUresult execute_cuMemcpyDtoHAsync_v2(struct executor *executor, const struct request *request,
				      const struct wire_cuMemcpyDtoHAsync_v2 *arguments)
{
	CUstream stream;
	CUresult result = mapped_begin(executor, arguments->hStream, arguments->dstHost, arguments->ByteCount, &stream);

	(void)request;
	if (result)
		return result;
	result = executor->driver.cuMemcpyDtoHAsync_v2((void *)(uintptr_t)arguments->dstHost, arguments->srcDevice,
						       arguments->ByteCount, stream);
	if (!result)
		counter_add(&executor->counters->bytes_from_device, arguments->ByteCount);
	return result;
}
