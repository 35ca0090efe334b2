/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What contexts and modules take of a tenant's memory: 64 MiB, on a device of which each context takes 8 MiB. Run by
 * test_memory.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cuda_abi.h"
#include "green_calls.h"
#include "memory_calls.h"

#define MIB	      ((size_t)1 << 20)
#define TOTAL	      (64 * MIB)
#define CONTEXT_BYTES (8 * MIB)
#define MODULE_BYTES  (16 * MIB)

#define WORKS(call) assert_int_equal(call, CUDA_SUCCESS)

/* A variable of 16 MiB. */
static const char image[] = ".version 7.0\n.target sm_70\n.address_size 64\n"
			    ".visible .global .align 4 .b8 table[16777216];\n"
			    ".visible .entry nothing()\n{\n\tret;\n}\n";

static CUcontext context;

static size_t free_bytes(void)
{
	size_t free, total;

	WORKS(cuMemGetInfo_v2(&free, &total));
	assert_int_equal(total, TOTAL);
	return free;
}

static void test_context(void **state)
{
	CUdeviceptr memory;
	CUcontext other;

	(void)state;
	WORKS(cuInit(0));
	WORKS(cuDevicePrimaryCtxRetain(&context, 0));
	WORKS(cuCtxSetCurrent(context));
	assert_int_equal(free_bytes(), TOTAL - CONTEXT_BYTES);
	WORKS(cuMemAlloc_v2(&memory, 4 * MIB));
	WORKS(cuCtxCreate_v2(&other, 0, 0));
	assert_int_equal(free_bytes(), TOTAL - 2 * CONTEXT_BYTES - 4 * MIB);
	WORKS(cuCtxDestroy_v2(other));
	WORKS(cuCtxSetCurrent(context));
	assert_int_equal(free_bytes(), TOTAL - CONTEXT_BYTES - 4 * MIB);
	WORKS(cuMemFree_v2(memory));
	/* One for which too little is left. */
	WORKS(cuMemAlloc_v2(&memory, TOTAL - CONTEXT_BYTES - 4 * MIB));
	assert_int_equal(cuCtxCreate_v2(&other, 0, 0), CUDA_ERROR_OUT_OF_MEMORY);
	WORKS(cuCtxSetCurrent(context));
	assert_int_equal(free_bytes(), 4 * MIB);
	WORKS(cuMemFree_v2(memory));
	assert_int_equal(free_bytes(), TOTAL - CONTEXT_BYTES);
}

static void test_modules(void **state)
{
	CUdeviceptr memory;
	CUmodule modules[4];

	(void)state;
	for (int i = 0; i < 3; i++) {
		WORKS(cuModuleLoadData(&modules[i], image));
		assert_int_equal(free_bytes(), TOTAL - CONTEXT_BYTES - (size_t)(i + 1) * MODULE_BYTES);
	}
	/* 8 MiB are left: not enough for another one, and no more can be allocated. */
	assert_int_equal(cuModuleLoadData(&modules[3], image), CUDA_ERROR_OUT_OF_MEMORY);
	assert_int_equal(free_bytes(), 8 * MIB);
	assert_int_equal(cuMemAlloc_v2(&memory, 9 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
	WORKS(cuMemAlloc_v2(&memory, 8 * MIB));
	assert_int_equal(free_bytes(), 0);
	WORKS(cuModuleUnload(modules[1]));
	assert_int_equal(free_bytes(), MODULE_BYTES);
	WORKS(cuMemFree_v2(memory));
	WORKS(cuModuleUnload(modules[0]));
	WORKS(cuModuleUnload(modules[2]));
	assert_int_equal(free_bytes(), TOTAL - CONTEXT_BYTES);
}

static void test_library(void **state)
{
	CUlibrary library, more[3];

	(void)state;
	WORKS(cuLibraryLoadData(&library, image, NULL, NULL, 0, NULL, NULL, 0));
	assert_int_equal(free_bytes(), TOTAL - CONTEXT_BYTES - MODULE_BYTES);
	for (int i = 0; i < 2; i++)
		WORKS(cuLibraryLoadData(&more[i], image, NULL, NULL, 0, NULL, NULL, 0));
	assert_int_equal(cuLibraryLoadData(&more[2], image, NULL, NULL, 0, NULL, NULL, 0), CUDA_ERROR_OUT_OF_MEMORY);
	for (int i = 0; i < 2; i++)
		WORKS(cuLibraryUnload(more[i]));
	WORKS(cuLibraryUnload(library));
	assert_int_equal(free_bytes(), TOTAL - CONTEXT_BYTES);
}

static void test_green_context(void **state)
{
	CUdevResourceDesc description;
	CUdevResource resource;
	CUcontext converted;
	CUgreenCtx green;
	CUdeviceptr memory;
	CUmodule module;

	(void)state;
	WORKS(cuDeviceGetDevResource(0, &resource, CU_DEV_RESOURCE_TYPE_SM));
	WORKS(cuDevResourceGenerateDesc(&description, &resource, 1));
	WORKS(cuGreenCtxCreate(&green, description, 0, CU_GREEN_CTX_DEFAULT_STREAM));
	assert_int_equal(free_bytes(), TOTAL - 2 * CONTEXT_BYTES);
	/* What is made in it is the primary context's, and still charged when it has ended. */
	WORKS(cuCtxFromGreenCtx(&converted, green));
	WORKS(cuCtxSetCurrent(converted));
	WORKS(cuMemAlloc_v2(&memory, 4 * MIB));
	WORKS(cuModuleLoadData(&module, image));
	WORKS(cuCtxSetCurrent(context));
	assert_int_equal(free_bytes(), TOTAL - 2 * CONTEXT_BYTES - 4 * MIB - MODULE_BYTES);
	WORKS(cuGreenCtxDestroy(green));
	assert_int_equal(free_bytes(), TOTAL - CONTEXT_BYTES - 4 * MIB - MODULE_BYTES);
	WORKS(cuModuleUnload(module));
	WORKS(cuMemFree_v2(memory));
	assert_int_equal(free_bytes(), TOTAL - CONTEXT_BYTES);
	/* One for which too little is left. */
	WORKS(cuMemAlloc_v2(&memory, TOTAL - CONTEXT_BYTES - 4 * MIB));
	assert_int_equal(cuGreenCtxCreate(&green, description, 0, CU_GREEN_CTX_DEFAULT_STREAM),
			 CUDA_ERROR_OUT_OF_MEMORY);
	WORKS(cuMemFree_v2(memory));
	assert_int_equal(free_bytes(), TOTAL - CONTEXT_BYTES);
}

/* Modules end with their context; the context itself is still there after a reset. */
static void test_context_with_modules(void **state)
{
	CUmodule module;
	CUcontext other;

	(void)state;
	WORKS(cuCtxCreate_v2(&other, 0, 0));
	WORKS(cuModuleLoadData(&module, image));
	assert_int_equal(free_bytes(), TOTAL - 2 * CONTEXT_BYTES - MODULE_BYTES);
	WORKS(cuCtxDestroy_v2(other));
	WORKS(cuCtxSetCurrent(context));
	assert_int_equal(free_bytes(), TOTAL - CONTEXT_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_context),
		cmocka_unit_test(test_modules),
		cmocka_unit_test(test_library),
		cmocka_unit_test(test_green_context),
		cmocka_unit_test(test_context_with_modules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
