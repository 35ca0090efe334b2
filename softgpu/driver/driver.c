/* SPDX-License-Identifier: Apache-2.0 */
#include "driver.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "arena.h"
#include "condition.h"
#include "device_table.h"
#include "entry.h"
#include "memory.h"
#include "print.h"
#include "softgpu/engine/engine.h"

enum state {
	STATE_FRESH,
	STATE_READY,
	STATE_FORKED, /* threads of the parent are missing: nothing can run */
	STATE_ENDED,
};

static _Atomic unsigned state; /* enum state */
static pthread_mutex_t init_lock = PTHREAD_MUTEX_INITIALIZER;
static struct engine *engine;

CUresult driver_check(void)
{
	unsigned now = state;

	switch (now) {
	case STATE_READY:
		return CUDA_SUCCESS;
	case STATE_ENDED:
		return CUDA_ERROR_DEINITIALIZED;
	default:
		return CUDA_ERROR_NOT_INITIALIZED;
	}
}

struct engine *driver_engine(void)
{
	return engine;
}

static void forked_child(void)
{
	if (state == STATE_READY)
		state = STATE_FORKED;
}

__attribute__((destructor)) static void process_ends(void)
{
	if (state == STATE_READY)
		state = STATE_ENDED;
}

static CUresult driver_start(void)
{
	struct engine_config config = {.print = print_append, .condition_set = condition_set};
	CUresult result;
	int error;

	if (!arena_span_bytes()) {
		result = device_table_open();
		if (result)
			return result;
		error = arena_open();
		if (error) {
			fprintf(stderr, "softgpu: cannot reserve addresses for the memory of %d devices: %s\n",
				device_count(), strerror(error));
			return CUDA_ERROR_OUT_OF_MEMORY;
		}
	}
	memory_engine_fill(&config.memory);
	if (engine_create(&config, &engine))
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (pthread_atfork(NULL, NULL, forked_child)) {
		engine_destroy(engine);
		engine = NULL;
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	state = STATE_READY;
	return CUDA_SUCCESS;
}

ENTRY(cuInit, (unsigned int flags))
{
	CUresult result = CUDA_SUCCESS;

	if (flags)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&init_lock);
	if (state == STATE_FRESH)
		result = driver_start();
	else
		result = driver_check();
	pthread_mutex_unlock(&init_lock);
	return result;
}

ENTRY(cuDriverGetVersion, (int *ret_version))
{
	if (!ret_version)
		return CUDA_ERROR_INVALID_VALUE;
	*ret_version = DRIVER_VERSION;
	return CUDA_SUCCESS;
}

ENTRY(cuProfilerStart, (void))
{
	return driver_check();
}

ENTRY(cuProfilerStop, (void))
{
	return driver_check();
}
