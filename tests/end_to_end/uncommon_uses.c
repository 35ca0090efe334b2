/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What few programs do but all may, with any libcuda.so.1. Run by test_streams.py; with the argument "fault" what is
 * left of an error when its context is left, which is the end of other work; with "blocking" launches that wait; with
 * "settings" that the driver follows the program's environment.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <cmocka.h>

#include "increment.h"
#include "stream_calls.h"

CUresult cuKernelGetFunction(CUfunction *result, CUkernel kernel);
CUresult cuKernelSetAttribute(CUfunction_attribute attribute, int value, CUkernel kernel, CUdevice device);
CUresult cuFuncGetAttribute(int *value, CUfunction_attribute attribute, CUfunction function);
CUresult cuMemHostRegister_v2(void *address, size_t bytes, unsigned int flags);
CUresult cuMemHostUnregister(void *address);
CUresult cuModuleGetLoadingMode(CUmoduleLoadingMode *mode);
CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus *status);

#define WORKS(call) assert_int_equal(call, CUDA_SUCCESS)

enum { ROW = 5000, BYTES = 1 << 20, PAGE_BYTES = 4096, PARAMETER_BYTES_MAX = 32764, SMALL_STACK_BYTES = 64 << 10 };

static CUstream stream;

static int setup(void **state)
{
	(void)state;
	return increment_load() || cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING);
}

static void milliseconds_sleep(int milliseconds)
{
	nanosleep(&(struct timespec){.tv_nsec = milliseconds * 1000000L}, NULL);
}

/* The last of the parameters comes to where the first says. */
static void test_many_parameters(void **state)
{
	static uint8_t parameters[PARAMETER_BYTES_MAX];
	uint32_t wanted = 77, got = 0;
	CUdeviceptr device;
	CUfunction function;
	CUmodule module;
	void *pointers[] = {parameters};
	char image[1024];

	(void)state;
	snprintf(image, sizeof(image),
		 ".version 8.1\n.target sm_70\n.address_size 64\n.visible .entry last(.param .align 8 .b8 all[%d])\n{\n"
		 "\t.reg .b64 %%d<2>; .reg .b32 %%r<2>;\n\tld.param.u64 %%d1, [all];\n"
		 "\tld.param.u32 %%r1, [all+%d];\n\tst.global.u32 [%%d1], %%r1;\n\tret;\n}\n",
		 PARAMETER_BYTES_MAX, PARAMETER_BYTES_MAX - 4);
	WORKS(cuModuleLoadData(&module, image));
	WORKS(cuModuleGetFunction(&function, module, "last"));
	WORKS(cuMemAlloc_v2(&device, sizeof(got)));
	memcpy(parameters, &device, sizeof(device));
	memcpy(parameters + PARAMETER_BYTES_MAX - 4, &wanted, sizeof(wanted));
	WORKS(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, pointers, NULL));
	WORKS(cuMemcpyDtoH_v2(&got, device, sizeof(got)));
	assert_int_equal(got, wanted);
	WORKS(cuMemFree_v2(device));
	WORKS(cuModuleUnload(module));
}

static uint32_t word_read(CUdeviceptr device)
{
	uint32_t word = 0;

	WORKS(cuMemcpyDtoH_v2(&word, device, sizeof(word)));
	return word;
}

/* The driver goes by the address. */
static void test_device_memory_as_host_memory(void **state)
{
	CUDA_MEMCPY2D box = {
		.srcMemoryType = CU_MEMORYTYPE_HOST,
		.dstMemoryType = CU_MEMORYTYPE_DEVICE,
		.srcPitch = 64,
		.dstPitch = 64,
		.WidthInBytes = 32,
		.Height = 2,
	};
	CUdeviceptr first, second;

	(void)state;
	WORKS(cuMemAlloc_v2(&first, PAGE_BYTES));
	WORKS(cuMemAlloc_v2(&second, PAGE_BYTES));
	WORKS(cuMemsetD32_v2(first, 1, PAGE_BYTES / 4));
	WORKS(cuMemsetD32_v2(second, 2, PAGE_BYTES / 4));
	WORKS(cuMemcpyHtoD_v2(first, (void *)(uintptr_t)second, PAGE_BYTES));
	assert_int_equal(word_read(first), 2);
	WORKS(cuMemsetD32_v2(second, 3, PAGE_BYTES / 4));
	WORKS(cuMemcpyDtoH_v2((void *)(uintptr_t)first, second, PAGE_BYTES));
	assert_int_equal(word_read(first), 3);
	WORKS(cuMemsetD32_v2(second, 4, PAGE_BYTES / 4));
	box.srcHost = (void *)(uintptr_t)second;
	box.dstDevice = first;
	WORKS(cuMemcpy2D_v2(&box));
	assert_int_equal(word_read(first + 64), 4);
	assert_int_equal(word_read(first + 32), 3);
	WORKS(cuMemFree_v2(first));
	WORKS(cuMemFree_v2(second));
}

static uint8_t *guarded;

static void fault_help(int signal)
{
	(void)signal;
	mprotect(guarded, PAGE_BYTES, PROT_READ | PROT_WRITE);
}

static void guarded_write(void *data)
{
	(void)data;
	*(volatile uint8_t *)guarded = 1;
}

/* In host functions, and where a graph copies to memory of the program. */
static void test_fault_handler(void **state)
{
	struct sigaction action = {.sa_handler = fault_help}, before;
	CUdeviceptr device;
	CUgraphExec exec;
	CUgraph graph;

	(void)state;
	guarded = mmap(NULL, PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(guarded != MAP_FAILED);
	WORKS(cuMemAlloc_v2(&device, PAGE_BYTES));
	WORKS(cuMemsetD32_v2(device, 0x07070707, PAGE_BYTES / 4));
	assert_int_equal(sigaction(SIGSEGV, &action, &before), 0);
	WORKS(cuLaunchHostFunc(stream, guarded_write, NULL));
	WORKS(cuStreamSynchronize(stream));
	assert_int_equal(guarded[0], 1);
	WORKS(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	WORKS(cuMemcpyDtoHAsync_v2(guarded, device, PAGE_BYTES, stream));
	WORKS(cuStreamEndCapture(stream, &graph));
	WORKS(cuGraphInstantiateWithFlags(&exec, graph, 0));
	WORKS(cuGraphLaunch(exec, stream));
	WORKS(cuStreamSynchronize(stream));
	assert_int_equal(guarded[PAGE_BYTES - 1], 7);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));
	sigaction(SIGSEGV, &before, NULL);
	munmap(guarded, PAGE_BYTES);
	WORKS(cuMemFree_v2(device));
}

struct launch_elsewhere {
	CUfunction function; /* never launched before */
	CUdeviceptr device;
	CUresult result;
};

static void *launch(void *data)
{
	struct launch_elsewhere *launch = data;
	void *parameters[] = {&launch->device};

	launch->result = cuCtxSetCurrent(context);
	if (!launch->result)
		launch->result = cuLaunchKernel(launch->function, 1, 1, 1, 1, 1, 1, 0, NULL, parameters, NULL);
	return NULL;
}

static void test_small_stack(void **state)
{
	struct launch_elsewhere elsewhere = {.result = CUDA_ERROR_UNKNOWN};
	pthread_attr_t attributes;
	pthread_t thread;
	CUmodule module;

	(void)state;
	WORKS(cuModuleLoadData(&module, increment_image));
	WORKS(cuModuleGetFunction(&elsewhere.function, module, "increment"));
	WORKS(cuMemAlloc_v2(&elsewhere.device, 4));
	WORKS(cuMemsetD32_v2(elsewhere.device, 1, 1));
	pthread_attr_init(&attributes);
	assert_int_equal(pthread_attr_setstacksize(&attributes, SMALL_STACK_BYTES), 0);
	assert_int_equal(pthread_create(&thread, &attributes, launch, &elsewhere), 0);
	pthread_join(thread, NULL);
	pthread_attr_destroy(&attributes);
	WORKS(elsewhere.result);
	assert_int_equal(word_read(elsewhere.device), 2);
	WORKS(cuMemFree_v2(elsewhere.device));
	WORKS(cuModuleUnload(module));
}

/* A kernel's function has what is set for the kernel. */
static void test_attribute_of_kernel(void **state)
{
	CUlibrary library;
	CUfunction function;
	CUkernel kernel;
	int value = 0;

	(void)state;
	WORKS(cuLibraryLoadData(&library, increment_image, NULL, NULL, 0, NULL, NULL, 0));
	WORKS(cuLibraryGetKernel(&kernel, library, "increment"));
	WORKS(cuKernelGetFunction(&function, kernel));
	WORKS(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, function));
	assert_int_not_equal(value, 65536);
	WORKS(cuKernelSetAttribute(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 65536, kernel, 0));
	WORKS(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, function));
	assert_int_equal(value, 65536);
	WORKS(cuLibraryUnload(library));
}

static void test_freed_pointer(void **state)
{
	unsigned int type = 0;
	CUdeviceptr device;

	(void)state;
	/* Memory of its own, so that none of its neighbours is found there. */
	WORKS(cuMemAlloc_v2(&device, 64u << 20));
	WORKS(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, device));
	assert_int_equal(type, CU_MEMORYTYPE_DEVICE);
	WORKS(cuMemFree_v2(device));
	assert_int_equal(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, device),
			 CUDA_ERROR_INVALID_VALUE);
}

/* What a graph names may be freed; its addresses are not to be in the way of what comes next. */
static void test_freed_memory_of_graph(void **state)
{
	enum { COUNT = 40 };
	void *host[COUNT], *more;
	CUdeviceptr device;
	CUgraph graph;

	(void)state;
	WORKS(cuMemAlloc_v2(&device, PAGE_BYTES));
	for (int i = 0; i < COUNT; i++)
		WORKS(cuMemHostAlloc(&host[i], PAGE_BYTES, 0));
	WORKS(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	for (int i = 0; i < COUNT; i++)
		WORKS(cuMemcpyHtoDAsync_v2(device, host[i], PAGE_BYTES, stream));
	WORKS(cuStreamEndCapture(stream, &graph));
	for (int i = 0; i < COUNT; i++)
		WORKS(cuMemFreeHost(host[i]));
	WORKS(cuMemHostAlloc(&more, PAGE_BYTES, 0));
	WORKS(cuMemFreeHost(more));
	WORKS(cuGraphDestroy(graph));
	WORKS(cuMemFree_v2(device));
}

/* Its capture ends with it, and other streams go on. */
static void test_capturing_stream_ends(void **state)
{
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_ACTIVE;
	CUstream captured;
	CUdeviceptr device;
	CUgraph graph;
	void *parameters[] = {&device};

	(void)state;
	WORKS(cuMemAlloc_v2(&device, 4));
	WORKS(cuMemsetD32_v2(device, 0, 1));
	/* Which the stream does not wait for. */
	WORKS(cuCtxSynchronize());
	for (int turn = 1; turn <= 100; turn++) {
		WORKS(cuStreamCreate(&captured, CU_STREAM_NON_BLOCKING));
		WORKS(cuStreamBeginCapture_v2(captured, CU_STREAM_CAPTURE_MODE_RELAXED));
		WORKS(cuStreamDestroy_v2(captured));
		WORKS(cuLaunchKernel(increment, 1, 1, 1, 1, 1, 1, 0, stream, parameters, NULL));
	}
	/* Without a question each whether it is captured: test_streams.py looks at the calls. */
	for (int i = 0; i < ROW; i++)
		WORKS(cuLaunchKernel(increment, 1, 1, 1, 1, 1, 1, 0, stream, parameters, NULL));
	WORKS(cuStreamIsCapturing(stream, &status));
	assert_int_equal(status, CU_STREAM_CAPTURE_STATUS_NONE);
	/* The count is right: what captures now is known to. */
	WORKS(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	WORKS(cuStreamIsCapturing(stream, &status));
	assert_int_equal(status, CU_STREAM_CAPTURE_STATUS_ACTIVE);
	WORKS(cuStreamEndCapture(stream, &graph));
	WORKS(cuGraphDestroy(graph));
	WORKS(cuStreamSynchronize(stream));
	assert_int_equal(word_read(device), 100 + ROW);
	WORKS(cuMemFree_v2(device));
}

static void write_late(void *data)
{
	milliseconds_sleep(300);
	memset(data, 2, BYTES);
}

/* A copy reads what functions before it in its stream have written. */
static void test_function_writes_source(void **state)
{
	uint8_t *host = malloc(BYTES);
	CUdeviceptr device;

	(void)state;
	assert_non_null(host);
	WORKS(cuMemAlloc_v2(&device, BYTES));
	memset(host, 1, BYTES);
	WORKS(cuLaunchHostFunc(NULL, write_late, host));
	WORKS(cuMemcpyHtoD_v2(device, host, BYTES));
	assert_int_equal(word_read(device), 0x02020202);
	free(host);

	host = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(host != MAP_FAILED);
	memset(host, 1, BYTES);
	WORKS(cuMemHostRegister_v2(host, BYTES, 0));
	WORKS(cuLaunchHostFunc(stream, write_late, host));
	WORKS(cuMemcpyHtoDAsync_v2(device, host, BYTES, stream));
	WORKS(cuStreamSynchronize(stream));
	assert_int_equal(word_read(device), 0x02020202);
	WORKS(cuMemHostUnregister(host));
	munmap(host, BYTES);
	WORKS(cuMemFree_v2(device));
}

/* Calls in another context are done, whatever has become of the first one. */
static void test_error_stays_in_its_context(void **state)
{
	CUdeviceptr good, bad = 0x10;
	void *good_parameters[] = {&good}, *bad_parameters[] = {&bad};
	CUstream made = NULL;
	CUfunction function;
	CUcontext failing;
	CUmodule module;

	(void)state;
	WORKS(cuCtxCreate_v2(&failing, 0, 0));
	WORKS(cuModuleLoadData(&module, increment_image));
	WORKS(cuModuleGetFunction(&function, module, "increment"));
	WORKS(cuMemAlloc_v2(&good, PAGE_BYTES));
	WORKS(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, good_parameters, NULL));
	WORKS(cuCtxSynchronize());
	WORKS(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, bad_parameters, NULL));
	milliseconds_sleep(200);
	(void)cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, good_parameters, NULL);
	milliseconds_sleep(200);
	WORKS(cuCtxSetCurrent(context));
	WORKS(cuStreamCreate(&made, CU_STREAM_NON_BLOCKING));
	assert_non_null(made);
	/* There it still is. */
	WORKS(cuCtxSetCurrent(failing));
	assert_int_equal(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
}

static void finish_late(void *data)
{
	milliseconds_sleep(300);
	__atomic_store_n((int *)data, 1, __ATOMIC_RELEASE);
}

/* CUDA_LAUNCH_BLOCKING is set: the kernel has ended when its launch returns, and so has what came before it. */
static void test_launches_wait(void **state)
{
	CUdeviceptr device;
	void *parameters[] = {&device};
	int is_finished = 0;

	(void)state;
	WORKS(cuMemAlloc_v2(&device, 4));
	WORKS(cuLaunchHostFunc(stream, finish_late, &is_finished));
	WORKS(cuLaunchKernel(increment, 1, 1, 1, 1, 1, 1, 0, stream, parameters, NULL));
	assert_int_equal(__atomic_load_n(&is_finished, __ATOMIC_ACQUIRE), 1);
	WORKS(cuMemFree_v2(device));
}

static int setup_context(void **state)
{
	(void)state;
	return cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context);
}

/* CUDA programming guide, environment variables. */
static void test_settings(void **state)
{
	CUmoduleLoadingMode mode;
	CUmodule module;

	(void)state;
	assert_int_equal(cuModuleLoadData(&module, increment_image), CUDA_ERROR_JIT_COMPILATION_DISABLED);
	WORKS(cuModuleGetLoadingMode(&mode));
	assert_int_equal(mode, CU_MODULE_EAGER_LOADING);
}

int main(int argument_count, char **arguments)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many_parameters),	       cmocka_unit_test(test_device_memory_as_host_memory),
		cmocka_unit_test(test_fault_handler),	       cmocka_unit_test(test_small_stack),
		cmocka_unit_test(test_attribute_of_kernel),    cmocka_unit_test(test_freed_pointer),
		cmocka_unit_test(test_freed_memory_of_graph),  cmocka_unit_test(test_capturing_stream_ends),
		cmocka_unit_test(test_function_writes_source),
	};
	const struct CMUnitTest faults[] = {
		cmocka_unit_test(test_error_stays_in_its_context),
	};

	const struct CMUnitTest blocking[] = {
		cmocka_unit_test(test_launches_wait),
	};

	const struct CMUnitTest settings[] = {
		cmocka_unit_test(test_settings),
	};

	if (argument_count > 1 && strcmp(arguments[1], "settings") == 0) {
		setenv("CUDA_DISABLE_PTX_JIT", "1", 1);
		/* What an earlier program has left in the driver's compute cache needs no compiler. */
		setenv("CUDA_CACHE_DISABLE", "1", 1);
		setenv("CUDA_MODULE_LOADING", "EAGER", 1);
		return cmocka_run_group_tests(settings, setup_context, NULL);
	}
	if (argument_count > 1 && strcmp(arguments[1], "blocking") == 0) {
		setenv("CUDA_LAUNCH_BLOCKING", "1", 1);
		return cmocka_run_group_tests(blocking, setup, NULL);
	}
	if (argument_count > 1 && strcmp(arguments[1], "fault") == 0)
		return cmocka_run_group_tests(faults, setup, NULL);
	return cmocka_run_group_tests(tests, setup, NULL);
}
