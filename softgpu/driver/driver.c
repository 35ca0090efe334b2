/* SPDX-License-Identifier: Apache-2.0 */
#include "driver.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "entry.h"
#include "memory.h"
#include "print.h"
#include "softgpu/engine/engine.h"

#define DEFAULT_MEMORY_BYTES ((uint64_t)4 << 30)

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

static CUresult memory_size_read(uint64_t *ret_bytes)
{
	const char *text = getenv("SOFTGPU_MEMORY_BYTES");
	char *end;
	unsigned long long bytes;

	if (!text || !*text) {
		*ret_bytes = DEFAULT_MEMORY_BYTES;
		return CUDA_SUCCESS;
	}
	bytes = strtoull(text, &end, 0);
	if (*end || *text == '-' || bytes < ARENA_PAGE_BYTES) {
		fprintf(stderr, "softgpu: SOFTGPU_MEMORY_BYTES=%s is not a number of bytes\n", text);
		return CUDA_ERROR_INVALID_VALUE;
	}
	*ret_bytes = bytes;
	return CUDA_SUCCESS;
}

static CUresult driver_start(void)
{
	struct engine_config config = {.print = print_append};
	uint64_t memory_bytes;
	CUresult result = memory_size_read(&memory_bytes);
	int error;

	if (result)
		return result;
	if (!arena_span_bytes()) {
		error = arena_open(memory_bytes);
		if (error) {
			fprintf(stderr, "softgpu: cannot reserve addresses for %llu bytes: %s\n",
				(unsigned long long)memory_bytes, strerror(error));
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
