/* SPDX-License-Identifier: Apache-2.0 */
#include "host_function.h"

#include <pthread.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "executor.h"
#include "executor_calls.h"

/* A look at the answer each eighth of the time that the function has taken, within bounds. */
#define LOOK_PART   8
#define LOOK_NS_MIN 5000u
#define LOOK_NS_MAX 1000000u

/* The driver hands our function one word, which is the guest's. */
static struct {
	pthread_mutex_t turn; /* of several contexts, or of softgpu's streams: one function at a time */
	struct executor *executor;
	uint32_t called;
} functions = {.turn = PTHREAD_MUTEX_INITIALIZER};

void host_functions_open(struct executor *executor)
{
	functions.executor = executor;
}

static void answer_await(const struct channel *channel, uint32_t called)
{
	uint64_t began = schedule_now();

	/* The driver's thread, whose timers are late by 50 us otherwise. */
	prctl(PR_SET_TIMERSLACK, 1);
	while (channel_functions_returned(channel) != called) {
		struct timespec pause = {.tv_nsec = (long)((schedule_now() - began) / LOOK_PART)};

		if (pause.tv_nsec < LOOK_NS_MIN)
			pause.tv_nsec = LOOK_NS_MIN;
		if (pause.tv_nsec > LOOK_NS_MAX)
			pause.tv_nsec = LOOK_NS_MAX;
		nanosleep(&pause, NULL);
	}
}

/* In our turn. */
static void call(const struct channel_call *call)
{
	const struct channel *channel = &functions.executor->channel;

	functions.called++;
	channel_function_call(channel, call, functions.called);
	answer_await(channel, functions.called);
}

static void turn_begin(void)
{
	pthread_mutex_lock(&functions.turn);
	gate_function_begin(&functions.executor->gate);
}

static void turn_end(void)
{
	gate_function_end(&functions.executor->gate);
	pthread_mutex_unlock(&functions.turn);
}

static void function_call(void *function, CUresult status)
{
	turn_begin();
	call(&(struct channel_call){.function = (uintptr_t)function, .status = status});
	turn_end();
}

void host_function_run(void *function)
{
	function_call(function, CUDA_SUCCESS);
}

static void callback_run(CUstream stream, CUresult status, void *function)
{
	(void)stream;
	function_call(function, status);
}

static void piece_copy(struct channel_call *piece, uint8_t *memory)
{
	uint8_t *window = functions.executor->channel.function;

	if (piece->use == VGPU_FUNCTION_DELIVER)
		memcpy(window, memory + piece->piece_offset, piece->piece_bytes);
	call(piece);
	/* What the guest has put there is bytes for it alone: whatever they are, they are copied once. */
	if (piece->use == VGPU_FUNCTION_FETCH)
		memcpy(memory + piece->piece_offset, window, piece->piece_bytes);
}

void host_function_copy(uint64_t function, enum vgpu_function_use use, uint8_t *memory, uint64_t bytes)
{
	struct channel_call piece = {.function = function, .use = use};

	turn_begin();
	do {
		uint64_t left = bytes - piece.piece_offset;
		uint32_t window_bytes = functions.executor->channel.function_bytes;

		piece.piece_bytes = left < window_bytes ? (uint32_t)left : window_bytes;
		piece_copy(&piece, memory);
		piece.piece_offset += piece.piece_bytes;
	} while (piece.piece_offset < bytes);
	turn_end();
}

static void function_end(void *function)
{
	host_function_copy((uintptr_t)function, VGPU_FUNCTION_END, NULL, 0);
}

/* Where this fails the guest remembers the function as long as it lives. */
void host_function_own(struct executor *executor, CUgraph graph, uint64_t function)
{
	const struct driver *driver = &executor->driver;
	CUuserObject object;

	if (!(executor->features & VGPU_FEATURE_FUNCTION_END) || !driver->cuUserObjectCreate ||
	    !driver->cuGraphRetainUserObject ||
	    driver->cuUserObjectCreate(&object, (void *)(uintptr_t)function, function_end, 1,
				       CU_USER_OBJECT_NO_DESTRUCTOR_SYNC))
		return;
	/* An object that the graph does not take is kept, for its end would be that of a function that is there. */
	(void)driver->cuGraphRetainUserObject(graph, object, 1, CU_GRAPH_USER_OBJECT_MOVE);
}

CUDA_HOST_NODE_PARAMS host_function_node(uint64_t function)
{
	return (CUDA_HOST_NODE_PARAMS){.fn = host_function_run, .userData = (void *)(uintptr_t)function};
}

CUresult execute_cuLaunchHostFunc(struct executor *executor, const struct request *request,
				  const struct wire_cuLaunchHostFunc *arguments)
{
	CUstream stream;
	CUresult result = execute_find_stream(executor, arguments->hStream, &stream);

	(void)request;
	if (result)
		return result;
	if (!executor->driver.cuLaunchHostFunc)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = executor->driver.cuLaunchHostFunc(stream, host_function_run, (void *)(uintptr_t)arguments->function);
	if (!result && executor->captures.count) {
		CUgraph graph = capture_graph(executor, stream);

		if (graph)
			host_function_own(executor, graph, arguments->function);
	}
	return result;
}

CUresult execute_cuStreamAddCallback(struct executor *executor, const struct request *request,
				     const struct wire_cuStreamAddCallback *arguments)
{
	CUstream stream;
	CUresult result = execute_find_stream(executor, arguments->hStream, &stream);

	(void)request;
	if (result)
		return result;
	if (!executor->driver.cuStreamAddCallback)
		return CUDA_ERROR_NOT_SUPPORTED;
	return executor->driver.cuStreamAddCallback(stream, callback_run, (void *)(uintptr_t)arguments->function, 0);
}
