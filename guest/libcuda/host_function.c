/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host functions and callbacks in streams.
 *
 * A thread of the library's own calls them, one at a time, as the executor names
 * them (vgpu_channel.h), and tells it that they have returned.  It starts with the
 * first of them, and waits on the channel only while there is one to come.  Those of
 * graphs may come at any time: for them alone it keeps out of the others' way.
 */
#include "host_function.h"

#include <pthread.h>
#include <stdlib.h>

#include "capture.h"
#include "channel_wait.h"
#include "context.h"
#include "host_calls.h"
#include "mirror.h"
#include "own_thread.h"
#include "session.h"

enum function_kind {
	FUNCTION_NONE, /* the place is free */
	FUNCTION_PLAIN,
	FUNCTION_CALLBACK,
	FUNCTION_COPY,
	FUNCTION_DESTRUCTOR,
};

struct host_function {
	enum function_kind kind;
	CUhostFn function;
	CUstreamCallback callback;
	CUstream stream;
	void *data;
	struct program_copy *copy; /* its own */
	struct object *object;	   /* user object that ends */
	bool is_kept;		   /* may come at any time, or never: a graph has it */
	uint32_t life;
	uint32_t next_free; /* index, NONE: the last */
};

#define NONE	     UINT32_MAX
#define PLACES_FIRST 64

/* On the wire a function is its life and its index here, so that no word of the host makes us jump elsewhere. */
static struct {
	pthread_mutex_t mutex;
	struct host_function *places;
	uint32_t count;
	uint32_t first_free;
	bool has_thread;
} functions = {.mutex = PTHREAD_MUTEX_INITIALIZER, .first_free = NONE};

/* How long it may take to notice a function of a graph that nobody waits for. */
#define APART_SLEEP_MS 1

static uint32_t expected; /* functions to come, those of graphs always among them; the thread's futex */
static uint32_t kept;	  /* those of graphs */

bool host_functions_expected(void)
{
	return __atomic_load_n(&expected, __ATOMIC_ACQUIRE) != 0;
}

/* Under the mutex; false: out of memory. */
static bool places_grow(void)
{
	uint32_t count = functions.count ? functions.count * 2 : PLACES_FIRST;
	struct host_function *places;

	if (count < functions.count)
		return false;
	places = realloc(functions.places, count * sizeof(*places));
	if (!places)
		return false;
	for (uint32_t i = functions.count; i < count; i++) {
		places[i] = (struct host_function){.next_free = functions.first_free};
		functions.first_free = i;
	}
	functions.places = places;
	functions.count = count;
	return true;
}

static bool function_put(const struct host_function *function, uint64_t *ret_name)
{
	struct host_function *place;
	uint32_t index, life;

	pthread_mutex_lock(&functions.mutex);
	if (functions.first_free == NONE && !places_grow()) {
		pthread_mutex_unlock(&functions.mutex);
		return false;
	}
	index = functions.first_free;
	place = &functions.places[index];
	functions.first_free = place->next_free;
	life = place->life + 1;
	*place = *function;
	place->life = life;
	pthread_mutex_unlock(&functions.mutex);
	*ret_name = (uint64_t)life << 32 | index;
	return true;
}

/* Under the mutex; NULL: there is no such function. */
static struct host_function *place_find(uint64_t name)
{
	uint32_t index = (uint32_t)name;
	struct host_function *place = index < functions.count ? &functions.places[index] : NULL;

	return place && place->life == name >> 32 && place->kind != FUNCTION_NONE ? place : NULL;
}

/* A graph calls functions and copies again and again. */
static bool is_lasting(const struct host_function *function)
{
	return function->is_kept && function->kind != FUNCTION_DESTRUCTOR;
}

/* Copies what is to be called, and frees its place unless it is to last. False: there is no such function. */
static bool function_take(uint64_t name, bool may_last, struct host_function *ret_function)
{
	struct host_function *place;
	bool found = false;

	pthread_mutex_lock(&functions.mutex);
	place = place_find(name);
	if (place) {
		found = true;
		*ret_function = *place;
		if (!may_last || !is_lasting(place)) {
			*place = (struct host_function){.life = place->life, .next_free = functions.first_free};
			functions.first_free = (uint32_t)name;
		}
	}
	pthread_mutex_unlock(&functions.mutex);
	return found;
}

static bool function_called(void *argument)
{
	const uint32_t *returned = argument;

	return __atomic_load_n(&session.channel->header->functions_called, __ATOMIC_ACQUIRE) != *returned;
}

static bool only_graphs(void)
{
	return __atomic_load_n(&kept, __ATOMIC_ACQUIRE) >= __atomic_load_n(&expected, __ATOMIC_ACQUIRE);
}

static bool called_or_urgent(void *argument)
{
	return function_called(argument) || !only_graphs();
}

/* False: the channel is lost. */
static bool function_await(struct channel *channel, uint32_t *returned)
{
	while (__atomic_load_n(&expected, __ATOMIC_ACQUIRE) == 0)
		word_sleep(&expected, 0, -1);
	if (only_graphs() && !channel_wait_apart(channel, called_or_urgent, returned, APART_SLEEP_MS))
		return false;
	return channel_wait_until(channel, function_called, returned, CHANNEL_SLEEP_MS);
}

static void function_expect_no_more(bool is_kept)
{
	__atomic_sub_fetch(&expected, 1, __ATOMIC_ACQ_REL);
	if (is_kept)
		__atomic_sub_fetch(&kept, 1, __ATOMIC_ACQ_REL);
}

static void function_forget(const struct host_function *function)
{
	free(function->copy);
	function_expect_no_more(function->is_kept);
}

/* False: the host asks for what the copy does not have. */
static bool copy_run(const struct channel *channel, const struct program_copy *copy, uint32_t use)
{
	const struct vgpu_channel_header *header = channel->header;
	uint8_t *window = (uint8_t *)channel->header + channel->layout.function_offset;
	uint64_t offset = __atomic_load_n(&header->function_piece_offset, __ATOMIC_RELAXED);
	uint32_t bytes = __atomic_load_n(&header->function_piece_bytes, __ATOMIC_RELAXED);

	if (bytes > channel->layout.function_bytes)
		return false;
	switch (use) {
	case VGPU_FUNCTION_CALL:
		program_copy_run(copy);
		return true;
	case VGPU_FUNCTION_FETCH:
		return program_copy_fetch(copy, offset, bytes, window);
	case VGPU_FUNCTION_DELIVER:
		return program_copy_deliver(copy, offset, bytes, window);
	default:
		return false;
	}
}

static bool function_run(const struct channel *channel, const struct host_function *function, uint32_t use)
{
	CUresult status = (CUresult)__atomic_load_n(&channel->header->function_status, __ATOMIC_RELAXED);
	bool is_valid = true;

	if (function->kind == FUNCTION_COPY)
		is_valid = copy_run(channel, function->copy, use);
	else if (function->kind == FUNCTION_CALLBACK)
		function->callback(function->stream, status, function->data);
	else
		function->function(function->data);
	if (mirrors_exist() && function->kind != FUNCTION_COPY)
		mirror_function_end();
	if (function->object)
		object_release(function->object);
	if (!is_lasting(function))
		function_forget(function);
	return is_valid;
}

/* As the header names it. False: the host names what there is not. */
static bool function_called_run(const struct channel *channel)
{
	uint64_t name = __atomic_load_n(&channel->header->function, __ATOMIC_RELAXED);
	uint32_t use = __atomic_load_n(&channel->header->function_use, __ATOMIC_RELAXED);
	struct host_function function;

	if (use == VGPU_FUNCTION_END) {
		/* Where the call that was to give it to a graph has failed, it has been dropped. */
		host_function_drop(name);
		return true;
	}
	return function_take(name, true, &function) && function_run(channel, &function, use);
}

static void *functions_run(void *argument)
{
	struct channel *channel = session.channel;
	struct vgpu_channel_header *header = channel->header;
	uint32_t returned = 0;

	(void)argument;
	thread_state.is_host_function = true;
	for (;;) {
		if (!function_await(channel, &returned))
			return NULL;
		channel_pass(channel);
		if (!function_called_run(channel)) {
			channel_lose(channel);
			return NULL;
		}
		__atomic_store_n(&header->functions_returned, ++returned, __ATOMIC_RELEASE);
		transport_ring(channel->transport);
	}
}

static bool thread_start(void)
{
	pthread_t thread;

	if (!own_thread_start(functions_run, NULL, &thread))
		return false;
	pthread_detach(thread);
	return true;
}

static CUresult function_expect(bool is_kept)
{
	bool has_thread;

	pthread_mutex_lock(&functions.mutex);
	has_thread = functions.has_thread || thread_start();
	functions.has_thread = has_thread;
	pthread_mutex_unlock(&functions.mutex);
	if (!has_thread)
		return CUDA_ERROR_OUT_OF_MEMORY;
	/* First, so that the thread never takes it for an urgent one. */
	if (is_kept)
		__atomic_add_fetch(&kept, 1, __ATOMIC_ACQ_REL);
	if (__atomic_fetch_add(&expected, 1, __ATOMIC_ACQ_REL) == 0)
		word_wake(&expected, 1);
	return CUDA_SUCCESS;
}

static CUresult function_name(const struct host_function *function, uint64_t *ret_name)
{
	CUresult result = function_expect(function->is_kept);

	if (result)
		return result;
	if (function_put(function, ret_name))
		return CUDA_SUCCESS;
	function_expect_no_more(function->is_kept);
	return CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult host_function_keep(CUhostFn function, void *data, uint64_t *ret_name)
{
	const struct host_function wanted = {
		.kind = FUNCTION_PLAIN, .function = function, .data = data, .is_kept = true};

	return function_name(&wanted, ret_name);
}

CUresult host_function_keep_copy(struct program_copy *copy, uint64_t *ret_name)
{
	const struct host_function wanted = {.kind = FUNCTION_COPY, .copy = copy, .is_kept = true};

	return session.channel->layout.function_bytes ? function_name(&wanted, ret_name) : CUDA_ERROR_NOT_SUPPORTED;
}

CUresult host_function_keep_object(struct object *object, CUhostFn destroy, void *data, uint64_t *ret_name)
{
	const struct host_function wanted = {
		.kind = FUNCTION_DESTRUCTOR,
		.function = destroy,
		.data = data,
		.object = object,
		.is_kept = true,
	};

	return function_name(&wanted, ret_name);
}

bool host_function_copy_get(uint64_t name, CUDA_MEMCPY3D *ret_copy)
{
	const struct host_function *place;
	bool found;

	pthread_mutex_lock(&functions.mutex);
	place = place_find(name);
	found = place && place->kind == FUNCTION_COPY;
	if (found)
		*ret_copy = place->copy->described;
	pthread_mutex_unlock(&functions.mutex);
	return found;
}

bool host_function_get(uint64_t name, CUDA_HOST_NODE_PARAMS *ret_host)
{
	const struct host_function *place;
	bool found;

	pthread_mutex_lock(&functions.mutex);
	place = place_find(name);
	found = place && place->kind == FUNCTION_PLAIN;
	if (found)
		*ret_host = (CUDA_HOST_NODE_PARAMS){.fn = place->function, .userData = place->data};
	pthread_mutex_unlock(&functions.mutex);
	return found;
}

void host_function_drop(uint64_t name)
{
	struct host_function function;

	if (function_take(name, false, &function))
		function_forget(&function);
}

static CUresult function_launch(const struct host_function *wanted, bool per_thread_default)
{
	struct host_function function = *wanted;
	uint32_t context, stream;
	uint64_t name;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (!result)
		result = stream_id(function.stream, per_thread_default, &stream);
	if (result)
		return result;
	function.is_kept = function.kind == FUNCTION_PLAIN && capture_refuse(context, stream);
	result = function_name(&function, &name);
	if (result)
		return result;
	if (function.kind == FUNCTION_PLAIN)
		result = host_cuLaunchHostFunc(context, stream, name);
	else
		result = host_cuStreamAddCallback(context, stream, name);
	if (result)
		host_function_drop(name);
	return result;
}

API(cuLaunchHostFunc, CUstream stream, CUhostFn function, void *data)
{
	const struct host_function wanted = {
		.kind = FUNCTION_PLAIN, .function = function, .stream = stream, .data = data};

	return function ? function_launch(&wanted, false) : CUDA_ERROR_INVALID_VALUE;
}

API(cuLaunchHostFunc_ptsz, CUstream stream, CUhostFn function, void *data)
{
	const struct host_function wanted = {
		.kind = FUNCTION_PLAIN, .function = function, .stream = stream, .data = data};

	return function ? function_launch(&wanted, true) : CUDA_ERROR_INVALID_VALUE;
}

static CUresult callback_add(CUstream stream, CUstreamCallback callback, void *data, unsigned int flags,
			     bool per_thread_default)
{
	const struct host_function wanted = {
		.kind = FUNCTION_CALLBACK, .callback = callback, .stream = stream, .data = data};

	if (!callback || flags)
		return CUDA_ERROR_INVALID_VALUE;
	return function_launch(&wanted, per_thread_default);
}

API(cuStreamAddCallback, CUstream stream, CUstreamCallback callback, void *data, unsigned int flags)
{
	return callback_add(stream, callback, data, flags, false);
}

API(cuStreamAddCallback_ptsz, CUstream stream, CUstreamCallback callback, void *data, unsigned int flags)
{
	return callback_add(stream, callback, data, flags, true);
}
