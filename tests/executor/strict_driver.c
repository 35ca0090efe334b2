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
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "cuda_abi.h"

#define EXPORT(name, ...)                                                  \
	__attribute__((visibility("default"))) CUresult name(__VA_ARGS__); \
	__attribute__((visibility("default"))) CUresult name(__VA_ARGS__)

/* strict_graphs.c */
bool strict_graphs_launch(CUfunction function, CUstream stream);

#define OBJECTS_MAX	65536
#define ALLOCATIONS_MAX 4096
#define ARENA_BYTES	(256ull << 20)
#define SLOW_BYTES	4097
#define SLOW_US		30000
#define DEVICE_NAME	"strict test driver"

enum kind { FREE, CONTEXT, STREAM, EVENT, MODULE, FUNCTION, LIBRARY, KERNEL, POOL };

struct object {
	enum kind kind;
	struct object *context;
	struct object *owner;
	uint64_t busy_until_ns; /* stream: idle then; event: reached then */
	char name[16];
	CUresult error; /* context: what it has come to */
};

static struct object objects[OBJECTS_MAX];
static struct object default_stream = {.kind = STREAM};
static struct object *current;
static struct object *primary;
static unsigned primary_count;
static uint8_t *arena;
static uint64_t arena_used;
static struct {
	uint64_t address, bytes;
} allocations[ALLOCATIONS_MAX];
static unsigned prints_waiting;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static _Noreturn void misuse(const char *what)
{
	fprintf(stderr, "strict driver: %s\n", what);
	abort();
}

static struct object *live(const void *handle, enum kind kind)
{
	struct object *object = (struct object *)(uintptr_t)handle;

	if (object < objects || object >= objects + OBJECTS_MAX ||
	    ((uintptr_t)object - (uintptr_t)objects) % sizeof(*object))
		misuse("a handle that was never given out");
	if (object->kind != kind)
		misuse(object->kind == FREE ? "a handle that is destroyed" : "a handle of another kind");
	return object;
}

static CUresult make(enum kind kind, struct object *owner, void *ret_handle)
{
	static unsigned next;

	for (unsigned i = 0; i < OBJECTS_MAX; i++) {
		/* Not the one just freed: a stale handle should stay stale. */
		struct object *object = &objects[next++ % OBJECTS_MAX];

		if (object->kind != FREE)
			continue;
		*object = (struct object){.kind = kind, .context = current, .owner = owner};
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

static void owned_end(struct object *owner)
{
	for (struct object *object = objects; object < objects + OBJECTS_MAX; object++) {
		if (object->kind != FREE && object->owner == owner) {
			if (object->kind == MODULE)
				owned_end(object);
			object->kind = FREE;
		}
	}
}

static CUresult context_check(void)
{
	if (!current)
		return CUDA_ERROR_INVALID_CONTEXT;
	return live(current, CONTEXT)->error;
}

static struct object *stream_of(CUstream stream)
{
	return stream ? live(stream, STREAM) : &default_stream;
}

static void print_flush(void)
{
	for (; prints_waiting > 0; prints_waiting--)
		if (write(STDOUT_FILENO, "hello from the device\n", 22) != 22)
			misuse("standard output does not take text");
}

static void wait_until(uint64_t end_ns)
{
	uint64_t now = now_ns();

	if (end_ns > now)
		usleep((unsigned)((end_ns - now) / 1000 + 1));
	print_flush();
}

/* As NVIDIA's driver 580 does in cuInit, which fails without it. */
static CUresult socket_make(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int made = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "strict-driver-%d", (int)getpid());
	if (made < 0 || bind(made, (const struct sockaddr *)&address, sizeof(address)) < 0 || listen(made, 1) < 0)
		return CUDA_ERROR_OPERATING_SYSTEM;
	return CUDA_SUCCESS;
}

/* What a driver that a guest has taken over may not do to others. */
static void sandbox_check(void)
{
	struct rlimit limit;
	pid_t child;

	if (prctl(PR_GET_SECCOMP) != 2)
		return;
	child = fork();
	if (child == 0)
		_exit(0);
	if (child > 0)
		misuse("another process could be made");
	if (kill(getppid(), 0) == 0 || errno != EPERM)
		misuse("another process could be signalled");
	if (prlimit(getppid(), RLIMIT_NOFILE, NULL, &limit) == 0)
		misuse("another process's limits could be changed");
	if (kill(getpid(), 0) < 0 || getrlimit(RLIMIT_NOFILE, &limit) < 0)
		misuse("the sandbox keeps the process from itself");
}

/* What the driver does in its compute cache. */
static void files_check(void)
{
	char folder[] = "/tmp/strict-driver-XXXXXX";
	char made[64];
	char renamed[64];
	int file;

	if (!mkdtemp(folder)) {
		misuse("the sandbox lets no folder be made");
		return;
	}
	snprintf(made, sizeof(made), "%s/made", folder);
	snprintf(renamed, sizeof(renamed), "%s/renamed", folder);
	file = open(made, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (file < 0 || flock(file, LOCK_EX) < 0 || lockf(file, F_LOCK, 0) < 0 || write(file, "code", 4) != 4 ||
	    ftruncate(file, 2) < 0 || fchmod(file, 0644) < 0 || rename(made, renamed) < 0 || unlink(renamed) < 0 ||
	    rmdir(folder) < 0)
		misuse("the sandbox keeps files from being made, locked, renamed or removed");
	if (file >= 0)
		close(file);
}

EXPORT(cuInit, unsigned int flags)
{
	CUresult result = socket_make();

	sandbox_check();
	files_check();
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

EXPORT(cuDeviceGetName, char *name, int length, CUdevice device)
{
	snprintf(name, (size_t)length, DEVICE_NAME);
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
		result = make(CONTEXT, NULL, &primary);
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
	CUresult result = device || flags > 0x1f ? CUDA_ERROR_INVALID_VALUE : make(CONTEXT, NULL, context);

	if (!result)
		current = (struct object *)*context;
	return result;
}

EXPORT(cuCtxDestroy_v2, CUcontext context)
{
	struct object *object = live(context, CONTEXT);

	if (object == primary)
		return CUDA_ERROR_INVALID_CONTEXT;
	context_end(object);
	object->kind = FREE;
	if (current == object)
		current = NULL;
	return CUDA_SUCCESS;
}

EXPORT(cuCtxSetCurrent, CUcontext context)
{
	current = context ? live(context, CONTEXT) : NULL;
	return CUDA_SUCCESS;
}

EXPORT(cuCtxSynchronize, void)
{
	uint64_t end = default_stream.busy_until_ns;

	for (struct object *object = objects; object < objects + OBJECTS_MAX; object++) {
		if (object->kind == STREAM && object->context == current && object->busy_until_ns > end)
			end = object->busy_until_ns;
	}
	if (!context_check())
		wait_until(end);
	return context_check();
}

static size_t limits[8];

EXPORT(cuCtxGetLimit, size_t *value, unsigned int limit)
{
	if (limit >= sizeof(limits) / sizeof(limits[0]))
		return CUDA_ERROR_UNSUPPORTED_LIMIT;
	*value = limits[limit];
	return context_check();
}

EXPORT(cuCtxSetLimit, unsigned int limit, size_t value)
{
	if (limit >= sizeof(limits) / sizeof(limits[0]))
		return CUDA_ERROR_UNSUPPORTED_LIMIT;
	limits[limit] = value;
	return context_check();
}

EXPORT(cuMemAlloc_v2, CUdeviceptr *address, size_t bytes)
{
	CUresult result = context_check();

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
	return context_check();
}

static bool device_span(uint64_t address, uint64_t bytes)
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
	return context_check();
}

EXPORT(cuMemHostUnregister, void *address)
{
	(void)address;
	return CUDA_SUCCESS;
}

EXPORT(cuMemcpyHtoDAsync_v2, CUdeviceptr destination, const void *source, size_t bytes, CUstream stream)
{
	CUresult result = context_check();

	stream_of(stream);
	if (result)
		return result;
	if (!device_span(destination, bytes))
		return CUDA_ERROR_INVALID_VALUE;
	memcpy((void *)(uintptr_t)destination, source, bytes);
	return CUDA_SUCCESS;
}

EXPORT(cuMemcpyDtoHAsync_v2, void *destination, CUdeviceptr source, size_t bytes, CUstream stream)
{
	CUresult result = context_check();

	stream_of(stream);
	if (result)
		return result;
	if (!device_span(source, bytes))
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(destination, (void *)(uintptr_t)source, bytes);
	return CUDA_SUCCESS;
}

EXPORT(cuMemcpyDtoDAsync_v2, CUdeviceptr destination, CUdeviceptr source, size_t bytes, CUstream stream)
{
	CUresult result = context_check();

	stream_of(stream);
	if (result)
		return result;
	if (!device_span(destination, bytes) || !device_span(source, bytes))
		return CUDA_ERROR_INVALID_VALUE;
	memmove((void *)(uintptr_t)destination, (void *)(uintptr_t)source, bytes);
	return CUDA_SUCCESS;
}

EXPORT(cuMemsetD8Async, CUdeviceptr destination, unsigned char value, size_t count, CUstream stream)
{
	CUresult result = context_check();

	stream_of(stream);
	if (result)
		return result;
	if (!device_span(destination, count))
		return CUDA_ERROR_INVALID_VALUE;
	memset((void *)(uintptr_t)destination, value, count);
	return CUDA_SUCCESS;
}

/* Reads the image to its end, as a driver would. */
static CUresult image_read(const void *image)
{
	uint32_t magic;

	memcpy(&magic, image, sizeof(magic));
	return magic == 0x466243b1 || magic == 0xba55ed50 || magic == 0x464c457f || strlen(image) > 0
		       ? CUDA_SUCCESS
		       : CUDA_ERROR_INVALID_IMAGE;
}

EXPORT(cuModuleLoadDataEx, CUmodule *module, const void *image, unsigned int count, CUjit_option *options,
       void **values)
{
	CUresult result = context_check();

	for (unsigned i = 0; i + 1 < count && !result; i++) {
		if (options[i] == CU_JIT_INFO_LOG_BUFFER)
			snprintf(values[i], (size_t)(uintptr_t)values[i + 1], "all is well");
	}
	if (!result)
		result = image_read(image);
	return result ? result : make(MODULE, NULL, module);
}

EXPORT(cuModuleUnload, CUmodule module)
{
	struct object *object = live(module, MODULE);

	owned_end(object);
	object->kind = FREE;
	return CUDA_SUCCESS;
}

static CUresult named(enum kind kind, struct object *owner, const char *name, void *ret_handle)
{
	struct object *object;
	CUresult result;

	if (strcmp(name, "add") != 0 && strcmp(name, "fault") != 0 && strcmp(name, "print") != 0 &&
	    strcmp(name, "flood") != 0)
		return CUDA_ERROR_NOT_FOUND;
	result = make(kind, owner, &object);
	if (result)
		return result;
	snprintf(object->name, sizeof(object->name), "%s", name);
	memcpy(ret_handle, &object, sizeof(object));
	return CUDA_SUCCESS;
}

EXPORT(cuModuleGetFunction, CUfunction *function, CUmodule module, const char *name)
{
	return named(FUNCTION, live(module, MODULE), name, function);
}

EXPORT(cuLibraryLoadData, CUlibrary *library, const void *image, CUjit_option *jit_options, void **jit_values,
       unsigned int jit_count, CUlibraryOption *options, void **values, unsigned int count)
{
	CUresult result = image_read(image);

	(void)jit_options;
	(void)jit_values;
	(void)jit_count;
	(void)options;
	(void)values;
	(void)count;
	return result ? result : make(LIBRARY, NULL, library);
}

EXPORT(cuLibraryUnload, CUlibrary library)
{
	struct object *object = live(library, LIBRARY);

	owned_end(object);
	object->kind = FREE;
	return CUDA_SUCCESS;
}

EXPORT(cuLibraryGetKernel, CUkernel *kernel, CUlibrary library, const char *name)
{
	return named(KERNEL, live(library, LIBRARY), name, kernel);
}

EXPORT(cuLibraryGetModule, CUmodule *module, CUlibrary library)
{
	CUresult result = context_check();

	return result ? result : make(MODULE, live(library, LIBRARY), module);
}

static struct object *function_of(CUfunction function)
{
	struct object *object = (struct object *)function;

	return object->kind == KERNEL ? live(function, KERNEL) : live(function, FUNCTION);
}

EXPORT(cuFuncGetAttribute, int *value, CUfunction_attribute attribute, CUfunction function)
{
	function_of(function);
	*value = 1024;
	return attribute >= CU_FUNC_ATTRIBUTE_MAX ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

EXPORT(cuKernelGetAttribute, int *value, CUfunction_attribute attribute, CUkernel kernel, CUdevice device)
{
	return device ? CUDA_ERROR_INVALID_DEVICE : cuFuncGetAttribute(value, attribute, (CUfunction)kernel);
}

EXPORT(cuFuncGetParamInfo, CUfunction function, size_t index, size_t *offset, size_t *bytes)
{
	function_of(function);
	if (index >= 3)
		return CUDA_ERROR_INVALID_VALUE;
	*offset = index * 8;
	*bytes = 8;
	return CUDA_SUCCESS;
}

EXPORT(cuKernelGetParamInfo, CUkernel kernel, size_t index, size_t *offset, size_t *bytes)
{
	return cuFuncGetParamInfo((CUfunction)kernel, index, offset, bytes);
}

EXPORT(cuLaunchKernel, CUfunction function, unsigned int grid_x, unsigned int grid_y, unsigned int grid_z,
       unsigned int block_x, unsigned int block_y, unsigned int block_z, unsigned int shared_bytes, CUstream stream,
       void **parameters, void **extra)
{
	CUresult result = context_check();
	struct object *object = function_of(function);
	struct object *busy = stream_of(stream);
	uint64_t now = now_ns();
	uint64_t arguments[3];
	uint64_t sum;

	(void)shared_bytes;
	if (result)
		return result;
	if (!grid_x || !grid_y || !grid_z || !block_x || !block_y || !block_z || parameters || grid_x > 1000000)
		return CUDA_ERROR_INVALID_VALUE;
	if (strict_graphs_launch(function, stream))
		return CUDA_SUCCESS;
	if (strcmp(object->name, "print") == 0)
		prints_waiting++;
	for (unsigned i = 0; i < grid_x && strcmp(object->name, "flood") == 0; i++) {
		char kibibyte[1024];

		memset(kibibyte, 'f', sizeof(kibibyte));
		if (write(STDOUT_FILENO, kibibyte, sizeof(kibibyte)) != sizeof(kibibyte))
			return CUDA_ERROR_UNKNOWN;
	}
	if (strcmp(object->name, "fault") == 0)
		current->error = CUDA_ERROR_ILLEGAL_ADDRESS;
	if (strcmp(object->name, "add") == 0) {
		if (*(size_t *)extra[3] < sizeof(arguments))
			return CUDA_ERROR_INVALID_VALUE;
		memcpy(arguments, extra[1], sizeof(arguments));
		if (!device_span(arguments[0], sizeof(sum)))
			return CUDA_ERROR_INVALID_VALUE;
		sum = arguments[1] + arguments[2];
		memcpy((void *)(uintptr_t)arguments[0], &sum, sizeof(sum));
	}
	if (busy->busy_until_ns < now)
		busy->busy_until_ns = now;
	busy->busy_until_ns += (uint64_t)grid_x * 1000;
	return CUDA_SUCCESS;
}

EXPORT(cuStreamCreate, CUstream *stream, unsigned int flags)
{
	CUresult result = context_check();

	if (result)
		return result;
	return flags > 1 ? CUDA_ERROR_INVALID_VALUE : make(STREAM, NULL, stream);
}

EXPORT(cuStreamDestroy_v2, CUstream stream)
{
	/* The default stream, which real drivers refuse. */
	if (!stream)
		return CUDA_ERROR_INVALID_HANDLE;
	live(stream, STREAM)->kind = FREE;
	return CUDA_SUCCESS;
}

EXPORT(cuStreamQuery, CUstream stream)
{
	struct object *object = stream_of(stream);
	CUresult result = context_check();

	if (result)
		return result;
	return object->busy_until_ns > now_ns() ? CUDA_ERROR_NOT_READY : CUDA_SUCCESS;
}

EXPORT(cuStreamSynchronize, CUstream stream)
{
	struct object *object = stream_of(stream);
	CUresult result = context_check();

	if (!result)
		wait_until(object->busy_until_ns);
	return result;
}

EXPORT(cuStreamWaitEvent, CUstream stream, CUevent event, unsigned int flags)
{
	struct object *object = stream_of(stream);

	live(event, EVENT);
	(void)object;
	return flags > 1 ? CUDA_ERROR_INVALID_VALUE : context_check();
}

EXPORT(cuEventCreate, CUevent *event, unsigned int flags)
{
	CUresult result = context_check();

	if (result)
		return result;
	return flags > 7 ? CUDA_ERROR_INVALID_VALUE : make(EVENT, NULL, event);
}

EXPORT(cuEventRecord, CUevent event, CUstream stream)
{
	live(event, EVENT)->busy_until_ns = stream_of(stream)->busy_until_ns;
	return context_check();
}

EXPORT(cuEventQuery, CUevent event)
{
	struct object *object = live(event, EVENT);
	CUresult result = object->context ? object->context->error : CUDA_SUCCESS;

	if (result)
		return result;
	return object->busy_until_ns > now_ns() ? CUDA_ERROR_NOT_READY : CUDA_SUCCESS;
}

EXPORT(cuEventSynchronize, CUevent event)
{
	struct object *object = live(event, EVENT);

	wait_until(object->busy_until_ns);
	return object->context ? object->context->error : CUDA_SUCCESS;
}

EXPORT(cuEventDestroy_v2, CUevent event)
{
	live(event, EVENT)->kind = FREE;
	return CUDA_SUCCESS;
}

EXPORT(cuEventElapsedTime, float *milliseconds, CUevent start, CUevent end)
{
	*milliseconds = (float)(live(end, EVENT)->busy_until_ns - live(start, EVENT)->busy_until_ns) / 1e6f;
	return CUDA_SUCCESS;
}

EXPORT(cuDeviceGetDefaultMemPool, CUmemoryPool *pool, CUdevice device)
{
	return device ? CUDA_ERROR_INVALID_DEVICE : make(POOL, NULL, pool);
}

EXPORT(cuMemPoolDestroy, CUmemoryPool pool)
{
	live(pool, POOL)->kind = FREE;
	return CUDA_SUCCESS;
}
