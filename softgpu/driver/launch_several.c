/* SPDX-License-Identifier: Apache-2.0 */
/* cuLaunchCooperativeKernelMultiDevice. */
#include <string.h>

#include "capture.h"
#include "device_table.h"
#include "entry.h"
#include "launch.h"

#define FLAGS_KNOWN                                                \
	(CUDA_COOPERATIVE_LAUNCH_MULTI_DEVICE_NO_PRE_LAUNCH_SYNC | \
	 CUDA_COOPERATIVE_LAUNCH_MULTI_DEVICE_NO_POST_LAUNCH_SYNC)

struct several {
	struct stream *streams[DEVICES_MAX]; /* references; NULL: not yet */
	struct work *works[DEVICES_MAX];     /* ours until they are submitted */
	uint64_t before[DEVICES_MAX];	     /* the last work that each stream had */
	uint64_t launched[DEVICES_MAX];
	unsigned int count;
};

/* All but functions, streams and parameters is the same. */
static bool are_alike(const CUDA_LAUNCH_PARAMS *one, const CUDA_LAUNCH_PARAMS *other)
{
	return one->gridDimX == other->gridDimX && one->gridDimY == other->gridDimY &&
	       one->gridDimZ == other->gridDimZ && one->blockDimX == other->blockDimX &&
	       one->blockDimY == other->blockDimY && one->blockDimZ == other->blockDimZ &&
	       one->sharedMemBytes == other->sharedMemBytes;
}

static CUresult launch_prepare(const CUDA_LAUNCH_PARAMS *list, unsigned int index, struct several *several)
{
	const CUstream handle = list[index].hStream;
	struct context *context;
	struct stream *stream;
	CUresult result = context_current(&context);

	if (!result && (!handle || handle == CU_STREAM_LEGACY || handle == CU_STREAM_PER_THREAD ||
			!are_alike(&list[0], &list[index])))
		result = CUDA_ERROR_INVALID_VALUE;
	if (!result)
		result = stream_acquire(context, handle, &stream);
	if (result)
		return result;
	several->streams[index] = stream;
	for (unsigned int i = 0; i < index; i++)
		if (several->streams[i]->context->device == stream->context->device)
			return CUDA_ERROR_INVALID_DEVICE;
	if (capture_refuse(stream, &result))
		return result;
	several->before[index] = stream->submitted;
	return launch_work_cooperative(&list[index], stream, &several->works[index]);
}

/* It waits for what the others' streams have come to. */
static bool depend_on_others(struct work *work, const struct several *several, const uint64_t *sequences,
			     unsigned int index)
{
	for (unsigned int i = 0; i < several->count; i++)
		if (i != index && !work_depend(work, several->streams[i], sequences[i]))
			return false;
	return true;
}

static CUresult launches_submit(struct several *several, unsigned int flags)
{
	CUresult result = CUDA_SUCCESS;

	for (unsigned int i = 0; i < several->count; i++)
		if (!(flags & CUDA_COOPERATIVE_LAUNCH_MULTI_DEVICE_NO_PRE_LAUNCH_SYNC) &&
		    !depend_on_others(several->works[i], several, several->before, i))
			return CUDA_ERROR_OUT_OF_MEMORY;
	for (unsigned int i = 0; i < several->count && !result; i++) {
		result = stream_submit(several->streams[i], several->works[i], &several->launched[i]);
		several->works[i] = NULL;
	}
	if (flags & CUDA_COOPERATIVE_LAUNCH_MULTI_DEVICE_NO_POST_LAUNCH_SYNC)
		return result;
	for (unsigned int i = 0; i < several->count && !result; i++) {
		struct work *behind = work_nothing();

		if (!behind)
			return CUDA_ERROR_OUT_OF_MEMORY;
		if (depend_on_others(behind, several, several->launched, i)) {
			result = stream_submit(several->streams[i], behind, NULL);
		} else {
			work_discard(behind);
			result = CUDA_ERROR_OUT_OF_MEMORY;
		}
	}
	return result;
}

ENTRY(cuLaunchCooperativeKernelMultiDevice, (CUDA_LAUNCH_PARAMS * list, unsigned int count, unsigned int flags))
{
	struct several several = {.count = count};
	struct context *context;
	CUresult result = context_current(&context);

	if (result)
		return result;
	if (!list || !count || count > DEVICES_MAX || flags & ~(unsigned)FLAGS_KNOWN)
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned int i = 0; i < count && !result; i++)
		result = launch_prepare(list, i, &several);
	if (!result)
		result = launches_submit(&several, flags);
	for (unsigned int i = 0; i < count; i++) {
		if (several.works[i])
			work_discard(several.works[i]);
		stream_release(several.streams[i]);
	}
	return result;
}
