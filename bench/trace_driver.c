/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A CUDA driver for executors that writes down when they launch, mark and see something finished, for trace.py. It is
 * linked with the driver that it stands for, libcuda.so.1, where all other functions are found.
 *
 * The file $VGPU_TRACE_FOLDER/PID has entries of 32 bytes, those with 'began_ns' 0 unused. Of queries that find
 * something unfinished there are the first one after a launch or after something that was over, and the end of the
 * last.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "cuda_abi.h"

#define ENTRIES_MAX (1u << 20)

#define EXPORT(name, ...)                                                  \
	__attribute__((visibility("default"))) CUresult name(__VA_ARGS__); \
	__attribute__((visibility("default"))) CUresult name(__VA_ARGS__)

enum kind { LAUNCH = 1, MARK, EVENT_OVER, STREAM_OVER, UNFINISHED };

struct entry {
	uint64_t began_ns;
	uint64_t took_ns;
	uint64_t unfinished_ns; /* a query: the end of the last one that found it unfinished, or 0 */
	uint32_t object;	/* of the event or stream, the lower part of its address */
	uint32_t kind;
};
_Static_assert(sizeof(struct entry) == 32, "trace.py reads them so");

static struct entry *entries;
static uint32_t entry_count;
static uint64_t unfinished_ns; /* 0: no query has found that since the last launch */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The driver's own. */
static void *function_find(const char *name)
{
	void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
	void *function = library ? dlsym(library, name) : NULL;

	if (!function)
		abort();
	return function;
}

static struct entry *entries_open(void)
{
	static struct entry none[ENTRIES_MAX];
	const char *folder = getenv("VGPU_TRACE_FOLDER");
	void *mapping = MAP_FAILED;
	char path[512];
	int file;

	snprintf(path, sizeof(path), "%s/%d", folder ? folder : "/nonexistent", (int)getpid());
	file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (file >= 0 && ftruncate(file, sizeof(none)) == 0)
		mapping = mmap(NULL, sizeof(none), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (file >= 0)
		close(file);
	return mapping == MAP_FAILED ? none : mapping;
}

/* All calls are of the executor's one main thread. */
static void note(enum kind kind, const void *object, uint64_t began_ns)
{
	if (!entries)
		entries = entries_open();
	if (entry_count == ENTRIES_MAX)
		return;
	entries[entry_count++] = (struct entry){
		.began_ns = began_ns,
		.took_ns = now_ns() - began_ns,
		.unfinished_ns = kind == EVENT_OVER || kind == STREAM_OVER ? unfinished_ns : 0,
		.object = (uint32_t)(uintptr_t)object,
		.kind = kind,
	};
	if (kind != MARK)
		unfinished_ns = 0;
}

EXPORT(cuLaunchKernel, CUfunction function, unsigned int grid_x, unsigned int grid_y, unsigned int grid_z,
       unsigned int block_x, unsigned int block_y, unsigned int block_z, unsigned int shared_bytes, CUstream stream,
       void **parameters, void **extra)
{
	static CUresult (*real)(CUfunction, unsigned int, unsigned int, unsigned int, unsigned int, unsigned int,
				unsigned int, unsigned int, CUstream, void **, void **);
	uint64_t began_ns = now_ns();
	CUresult result;

	if (!real)
		real = function_find("cuLaunchKernel");
	result = real(function, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes, stream, parameters,
		      extra);
	note(LAUNCH, stream, began_ns);
	return result;
}

EXPORT(cuEventRecord, CUevent event, CUstream stream)
{
	static CUresult (*real)(CUevent, CUstream);
	uint64_t began_ns = now_ns();
	CUresult result;

	if (!real)
		real = function_find("cuEventRecord");
	result = real(event, stream);
	note(MARK, event, began_ns);
	return result;
}

static CUresult query_note(enum kind kind, const void *object, uint64_t began_ns, CUresult result)
{
	if (result != CUDA_ERROR_NOT_READY) {
		note(kind, object, began_ns);
		return result;
	}
	if (!unfinished_ns)
		note(UNFINISHED, object, began_ns);
	unfinished_ns = now_ns();
	return result;
}

EXPORT(cuEventQuery, CUevent event)
{
	static CUresult (*real)(CUevent);
	uint64_t began_ns = now_ns();

	if (!real)
		real = function_find("cuEventQuery");
	return query_note(EVENT_OVER, event, began_ns, real(event));
}

EXPORT(cuStreamQuery, CUstream stream)
{
	static CUresult (*real)(CUstream);
	uint64_t began_ns = now_ns();

	if (!real)
		real = function_find("cuStreamQuery");
	return query_note(STREAM_OVER, stream, began_ns, real(stream));
}
