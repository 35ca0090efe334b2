/* SPDX-License-Identifier: Apache-2.0 */
/* What a thread has: its stack of contexts and a default stream of its own in each of them. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "host_calls.h"
#include "session.h"

struct stack_entry {
	struct object *context;
	uint64_t life;
};

struct stream_entry {
	struct object *context;
	uint64_t activation; /* of the context, CONTEXT_ACTIVE */
	struct object *stream;
};

struct thread_detail {
	struct stack_entry *stack;
	size_t depth;
	size_t stack_capacity;
	struct stream_entry *streams;
	size_t stream_count;
	size_t stream_capacity;
};

__thread struct thread_state thread_state;

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool key_valid;

static void stream_entry_end(const struct stream_entry *entry)
{
	if (!session_ready() || entry->context->words[CONTEXT_ACTIVE] != entry->activation)
		return;
	/* The thread is gone: there is nobody to tell of a failure. */
	(void)host_cuStreamDestroy_v2(entry->context->id, entry->stream->id);
	object_release(entry->stream);
}

static void detail_end(void *argument)
{
	struct thread_detail *detail = argument;

	for (size_t i = 0; i < detail->stream_count; i++)
		stream_entry_end(&detail->streams[i]);
	thread_state = (struct thread_state){0};
	free(detail->streams);
	free(detail->stack);
	free(detail);
}

static void key_create(void)
{
	key_valid = pthread_key_create(&key, detail_end) == 0;
}

static struct thread_detail *detail_get(void)
{
	struct thread_detail *detail = thread_state.detail;

	if (detail)
		return detail;
	pthread_once(&key_once, key_create);
	detail = calloc(1, sizeof(*detail));
	if (!detail)
		return NULL;
	if (!key_valid || pthread_setspecific(key, detail)) {
		free(detail);
		return NULL;
	}
	thread_state.detail = detail;
	return detail;
}

/* Room for one more in an array that doubles. */
static bool array_grow(void **array, size_t *capacity, size_t count, size_t entry_bytes)
{
	size_t wanted = *capacity ? *capacity * 2 : 8;
	void *grown;

	if (count < *capacity)
		return true;
	grown = realloc(*array, wanted * entry_bytes);
	if (!grown)
		return false;
	*array = grown;
	*capacity = wanted;
	return true;
}

/* The top of the stack is what is current. */
static void current_refresh(const struct thread_detail *detail)
{
	const struct stack_entry *top = detail->depth ? &detail->stack[detail->depth - 1] : NULL;

	thread_state.current = top ? top->context : NULL;
	thread_state.life = top ? top->life : 0;
}

CUresult context_stack_push(struct object *context)
{
	struct thread_detail *detail = detail_get();

	if (thread_state.is_host_function)
		return CUDA_ERROR_NOT_PERMITTED;
	if (!detail ||
	    !array_grow((void **)&detail->stack, &detail->stack_capacity, detail->depth, sizeof(*detail->stack)))
		return CUDA_ERROR_OUT_OF_MEMORY;
	detail->stack[detail->depth++] = (struct stack_entry){.context = context, .life = context->words[CONTEXT_LIFE]};
	current_refresh(detail);
	return CUDA_SUCCESS;
}

struct object *context_stack_pop(void)
{
	struct thread_detail *detail = thread_state.detail;
	struct object *former;

	if (!detail || detail->depth == 0)
		return NULL;
	former = detail->stack[--detail->depth].context;
	current_refresh(detail);
	return former;
}

CUresult context_stack_set(struct object *context)
{
	struct thread_detail *detail = thread_state.detail;

	if (!context) {
		context_stack_pop();
		return CUDA_SUCCESS;
	}
	if (!detail || detail->depth == 0)
		return context_stack_push(context);
	detail->stack[detail->depth - 1] =
		(struct stack_entry){.context = context, .life = context->words[CONTEXT_LIFE]};
	current_refresh(detail);
	return CUDA_SUCCESS;
}

static struct stream_entry *stream_entry_find(const struct thread_detail *detail, const struct object *context)
{
	for (size_t i = 0; i < detail->stream_count; i++) {
		if (detail->streams[i].context == context)
			return &detail->streams[i];
	}
	return NULL;
}

/* A stream that ends with its context is released with it; the entry is then used anew. */
static CUresult stream_entry_make(struct thread_detail *detail, struct object *context, struct stream_entry **ret_entry)
{
	struct stream_entry *entry = stream_entry_find(detail, context);
	struct object *stream;
	CUresult result;

	if (entry && entry->activation == context->words[CONTEXT_ACTIVE]) {
		*ret_entry = entry;
		return CUDA_SUCCESS;
	}
	if (!entry && !array_grow((void **)&detail->streams, &detail->stream_capacity, detail->stream_count,
				  sizeof(*detail->streams)))
		return CUDA_ERROR_OUT_OF_MEMORY;
	stream = object_mint(VGPU_KIND_STREAM, context->id);
	if (!stream)
		return CUDA_ERROR_OUT_OF_MEMORY;
	/* Not a non-blocking one: it synchronises with the legacy default stream. */
	result = host_cuStreamCreate(context->id, stream->id, CU_STREAM_DEFAULT);
	if (result) {
		object_release(stream);
		return result;
	}
	if (!entry)
		entry = &detail->streams[detail->stream_count++];
	*entry = (struct stream_entry){
		.context = context, .activation = context->words[CONTEXT_ACTIVE], .stream = stream};
	*ret_entry = entry;
	return CUDA_SUCCESS;
}

CUresult context_thread_stream(uint32_t *ret_stream)
{
	struct object *context = context_current();
	struct thread_detail *detail;
	struct stream_entry *entry;
	CUresult result;

	if (!context)
		return context_current_error();
	if (thread_state.stream && thread_state.stream_activation == context->words[CONTEXT_ACTIVE]) {
		*ret_stream = thread_state.stream;
		return CUDA_SUCCESS;
	}
	detail = detail_get();
	if (!detail)
		return CUDA_ERROR_OUT_OF_MEMORY;
	result = stream_entry_make(detail, context, &entry);
	if (result)
		return result;
	thread_state.stream = entry->stream->id;
	thread_state.stream_activation = entry->activation;
	*ret_stream = thread_state.stream;
	return CUDA_SUCCESS;
}
