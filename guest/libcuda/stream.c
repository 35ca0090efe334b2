/* SPDX-License-Identifier: Apache-2.0 */
/* Which stream a handle means, and questions about streams that the host is not needed for. */
#include "context.h"
#include "host_calls.h"
#include "mirror.h"
#include "session.h"

/*
 * object.words of a stream: whether anything was issued to it since it was last seen idle. That is known of a stream
 * that one thread uses alone, and is enough for programs that synchronise a stream before each small copy into what it
 * reads (llama.cpp does, seven times a token).
 */
enum stream_word {
	STREAM_USER,	  /* the thread that issues to it, by its thread_state; 0: none has */
	STREAM_IS_SHARED, /* another one has, too */
	STREAM_USES,	  /* calls that named it; the user's to count */
	STREAM_IDLE_AT,	  /* of these, how many there were before it was last seen idle; the user's */
	STREAM_SPARED,	  /* answers in a row that the host was not asked for */
};

/* A failure of other work is an answer too, so the host is asked now and then. */
#define STREAM_SPARED_MAX 63

/* Before what is issued, so that the thread that issues sees the stream in use from then on. */
static void use_note(struct object *stream)
{
	uint64_t thread = (uintptr_t)&thread_state, none = 0;

	if (__atomic_load_n(&stream->words[STREAM_USER], __ATOMIC_RELAXED) != thread &&
	    !__atomic_compare_exchange_n(&stream->words[STREAM_USER], &none, thread, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_SEQ_CST)) {
		__atomic_store_n(&stream->words[STREAM_IS_SHARED], 1, __ATOMIC_SEQ_CST);
		return;
	}
	stream->words[STREAM_USES]++;
}

/* Whether the calling thread alone has issued to it. */
static bool is_own(const struct object *stream)
{
	return __atomic_load_n(&stream->words[STREAM_USER], __ATOMIC_SEQ_CST) == (uintptr_t)&thread_state &&
	       !__atomic_load_n(&stream->words[STREAM_IS_SHARED], __ATOMIC_SEQ_CST);
}

static CUresult host_ask(uint32_t context, uint32_t stream, CUresult (*ask)(uint32_t context, uint32_t stream))
{
	uint64_t works = mirrors_exist() ? mirror_works() : 0;
	CUresult result = ask(context, stream);

	if (!result && mirrors_exist())
		mirror_synchronized(context, stream, false, works);
	return result;
}

/* Asks the host unless the stream is known to be idle. */
static CUresult idleness_ask(CUstream handle, bool per_thread_default,
			     CUresult (*ask)(uint32_t context, uint32_t stream))
{
	struct object *stream = object_find(handle, VGPU_KIND_STREAM);
	uint32_t context, id;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	if (!stream) {
		result = stream_id(handle, per_thread_default, &id);
		return result ? result : host_ask(context, id, ask);
	}
	if (!is_own(stream))
		return host_ask(context, stream->id, ask);
	if (stream->words[STREAM_IDLE_AT] == stream->words[STREAM_USES] && !call_has_failed() &&
	    stream->words[STREAM_SPARED]++ < STREAM_SPARED_MAX)
		return CUDA_SUCCESS;
	stream->words[STREAM_SPARED] = 0;
	result = host_ask(context, stream->id, ask);
	if (!result)
		stream->words[STREAM_IDLE_AT] = stream->words[STREAM_USES];
	return result;
}

API(cuStreamQuery, CUstream stream)
{
	return idleness_ask(stream, false, host_cuStreamQuery);
}

API(cuStreamQuery_ptsz, CUstream stream)
{
	return idleness_ask(stream, true, host_cuStreamQuery);
}

API(cuStreamSynchronize, CUstream stream)
{
	return idleness_ask(stream, false, host_cuStreamSynchronize);
}

API(cuStreamSynchronize_ptsz, CUstream stream)
{
	return idleness_ask(stream, true, host_cuStreamSynchronize);
}

CUresult stream_id(CUstream stream, bool per_thread_default, uint32_t *ret_id)
{
	struct object *object;

	if (stream == CU_STREAM_PER_THREAD || (!stream && per_thread_default))
		return context_thread_stream(ret_id);
	if (!stream || stream == CU_STREAM_LEGACY) {
		*ret_id = 0;
		return CUDA_SUCCESS;
	}
	object = object_find(stream, VGPU_KIND_STREAM);
	if (!object)
		return CUDA_ERROR_INVALID_HANDLE;
	use_note(object);
	*ret_id = object->id;
	return CUDA_SUCCESS;
}

/* The context that a stream belongs to; a default stream belongs to the current one. */
static CUresult stream_context(CUstream stream, struct object **ret_context)
{
	uint32_t unused;
	struct object *object;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &unused);

	if (result)
		return result;
	if (!stream || stream == CU_STREAM_LEGACY || stream == CU_STREAM_PER_THREAD) {
		*ret_context = thread_state.current;
		return CUDA_SUCCESS;
	}
	object = object_find(stream, VGPU_KIND_STREAM);
	*ret_context = object ? context_by_id(object->context) : NULL;
	return *ret_context ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

API(cuStreamGetCtx, CUstream stream, CUcontext *pctx)
{
	struct object *context;
	CUresult result = stream_context(stream, &context);

	if (result)
		return result;
	if (!pctx)
		return CUDA_ERROR_INVALID_VALUE;
	*pctx = (CUcontext)context;
	return CUDA_SUCCESS;
}

API(cuStreamGetCtx_ptsz, CUstream stream, CUcontext *pctx)
{
	return cuStreamGetCtx(stream, pctx);
}

API(cuStreamGetCtx_v2, CUstream stream, CUcontext *pctx, CUgreenCtx *green)
{
	struct object *context;
	CUresult result = stream_context(stream, &context);

	if (result)
		return result;
	if (!pctx || !green)
		return CUDA_ERROR_INVALID_VALUE;
	*green = context_green_handle(context);
	*pctx = (CUcontext)(*green ? context_primary((CUdevice)context->words[CONTEXT_DEVICE]) : context);
	return CUDA_SUCCESS;
}

API(cuStreamGetCtx_v2_ptsz, CUstream stream, CUcontext *pctx, CUgreenCtx *green)
{
	return cuStreamGetCtx_v2(stream, pctx, green);
}

API(cuStreamGetGreenCtx, CUstream stream, CUgreenCtx *green)
{
	struct object *context;
	CUresult result = stream_context(stream, &context);

	if (result)
		return result;
	if (!green)
		return CUDA_ERROR_INVALID_VALUE;
	*green = context_green_handle(context);
	return CUDA_SUCCESS;
}

API(cuStreamGetDevice, CUstream stream, CUdevice *device)
{
	struct object *context;
	CUresult result = stream_context(stream, &context);

	if (result)
		return result;
	if (!device)
		return CUDA_ERROR_INVALID_VALUE;
	*device = (CUdevice)context->words[CONTEXT_DEVICE];
	return CUDA_SUCCESS;
}

API(cuStreamGetDevice_ptsz, CUstream stream, CUdevice *device)
{
	return cuStreamGetDevice(stream, device);
}
