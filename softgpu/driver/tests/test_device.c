/* SPDX-License-Identifier: Apache-2.0 */
/* Initialisation, the device, contexts, errors and the lookup of entry points. */
#include "common.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>

static void nothing_works_before_initialisation(void **state)
{
	CUcontext context;
	int number;

	(void)state;
	assert_result(cuDeviceGetCount(&number), CUDA_ERROR_NOT_INITIALIZED);
	assert_result(cuCtxGetCurrent(&context), CUDA_ERROR_NOT_INITIALIZED);
	assert_result(cuCtxSynchronize(), CUDA_ERROR_NOT_INITIALIZED);
	assert_ok(cuDriverGetVersion(&number));
	assert_int_equal(number, 13000);
	assert_result(cuInit(1), CUDA_ERROR_INVALID_VALUE);
	assert_ok(cuInit(0));
	assert_ok(cuInit(0));
	assert_result(cuCtxSynchronize(), CUDA_ERROR_INVALID_CONTEXT);
}

static void forked_child_is_told(void **state)
{
	int status, count;
	pid_t child;

	(void)state;
	child = fork();
	assert_true(child >= 0);
	if (!child)
		_exit(cuDeviceGetCount(&count) == CUDA_ERROR_NOT_INITIALIZED && cuInit(0) == CUDA_ERROR_NOT_INITIALIZED
			      ? 0
			      : 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_ok(cuDeviceGetCount(&count));
}

static void device_says_what_it_is(void **state)
{
	static const CUuuid none;
	char name[64], short_name[5], bus[16];
	CUdevice device = 7;
	int count, value;
	CUuuid uuid;

	(void)state;
	assert_ok(cuDeviceGetCount(&count));
	assert_int_equal(count, 1);
	assert_ok(cuDeviceGet(&device, 0));
	assert_int_equal(device, 0);
	assert_result(cuDeviceGet(&device, 1), CUDA_ERROR_INVALID_DEVICE);
	assert_result(cuDeviceGet(&device, -1), CUDA_ERROR_INVALID_DEVICE);
	assert_ok(cuDeviceGetName(name, sizeof(name), 0));
	assert_int_equal(strncmp(name, "softgpu", 7), 0);
	assert_ok(cuDeviceGetName(short_name, sizeof(short_name), 0));
	assert_string_equal(short_name, "soft");
	assert_ok(cuDeviceGetUuid_v2(&uuid, 0));
	assert_memory_not_equal(&uuid, &none, sizeof(uuid));
	assert_ok(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 0));
	assert_int_equal(value, 9);
	assert_ok(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 0));
	assert_int_equal(value, sysconf(_SC_NPROCESSORS_ONLN));
	assert_ok(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_TENSOR_MAP_ACCESS_SUPPORTED, 0));
	assert_int_equal(value, 0);
	assert_result(cuDeviceGetAttribute(&value, 0, 0), CUDA_ERROR_INVALID_VALUE);
	assert_result(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_MAX, 0), CUDA_ERROR_INVALID_VALUE);
	assert_result(cuDeviceGetAttribute(&value, 1, 1), CUDA_ERROR_INVALID_DEVICE);
	assert_ok(cuDeviceGetPCIBusId(bus, sizeof(bus), 0));
	assert_string_equal(bus, "0000:00:00.0");
	assert_result(cuDeviceGetPCIBusId(bus, 12, 0), CUDA_ERROR_INVALID_VALUE);
	assert_ok(cuDeviceGetByPCIBusId(&device, "00:00.0"));
	assert_result(cuDeviceGetByPCIBusId(&device, "01:00.0"), CUDA_ERROR_INVALID_DEVICE);
	assert_result(cuDeviceGetByPCIBusId(&device, "bus"), CUDA_ERROR_INVALID_VALUE);
}

static void errors_have_names(void **state)
{
	const char *text;

	(void)state;
	assert_ok(cuGetErrorName(CUDA_ERROR_ILLEGAL_ADDRESS, &text));
	assert_string_equal(text, "CUDA_ERROR_ILLEGAL_ADDRESS");
	assert_ok(cuGetErrorString(CUDA_SUCCESS, &text));
	assert_string_equal(text, "no error");
	assert_result(cuGetErrorName((CUresult)12345, &text), CUDA_ERROR_INVALID_VALUE);
	assert_null(text);
}

static void contexts_stack(void **state)
{
	CUcontext first, second, popped, current;
	unsigned long long one, two;
	unsigned version;

	(void)state;
	assert_result(cuCtxPopCurrent_v2(&popped), CUDA_ERROR_INVALID_CONTEXT);
	assert_ok(cuCtxCreate_v2(&first, CU_CTX_SCHED_BLOCKING_SYNC, 0));
	assert_ok(cuCtxCreate_v2(&second, 0, 0));
	assert_ok(cuCtxGetCurrent(&current));
	assert_ptr_equal(current, second);
	assert_ok(cuCtxGetId(first, &one));
	assert_ok(cuCtxGetId(NULL, &two));
	assert_true(one != two);
	assert_ok(cuCtxGetApiVersion(first, &version));
	assert_ok(cuCtxPushCurrent_v2(first));
	assert_ok(cuCtxPopCurrent_v2(&popped));
	assert_ptr_equal(popped, first);
	assert_ok(cuCtxSetCurrent(first)); /* replaces the second */
	assert_ok(cuCtxGetCurrent(&current));
	assert_ptr_equal(current, first);
	assert_ok(cuCtxDestroy_v2(second));
	assert_result(cuCtxDestroy_v2(second), CUDA_ERROR_INVALID_CONTEXT);
	assert_result(cuCtxSetCurrent(second), CUDA_ERROR_INVALID_CONTEXT);
	assert_result(cuCtxEnablePeerAccess(first, 0), CUDA_ERROR_INVALID_CONTEXT);
	assert_ok(cuCtxPopCurrent_v2(&popped));
	assert_ptr_equal(popped, first); /* the one beneath: created first, replaced by nothing */
	assert_ok(cuCtxPopCurrent_v2(&popped));
	assert_result(cuCtxPopCurrent_v2(&popped), CUDA_ERROR_INVALID_CONTEXT);
	assert_ok(cuCtxDestroy_v2(first));
	assert_result(cuCtxCreate_v2(&first, 0x1000, 0), CUDA_ERROR_INVALID_VALUE);
	assert_result(cuCtxCreate_v2(&first, 0, 1), CUDA_ERROR_INVALID_DEVICE);
}

static void *destroy_main(void *argument)
{
	return (void *)(uintptr_t)cuCtxDestroy_v2(argument);
}

static void destruction_elsewhere_is_noticed(void **state)
{
	CUcontext context, popped;
	CUdeviceptr address;
	pthread_t thread;
	void *result;

	(void)state;
	assert_ok(cuCtxCreate_v2(&context, 0, 0));
	assert_int_equal(pthread_create(&thread, NULL, destroy_main, context), 0);
	pthread_join(thread, &result);
	assert_int_equal((uintptr_t)result, CUDA_SUCCESS);
	assert_result(cuMemAlloc_v2(&address, 16), CUDA_ERROR_CONTEXT_IS_DESTROYED);
	assert_result(cuStreamSynchronize(NULL), CUDA_ERROR_CONTEXT_IS_DESTROYED);
	assert_ok(cuCtxPopCurrent_v2(&popped));
}

static void limits_are_kept(void **state)
{
	size_t value;

	(void)state;
	assert_ok(cuCtxGetLimit(&value, CU_LIMIT_STACK_SIZE));
	assert_int_equal(value, 1024);
	assert_ok(cuCtxSetLimit(CU_LIMIT_STACK_SIZE, 4096));
	assert_ok(cuCtxGetLimit(&value, CU_LIMIT_STACK_SIZE));
	assert_int_equal(value, 4096);
	assert_result(cuCtxGetLimit(&value, CU_LIMIT_DEV_RUNTIME_SYNC_DEPTH), CUDA_ERROR_UNSUPPORTED_LIMIT);
	assert_result(cuCtxGetLimit(&value, (CUlimit)77), CUDA_ERROR_UNSUPPORTED_LIMIT);
}

static void entry_points_are_looked_up_by_version(void **state)
{
	CUdriverProcAddressQueryResult status;
	void *old, *current;

	(void)state;
	assert_ok(cuGetProcAddress_v2("cuMemAlloc", &current, 13000, 0, &status));
	assert_int_equal(status, CU_GET_PROC_ADDRESS_SUCCESS);
	assert_ptr_equal(current, cuMemAlloc_v2);
	assert_ok(cuGetProcAddress_v2("cuMemAlloc", &old, 2000, 0, &status));
	assert_null(old);
	assert_int_equal(status, CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT);
	assert_ok(cuGetProcAddress_v2("cuMemcpyHtoDAsync", &current, 12000,
				      CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM, &status));
	assert_ptr_equal(current, cuMemcpyHtoDAsync_v2_ptsz);
	assert_ok(cuGetProcAddress_v2("cuStreamGetCaptureInfo", &old, 11030, 0, &status));
	assert_ok(cuGetProcAddress_v2("cuStreamGetCaptureInfo", &current, 13000, 0, &status));
	assert_ptr_not_equal(old, current);
	assert_ok(cuGetProcAddress_v2("cuNothing", &current, 13000, 0, &status));
	assert_null(current);
	assert_int_equal(status, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
	assert_result(cuGetProcAddress_v2("cuNothing", &current, 13000, 0, NULL), CUDA_ERROR_NOT_FOUND);
	assert_result(cuGetProcAddress_v2("printf", &current, 13000, 0, NULL), CUDA_ERROR_NOT_FOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_works_before_initialisation),
		cmocka_unit_test(forked_child_is_told),
		cmocka_unit_test(device_says_what_it_is),
		cmocka_unit_test(errors_have_names),
		cmocka_unit_test(contexts_stack),
		cmocka_unit_test(destruction_elsewhere_is_noticed),
		TEST(limits_are_kept),
		cmocka_unit_test(entry_points_are_looked_up_by_version),
	};

	alarm(60);
	return cmocka_run_group_tests_name("softgpu device", tests, NULL, NULL);
}
