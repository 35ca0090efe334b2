/* SPDX-License-Identifier: Apache-2.0 */
/* Creation, destruction and the threads' stacks of current contexts. */
#include "context.h"

#include <pthread.h>
#include <stdlib.h>

#include "arena.h"
#include "device_table.h"
#include "driver.h"
#include "memory.h"
#include "print.h"
#include "stream.h"

/* Defaults that the real driver reports for compute capability 9.0. */
#define DEFAULT_STACK_BYTES  1024
#define DEFAULT_PRINTF_BYTES 1048576
#define DEFAULT_HEAP_BYTES   8388608

struct stack {
	size_t count;
	size_t capacity;
	struct context **entries;
};

static __thread struct stack stack;
static pthread_key_t stack_key;
static pthread_once_t stack_once = PTHREAD_ONCE_INIT;
static bool stack_usable;
static _Atomic uint64_t last_id;

static void stack_free(void *argument)
{
	struct stack *ended = argument;

	while (ended->count)
		object_release(&ended->entries[--ended->count]->object);
	free(ended->entries);
	*ended = (struct stack){0};
}

static void stack_prepare(void)
{
	stack_usable = !pthread_key_create(&stack_key, stack_free);
}

CUresult context_push(struct context *context)
{
	pthread_once(&stack_once, stack_prepare);
	if (stack.count == stack.capacity) {
		size_t capacity = stack.capacity ? stack.capacity * 2 : 4;
		struct context **entries = realloc(stack.entries, capacity * sizeof(*entries));

		if (!entries)
			return CUDA_ERROR_OUT_OF_MEMORY;
		stack.entries = entries;
		stack.capacity = capacity;
		/* Called at the end of the thread. */
		if (!stack_usable || pthread_setspecific(stack_key, &stack))
			return CUDA_ERROR_OUT_OF_MEMORY;
	}
	object_retain(&context->object);
	stack.entries[stack.count++] = context;
	return CUDA_SUCCESS;
}

struct context *context_pop(void)
{
	return stack.count ? stack.entries[--stack.count] : NULL;
}

struct context *context_top(void)
{
	return stack.count ? stack.entries[stack.count - 1] : NULL;
}

CUresult context_current_unchecked(struct context **ret_context)
{
	CUresult result = driver_check();
	struct context *top;

	if (result)
		return result;
	if (!stack.count)
		return CUDA_ERROR_INVALID_CONTEXT;
	top = stack.entries[stack.count - 1];
	if (top->destroyed || (top->base && top->base->destroyed))
		return CUDA_ERROR_CONTEXT_IS_DESTROYED;
	*ret_context = top->base ? top->base : top;
	return CUDA_SUCCESS;
}

CUresult context_current(struct context **ret_context)
{
	struct context *context;
	CUresult result = context_current_unchecked(&context);

	if (!result)
		result = context_check(context);
	if (!result)
		*ret_context = context;
	return result;
}

CUresult context_acquire(CUcontext handle, struct context **ret_context)
{
	struct context *context;
	CUresult result = context_acquire_green(handle, &context);

	if (result)
		return result;
	if (context->base)
		object_retain(&context->base->object);
	*ret_context = context->base ? context->base : context;
	if (context->base)
		object_release(&context->object);
	return CUDA_SUCCESS;
}

struct context *context_for_streams(struct context *context)
{
	struct context *top = context_top();

	return top && top->base == context ? top : context;
}

CUresult context_acquire_green(CUcontext handle, struct context **ret_context)
{
	struct context *context;
	CUresult result;

	if (!handle) {
		result = context_current_unchecked(&context);
		if (result)
			return result;
		context = context_for_streams(context);
		object_retain(&context->object);
	} else {
		result = driver_check();
		if (result)
			return result;
		context = object_acquire(handle, OBJECT_CONTEXT);
		if (!context)
			return CUDA_ERROR_INVALID_CONTEXT;
	}
	*ret_context = context;
	return CUDA_SUCCESS;
}

void context_fail(struct context *context, CUresult error)
{
	CUresult none = CUDA_SUCCESS;

	__atomic_compare_exchange_n((CUresult *)&context->error, &none, error, false, __ATOMIC_SEQ_CST,
				    __ATOMIC_SEQ_CST);
}

CUresult context_synchronize(struct context *context)
{
	stream_wait_context(context);
	print_flush();
	return context_check(context->base ? context->base : context);
}

bool context_flags_valid(unsigned flags)
{
	unsigned schedule = flags & CU_CTX_SCHED_MASK;

	if (flags & ~(unsigned)CU_CTX_FLAGS_MASK)
		return false;
	return schedule == 0 || schedule == CU_CTX_SCHED_SPIN || schedule == CU_CTX_SCHED_YIELD ||
	       schedule == CU_CTX_SCHED_BLOCKING_SYNC;
}

static void context_free(struct object *object)
{
	struct context *context = (struct context *)object;

	if (context->base)
		object_release(&context->base->object);
	free(context);
}

CUresult context_create(CUdevice device, unsigned flags, bool primary, struct context **ret_context)
{
	struct context *context = calloc(1, sizeof(*context));
	CUresult result;

	if (!context)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (!arena_charge(device, device_context_bytes())) {
		free(context);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	object_prepare(&context->object, OBJECT_CONTEXT, NULL, context_free);
	context->id = ++last_id;
	context->device = device;
	context->primary = primary;
	context->flags = flags;
	context->limits[CU_LIMIT_STACK_SIZE] = DEFAULT_STACK_BYTES;
	context->limits[CU_LIMIT_PRINTF_FIFO_SIZE] = DEFAULT_PRINTF_BYTES;
	context->limits[CU_LIMIT_MALLOC_HEAP_SIZE] = DEFAULT_HEAP_BYTES;
	context->limits[CU_LIMIT_MAX_L2_FETCH_GRANULARITY] = 64;
	result = stream_create(context, 0, 0, &context->legacy);
	if (!result && !object_publish(&context->object)) {
		stream_release(stream_take_legacy(context));
		result = CUDA_ERROR_OUT_OF_MEMORY;
	}
	if (result) {
		object_release(&context->object);
		arena_discharge(device, device_context_bytes());
		return result;
	}
	*ret_context = context;
	return CUDA_SUCCESS;
}

CUresult context_create_green(struct context *base, unsigned multiprocessors, struct context **ret_context)
{
	struct context *context = calloc(1, sizeof(*context));
	CUresult result;

	if (!context)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (!arena_charge(base->device, device_context_bytes())) {
		free(context);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	object_prepare(&context->object, OBJECT_CONTEXT, NULL, context_free);
	context->id = ++last_id;
	context->device = base->device;
	context->base = base;
	context->multiprocessors = multiprocessors;
	object_retain(&base->object);
	result = stream_create(context, 0, 0, &context->legacy);
	if (!result && !object_publish(&context->object)) {
		stream_release(stream_take_legacy(context));
		result = CUDA_ERROR_OUT_OF_MEMORY;
	}
	if (result) {
		arena_discharge(base->device, device_context_bytes());
		object_release(&context->object);
		return result;
	}
	*ret_context = context;
	return CUDA_SUCCESS;
}

/* The default stream and the gate end with their context. */
static void own_streams_end(struct context *context)
{
	struct stream *legacy;

	stream_gate_release(context);
	legacy = stream_take_legacy(context);
	if (legacy) {
		stream_close(legacy);
		stream_release(legacy);
	}
}

void context_destroy_green(struct context *context)
{
	stream_wait_context(context);
	print_flush();
	context->destroyed = true;
	stream_close_owned(context);
	stream_wait_context(context);
	own_streams_end(context);
	arena_discharge(context->device, device_context_bytes());
	object_release(&context->object);
}

void context_destroy(struct context *context)
{
	if (context->error)
		context->cancelled = true;
	stream_wait_context(context);
	print_flush();
	context->destroyed = true;
	context_release_images(context);
	object_retire_owned(context, OBJECT_MODULE);
	object_retire_owned(context, OBJECT_EVENT);
	object_retire_owned(context, OBJECT_LINK);
	object_retire_owned(context, OBJECT_TEXTURE);
	object_retire_owned(context, OBJECT_TEXTURE_REFERENCE);
	object_retire_owned(context, OBJECT_SURFACE);
	object_retire_owned(context, OBJECT_ARRAY);
	object_retire_owned(context, OBJECT_MIPMAP);
	stream_close_owned(context);
	/* Nothing new can start now; what slipped in between ends before its memory goes. */
	stream_wait_context(context);
	own_streams_end(context);
	memory_release_owned(context);
	arena_discharge(context->device, device_context_bytes());
	object_release(&context->object);
}
