/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Green contexts, with any libcuda.so.1 of CUDA 12.9 or later. Run by test_streams.py.
 *
 * usage: green_contexts           what drivers have in common
 *        green_contexts ours      what is refused, where a real driver's answer is not defined or would be its crash
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "cuda_abi.h"
#include "green_calls.h"
#include "stream_calls.h"

CUresult cuEventCreate(CUevent *event, unsigned int flags);
CUresult cuEventRecord(CUevent event, CUstream stream);
CUresult cuEventSynchronize(CUevent event);
CUresult cuEventDestroy_v2(CUevent event);
CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned int flags);
CUresult cuMemsetD32Async(CUdeviceptr to, unsigned int value, size_t words, CUstream stream);

#define WORDS	    65536u
#define WORKS(call) assert_int_equal(call, CUDA_SUCCESS)

static CUcontext primary;
static CUmodule module;
static CUfunction increment;
static CUdeviceptr memory;

/* The whole device: all drivers accept it. */
static CUdevResource whole;

/* Groups of a split of the device in two, or of all of it where it cannot be split. */
static CUdevResource groups[2];
static unsigned int group_count = 2;

static CUgreenCtx green_of(CUdevResource *resource)
{
	CUdevResourceDesc description;
	CUgreenCtx green = NULL;

	WORKS(cuDevResourceGenerateDesc(&description, resource, 1));
	WORKS(cuGreenCtxCreate(&green, description, 0, CU_GREEN_CTX_DEFAULT_STREAM));
	assert_non_null(green);
	return green;
}

/* Before anybody has the primary context: a green context alone keeps it. */
static void test_primary(void **state)
{
	CUgreenCtx green;
	CUcontext context;
	unsigned int flags;
	int active = 0;

	(void)state;
	WORKS(cuInit(0));
	WORKS(cuDeviceGetDevResource(0, &whole, CU_DEV_RESOURCE_TYPE_SM));
	green = green_of(&whole);
	WORKS(cuDevicePrimaryCtxGetState(0, &flags, &active));
	assert_int_equal(active, 1);
	WORKS(cuCtxFromGreenCtx(&context, green));
	WORKS(cuCtxSetCurrent(context));
	WORKS(cuMemAlloc_v2(&memory, 4096));
	WORKS(cuMemFree_v2(memory));
	WORKS(cuCtxSetCurrent(NULL));
	WORKS(cuGreenCtxDestroy(green));
	WORKS(cuDevicePrimaryCtxGetState(0, &flags, &active));
	assert_int_equal(active, 0);
	WORKS(cuDevicePrimaryCtxRetain(&primary, 0));
	WORKS(cuCtxSetCurrent(primary));
	WORKS(cuModuleLoadData(&module, increment_image));
	WORKS(cuModuleGetFunction(&increment, module, "increment"));
	WORKS(cuMemAlloc_v2(&memory, WORDS * sizeof(uint32_t)));
}

static void test_resources(void **state)
{
	CUdevResource remaining, again;
	unsigned int possible = 0, sum = 0;
	int multiprocessors = 0;

	(void)state;
	WORKS(cuDeviceGetAttribute(&multiprocessors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 0));
	assert_int_equal(whole.type, CU_DEV_RESOURCE_TYPE_SM);
	assert_int_equal(whole.sm.smCount, multiprocessors);
	WORKS(cuCtxGetDevResource(primary, &again, CU_DEV_RESOURCE_TYPE_SM));
	assert_int_equal(again.sm.smCount, multiprocessors);
	/* How many groups there would be, and then the groups. */
	WORKS(cuDevSmResourceSplitByCount(NULL, &possible, &whole, NULL, 0, (unsigned int)multiprocessors / 2));
	assert_in_range(possible, 1, (unsigned int)multiprocessors);
	if (group_count > possible)
		group_count = possible;
	WORKS(cuDevSmResourceSplitByCount(groups, &group_count, &whole, &remaining, 0,
					  (unsigned int)multiprocessors / 2));
	assert_in_range(group_count, 1, possible);
	for (unsigned int i = 0; i < group_count; i++) {
		assert_int_equal(groups[i].type, CU_DEV_RESOURCE_TYPE_SM);
		assert_true(groups[i].sm.smCount >= (unsigned int)multiprocessors / 2);
		sum += groups[i].sm.smCount;
	}
	assert_true(sum <= (unsigned int)multiprocessors);
	if (remaining.type == CU_DEV_RESOURCE_TYPE_SM)
		assert_true(sum + remaining.sm.smCount <= (unsigned int)multiprocessors);
	assert_int_not_equal(cuDeviceGetDevResource(99, &again, CU_DEV_RESOURCE_TYPE_SM), CUDA_SUCCESS);
	assert_int_not_equal(
		cuDevSmResourceSplitByCount(NULL, &possible, &whole, NULL, 0, (unsigned int)multiprocessors + 1),
		CUDA_SUCCESS);
}

static void test_context(void **state)
{
	CUgreenCtx green = green_of(&groups[0]), other = green_of(&groups[group_count - 1]), found;
	CUcontext context, current;
	CUdevResource resource;
	unsigned long long id, other_id;
	CUstream stream;
	CUdevice device = -1;

	(void)state;
	WORKS(cuGreenCtxGetId(green, &id));
	WORKS(cuGreenCtxGetId(other, &other_id));
	assert_int_not_equal(id, other_id);
	WORKS(cuGreenCtxGetDevResource(green, &resource, CU_DEV_RESOURCE_TYPE_SM));
	assert_int_equal(resource.sm.smCount, groups[0].sm.smCount);
	WORKS(cuCtxFromGreenCtx(&context, green));
	WORKS(cuCtxGetDevResource(context, &resource, CU_DEV_RESOURCE_TYPE_SM));
	assert_int_equal(resource.sm.smCount, groups[0].sm.smCount);
	WORKS(cuCtxPushCurrent_v2(context));
	WORKS(cuCtxGetCurrent(&current));
	assert_ptr_equal(current, context);
	WORKS(cuCtxGetDevice(&device));
	assert_int_equal(device, 0);
	/* A stream that is made where a green context is current is of that one. */
	WORKS(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	WORKS(cuStreamGetGreenCtx(stream, &found));
	assert_ptr_equal(found, green);
	WORKS(cuCtxPopCurrent_v2(&current));
	WORKS(cuStreamDestroy_v2(stream));
	WORKS(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	WORKS(cuStreamGetGreenCtx(stream, &found));
	assert_null(found);
	WORKS(cuStreamGetCtx_v2(stream, &current, &found));
	assert_ptr_equal(current, primary);
	assert_null(found);
	WORKS(cuStreamDestroy_v2(stream));
	WORKS(cuGreenCtxDestroy(other));
	WORKS(cuGreenCtxDestroy(green));
}

static void launch(CUstream stream)
{
	void *parameters[] = {&memory};

	WORKS(cuLaunchKernel(increment, WORDS / 256, 1, 1, 256, 1, 1, 0, stream, parameters, NULL));
}

static uint32_t last_word(void)
{
	uint32_t word = 0;

	WORKS(cuMemcpyDtoH_v2(&word, memory + (WORDS - 1) * sizeof(word), sizeof(word)));
	return word;
}

/* The primary context's kernels, while it is current or while the green one is. */
static void test_streams(void **state)
{
	CUgreenCtx green = green_of(&groups[0]), found = NULL;
	CUcontext context, current;
	CUstream stream = NULL;
	CUevent event;

	(void)state;
	assert_int_not_equal(cuGreenCtxStreamCreate(&stream, green, CU_STREAM_DEFAULT, 0), CUDA_SUCCESS);
	WORKS(cuGreenCtxStreamCreate(&stream, green, CU_STREAM_NON_BLOCKING, 0));
	WORKS(cuStreamGetGreenCtx(stream, &found));
	assert_ptr_equal(found, green);
	WORKS(cuStreamGetCtx_v2(stream, &current, &found));
	assert_ptr_equal(current, primary);
	assert_ptr_equal(found, green);
	WORKS(cuMemsetD32Async(memory, 40, WORDS, stream));
	launch(stream);
	WORKS(cuEventCreate(&event, 0));
	WORKS(cuEventRecord(event, stream));
	WORKS(cuEventSynchronize(event));
	assert_int_equal(last_word(), 41);
	launch(stream);
	WORKS(cuStreamSynchronize(stream));
	assert_int_equal(last_word(), 42);
	/* The context's own default stream, and all of the context. */
	WORKS(cuCtxFromGreenCtx(&context, green));
	WORKS(cuCtxSetCurrent(context));
	launch(NULL);
	WORKS(cuStreamSynchronize(NULL));
	launch(stream);
	launch(CU_STREAM_PER_THREAD);
	WORKS(cuCtxSynchronize());
	assert_true(last_word() >= 44);
	WORKS(cuCtxSetCurrent(primary));
	/* The primary one's end of work is that of its green ones too. */
	WORKS(cuMemsetD32Async(memory, 7, WORDS, stream));
	launch(stream);
	WORKS(cuCtxSynchronize());
	WORKS(cuStreamQuery(stream));
	assert_int_equal(last_word(), 8);
	WORKS(cuEventDestroy_v2(event));
	WORKS(cuStreamDestroy_v2(stream));
	WORKS(cuGreenCtxDestroy(green));
}

/* A kernel 'place' that writes the multiprocessor of each block. */
static const char place_image[] = ".version 7.0\n.target sm_70\n.address_size 64\n"
				  ".visible .entry place(.param .u64 to)\n{\n"
				  "\t.reg .b32 %r<3>; .reg .b64 %d<4>;\n"
				  "\tld.param.u64 %d1, [to];\n\tcvta.to.global.u64 %d1, %d1;\n"
				  "\tmov.u32 %r1, %ctaid.x;\n\tmul.wide.u32 %d2, %r1, 4;\n\tadd.s64 %d3, %d1, %d2;\n"
				  "\tmov.u32 %r2, %smid;\n\tst.global.u32 [%d3], %r2;\n\tret;\n}\n";

/* A grid has no more multiprocessors than its context. */
static void test_multiprocessors(void **state)
{
	static uint32_t places[WORDS];
	static bool used[65536];
	CUgreenCtx green = green_of(&groups[0]);
	void *parameters[] = {&memory};
	unsigned int count = 0;
	CUfunction function;
	CUmodule other;
	CUstream stream;

	(void)state;
	WORKS(cuModuleLoadData(&other, place_image));
	WORKS(cuModuleGetFunction(&function, other, "place"));
	WORKS(cuGreenCtxStreamCreate(&stream, green, CU_STREAM_NON_BLOCKING, 0));
	WORKS(cuLaunchKernel(function, WORDS, 1, 1, 1, 1, 1, 0, stream, parameters, NULL));
	WORKS(cuStreamSynchronize(stream));
	WORKS(cuMemcpyDtoH_v2(places, memory, sizeof(places)));
	for (uint32_t i = 0; i < WORDS; i++) {
		assert_in_range(places[i], 0, 65535);
		count += !used[places[i]];
		used[places[i]] = true;
	}
	assert_in_range(count, 1, groups[0].sm.smCount);
	WORKS(cuStreamDestroy_v2(stream));
	WORKS(cuModuleUnload(other));
	WORKS(cuGreenCtxDestroy(green));
}

static void linger(void *data)
{
	(void)data;
	nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
}

/* What one green context has come to, another one waits for. */
static void test_events(void **state)
{
	CUgreenCtx first = green_of(&groups[0]), second = green_of(&groups[group_count - 1]);
	CUstream from, to;
	CUevent event;

	(void)state;
	WORKS(cuGreenCtxStreamCreate(&from, first, CU_STREAM_NON_BLOCKING, 0));
	WORKS(cuGreenCtxStreamCreate(&to, second, CU_STREAM_NON_BLOCKING, 0));
	WORKS(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
	WORKS(cuMemsetD32Async(memory, 1, WORDS, from));
	WORKS(cuStreamSynchronize(from));
	WORKS(cuLaunchHostFunc(from, linger, NULL));
	WORKS(cuMemsetD32Async(memory, 100, WORDS, from));
	WORKS(cuGreenCtxRecordEvent(first, event));
	WORKS(cuGreenCtxWaitEvent(second, event));
	launch(to);
	WORKS(cuStreamSynchronize(to));
	assert_int_equal(last_word(), 101);
	WORKS(cuEventDestroy_v2(event));
	WORKS(cuStreamDestroy_v2(from));
	WORKS(cuStreamDestroy_v2(to));
	WORKS(cuGreenCtxDestroy(second));
	WORKS(cuGreenCtxDestroy(first));
}

/* Everything but streams is the primary context's, and stays. */
static void test_what_stays(void **state)
{
	CUgreenCtx green = green_of(&groups[0]);
	CUdeviceptr former = memory;
	CUfunction function;
	CUcontext context;
	CUmodule other;
	CUevent event;

	(void)state;
	WORKS(cuCtxFromGreenCtx(&context, green));
	WORKS(cuCtxSetCurrent(context));
	WORKS(cuMemAlloc_v2(&memory, WORDS * sizeof(uint32_t)));
	WORKS(cuModuleLoadData(&other, increment_image));
	WORKS(cuModuleGetFunction(&function, other, "increment"));
	WORKS(cuEventCreate(&event, 0));
	WORKS(cuMemsetD32_v2(memory, 5, WORDS));
	WORKS(cuCtxSynchronize());
	WORKS(cuCtxSetCurrent(primary));
	WORKS(cuGreenCtxDestroy(green));
	WORKS(cuLaunchKernel(function, WORDS / 256, 1, 1, 256, 1, 1, 0, NULL, (void *[]){&memory}, NULL));
	WORKS(cuEventRecord(event, NULL));
	WORKS(cuEventSynchronize(event));
	assert_int_equal(last_word(), 6);
	WORKS(cuEventDestroy_v2(event));
	WORKS(cuModuleUnload(other));
	WORKS(cuMemFree_v2(memory));
	memory = former;
	assert_int_not_equal(memory, 0);
}

/* Streams and a green context that the program has not ended. */
static void test_end_with_work(void **state)
{
	CUgreenCtx green = green_of(&groups[0]);
	CUstream stream;

	(void)state;
	WORKS(cuGreenCtxStreamCreate(&stream, green, CU_STREAM_NON_BLOCKING, 0));
	WORKS(cuMemsetD32Async(memory, 1, WORDS, stream));
	for (int i = 0; i < 20; i++)
		launch(stream);
	WORKS(cuCtxSynchronize());
	assert_int_equal(last_word(), 21);
	WORKS(cuMemFree_v2(memory));
	WORKS(cuModuleUnload(module));
}

static void test_refused(void **state)
{
	CUdevResource forged, remaining;
	CUdevResourceDesc description;
	CUgreenCtx green = green_of(&whole), other;
	unsigned int count = 1;
	CUcontext context;
	CUstream stream;
	CUevent event;

	(void)state;
	/* Bytes that no driver gave; the token of another kind, or of nothing. */
	memset(&forged, 0, sizeof(forged));
	forged.type = CU_DEV_RESOURCE_TYPE_SM;
	forged.sm.smCount = 1;
	assert_int_equal(cuDevResourceGenerateDesc(&description, &forged, 1), CUDA_ERROR_INVALID_RESOURCE_TYPE);
	assert_int_equal(cuDevSmResourceSplitByCount(&remaining, &count, &forged, NULL, 0, 1),
			 CUDA_ERROR_INVALID_RESOURCE_TYPE);
	for (size_t i = 0; i < sizeof(whole._internal_padding); i++) {
		forged = whole;
		forged._internal_padding[i] ^= 0x55;
		(void)cuDevResourceGenerateDesc(&description, &forged, 1);
	}
	assert_int_equal(cuDeviceGetDevResource(0, NULL, CU_DEV_RESOURCE_TYPE_SM), CUDA_ERROR_INVALID_VALUE);
	/* What the program writes into the number changes nothing. */
	forged = whole;
	forged.sm.smCount = 12345;
	other = green_of(&forged);
	WORKS(cuGreenCtxGetDevResource(other, &remaining, CU_DEV_RESOURCE_TYPE_SM));
	assert_int_equal(remaining.sm.smCount, whole.sm.smCount);
	WORKS(cuGreenCtxDestroy(other));
	assert_int_equal(cuDeviceGetDevResource(0, &remaining, CU_DEV_RESOURCE_TYPE_INVALID),
			 CUDA_ERROR_INVALID_RESOURCE_TYPE);
	assert_int_equal(cuDeviceGetDevResource(0, &remaining, (CUdevResourceType)1000),
			 CUDA_ERROR_INVALID_RESOURCE_TYPE);
	assert_int_not_equal(cuGreenCtxCreate(&other, NULL, 0, CU_GREEN_CTX_DEFAULT_STREAM), CUDA_SUCCESS);
	assert_int_not_equal(
		cuGreenCtxCreate(&other, (CUdevResourceDesc)(uintptr_t)4711, 0, CU_GREEN_CTX_DEFAULT_STREAM),
		CUDA_SUCCESS);
	WORKS(cuDevResourceGenerateDesc(&description, &whole, 1));
	assert_int_not_equal(cuGreenCtxCreate(&other, description, 0, 0), CUDA_SUCCESS);
	assert_int_not_equal(cuGreenCtxCreate(&other, description, 99, CU_GREEN_CTX_DEFAULT_STREAM), CUDA_SUCCESS);
	/* Neither kind of handle is taken for the other, and one that has ended for nothing. */
	WORKS(cuCtxFromGreenCtx(&context, green));
	assert_int_equal(cuCtxSetCurrent((CUcontext)green), CUDA_ERROR_INVALID_CONTEXT);
	assert_int_equal(cuGreenCtxDestroy((CUgreenCtx)context), CUDA_ERROR_INVALID_CONTEXT);
	assert_int_equal(cuGreenCtxDestroy((CUgreenCtx)primary), CUDA_ERROR_INVALID_CONTEXT);
	assert_int_equal(cuGreenCtxDestroy(NULL), CUDA_ERROR_INVALID_CONTEXT);
	assert_int_equal(cuCtxDestroy_v2(context), CUDA_ERROR_INVALID_CONTEXT);
	WORKS(cuGreenCtxStreamCreate(&stream, green, CU_STREAM_NON_BLOCKING, 0));
	WORKS(cuEventCreate(&event, 0));
	WORKS(cuCtxSetCurrent(context));
	WORKS(cuGreenCtxDestroy(green));
	assert_int_equal(cuGreenCtxDestroy(green), CUDA_ERROR_INVALID_CONTEXT);
	assert_int_equal(cuGreenCtxRecordEvent(green, event), CUDA_ERROR_INVALID_CONTEXT);
	assert_int_equal(cuCtxSynchronize(), CUDA_ERROR_CONTEXT_IS_DESTROYED);
	WORKS(cuCtxSetCurrent(primary));
	assert_int_equal(cuStreamSynchronize(stream), CUDA_ERROR_INVALID_HANDLE);
	WORKS(cuEventDestroy_v2(event));
	/* A reset of the device ends them. */
	green = green_of(&whole);
	WORKS(cuDevicePrimaryCtxReset_v2(0));
	assert_int_equal(cuGreenCtxDestroy(green), CUDA_ERROR_INVALID_CONTEXT);
	WORKS(cuDevicePrimaryCtxRelease_v2(0));
}

/* As many as contexts, and then no more; those that are given back can be had again. */
static void test_many(void **state)
{
	static CUgreenCtx contexts[1024];
	CUdevResourceDesc description;
	CUresult result = CUDA_SUCCESS;
	size_t count = 0;

	(void)state;
	WORKS(cuDevicePrimaryCtxRetain(&primary, 0));
	WORKS(cuDevResourceGenerateDesc(&description, &whole, 1));
	while (count < 1024 && !result) {
		result = cuGreenCtxCreate(&contexts[count], description, 0, CU_GREEN_CTX_DEFAULT_STREAM);
		count += !result;
	}
	assert_int_equal(result, CUDA_ERROR_OUT_OF_MEMORY);
	assert_in_range(count, 100, 256);
	while (count > 0)
		WORKS(cuGreenCtxDestroy(contexts[--count]));
	WORKS(cuGreenCtxCreate(&contexts[0], description, 0, CU_GREEN_CTX_DEFAULT_STREAM));
	WORKS(cuGreenCtxDestroy(contexts[0]));
	WORKS(cuDevicePrimaryCtxRelease_v2(0));
}

int main(int count, char **arguments)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_primary),		cmocka_unit_test(test_resources),
		cmocka_unit_test(test_context),		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_multiprocessors), cmocka_unit_test(test_events),
		cmocka_unit_test(test_what_stays),	cmocka_unit_test(test_end_with_work),
	};
	const struct CMUnitTest ours[] = {
		cmocka_unit_test(test_primary),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_many),
	};

	if (count == 2 && strcmp(arguments[1], "ours") == 0)
		return cmocka_run_group_tests(ours, NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
