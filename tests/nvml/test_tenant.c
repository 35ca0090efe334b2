/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVML and CUDA in one process over the local transport: both show the same device, and NVML shows what CUDA
 * uses of it. VGPU_TEST_NVML is the guest library's path; libcuda.so.1 is found as programs find it.
 *
 * With the software GPU what is shown is known to the byte; NVIDIA's driver takes memory for the context, too.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "cuda_abi.h"
#include "nvml_abi.h"
#include "nvml_functions.h"

#define ALLOCATED_BYTES	  (64ull << 20)
#define CONTEXT_BYTES_MAX (2ull << 30)
#define PROCESSES_MAX	  64
#define THREADS		  4
#define CALLS_OF_THREAD	  500

static void *nvml;
static void *cuda;
static void *device;
static bool gpu_is_software;

/* Any function of NVML or CUDA: arguments are integers and pointers. */
#define NVML(name, ...) ((int (*)())function_find(nvml, #name))(__VA_ARGS__)
#define CUDA(name, ...) ((CUresult(*)())function_find(cuda, #name))(__VA_ARGS__)

static void *function_find(void *library, const char *name)
{
	void *function = dlsym(library, name);

	if (!function)
		fail_msg("%s is not exported", name);
	return function;
}

static void nothing_before_init(void **state)
{
	unsigned int count;

	(void)state;
	assert_int_equal(NVML(nvmlDeviceGetCount_v2, &count), NVML_ERROR_UNINITIALIZED);
	assert_int_equal(NVML(nvmlDeviceSetPersistenceMode, NULL, 1), NVML_ERROR_UNINITIALIZED);
	assert_int_equal(NVML(nvmlShutdown), NVML_ERROR_UNINITIALIZED);
	assert_int_equal(NVML(nvmlInit_v2), NVML_SUCCESS);
	assert_int_equal(NVML(nvmlInitWithFlags, 1), NVML_SUCCESS);
	assert_int_equal(NVML(nvmlInitWithFlags, 4), NVML_ERROR_INVALID_ARGUMENT);
	assert_int_equal(NVML(nvmlShutdown), NVML_SUCCESS);
	assert_int_equal(NVML(nvmlDeviceGetHandleByIndex_v2, 0, &device), NVML_SUCCESS);
}

static void uuid_text(const CUuuid *uuid, char *text, size_t bytes)
{
	const unsigned char *b = (const unsigned char *)uuid->bytes;

	snprintf(text, bytes, "GPU-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
		 b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

static void both_show_the_same_device(void **state)
{
	struct nvml_uuid versioned = {.version = NVML_VERSION_WORD(struct nvml_uuid, 1), .type = 2};
	char nvml_text[96];
	char cuda_text[96];
	CUuuid uuid;
	void *found = NULL;
	unsigned int count;
	int cuda_count;
	int major, minor, cuda_major, cuda_minor;

	(void)state;
	assert_int_equal(CUDA(cuInit, 0), CUDA_SUCCESS);
	assert_int_equal(CUDA(cuDeviceGetCount, &cuda_count), CUDA_SUCCESS);
	assert_int_equal(NVML(nvmlDeviceGetCount_v2, &count), NVML_SUCCESS);
	assert_int_equal(count, cuda_count);
	assert_int_equal(CUDA(cuDeviceGetName, cuda_text, sizeof(cuda_text), 0), CUDA_SUCCESS);
	assert_int_equal(NVML(nvmlDeviceGetName, device, nvml_text, sizeof(nvml_text)), NVML_SUCCESS);
	assert_string_equal(nvml_text, cuda_text);
	gpu_is_software = strstr(cuda_text, "softgpu") != NULL;
	assert_int_equal(NVML(nvmlDeviceGetName, device, nvml_text, 4), NVML_ERROR_INSUFFICIENT_SIZE);
	assert_int_equal(CUDA(cuDeviceGetUuid, &uuid, 0), CUDA_SUCCESS);
	uuid_text(&uuid, cuda_text, sizeof(cuda_text));
	assert_int_equal(NVML(nvmlDeviceGetUUID, device, nvml_text, sizeof(nvml_text)), NVML_SUCCESS);
	assert_string_equal(nvml_text, cuda_text);
	assert_int_equal(NVML(nvmlDeviceGetHandleByUUID, cuda_text, &found), NVML_SUCCESS);
	assert_ptr_equal(found, device);
	memcpy(versioned.bytes, &uuid, sizeof(uuid));
	found = NULL;
	assert_int_equal(NVML(nvmlDeviceGetHandleByUUIDV, &versioned, &found), NVML_SUCCESS);
	assert_ptr_equal(found, device);
	assert_int_equal(NVML(nvmlDeviceGetHandleByUUID, "GPU-none", &found), NVML_ERROR_NOT_FOUND);
	assert_int_equal(CUDA(cuDeviceGetPCIBusId, cuda_text, sizeof(cuda_text), 0), CUDA_SUCCESS);
	found = NULL;
	assert_int_equal(NVML(nvmlDeviceGetHandleByPciBusId_v2, cuda_text, &found), NVML_SUCCESS);
	assert_ptr_equal(found, device);
	assert_int_equal(NVML(nvmlDeviceGetHandleByPciBusId_v2, "0000:ff:1f.0", &found), NVML_ERROR_NOT_FOUND);
	assert_int_equal(NVML(nvmlDeviceGetCudaComputeCapability, device, &major, &minor), NVML_SUCCESS);
	assert_int_equal(CUDA(cuDeviceGetAttribute, &cuda_major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 0),
			 CUDA_SUCCESS);
	assert_int_equal(CUDA(cuDeviceGetAttribute, &cuda_minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 0),
			 CUDA_SUCCESS);
	assert_int_equal(major, cuda_major);
	assert_int_equal(minor, cuda_minor);
}

static struct nvml_memory memory_get(void)
{
	struct nvml_memory_v2 second = {.version = NVML_VERSION_WORD(struct nvml_memory_v2, 2)};
	struct nvml_memory memory;

	assert_int_equal(NVML(nvmlDeviceGetMemoryInfo, device, &memory), NVML_SUCCESS);
	assert_int_equal(NVML(nvmlDeviceGetMemoryInfo_v2, device, &second), NVML_SUCCESS);
	assert_int_equal(second.total, memory.total);
	assert_int_equal(second.total, second.used + second.free + second.reserved);
	return memory;
}

/* What NVML says that this process uses; -1: it is not listed. */
static int64_t own_use(void)
{
	struct nvml_process_v2 processes[PROCESSES_MAX];
	unsigned int count = PROCESSES_MAX;

	assert_int_equal(NVML(nvmlDeviceGetComputeRunningProcesses_v3, device, &count, processes), NVML_SUCCESS);
	for (unsigned int i = 0; i < count; i++) {
		if (processes[i].pid == (unsigned int)getpid())
			return (int64_t)processes[i].used_bytes;
	}
	return -1;
}

static void use_check(uint64_t shown, uint64_t allocated)
{
	if (gpu_is_software)
		assert_int_equal(shown, allocated);
	else
		assert_true(shown >= allocated && shown < allocated + CONTEXT_BYTES_MAX);
}

static void use_is_shown(void **state)
{
	struct nvml_process_v1 process;
	struct nvml_memory_v2 wrong = {.version = 2};
	struct nvml_memory before = memory_get();
	struct nvml_memory after;
	unsigned int count = 0;
	CUdeviceptr address;
	CUcontext context;
	size_t total;
	char name[256];

	(void)state;
	assert_int_equal(own_use(), -1);
	assert_int_equal(CUDA(cuDeviceTotalMem_v2, &total, 0), CUDA_SUCCESS);
	if (gpu_is_software)
		assert_int_equal(before.total, total);
	assert_int_equal(CUDA(cuDevicePrimaryCtxRetain, &context, 0), CUDA_SUCCESS);
	assert_int_equal(CUDA(cuCtxSetCurrent, context), CUDA_SUCCESS);
	assert_int_equal(CUDA(cuMemAlloc_v2, &address, ALLOCATED_BYTES), CUDA_SUCCESS);
	after = memory_get();
	use_check(after.used - before.used, ALLOCATED_BYTES);
	use_check((uint64_t)own_use(), ALLOCATED_BYTES);
	if (gpu_is_software)
		assert_int_equal(after.used + after.free, after.total);
	assert_int_equal(NVML(nvmlDeviceGetComputeRunningProcesses, device, &count, NULL),
			 NVML_ERROR_INSUFFICIENT_SIZE);
	assert_int_equal(count, 1);
	assert_int_equal(NVML(nvmlDeviceGetComputeRunningProcesses, device, &count, &process), NVML_SUCCESS);
	assert_int_equal(process.pid, getpid());
	assert_int_equal(NVML(nvmlSystemGetProcessName, process.pid, name, sizeof(name)), NVML_SUCCESS);
	assert_non_null(strstr(name, "test_tenant"));
	assert_int_equal(NVML(nvmlDeviceGetMemoryInfo_v2, device, &wrong), NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
	assert_int_equal(CUDA(cuMemFree_v2, address), CUDA_SUCCESS);
	assert_int_equal(CUDA(cuCtxSynchronize), CUDA_SUCCESS);
	use_check((uint64_t)own_use(), 0);
	assert_int_equal(CUDA(cuDevicePrimaryCtxRelease_v2, 0), CUDA_SUCCESS);
	assert_int_equal(own_use(), -1);
}

static void nothing_is_made_up(void **state)
{
	unsigned int value;

	(void)state;
	if (gpu_is_software) {
		assert_int_equal(NVML(nvmlDeviceGetTemperature, device, 0, &value), NVML_ERROR_NOT_SUPPORTED);
		assert_int_equal(NVML(nvmlDeviceGetPowerUsage, device, &value), NVML_ERROR_NOT_SUPPORTED);
		assert_int_equal(NVML(nvmlDeviceGetClockInfo, device, 0, &value), NVML_ERROR_NOT_SUPPORTED);
	} else {
		assert_int_equal(NVML(nvmlDeviceGetTemperature, device, 0, &value), NVML_SUCCESS);
		assert_in_range(value, 5, 110);
	}
	assert_int_equal(NVML(nvmlDeviceSetPersistenceMode, device, 1), NVML_ERROR_NO_PERMISSION);
	assert_int_equal(NVML(nvmlDeviceSetGpuLockedClocks, device, 1, 2), NVML_ERROR_NO_PERMISSION);
	assert_int_equal(NVML(nvmlDeviceGetAccountingPids, device, &value, NULL), NVML_ERROR_NO_PERMISSION);
	assert_int_equal(NVML(nvmlDeviceGetSupportedVgpus, device, &value, NULL), NVML_ERROR_NOT_SUPPORTED);
}

static void empty_event_set_times_out(void **state)
{
	struct timespec before, after;
	char data[64];
	void *set;
	unsigned long long types = 1;

	(void)state;
	assert_int_equal(NVML(nvmlDeviceGetSupportedEventTypes, device, &types), NVML_SUCCESS);
	assert_int_equal(types, 0);
	assert_int_equal(NVML(nvmlEventSetCreate, &set), NVML_SUCCESS);
	assert_int_equal(NVML(nvmlDeviceRegisterEvents, device, 8ull, set), NVML_ERROR_NOT_SUPPORTED);
	clock_gettime(CLOCK_MONOTONIC, &before);
	assert_int_equal(NVML(nvmlEventSetWait_v2, set, data, 30), NVML_ERROR_TIMEOUT);
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_true((after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000 >= 29);
	assert_int_equal(NVML(nvmlEventSetFree, set), NVML_SUCCESS);
}

/* The child of a fork gets a connection of its own, with and without nvmlInit; the parent keeps its own. */
static void child_asks_too(void **state)
{
	char name[96];
	int status;
	pid_t child = fork();

	(void)state;
	assert_true(child >= 0);
	if (child == 0) {
		struct nvml_memory memory;

		if (NVML(nvmlDeviceGetMemoryInfo, device, &memory) || memory.total == 0)
			_exit(1);
		_exit(NVML(nvmlInit_v2) || NVML(nvmlDeviceGetName, device, name, sizeof(name)) ? 2 : 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(NVML(nvmlDeviceGetName, device, name, sizeof(name)), NVML_SUCCESS);
}

static void *thread_run(void *argument)
{
	char name[96];

	for (int i = 0; i < CALLS_OF_THREAD; i++) {
		struct nvml_memory memory;

		if (NVML(nvmlDeviceGetName, device, name, sizeof(name)) || !name[0] ||
		    (i % 10 == 0 && NVML(nvmlDeviceGetMemoryInfo, device, &memory)))
			return argument;
	}
	return NULL;
}

static void threads_ask_at_once(void **state)
{
	pthread_t threads[THREADS];
	void *failed;

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, thread_run, device), 0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
}

static void tables_are_by_id(void **state)
{
	static const unsigned char unknown[16] = {1};
	static const unsigned char of_nvidia_smi[16] = {0xc4, 0xfe, 0x3e, 0x6c, 0xc9, 0x8f, 0x6c, 0x4e,
							0xa3, 0x27, 0xee, 0x69, 0x6e, 0x12, 0xf7, 0xc4};
	static struct {
		struct nvml_process_detail detail;
		char name[4096];
	} processes[4];
	unsigned int count = 4;
	int (*const *table)();
	CUcontext context;
	void *found = NULL;

	(void)state;
	assert_int_equal(NVML(nvmlInternalGetExportTable, &table, unknown), NVML_ERROR_NOT_FOUND);
	assert_int_equal(NVML(nvmlInternalGetExportTable, &table, of_nvidia_smi), NVML_SUCCESS);
	assert_true((uintptr_t)table[0] > 230 * sizeof(table[0]));
	assert_int_equal(table[81](0, &found, 0x22), NVML_SUCCESS);
	assert_ptr_equal(found, device);
	assert_int_equal(table[230](device, &count), NVML_ERROR_NOT_SUPPORTED);
	assert_int_equal(CUDA(cuDevicePrimaryCtxRetain, &context, 0), CUDA_SUCCESS);
	/* A waiting call: the retain has happened when it returns. */
	assert_int_equal(CUDA(cuCtxSetCurrent, context), CUDA_SUCCESS);
	assert_int_equal(CUDA(cuCtxSynchronize), CUDA_SUCCESS);
	assert_int_equal(table[213](device, &count, processes), NVML_SUCCESS);
	assert_int_equal(count, 1);
	assert_int_equal(processes[0].detail.pid, getpid());
	assert_non_null(strstr(processes[0].name, "test_tenant"));
	assert_int_equal(table[215](device, &count, processes), NVML_SUCCESS);
	assert_int_equal(count, 0);
	assert_int_equal(CUDA(cuDevicePrimaryCtxRelease_v2, 0), CUDA_SUCCESS);
}

static void shutdown_ends_it(void **state)
{
	char name[96];

	(void)state;
	assert_int_equal(NVML(nvmlShutdown), NVML_SUCCESS);
	assert_int_equal(NVML(nvmlDeviceGetName, device, name, sizeof(name)), NVML_ERROR_UNINITIALIZED);
	assert_int_equal(NVML(nvmlInit_v2), NVML_SUCCESS);
	assert_int_equal(NVML(nvmlDeviceGetName, device, name, sizeof(name)), NVML_SUCCESS);
	assert_int_equal(NVML(nvmlShutdown), NVML_SUCCESS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_before_init),
		cmocka_unit_test(both_show_the_same_device),
		cmocka_unit_test(use_is_shown),
		cmocka_unit_test(nothing_is_made_up),
		cmocka_unit_test(empty_event_set_times_out),
		cmocka_unit_test(child_asks_too),
		cmocka_unit_test(threads_ask_at_once),
		cmocka_unit_test(tables_are_by_id),
		cmocka_unit_test(shutdown_ends_it),
	};

	nvml = dlopen(getenv("VGPU_TEST_NVML"), RTLD_NOW | RTLD_LOCAL);
	cuda = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
	if (!nvml || !cuda) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	return cmocka_run_group_tests_name("nvml tenant", tests, NULL, NULL);
}
