/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A CUDA driver library for testing the executor: it does no computing, but it
 * is strict where real drivers are undefined. A handle that is not alive, a
 * pointer that is none, a call of an object of another kind: it aborts the
 * process, which the test sees as a death by signal.
 *
 * Streams are idle at a point in time: a launch keeps its stream busy for as
 * many microseconds as it has blocks in x. The one kernel, "add", adds its
 * parameters and writes the sum to an address; "fault" breaks its context;
 * "print" writes to standard output when something synchronises; "flood" writes
 * as many KiB as it has blocks, at once.
 *
 * An allocation of SLOW_BYTES takes SLOW_US.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "strict_driver.h"

#define OBJECTS_MAX	65536
#define ALLOCATIONS_MAX 4096
#define ARENA_BYTES	(256ull << 20)
#define SLOW_BYTES	4097
#define SLOW_US		100000
#define DEVICE_NAME	"strict test driver"

static struct object objects[OBJECTS_MAX];
static struct object default_stream = {.kind = STREAM};
struct object *strict_current;
static struct object *primary;
static unsigned primary_count;
static uint8_t *arena;
static uint64_t arena_used;
static struct {
	uint64_t address, bytes;
} allocations[ALLOCATIONS_MAX];
unsigned strict_prints_waiting;

uint64_t strict_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

_Noreturn void strict_misuse(const char *what)
{
	fprintf(stderr, "strict driver: %s\n", what);
	abort();
}

struct object *strict_live(const void *handle, enum kind kind)
{
	struct object *object = (struct object *)(uintptr_t)handle;

	if (object < objects || object >= objects + OBJECTS_MAX ||
	    ((uintptr_t)object - (uintptr_t)objects) % sizeof(*object))
		strict_misuse("a handle that was never given out");
	if (object->kind != kind)
		strict_misuse(object->kind == FREE ? "a handle that is destroyed" : "a handle of another kind");
	return object;
}

CUresult strict_make(enum kind kind, struct object *owner, void *ret_handle)
{
	static unsigned next;

	for (unsigned i = 0; i < OBJECTS_MAX; i++) {
		/* Not the one just freed: a stale handle should stay stale. */
		struct object *object = &objects[next++ % OBJECTS_MAX];

		if (object->kind != FREE)
			continue;
		*object = (struct object){.kind = kind, .context = strict_current, .owner = owner};
		/* Whichever is current. */
		if (owner && owner->kind == MODULE)
			object->context = owner->context;
		memcpy(ret_handle, &object, sizeof(object));
		return CUDA_SUCCESS;
	}
	return CUDA_ERROR_OUT_OF_MEMORY;
}

static void context_end(struct object *context)
{
	for (struct object *object = objects; object < objects + OBJECTS_MAX; object++) {
		if (object->context == context && object->kind != CONTEXT && object->kind != LIBRARY &&
		    object->kind != KERNEL && object->kind != POOL)
			object->kind = FREE;
	}
}

void strict_owned_end(struct object *owner)
{
	for (struct object *object = objects; object < objects + OBJECTS_MAX; object++) {
		if (object->kind != FREE && object->owner == owner) {
			if (object->kind == MODULE)
				strict_owned_end(object);
			object->kind = FREE;
		}
	}
}

CUresult strict_context_check(void)
{
	if (!strict_current)
		return CUDA_ERROR_INVALID_CONTEXT;
	return strict_live(strict_current, CONTEXT)->error;
}

struct object *strict_stream_of(CUstream stream)
{
	return stream ? strict_live(stream, STREAM) : &default_stream;
}

static void print_flush(void)
{
	for (; strict_prints_waiting > 0; strict_prints_waiting--)
		if (write(STDOUT_FILENO, "hello from the device\n", 22) != 22)
			strict_misuse("standard output does not take text");
}

void strict_wait_until(uint64_t end_ns)
{
	uint64_t now = strict_now_ns();

	if (end_ns > now)
		usleep((unsigned)((end_ns - now) / 1000 + 1));
	print_flush();
}

EXPORT(cuInit, unsigned int flags)
{
	CUresult result = strict_start();

	if (flags)
		return CUDA_ERROR_INVALID_VALUE;
	if (result)
		return result;
	arena = mmap((void *)0x700000000000, ARENA_BYTES, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return arena == MAP_FAILED ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
}

EXPORT(cuDriverGetVersion, int *version)
{
	*version = 13000;
	return CUDA_SUCCESS;
}

EXPORT(cuDeviceGetCount, int *count)
{
	*count = 1;
	return CUDA_SUCCESS;
}

EXPORT(cuDeviceGet, CUdevice *device, int ordinal)
{
	*device = 0;
	return ordinal ? CUDA_ERROR_INVALID_DEVICE : CUDA_SUCCESS;
}

/* With VGPU_TEST_SETTINGS the name says what of the environment a driver would follow. */
EXPORT(cuDeviceGetName, char *name, int length, CUdevice device)
{
	size_t used = (size_t)snprintf(name, (size_t)length, DEVICE_NAME);

	for (char **variable = environ; getenv("VGPU_TEST_SETTINGS") && *variable; variable++) {
		if (strncmp(*variable, "CUDA_", 5) == 0 && used < (size_t)length)
			used += (size_t)snprintf(name + used, (size_t)length - used, " %s", *variable);
	}
	return device ? CUDA_ERROR_INVALID_DEVICE : CUDA_SUCCESS;
}

EXPORT(cuDeviceGetUuid, CUuuid *uuid, CUdevice device)
{
	memset(uuid, 0xab, sizeof(*uuid));
	return device ? CUDA_ERROR_INVALID_DEVICE : CUDA_SUCCESS;
}

EXPORT(cuDeviceTotalMem_v2, size_t *bytes, CUdevice device)
{
	*bytes = ARENA_BYTES;
	return device ? CUDA_ERROR_INVALID_DEVICE : CUDA_SUCCESS;
}

EXPORT(cuDeviceGetAttribute, int *value, CUdevice_attribute attribute, CUdevice device)
{
	/* Large enough for any limit. */
	*value = 100000 + (int)attribute;
	if (attribute == CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS)
		*value = strict_reaches_host;
	return device || attribute < 1 || attribute > 150 ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

EXPORT(cuDeviceGetPCIBusId, char *id, int length, CUdevice device)
{
	snprintf(id, (size_t)length, "0000:01:00.0");
	return device ? CUDA_ERROR_INVALID_DEVICE : CUDA_SUCCESS;
}

EXPORT(cuDevicePrimaryCtxRetain, CUcontext *context, CUdevice device)
{
	CUresult result = device ? CUDA_ERROR_INVALID_DEVICE : CUDA_SUCCESS;

	if (!result && !primary)
		result = strict_make(CONTEXT, NULL, &primary);
	if (result)
		return result;
	primary_count++;
	*context = (CUcontext)primary;
	return CUDA_SUCCESS;
}

EXPORT(cuDevicePrimaryCtxRelease_v2, CUdevice device)
{
	if (device || primary_count == 0)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (--primary_count == 0)
		context_end(primary);
	return CUDA_SUCCESS;
}

EXPORT(cuDevicePrimaryCtxReset_v2, CUdevice device)
{
	if (device)
		return CUDA_ERROR_INVALID_DEVICE;
	if (primary)
		context_end(primary);
	return CUDA_SUCCESS;
}

EXPORT(cuDevicePrimaryCtxSetFlags_v2, CUdevice device, unsigned int flags)
{
	return device || flags > 0x1f ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

EXPORT(cuCtxCreate_v2, CUcontext *context, unsigned int flags, CUdevice device)
{
	CUresult result = device || flags > 0x1f ? CUDA_ERROR_INVALID_VALUE : strict_make(CONTEXT, NULL, context);

	if (!result)
		strict_current = (struct object *)*context;
	return result;
}

EXPORT(cuCtxDestroy_v2, CUcontext context)
{
	struct object *object = strict_live(context, CONTEXT);

	if (object == primary)
		return CUDA_ERROR_INVALID_CONTEXT;
	context_end(object);
	object->kind = FREE;
	if (strict_current == object)
		strict_current = NULL;
	return CUDA_SUCCESS;
}

EXPORT(cuCtxSetCurrent, CUcontext context)
{
	strict_current = context ? strict_live(context, CONTEXT) : NULL;
	return CUDA_SUCCESS;
}

EXPORT(cuCtxSynchronize, void)
{
	uint64_t end = default_stream.busy_until_ns;

	for (struct object *object = objects; object < objects + OBJECTS_MAX; object++) {
		if (object->kind == STREAM && object->context == strict_current && object->busy_until_ns > end)
			end = object->busy_until_ns;
	}
	if (!strict_context_check())
		strict_wait_until(end);
	return strict_context_check();
}

static size_t limits[8];

EXPORT(cuCtxGetLimit, size_t *value, unsigned int limit)
{
	if (limit >= sizeof(limits) / sizeof(limits[0]))
		return CUDA_ERROR_UNSUPPORTED_LIMIT;
	*value = limits[limit];
	return strict_context_check();
}

EXPORT(cuCtxSetLimit, unsigned int limit, size_t value)
{
	if (limit >= sizeof(limits) / sizeof(limits[0]))
		return CUDA_ERROR_UNSUPPORTED_LIMIT;
	limits[limit] = value;
	return strict_context_check();
}

EXPORT(cuMemAlloc_v2, CUdeviceptr *address, size_t bytes)
{
	CUresult result = strict_context_check();

	if (result)
		return result;
	if (bytes == 0)
		return CUDA_ERROR_INVALID_VALUE;
	if (bytes > ARENA_BYTES - arena_used)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (bytes == SLOW_BYTES)
		usleep(SLOW_US);
	for (unsigned i = 0; i < ALLOCATIONS_MAX; i++) {
		if (allocations[i].bytes)
			continue;
		allocations[i].address = (uint64_t)(uintptr_t)arena + arena_used;
		allocations[i].bytes = bytes;
		arena_used += (bytes + 511) & ~511ull;
		*address = allocations[i].address;
		return CUDA_SUCCESS;
	}
	return CUDA_ERROR_OUT_OF_MEMORY;
}

EXPORT(cuMemAllocPitch_v2, CUdeviceptr *address, size_t *pitch, size_t width, size_t height, unsigned int element_bytes)
{
	(void)element_bytes;
	if (width > ARENA_BYTES || height > ARENA_BYTES)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*pitch = (width + 511) & ~(size_t)511;
	return cuMemAlloc_v2(address, *pitch * height);
}

EXPORT(cuMemFree_v2, CUdeviceptr address)
{
	for (unsigned i = 0; i < ALLOCATIONS_MAX; i++) {
		if (allocations[i].bytes && allocations[i].address == address) {
			allocations[i].bytes = 0;
			return CUDA_SUCCESS;
		}
	}
	return CUDA_ERROR_INVALID_VALUE;
}

EXPORT(cuMemGetInfo_v2, size_t *free_bytes, size_t *total)
{
	*free_bytes = ARENA_BYTES - arena_used;
	*total = ARENA_BYTES;
	return strict_context_check();
}

bool strict_device_span(uint64_t address, uint64_t bytes)
{
	for (unsigned i = 0; i < ALLOCATIONS_MAX; i++) {
		if (allocations[i].bytes && address >= allocations[i].address &&
		    address - allocations[i].address <= allocations[i].bytes &&
		    bytes <= allocations[i].bytes - (address - allocations[i].address))
			return true;
	}
	return false;
}

EXPORT(cuMemHostRegister_v2, void *address, size_t bytes, unsigned int flags)
{
	(void)flags;
	/* Every page must be there. */
	for (size_t at = 0; at < bytes; at += 4096)
		(void)*((volatile unsigned char *)address + at);
	return strict_context_check();
}

EXPORT(cuMemHostUnregister, void *address)
{
	(void)address;
	return CUDA_SUCCESS;
}

EXPORT(cuMemcpyHtoDAsync_v2, CUdeviceptr destination, const void *source, size_t bytes, CUstream stream)
{
	CUresult result = strict_context_check();

	strict_stream_of(stream);
	if (result)
		return result;
	if (!strict_device_span(destination, bytes))
		return CUDA_ERROR_INVALID_VALUE;
	memcpy((void *)(uintptr_t)destination, source, bytes);
	return CUDA_SUCCESS;
}

EXPORT(cuMemcpyDtoHAsync_v2, void *destination, CUdeviceptr source, size_t bytes, CUstream stream)
{
	CUresult result = strict_context_check();

	strict_stream_of(stream);
	if (result)
		return result;
	if (!strict_device_span(source, bytes))
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(destination, (void *)(uintptr_t)source, bytes);
	return CUDA_SUCCESS;
}

EXPORT(cuMemcpyDtoDAsync_v2, CUdeviceptr destination, CUdeviceptr source, size_t bytes, CUstream stream)
{
	CUresult result = strict_context_check();

	strict_stream_of(stream);
	if (result)
		return result;
	if (!strict_device_span(destination, bytes) || !strict_device_span(source, bytes))
		return CUDA_ERROR_INVALID_VALUE;
	memmove((void *)(uintptr_t)destination, (void *)(uintptr_t)source, bytes);
	return CUDA_SUCCESS;
}

EXPORT(cuMemsetD8Async, CUdeviceptr destination, unsigned char value, size_t count, CUstream stream)
{
	CUresult result = strict_context_check();

	strict_stream_of(stream);
	if (result)
		return result;
	if (!strict_device_span(destination, count))
		return CUDA_ERROR_INVALID_VALUE;
	memset((void *)(uintptr_t)destination, value, count);
	return CUDA_SUCCESS;
}

EXPORT(cuDeviceGetDefaultMemPool, CUmemoryPool *pool, CUdevice device)
{
	return device ? CUDA_ERROR_INVALID_DEVICE : strict_make(POOL, NULL, pool);
}

EXPORT(cuMemPoolDestroy, CUmemoryPool pool)
{
	strict_live(pool, POOL)->kind = FREE;
	return CUDA_SUCCESS;
}
