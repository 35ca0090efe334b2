/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What wrong calls answer, with any libcuda.so.1: one line a call, so that the answers can be compared with a GPU's.
 * Each group of calls has a process of its own, for it may break its context or, natively, end badly. Run by
 * test_local.py.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "error_codes.h"

CUcontext context;
CUstream stream;
CUdeviceptr memory;

bool is_native;
static int wrong;

void told(const char *word, const char *name, CUresult expected, CUresult found)
{
	const CUresult later = context ? cuCtxSynchronize() : CUDA_SUCCESS;

	printf("%s %s %d\n", word, name, found);
	if (later)
		printf("%s %s later %d\n", word, name, later);
	if (expected != UNSAID && (found != expected || later)) {
		printf("%s: %s is not %d\n", is_native ? "note" : "WRONG", name, expected);
		wrong++;
	}
	fflush(stdout);
}

#define UNINITIALIZED(name, call) IS(name, CUDA_ERROR_NOT_INITIALIZED, call)
#define NO_CONTEXT(name, call)	  IS(name, CUDA_ERROR_INVALID_CONTEXT, call)

/* Before cuInit. */
static void early_calls(void)
{
	CUdeviceptr address = 0;
	CUcontext found = NULL;
	const char *text;
	CUdevice device;
	void *function;
	int value;

	IS("early.driver_version", CUDA_SUCCESS, cuDriverGetVersion(&value));
	INVALID("early.driver_version_null", cuDriverGetVersion(NULL));
	INVALID("early.error_name_unknown", cuGetErrorName((CUresult)12345, &text));
	INVALID("early.error_string_unknown", cuGetErrorString((CUresult)12345, &text));
	IS("early.error_name", CUDA_SUCCESS, cuGetErrorName(CUDA_ERROR_NOT_FOUND, &text));
	UNINITIALIZED("early.device_get", cuDeviceGet(&device, 0));
	UNINITIALIZED("early.device_get_null", cuDeviceGet(NULL, 0));
	UNINITIALIZED("early.device_count", cuDeviceGetCount(&value));
	UNINITIALIZED("early.device_attribute", cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_WARP_SIZE, 0));
	UNINITIALIZED("early.context_get_current", cuCtxGetCurrent(&found));
	UNINITIALIZED("early.context_set_current", cuCtxSetCurrent(NULL));
	UNINITIALIZED("early.context_create", cuCtxCreate_v2(&found, 0, 0));
	UNINITIALIZED("early.context_retain", cuDevicePrimaryCtxRetain(&found, 0));
	UNINITIALIZED("early.context_synchronize", cuCtxSynchronize());
	UNINITIALIZED("early.memory_alloc", cuMemAlloc_v2(&address, 16));
	UNINITIALIZED("early.memory_free", cuMemFree_v2(16));
	IS("early.event_query", CUDA_ERROR_INVALID_HANDLE, cuEventQuery(NULL));
	UNINITIALIZED("early.stream_query", cuStreamQuery(NULL));
	UNINITIALIZED("early.module_load", cuModuleLoadData((CUmodule *)&function, ""));
	UNINITIALIZED("early.pointer_attribute", cuPointerGetAttribute(&value, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, 16));
	IS("early.proc_address", CUDA_SUCCESS, cuGetProcAddress_v2("cuInit", &function, 12000, 0, NULL));
	INVALID("early.init_flags", cuInit(1));
}

/* What needs no context. */
static void device_calls(void)
{
	char name[64], nothing[64] = "nonsense";
	unsigned int flags;
	CUdevice device;
	CUuuid uuid;
	size_t bytes;
	int value, active;

	INVALID("device.count_null", cuDeviceGetCount(NULL));
	IS("device.get_negative", CUDA_ERROR_INVALID_DEVICE, cuDeviceGet(&device, -1));
	IS("device.get_1000", CUDA_ERROR_INVALID_DEVICE, cuDeviceGet(&device, 1000));
	INVALID("device.get_null", cuDeviceGet(NULL, 0));
	INVALID("device.attribute_0", cuDeviceGetAttribute(&value, (CUdevice_attribute)0, 0));
	INVALID("device.attribute_unknown", cuDeviceGetAttribute(&value, (CUdevice_attribute)100000, 0));
	INVALID("device.attribute_null", cuDeviceGetAttribute(NULL, CU_DEVICE_ATTRIBUTE_WARP_SIZE, 0));
	IS("device.attribute_of_1000", CUDA_ERROR_INVALID_DEVICE,
	   cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_WARP_SIZE, 1000));
	OURS_INVALID("device.name_0", cuDeviceGetName(name, 0, 0));
	IS("device.name_4", CUDA_SUCCESS, cuDeviceGetName(name, 4, 0));
	INVALID("device.name_null", cuDeviceGetName(NULL, 64, 0));
	IS("device.name_of_1000", CUDA_ERROR_INVALID_DEVICE, cuDeviceGetName(name, 64, 1000));
	INVALID("device.total_null", cuDeviceTotalMem_v2(NULL, 0));
	IS("device.total_of_1000", CUDA_ERROR_INVALID_DEVICE, cuDeviceTotalMem_v2(&bytes, 1000));
	INVALID("device.uuid_null", cuDeviceGetUuid_v2(NULL, 0));
	IS("device.uuid_of_1000", CUDA_ERROR_INVALID_DEVICE, cuDeviceGetUuid_v2(&uuid, 1000));
	IS("device.by_bus_unknown", UNSAID, cuDeviceGetByPCIBusId(&device, "ffff:ff:1f.0"));
	IS("device.by_bus_nonsense", UNSAID, cuDeviceGetByPCIBusId(&device, nothing));
	INVALID("device.by_bus_null", cuDeviceGetByPCIBusId(&device, NULL));
	UNLIKE("device.bus_short", UNSAID, cuDeviceGetPCIBusId(name, 4, 0));
	INVALID("device.bus_null", cuDeviceGetPCIBusId(NULL, 64, 0));
	IS("device.peer_itself", CUDA_SUCCESS, cuDeviceCanAccessPeer(&value, 0, 0));
	INVALID("device.peer_null", cuDeviceCanAccessPeer(NULL, 0, 0));
	IS("device.peer_of_1000", CUDA_ERROR_INVALID_DEVICE, cuDeviceCanAccessPeer(&value, 0, 1000));
	IS("device.p2p_itself", CUDA_ERROR_INVALID_DEVICE,
	   cuDeviceGetP2PAttribute(&value, CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED, 0, 0));
	IS("device.state_of_1000", CUDA_ERROR_INVALID_DEVICE, cuDevicePrimaryCtxGetState(1000, &flags, &active));
	INVALID("device.state_null", cuDevicePrimaryCtxGetState(0, NULL, NULL));
	INVALID("device.flags_unknown", cuDevicePrimaryCtxSetFlags_v2(0, 0xffff));
	IS("device.flags_of_1000", CUDA_ERROR_INVALID_DEVICE, cuDevicePrimaryCtxSetFlags_v2(1000, 0));
	IS("device.release_unretained", CUDA_ERROR_INVALID_CONTEXT, cuDevicePrimaryCtxRelease_v2(0));
	IS("device.release_of_1000", CUDA_ERROR_INVALID_DEVICE, cuDevicePrimaryCtxRelease_v2(1000));
	IS("device.retain_of_1000", CUDA_ERROR_INVALID_DEVICE, cuDevicePrimaryCtxRetain(&context, 1000));
	INVALID("device.retain_null", cuDevicePrimaryCtxRetain(NULL, 0));
	context = NULL;
	UNLIKE("device.affinity_unknown", CUDA_ERROR_INVALID_VALUE,
	       cuDeviceGetExecAffinitySupport(&value, (CUexecAffinityType)99, 0));
	INVALID("device.texture_width_null", cuDeviceGetTexture1DLinearMaxWidth(NULL, CU_AD_FORMAT_FLOAT, 1, 0));
	INVALID("device.pool_null", cuDeviceGetDefaultMemPool(NULL, 0));
	IS("device.pool_of_1000", CUDA_ERROR_INVALID_DEVICE, cuDeviceGetDefaultMemPool((CUmemoryPool *)name, 1000));
}

static void proc_calls(void)
{
	CUdriverProcAddressQueryResult status = (CUdriverProcAddressQueryResult)77;
	const void *table;
	const CUuuid unknown = {.bytes = {1, 2, 3}};
	void *function = &function;

	IS("proc.unknown", UNSAID, cuGetProcAddress_v2("cuNoSuchCall", &function, 12000, 0, &status));
	printf("result proc.unknown_status %d %d\n", status, !function);
	IS("proc.unknown_without_status", UNSAID, cuGetProcAddress_v2("cuNoSuchCall", &function, 12000, 0, NULL));
	IS("proc.too_old", UNSAID, cuGetProcAddress_v2("cuGraphCreate", &function, 9000, 0, &status));
	printf("result proc.too_old_status %d\n", status);
	/* The driver refuses; ours has the same functions for a program of a later CUDA. */
	UNLIKE("proc.of_cuda_20", CUDA_SUCCESS, cuGetProcAddress_v2("cuMemAlloc", &function, 20000, 0, &status));
	printf("unlike proc.of_cuda_20_status %d\n", status);
	IS("proc.version_0", UNSAID, cuGetProcAddress_v2("cuMemAlloc", &function, 0, 0, &status));
	printf("result proc.version_0_status %d\n", status);
	INVALID("proc.flags", cuGetProcAddress_v2("cuMemAlloc", &function, 12000, 0xff00, &status));
	OURS_INVALID("proc.name_null", cuGetProcAddress_v2(NULL, &function, 12000, 0, &status));
	OURS_INVALID("proc.function_null", cuGetProcAddress_v2("cuMemAlloc", NULL, 12000, 0, &status));
	IS("proc.suffix", UNSAID, cuGetProcAddress_v2("cuMemAlloc_v2", &function, 12000, 0, &status));
	printf("result proc.suffix_status %d\n", status);
	UNLIKE("proc.table_unknown", UNSAID, cuGetExportTable(&table, &unknown));
}

/* Where no context is current. */
static void contextless_calls(void)
{
	CUmemoryPool pool = NULL;
	CUdeviceptr address = 0;
	CUcontext found = NULL;
	unsigned int flags, version;
	CUevent event;
	CUdevice device;
	CUmodule module;
	size_t value, total;
	void *pointer;
	int low, high;

	IS("none.current", CUDA_SUCCESS, cuCtxGetCurrent(&found));
	INVALID("none.current_null", cuCtxGetCurrent(NULL));
	IS("none.set_none", CUDA_SUCCESS, cuCtxSetCurrent(NULL));
	NO_CONTEXT("none.pop", cuCtxPopCurrent_v2(&found));
	IS("none.push_none", UNSAID, cuCtxPushCurrent_v2(NULL));
	NO_CONTEXT("none.device", cuCtxGetDevice(&device));
	NO_CONTEXT("none.synchronize", cuCtxSynchronize());
	NO_CONTEXT("none.flags", cuCtxGetFlags(&flags));
	NO_CONTEXT("none.limit", cuCtxGetLimit(&value, CU_LIMIT_STACK_SIZE));
	NO_CONTEXT("none.priorities", cuCtxGetStreamPriorityRange(&low, &high));
	IS("none.version", UNSAID, cuCtxGetApiVersion(NULL, &version));
	IS("none.destroy", UNSAID, cuCtxDestroy_v2(NULL));
	NO_CONTEXT("none.alloc", cuMemAlloc_v2(&address, 16));
	NO_CONTEXT("none.alloc_0", cuMemAlloc_v2(&address, 0));
	NO_CONTEXT("none.alloc_null", cuMemAlloc_v2(NULL, 16));
	IS("none.free_nowhere", UNSAID, cuMemFree_v2(NOWHERE));
	IS("none.free_0", UNSAID, cuMemFree_v2(0));
	NO_CONTEXT("none.host_alloc", cuMemHostAlloc(&pointer, 16, 0));
	NO_CONTEXT("none.info", cuMemGetInfo_v2(&value, &total));
	NO_CONTEXT("none.stream_create", cuStreamCreate(&stream, 0));
	stream = NULL;
	NO_CONTEXT("none.stream_synchronize", cuStreamSynchronize(NULL));
	NO_CONTEXT("none.stream_query", cuStreamQuery(NULL));
	/* The driver looks at the handle first: 400. */
	UNLIKE("none.stream_destroy", CUDA_ERROR_INVALID_CONTEXT, cuStreamDestroy_v2(NULL));
	NO_CONTEXT("none.event_create", cuEventCreate(&event, 0));
	IS("none.event_query", UNSAID, cuEventQuery(NULL));
	NO_CONTEXT("none.module_load", cuModuleLoadData(&module, increment_image));
	NO_CONTEXT("none.copy_up", cuMemcpyHtoD_v2(NOWHERE, &value, 4));
	NO_CONTEXT("none.fill", cuMemsetD8_v2(NOWHERE, 0, 4));
	NO_CONTEXT("none.alloc_async", cuMemAllocAsync(&address, 16, NULL));
	IS("none.pool", CUDA_SUCCESS, cuDeviceGetDefaultMemPool(&pool, 0));
	IS("none.pointer", UNSAID, cuPointerGetAttribute(&flags, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, (uintptr_t)&value));
	IS("none.launch", UNSAID, cuLaunchKernel(NULL, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL));
	IS("none.peer", UNSAID, cuCtxEnablePeerAccess(NULL, 0));
	INVALID("none.create_flags", cuCtxCreate_v2(&found, 0xffff, 0));
	INVALID("none.create_null", cuCtxCreate_v2(NULL, 0, 0));
	IS("none.create_on_1000", CUDA_ERROR_INVALID_DEVICE, cuCtxCreate_v2(&found, 0, 1000));
}

static void context_calls(void)
{
	CUcontext own, found;
	unsigned int flags;
	size_t value;
	int low;

	IS("context.limit_unknown", UNSAID, cuCtxGetLimit(&value, (CUlimit)99));
	IS("context.set_limit_unknown", UNSAID, cuCtxSetLimit((CUlimit)99, 1));
	INVALID("context.limit_null", cuCtxGetLimit(NULL, CU_LIMIT_STACK_SIZE));
	IS("context.stack_huge", UNSAID, cuCtxSetLimit(CU_LIMIT_STACK_SIZE, (size_t)1 << 40));
	INVALID("context.flags_null", cuCtxGetFlags(NULL));
	INVALID("context.set_flags_unknown", cuCtxSetFlags(0xffff));
	INVALID("context.device_null", cuCtxGetDevice(NULL));
	INVALID("context.cache_unknown", cuCtxSetCacheConfig((CUfunc_cache)99));
	INVALID("context.cache_null", cuCtxGetCacheConfig(NULL));
	INVALID("context.shared_unknown", cuCtxSetSharedMemConfig((CUsharedconfig)99));
	IS("context.priorities_null", CUDA_SUCCESS, cuCtxGetStreamPriorityRange(NULL, NULL));
	IS("context.priorities_half", CUDA_SUCCESS, cuCtxGetStreamPriorityRange(&low, NULL));
	INVALID("context.version_null", cuCtxGetApiVersion(NULL, NULL));
	IS("context.id_null", UNSAID, cuCtxGetId(context, NULL));
	IS("context.attach_flags", CUDA_ERROR_INVALID_VALUE, cuCtxAttach(&found, 1));
	IS("context.peer_itself", UNSAID, cuCtxEnablePeerAccess(context, 0));
	IS("context.peer_flags", CUDA_ERROR_INVALID_VALUE, cuCtxEnablePeerAccess(context, 1));
	IS("context.peer_null", CUDA_ERROR_INVALID_CONTEXT, cuCtxEnablePeerAccess(NULL, 0));
	IS("context.peer_disable", CUDA_ERROR_PEER_ACCESS_NOT_ENABLED, cuCtxDisablePeerAccess(context));
	IS("context.destroy_primary", CUDA_ERROR_INVALID_CONTEXT, cuCtxDestroy_v2(context));
	IS("context.push_none", UNSAID, cuCtxPushCurrent_v2(NULL));
	IS("context.affinity_unknown", UNSAID, cuCtxGetExecAffinity(NULL, CU_EXEC_AFFINITY_TYPE_SM_COUNT));
	IS("context.primary_flags_when_active", CUDA_SUCCESS,
	   cuDevicePrimaryCtxSetFlags_v2(0, CU_CTX_SCHED_BLOCKING_SYNC));
	IS("context.create_flags", CUDA_ERROR_INVALID_VALUE, cuCtxCreate_v2(&own, 0xffff, 0));
	IS("context.create_sched_two", CUDA_ERROR_INVALID_VALUE, cuCtxCreate_v2(&own, CU_CTX_SCHED_SPIN | 2, 0));
	IS("context.create", CUDA_SUCCESS, cuCtxCreate_v2(&own, 0, 0));
	IS("context.foreign_stream", UNSAID, cuMemsetD8Async(memory, 0, 16, stream));
	IS("context.foreign_memory", CUDA_SUCCESS, cuMemsetD8_v2(memory, 0, 16));
	IS("context.set_flags", CUDA_SUCCESS, cuCtxGetFlags(&flags));
	IS("context.destroy", CUDA_SUCCESS, cuCtxDestroy_v2(own));
	IS("context.after_destroy", CUDA_SUCCESS, cuCtxGetCurrent(&found));
	printf("result context.current_after_destroy %d\n", found == context ? 1 : found == own ? 2 : found ? 3 : 0);
	/* Of what has ended told() is to ask nothing. */
	context = NULL;
	IS("context.release", CUDA_SUCCESS, cuDevicePrimaryCtxRelease_v2(0));
	IS("context.alloc_in_released", UNSAID, cuMemAlloc_v2(&memory, 16));
	IS("context.pop_released", UNSAID, cuCtxPopCurrent_v2(&found));
	NO_CONTEXT("context.pop_empty", cuCtxPopCurrent_v2(&found));
	NO_CONTEXT("context.release_again", cuDevicePrimaryCtxRelease_v2(0));
}

enum stage { EARLY, INITIALIZED, WITH_CONTEXT };

static const struct {
	const char *name;
	enum stage stage;
	void (*calls)(void);
} groups[] = {
	{"early", EARLY, early_calls},
	{"device", INITIALIZED, device_calls},
	{"proc", INITIALIZED, proc_calls},
	{"contextless", INITIALIZED, contextless_calls},
	{"context", WITH_CONTEXT, context_calls},
	{"memory", WITH_CONTEXT, memory_calls},
	{"pointer", WITH_CONTEXT, pointer_calls},
	{"copy", WITH_CONTEXT, copy_calls},
	{"fill", WITH_CONTEXT, fill_calls},
	{"pool", WITH_CONTEXT, pool_calls},
	{"virtual", WITH_CONTEXT, virtual_calls},
	{"stream", WITH_CONTEXT, stream_calls},
	{"event", WITH_CONTEXT, event_calls},
	{"capture", WITH_CONTEXT, capture_calls},
	{"graph", WITH_CONTEXT, graph_calls},
	{"module", WITH_CONTEXT, module_calls},
	{"library", WITH_CONTEXT, library_calls},
	{"launch", WITH_CONTEXT, launch_calls},
	{"array", WITH_CONTEXT, array_calls},
	{"texture", WITH_CONTEXT, texture_calls},
};

/* The exit status of the group's process: 0, 1 where something was not as expected, 2 where it did not begin. */
static int group_run(enum stage stage, void (*calls)(void))
{
	if (stage >= INITIALIZED && cuInit(0))
		return 2;
	if (stage >= WITH_CONTEXT && (cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context) ||
				      cuStreamCreate(&stream, 0) || cuMemAlloc_v2(&memory, MEMORY_BYTES)))
		return 2;
	calls();
	return wrong && !is_native;
}

int main(int count, char **arguments)
{
	int failed = 0;

	is_native = getenv("VGPU_NATIVE") != NULL;
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		pid_t child;
		int status;

		if (count > 1 && strcmp(arguments[1], groups[i].name) != 0)
			continue;
		child = fork();
		if (child == 0) {
			status = group_run(groups[i].stage, groups[i].calls);
			fflush(stdout);
			exit(status);
		}
		if (child < 0 || waitpid(child, &status, 0) != child)
			return 1;
		printf("result group %s %d\n", groups[i].name, is_native || WIFSIGNALED(status) ? WTERMSIG(status) : 0);
		failed += status != 0 && !(is_native && WIFSIGNALED(status));
		fflush(stdout);
	}
	return failed != 0;
}
