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
#include <signal.h>
#include <stdlib.h>

#include "capture.h"
#include "channel_wait.h"
#include "context.h"
#include "host_calls.h"
#include "session.h"

struct host_function {
	CUhostFn function;	   /* NULL and no callback either: the place is free */
	CUstreamCallback callback; /* if there is no function */
	CUstream stream;
	void *data;
	bool is_kept; /* part of a graph, which may call it again as long as the process lives */
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

/* Copies what is to be called, and frees its place unless it is kept. False: there is no such function. */
static bool function_take(uint64_t name, bool may_keep, struct host_function *ret_function)
{
	uint32_t index = (uint32_t)name;
	struct host_function *place;
	bool found = false;

	pthread_mutex_lock(&functions.mutex);
	place = index < functions.count ? &functions.places[index] : NULL;
	if (place && place->life == name >> 32 && (place->function || place->callback)) {
		found = true;
		*ret_function = *place;
		if (!place->is_kept || !may_keep) {
			*place = (struct host_function){.life = place->life, .next_free = functions.first_free};
			functions.first_free = index;
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

static void function_run(const struct host_function *function, CUresult status)
{
	if (function->function)
		function->function(function->data);
	else
		function->callback(function->stream, status, function->data);
	if (!function->is_kept)
		function_expect_no_more(false);
}

static void *functions_run(void *argument)
{
	struct channel *channel = session.channel;
	struct vgpu_channel_header *header = channel->header;
	uint32_t returned = 0;

	(void)argument;
	thread_state.is_host_function = true;
	for (;;) {
		struct host_function function;

		if (!function_await(channel, &returned))
			return NULL;
		if (!function_take(__atomic_load_n(&header->function, __ATOMIC_RELAXED), true, &function)) {
			channel_lose(channel);
			return NULL;
		}
		function_run(&function, (CUresult)__atomic_load_n(&header->function_status, __ATOMIC_RELAXED));
		__atomic_store_n(&header->functions_returned, ++returned, __ATOMIC_RELEASE);
		transport_ring(channel->transport);
	}
}

/* The program's signals are for its own threads. */
static bool thread_start(void)
{
	sigset_t all, before;
	pthread_t thread;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&thread, NULL, functions_run, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!error)
		pthread_detach(thread);
	return !error;
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
	const struct host_function wanted = {.function = function, .data = data, .is_kept = true};

	return function_name(&wanted, ret_name);
}

void host_function_drop(uint64_t name)
{
	struct host_function function;

	if (function_take(name, false, &function))
		function_expect_no_more(function.is_kept);
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
	function.is_kept = function.function && capture_refuse(context, stream);
	result = function_name(&function, &name);
	if (result)
		return result;
	if (function.function)
		result = host_cuLaunchHostFunc(context, stream, name);
	else
		result = host_cuStreamAddCallback(context, stream, name);
	if (result)
		host_function_drop(name);
	return result;
}

API(cuLaunchHostFunc, CUstream stream, CUhostFn function, void *data)
{
	const struct host_function wanted = {.function = function, .stream = stream, .data = data};

	return function ? function_launch(&wanted, false) : CUDA_ERROR_INVALID_VALUE;
}

API(cuLaunchHostFunc_ptsz, CUstream stream, CUhostFn function, void *data)
{
	const struct host_function wanted = {.function = function, .stream = stream, .data = data};

	return function ? function_launch(&wanted, true) : CUDA_ERROR_INVALID_VALUE;
}

static CUresult callback_add(CUstream stream, CUstreamCallback callback, void *data, unsigned int flags,
			     bool per_thread_default)
{
	const struct host_function wanted = {.callback = callback, .stream = stream, .data = data};

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
