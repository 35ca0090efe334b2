/* SPDX-License-Identifier: Apache-2.0 */
/* From a stream handle to the stream: the default stream, the thread's own, and those that were created. */
#include <pthread.h>
#include <stdlib.h>

#include "stream.h"

/* One thread's per-thread default streams: one for each context in which it used one. */
struct own_streams {
	size_t count;
	struct stream *streams[];
};

static pthread_key_t own_key;
static pthread_once_t own_once = PTHREAD_ONCE_INIT;
static bool own_usable;

static void own_free(void *argument)
{
	struct own_streams *own = argument;

	for (size_t index = 0; index < own->count; index++) {
		stream_close(own->streams[index]);
		stream_release(own->streams[index]);
	}
	free(own);
}

static void own_prepare(void)
{
	own_usable = !pthread_key_create(&own_key, own_free);
}

/* Drops the streams of contexts that were destroyed. */
static void own_tidy(struct own_streams *own)
{
	size_t kept = 0;

	for (size_t index = 0; index < own->count; index++) {
		struct stream *stream = own->streams[index];

		if (stream->context->destroyed || (stream->green && stream->green->destroyed)) {
			stream_close(stream);
			stream_release(stream);
		} else {
			own->streams[kept++] = stream;
		}
	}
	own->count = kept;
}

static CUresult own_acquire(struct context *context, struct stream **ret_stream)
{
	struct context *place = context_for_streams(context);
	struct own_streams *own, *grown;
	struct stream *stream;
	CUresult result;

	pthread_once(&own_once, own_prepare);
	if (!own_usable)
		return CUDA_ERROR_OUT_OF_MEMORY;
	own = pthread_getspecific(own_key);
	for (size_t index = 0; own && index < own->count; index++) {
		if (own->streams[index]->context == context &&
		    own->streams[index]->green == (place->base ? place : NULL)) {
			*ret_stream = own->streams[index];
			object_retain(&(*ret_stream)->object);
			return CUDA_SUCCESS;
		}
	}
	if (own)
		own_tidy(own);
	grown = realloc(own, sizeof(*grown) + ((own ? own->count : 0) + 1) * sizeof(grown->streams[0]));
	if (!grown)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (!own)
		grown->count = 0;
	if (pthread_setspecific(own_key, grown)) {
		free(grown); /* only a first setting can fail: nothing is lost */
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	result = stream_create(place, 0, 0, &stream);
	if (result)
		return result;
	grown->streams[grown->count++] = stream;
	object_retain(&stream->object);
	*ret_stream = stream;
	return CUDA_SUCCESS;
}

CUresult stream_acquire(struct context *context, CUstream handle, struct stream **ret_stream)
{
	struct stream *stream;

	if (handle == CU_STREAM_PER_THREAD)
		return own_acquire(context, ret_stream);
	if (!handle || handle == CU_STREAM_LEGACY) {
		stream = stream_of_context(context_for_streams(context));
		if (!stream)
			return CUDA_ERROR_CONTEXT_IS_DESTROYED;
	} else {
		stream = object_acquire(handle, OBJECT_STREAM);
		if (!stream)
			return CUDA_ERROR_INVALID_HANDLE;
	}
	*ret_stream = stream;
	return CUDA_SUCCESS;
}
