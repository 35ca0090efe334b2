/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cuLaunchCooperativeKernelMultiDevice: a launch for each of several devices. Whether they fit together the host's
 * driver checks, which also keeps their order with what is before and behind them.
 */
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "context.h"
#include "host_calls.h"
#include "launch.h"
#include "session.h"

/* The launches as they cross, and their streams. */
struct launches {
	uint8_t *wire;
	size_t bytes;
	const struct object *streams[VGPU_LAUNCHES_MAX];
};

/* Not one of the default streams (API reference; the error as driver 580's). */
static CUresult stream_take(CUstream handle, const struct object **ret_stream)
{
	uint32_t id;
	CUresult result = CUDA_ERROR_INVALID_HANDLE;

	if (handle && handle != CU_STREAM_LEGACY && handle != CU_STREAM_PER_THREAD)
		result = stream_id(handle, false, &id);
	if (!result)
		*ret_stream = (const struct object *)handle;
	return result;
}

static CUresult launch_add(const CUDA_LAUNCH_PARAMS *launch, struct launches *launches,
			   const struct object **ret_stream)
{
	const CUDA_KERNEL_NODE_PARAMS node = {
		.func = launch->function,
		.gridDimX = launch->gridDimX,
		.gridDimY = launch->gridDimY,
		.gridDimZ = launch->gridDimZ,
		.blockDimX = launch->blockDimX,
		.blockDimY = launch->blockDimY,
		.blockDimZ = launch->blockDimZ,
		.kernelParams = launch->kernelParams,
	};
	const struct object *stream, *context;
	struct launch_record *record;
	CUresult result = stream_take(launch->hStream, &stream);

	if (result)
		return result;
	context = context_by_id(stream->context);
	if (!context)
		return CUDA_ERROR_INVALID_CONTEXT;
	result = launch_record_make(&node, context->id, (CUdevice)context->words[CONTEXT_DEVICE], &record);
	if (result)
		return result;
	record->wire.stream = stream->id;
	/* Too much of it is to the driver a launch that is too large, not a wrong one. */
	record->wire.shared_bytes = launch->sharedMemBytes;
	if (record->wire_bytes > CHANNEL_PAYLOAD_MAX - launches->bytes) {
		result = CUDA_ERROR_INVALID_VALUE;
	} else {
		memcpy(launches->wire + launches->bytes, &record->wire, record->wire_bytes);
		launches->bytes += record->wire_bytes;
		*ret_stream = stream;
	}
	free(record);
	return result;
}

/* With CUDA_LAUNCH_BLOCKING. */
static CUresult launches_await(const struct launches *launches, unsigned int count)
{
	CUresult result = CUDA_SUCCESS;

	for (unsigned int i = 0; i < count && !result; i++)
		result = host_cuStreamSynchronize(launches->streams[i]->context, launches->streams[i]->id);
	return result;
}

API(cuLaunchCooperativeKernelMultiDevice, CUDA_LAUNCH_PARAMS *list, unsigned int count, unsigned int flags)
{
	struct launches launches = {0};
	uint32_t context;
	/* The streams say in which contexts (driver 580). */
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	if (result)
		return result;
	if (!list || !count || count > VGPU_LAUNCHES_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	launches.wire = malloc(CHANNEL_PAYLOAD_MAX);
	if (!launches.wire)
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (unsigned int i = 0; i < count && !result; i++)
		result = launch_add(&list[i], &launches, &launches.streams[i]);
	if (!result)
		result = host_cuLaunchCooperativeKernelMultiDevice(context ? context : launches.streams[0]->context,
								   count, flags, launches.wire,
								   (uint32_t)launches.bytes);
	free(launches.wire);
	if (!result && session.is_launch_blocking && !__atomic_load_n(&captures_open, __ATOMIC_ACQUIRE))
		result = launches_await(&launches, count);
	return result;
}
