/* SPDX-License-Identifier: Apache-2.0 */
/* cuStream*: creation, queries, waiting, callbacks. */
#include <stdlib.h>

#include "capture.h"
#include "driver.h"
#include "entry.h"
#include "event.h"
#include "green.h"
#include "print.h"
#include "stream.h"

CUresult stream_publish(struct stream *stream, CUstream *ret_handle)
{
	if (!object_publish(&stream->object)) {
		stream_release(stream);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	*ret_handle = (CUstream)stream;
	return CUDA_SUCCESS;
}

ENTRY(cuStreamCreateWithPriority, (CUstream * ret_stream, unsigned int flags, int priority))
{
	struct context *context;
	struct stream *stream;
	CUresult result = context_current(&context);

	if (result)
		return result;
	if (!ret_stream || flags & ~(unsigned)CU_STREAM_NON_BLOCKING)
		return CUDA_ERROR_INVALID_VALUE;
	(void)priority; /* clamped to the range, which is a single value */
	result = stream_create(context_for_streams(context), flags, 0, &stream);
	return result ? result : stream_publish(stream, ret_stream);
}

ENTRY(cuStreamCreate, (CUstream * ret_stream, unsigned int flags))
{
	return cuStreamCreateWithPriority(ret_stream, flags, 0);
}

/* Work that is in the stream still runs to its end. */
ENTRY(cuStreamDestroy_v2, (CUstream handle))
{
	struct stream *stream;
	CUresult result = driver_check();

	if (result)
		return result;
	stream = object_retire(handle, OBJECT_STREAM);
	if (!stream)
		return CUDA_ERROR_INVALID_HANDLE;
	result = context_check(stream->context);
	stream_close(stream);
	stream_release(stream);
	return result;
}
ENTRY_ALIAS(cuStreamDestroy, cuStreamDestroy_v2, (CUstream handle));

/* The stream of a call that needs a current, healthy context. */
static CUresult stream_get(CUstream handle, struct stream **ret_stream)
{
	struct context *context;
	CUresult result = context_current(&context);

	return result ? result : stream_acquire(context, handle, ret_stream);
}

ENTRY_STREAM(cuStreamSynchronize, (CUstream stream), (stream))
{
	struct stream *target;
	CUresult result = stream_get(stream, &target);

	if (result)
		return result;
	if (capture_refuse(target, &result)) {
		stream_release(target);
		return result;
	}
	/* The default stream stands for all blocking streams: its next work would wait for theirs. */
	if (target == (target->green ? target->green : target->context)->legacy) {
		struct work *work = work_nothing();

		result = work ? stream_perform(target, work) : CUDA_ERROR_OUT_OF_MEMORY;
	} else {
		stream_wait(target, target->submitted);
		result = context_check(target->context);
	}
	print_flush();
	stream_release(target);
	return result;
}

ENTRY_STREAM(cuStreamQuery, (CUstream stream), (stream))
{
	struct stream *target;
	CUresult result = stream_get(stream, &target);

	if (result)
		return result;
	if (capture_refuse(target, &result))
		goto release;
	if (!stream_idle(target))
		result = CUDA_ERROR_NOT_READY;
	else
		result = context_check(target->context);
release:
	stream_release(target);
	return result;
}

ENTRY_STREAM(cuStreamWaitEvent, (CUstream stream, CUevent event, unsigned int flags), (stream, event, flags))
{
	struct stream *target;
	struct work *work;
	CUresult result = stream_get(stream, &target);

	if (result)
		return result;
	if (flags & ~(unsigned)CU_EVENT_WAIT_EXTERNAL) {
		result = CUDA_ERROR_INVALID_VALUE;
		goto release;
	}
	/* In a capture an external event is waited for by a node, at each launch. */
	if (flags & CU_EVENT_WAIT_EXTERNAL && capture_is_open(target)) {
		result = event_wait_node(event, &work);
	} else {
		if (event_join(event, target, &result))
			goto release;
		result = event_wait_work(event, &work);
	}
	if (!result)
		result = stream_submit(target, work, NULL);
release:
	stream_release(target);
	return result;
}

ENTRY_STREAM(cuStreamGetFlags, (CUstream stream, unsigned int *ret_flags), (stream, ret_flags))
{
	struct stream *target;
	CUresult result = stream_get(stream, &target);

	if (result)
		return result;
	if (ret_flags)
		*ret_flags = target->flags;
	else
		result = CUDA_ERROR_INVALID_VALUE;
	stream_release(target);
	return result;
}

ENTRY_STREAM(cuStreamGetPriority, (CUstream stream, int *ret_priority), (stream, ret_priority))
{
	struct stream *target;
	CUresult result = stream_get(stream, &target);

	if (result)
		return result;
	if (ret_priority)
		*ret_priority = target->priority;
	else
		result = CUDA_ERROR_INVALID_VALUE;
	stream_release(target);
	return result;
}

ENTRY_STREAM(cuStreamGetId, (CUstream stream, unsigned long long *ret_id), (stream, ret_id))
{
	struct stream *target;
	CUresult result = stream_get(stream, &target);

	if (result)
		return result;
	if (ret_id)
		*ret_id = target->id;
	else
		result = CUDA_ERROR_INVALID_VALUE;
	stream_release(target);
	return result;
}

ENTRY_STREAM(cuStreamGetCtx, (CUstream stream, CUcontext *ret_context), (stream, ret_context))
{
	struct stream *target;
	CUresult result = stream_get(stream, &target);

	if (result)
		return result;
	if (ret_context)
		*ret_context = (CUcontext)(target->green ? target->green : target->context);
	else
		result = CUDA_ERROR_INVALID_VALUE;
	stream_release(target);
	return result;
}

/* The primary context, and the green one if it is of one. */
ENTRY_STREAM(cuStreamGetCtx_v2, (CUstream stream, CUcontext *ret_context, CUgreenCtx *ret_green),
	     (stream, ret_context, ret_green))
{
	struct stream *target;
	CUresult result = stream_get(stream, &target);

	if (result)
		return result;
	if (ret_context && ret_green) {
		*ret_context = (CUcontext)target->context;
		*ret_green = green_handle(target->green);
	} else {
		result = CUDA_ERROR_INVALID_VALUE;
	}
	stream_release(target);
	return result;
}

ENTRY_STREAM(cuStreamGetGreenCtx, (CUstream stream, CUgreenCtx *ret_green), (stream, ret_green))
{
	struct stream *target;
	CUresult result = stream_get(stream, &target);

	if (result)
		return result;
	if (ret_green)
		*ret_green = green_handle(target->green);
	else
		result = CUDA_ERROR_INVALID_VALUE;
	stream_release(target);
	return result;
}

ENTRY_STREAM(cuStreamGetDevice, (CUstream stream, CUdevice *ret_device), (stream, ret_device))
{
	struct stream *target;
	CUresult result = stream_get(stream, &target);

	if (result)
		return result;
	if (ret_device)
		*ret_device = target->context->device;
	else
		result = CUDA_ERROR_INVALID_VALUE;
	stream_release(target);
	return result;
}

ENTRY(cuThreadExchangeStreamCaptureMode, (CUstreamCaptureMode * mode))
{
	static __thread CUstreamCaptureMode current = CU_STREAM_CAPTURE_MODE_GLOBAL;
	CUstreamCaptureMode former = current;
	CUresult result = driver_check();

	if (result)
		return result;
	if (!mode || (unsigned)*mode > CU_STREAM_CAPTURE_MODE_RELAXED)
		return CUDA_ERROR_INVALID_VALUE;
	current = *mode;
	*mode = former;
	return CUDA_SUCCESS;
}

/* Managed memory is coherent: where it is attached does not matter. */
ENTRY_STREAM(cuStreamAttachMemAsync, (CUstream stream, CUdeviceptr address, size_t bytes, unsigned int flags),
	     (stream, address, bytes, flags))
{
	struct stream *target;
	CUresult result = stream_get(stream, &target);

	(void)address;
	(void)bytes;
	if (result)
		return result;
	stream_release(target);
	if (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST && flags != CU_MEM_ATTACH_SINGLE)
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

/* Host functions and callbacks. */

struct host_work {
	struct work work;
	CUhostFn function;
	CUstreamCallback callback;
	CUstream handle;
	void *user_data;
};

static CUresult host_run(struct work *work, struct stream *stream)
{
	struct host_work *host = (struct host_work *)work;

	if (host->function)
		host->function(host->user_data);
	else
		host->callback(host->handle, stream->context->error, host->user_data);
	return CUDA_SUCCESS;
}

static void host_free(struct work *work)
{
	free(work);
}

struct work *work_host_function(CUhostFn function, void *user_data)
{
	struct host_work *host = calloc(1, sizeof(*host));

	if (!host)
		return NULL;
	host->work = (struct work){.run = host_run, .free = host_free, .node_type = CU_GRAPH_NODE_TYPE_HOST};
	host->function = function;
	host->user_data = user_data;
	return &host->work;
}

bool work_host_function_read(const struct work *work, CUDA_HOST_NODE_PARAMS *ret_parameters)
{
	const struct host_work *host = (const struct host_work *)work;

	if (work->run != host_run || !host->function)
		return false;
	*ret_parameters = (CUDA_HOST_NODE_PARAMS){.fn = host->function, .userData = host->user_data};
	return true;
}

/* A callback is told of an error; a host function is not called after one (CUDA driver API). */
static struct work *work_callback(CUstream handle, CUstreamCallback callback, void *user_data)
{
	struct host_work *host = calloc(1, sizeof(*host));

	if (!host)
		return NULL;
	host->work = (struct work){.run = host_run, .free = host_free, .always = true};
	host->callback = callback;
	host->handle = handle;
	host->user_data = user_data;
	return &host->work;
}

static CUresult host_submit(CUstream handle, CUhostFn function, CUstreamCallback callback, void *user_data)
{
	struct stream *target;
	struct work *work;
	CUresult result = stream_get(handle, &target);

	if (result)
		return result;
	/* A graph holds host functions, not callbacks. */
	if (callback && capture_refuse(target, &result)) {
		stream_release(target);
		return result;
	}
	work = callback ? work_callback(handle, callback, user_data) : work_host_function(function, user_data);
	result = work ? stream_submit(target, work, NULL) : CUDA_ERROR_OUT_OF_MEMORY;
	stream_release(target);
	return result;
}

ENTRY_STREAM(cuLaunchHostFunc, (CUstream stream, CUhostFn function, void *user_data), (stream, function, user_data))
{
	if (!function)
		return CUDA_ERROR_INVALID_VALUE;
	return host_submit(stream, function, NULL, user_data);
}

ENTRY_STREAM(cuStreamAddCallback, (CUstream stream, CUstreamCallback callback, void *user_data, unsigned int flags),
	     (stream, callback, user_data, flags))
{
	if (!callback || flags)
		return CUDA_ERROR_INVALID_VALUE;
	return host_submit(stream, NULL, callback, user_data);
}
