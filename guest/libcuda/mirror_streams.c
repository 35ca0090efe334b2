/* SPDX-License-Identifier: Apache-2.0 */
#include "mirror_streams.h"

#include <stdlib.h>

#include "call.h"
#include "host_calls.h"
#include "object.h"
#include "vgpu_api_wire.h"

static struct mirror_stream *streams;

CUresult mirror_streams_find(uint32_t context, struct mirror_stream **ret_stream)
{
	struct mirror_stream *stream = streams;
	struct object *object;
	CUresult result;

	while (stream && stream->context != context)
		stream = stream->next;
	if (stream) {
		*ret_stream = stream;
		return CUDA_SUCCESS;
	}
	stream = calloc(1, sizeof(*stream));
	object = object_mint(VGPU_KIND_STREAM, context);
	if (!stream || !object) {
		result = CUDA_ERROR_OUT_OF_MEMORY;
		goto failed;
	}
	result = host_cuStreamCreate(context, object->id, CU_STREAM_NON_BLOCKING);
	if (result)
		goto failed;
	*stream = (struct mirror_stream){.next = streams, .context = context, .id = object->id};
	streams = stream;
	*ret_stream = stream;
	return CUDA_SUCCESS;

failed:
	if (object)
		object_release(object);
	free(stream);
	return result;
}

CUresult mirror_stream_await(uint32_t context, uint32_t stream)
{
	const struct wire_cuStreamSynchronize request = {.hStream = stream};
	const struct call_piece pieces[] = {{&request, sizeof(request)}};

	return call_wait_own(VGPU_CALL_cuStreamSynchronize, context, pieces, 1);
}

CUresult mirror_streams_await(void)
{
	CUresult result = CUDA_SUCCESS;

	for (struct mirror_stream *stream = streams; stream && !result; stream = stream->next) {
		if (!stream->is_busy)
			continue;
		result = mirror_stream_await(stream->context, stream->id);
		stream->is_busy = result != CUDA_SUCCESS;
	}
	return result;
}

void mirror_streams_forget(uint32_t context)
{
	struct mirror_stream **place = &streams;

	while (*place && (*place)->context != context)
		place = &(*place)->next;
	if (*place) {
		struct mirror_stream *stream = *place;

		/* Its object ends with the context's others. */
		*place = stream->next;
		free(stream);
	}
}
