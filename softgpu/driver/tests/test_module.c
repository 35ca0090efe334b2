/* SPDX-License-Identifier: Apache-2.0 */
/* Modules, libraries, the linker, launches and their errors. */
#include "common.h"

#include <stdio.h>

static void functions_and_variables_are_found(void **state)
{
	CUfunction function, listed[8];
	CUdeviceptr address;
	uint32_t value = 0;
	unsigned count;
	CUmodule module, owner;
	const char *name;
	size_t bytes;

	(void)state;
	function = kernel_load(&module, "store");
	assert_ok(cuModuleGetFunctionCount(&count, module));
	assert_int_equal(count, 5);
	assert_ok(cuModuleEnumerateFunctions(listed, 8, module));
	assert_ptr_equal(listed[0], function);
	assert_ok(cuFuncGetName(&name, function));
	assert_string_equal(name, "store");
	assert_ok(cuFuncGetModule(&owner, function));
	assert_ptr_equal(owner, module);
	assert_ok(cuModuleGetGlobal_v2(&address, &bytes, module, "counter"));
	assert_int_equal(bytes, 4);
	assert_ok(cuMemcpyDtoH_v2(&value, address, 4));
	assert_int_equal(value, 7);
	assert_result(cuModuleGetGlobal_v2(&address, &bytes, module, "nothing"), CUDA_ERROR_NOT_FOUND);
	assert_result(cuModuleGetFunction(&function, module, "nothing"), CUDA_ERROR_NOT_FOUND);
	assert_ok(cuModuleUnload(module));
	assert_result(cuModuleUnload(module), CUDA_ERROR_INVALID_HANDLE);
	assert_result(cuFuncGetName(&name, listed[0]), CUDA_ERROR_INVALID_HANDLE);
	assert_result(cuMemcpyDtoH_v2(&value, address, 4), CUDA_ERROR_INVALID_VALUE);
}

static void parameters_are_described(void **state)
{
	CUmodule module;
	CUfunction function = kernel_load(&module, "store");
	size_t offset, bytes;

	(void)state;
	assert_ok(cuFuncGetParamInfo(function, 0, &offset, &bytes));
	assert_int_equal(offset, 0);
	assert_int_equal(bytes, 8);
	assert_ok(cuFuncGetParamInfo(function, 1, &offset, &bytes));
	assert_int_equal(offset, 8);
	assert_int_equal(bytes, 4);
	assert_result(cuFuncGetParamInfo(function, 2, &offset, &bytes), CUDA_ERROR_INVALID_VALUE);
}

static void launch_takes_parameters_both_ways(void **state)
{
	CUmodule module;
	CUfunction function = kernel_load(&module, "store");
	struct {
		CUdeviceptr address;
		uint32_t value;
	} packed = {.value = 0x22};
	size_t bytes = 12;
	uint32_t value = 0x11, result = 0;
	CUdeviceptr address;
	void *parameters[] = {&address, &value};
	void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, &packed, CU_LAUNCH_PARAM_BUFFER_SIZE, &bytes,
			 CU_LAUNCH_PARAM_END};

	(void)state;
	assert_ok(cuMemAlloc_v2(&address, 4));
	packed.address = address;
	assert_ok(launch_one(function, NULL, parameters));
	assert_ok(cuMemcpyDtoH_v2(&result, address, 4));
	assert_int_equal(result, 0x11);
	assert_ok(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, extra));
	assert_ok(cuMemcpyDtoH_v2(&result, address, 4));
	assert_int_equal(result, 0x22);
	bytes = 11;
	assert_result(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, extra), CUDA_ERROR_INVALID_VALUE);
	bytes = 12;
	assert_result(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, parameters, extra), CUDA_ERROR_INVALID_VALUE);
	assert_result(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL), CUDA_ERROR_INVALID_VALUE);
}

static void launch_dimensions_are_checked(void **state)
{
	CUmodule module;
	CUfunction function = kernel_load(&module, "spin");
	uint64_t nanoseconds = 0;
	void *parameters[] = {&nanoseconds};
	static const struct {
		unsigned grid[3], block[3], shared;
		CUresult result;
	} cases[] = {
		{{0, 1, 1}, {1, 1, 1}, 0, CUDA_ERROR_INVALID_VALUE},
		{{1, 1, 1}, {1, 0, 1}, 0, CUDA_ERROR_INVALID_VALUE},
		{{1, 65536, 1}, {1, 1, 1}, 0, CUDA_ERROR_INVALID_VALUE},
		{{0x80000000, 1, 1}, {1, 1, 1}, 0, CUDA_ERROR_INVALID_VALUE},
		{{1, 1, 1}, {1025, 1, 1}, 0, CUDA_ERROR_INVALID_VALUE},
		{{1, 1, 1}, {1, 1, 65}, 0, CUDA_ERROR_INVALID_VALUE},
		{{1, 1, 1}, {32, 33, 1}, 0, CUDA_ERROR_INVALID_VALUE},
		{{1, 1, 1}, {1, 1, 1}, 49153, CUDA_ERROR_INVALID_VALUE},
		{{1, 1, 1}, {32, 32, 1}, 49152, CUDA_SUCCESS},
	};

	(void)state;
	for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++)
		assert_result(cuLaunchKernel(function, cases[index].grid[0], cases[index].grid[1], cases[index].grid[2],
					     cases[index].block[0], cases[index].block[1], cases[index].block[2],
					     cases[index].shared, NULL, parameters, NULL),
			      cases[index].result);
	assert_result(cuLaunchKernel((CUfunction)&nanoseconds, 1, 1, 1, 1, 1, 1, 0, NULL, parameters, NULL),
		      CUDA_ERROR_INVALID_HANDLE);
	assert_result(launch_one(function, (CUstream)&nanoseconds, parameters), CUDA_ERROR_INVALID_HANDLE);
	assert_ok(cuFuncSetAttribute(function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 232448));
	assert_ok(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 232448, NULL, parameters, NULL));
	assert_result(cuFuncSetAttribute(function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 232449),
		      CUDA_ERROR_INVALID_VALUE);
	assert_result(cuLaunchCooperativeKernel(function, 1 << 20, 1, 1, 1, 1, 1, 0, NULL, parameters),
		      CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE);
	assert_ok(cuLaunchCooperativeKernel(function, 2, 1, 1, 1, 1, 1, 0, NULL, parameters));
	assert_ok(cuCtxSynchronize());
}

static void launch_attributes_are_honoured_or_refused(void **state)
{
	CUmodule module;
	CUfunction function = kernel_load(&module, "spin");
	uint64_t nanoseconds = 0;
	void *parameters[] = {&nanoseconds};
	CUlaunchAttribute attribute = {.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION};
	CUlaunchConfig config = {1, 1, 1, 1, 1, 1, 0, NULL, &attribute, 1};

	(void)state;
	attribute.value.clusterDim.x = 2;
	attribute.value.clusterDim.y = attribute.value.clusterDim.z = 1;
	assert_result(cuLaunchKernelEx(&config, function, parameters, NULL), CUDA_ERROR_NOT_SUPPORTED);
	attribute.value.clusterDim.x = 1;
	assert_ok(cuLaunchKernelEx(&config, function, parameters, NULL));
	attribute.id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE;
	attribute.value.cooperative = 1;
	config.gridDimX = 1 << 20;
	assert_result(cuLaunchKernelEx(&config, function, parameters, NULL), CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE);
	attribute.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT;
	config.gridDimX = 1;
	assert_result(cuLaunchKernelEx(&config, function, parameters, NULL), CUDA_ERROR_NOT_SUPPORTED);
	assert_result(cuLaunchKernelEx(NULL, function, parameters, NULL), CUDA_ERROR_INVALID_VALUE);
}

/* A fault sticks to its context, and to nothing else. */
static void expect_sticky(const char *kernel, CUresult expected)
{
	CUdeviceptr address, other;
	CUfunction function;
	CUcontext context;
	CUmodule module;
	void *parameters[] = {&address};
	uint32_t value;
	CUevent event;

	assert_ok(cuCtxCreate_v2(&context, 0, 0));
	function = kernel_load(&module, kernel);
	assert_ok(cuMemAlloc_v2(&address, 16));
	assert_ok(cuEventCreate(&event, 0));
	assert_ok(launch_one(function, NULL, parameters));
	assert_result(cuCtxSynchronize(), expected);
	assert_result(cuCtxSynchronize(), expected);
	assert_result(cuMemAlloc_v2(&other, 16), expected);
	assert_result(cuMemcpyDtoH_v2(&value, address, 4), expected);
	assert_result(launch_one(function, NULL, parameters), expected);
	assert_result(cuStreamSynchronize(NULL), expected);
	assert_result(cuEventQuery(event), expected);
	assert_ok(cuCtxDestroy_v2(context));
	/* The context below it on the stack is as healthy as before. */
	assert_ok(cuMemAlloc_v2(&other, 16));
	assert_ok(cuMemFree_v2(other));
	assert_ok(cuCtxSynchronize());
}

static void faults_stick_to_the_context(void **state)
{
	(void)state;
	expect_sticky("wild", CUDA_ERROR_ILLEGAL_ADDRESS);
	expect_sticky("misaligned", CUDA_ERROR_MISALIGNED_ADDRESS);
	expect_sticky("stop", CUDA_ERROR_LAUNCH_FAILED);
}

static void primary_context_heals_by_reset(void **state)
{
	CUcontext primary, again;
	CUfunction function;
	CUmodule module;
	unsigned flags;
	int active;

	(void)state;
	assert_ok(cuDevicePrimaryCtxRetain(&primary, 0));
	assert_ok(cuCtxPushCurrent_v2(primary));
	function = kernel_load(&module, "wild");
	assert_ok(launch_one(function, NULL, NULL));
	assert_result(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
	assert_ok(cuDevicePrimaryCtxReset_v2(0));
	assert_ok(cuDevicePrimaryCtxGetState(0, &flags, &active));
	assert_int_equal(active, 0);
	assert_result(cuCtxSynchronize(), CUDA_ERROR_CONTEXT_IS_DESTROYED);
	assert_ok(cuCtxPopCurrent_v2(&again));
	assert_ok(cuDevicePrimaryCtxRetain(&primary, 0));
	assert_ok(cuCtxPushCurrent_v2(primary));
	assert_ok(cuCtxSynchronize());
	assert_result(cuCtxDestroy_v2(primary), CUDA_ERROR_INVALID_CONTEXT);
	assert_ok(cuCtxPopCurrent_v2(&again));
	assert_ok(cuDevicePrimaryCtxRelease_v2(0));
	assert_ok(cuDevicePrimaryCtxRelease_v2(0));
	assert_result(cuDevicePrimaryCtxRelease_v2(0), CUDA_ERROR_INVALID_CONTEXT);
}

static void unloaded_code_runs_to_its_end(void **state)
{
	CUmodule module;
	CUfunction function = kernel_load(&module, "spin");

	(void)state;
	spin(function, NULL, 30000000);
	assert_ok(cuModuleUnload(module));
	assert_ok(cuCtxSynchronize());
}

static void library_serves_every_context(void **state)
{
	CUlibrary library, owner;
	CUfunction here, there;
	CUdeviceptr one, two, address;
	uint32_t value = 99, result;
	void *parameters[] = {&address, &value};
	CUmodule module, other;
	CUcontext context;
	CUkernel kernel;
	unsigned count;
	const char *name;
	size_t bytes;
	int shared;

	(void)state;
	assert_ok(cuLibraryLoadData(&library, KERNELS_PTX, NULL, NULL, 0, NULL, NULL, 0));
	assert_ok(cuLibraryGetKernelCount(&count, library));
	assert_int_equal(count, 5);
	assert_result(cuLibraryGetKernel(&kernel, library, "nothing"), CUDA_ERROR_NOT_FOUND);
	assert_ok(cuLibraryGetKernel(&kernel, library, "store"));
	assert_ok(cuKernelGetName(&name, kernel));
	assert_string_equal(name, "store");
	assert_ok(cuKernelGetLibrary(&owner, kernel));
	assert_ptr_equal(owner, library);
	assert_ok(cuKernelGetFunction(&here, kernel));
	assert_ok(cuLibraryGetModule(&module, library));
	assert_result(cuModuleUnload(module), CUDA_ERROR_NOT_PERMITTED);
	assert_ok(cuLibraryGetGlobal(&one, &bytes, library, "counter"));
	/* A kernel's setting holds in all contexts. */
	assert_ok(cuKernelSetAttribute(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 100000, kernel, 0));
	/* A kernel may be launched by its own handle, as the runtime does. */
	assert_ok(cuMemAlloc_v2(&address, 4));
	assert_ok(launch_one((CUfunction)kernel, NULL, parameters));
	assert_ok(cuMemcpyDtoH_v2(&result, address, 4));
	assert_int_equal(result, 99);

	assert_ok(cuCtxCreate_v2(&context, 0, 0));
	assert_ok(cuKernelGetFunction(&there, kernel));
	assert_ptr_not_equal(here, there);
	assert_ok(cuLibraryGetModule(&other, library));
	assert_ptr_not_equal(module, other);
	assert_ok(cuLibraryGetGlobal(&two, &bytes, library, "counter"));
	assert_int_not_equal(one, two);
	assert_ok(cuFuncGetAttribute(&shared, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, there));
	assert_int_equal(shared, 100000);
	assert_result(launch_one(here, NULL, parameters), CUDA_ERROR_INVALID_HANDLE); /* another context's */
	assert_ok(cuCtxDestroy_v2(context));

	assert_ok(launch_one((CUfunction)kernel, NULL, parameters));
	assert_ok(cuCtxSynchronize());
	assert_ok(cuLibraryUnload(library));
	assert_result(cuLibraryUnload(library), CUDA_ERROR_INVALID_HANDLE);
	assert_result(launch_one((CUfunction)kernel, NULL, parameters), CUDA_ERROR_INVALID_HANDLE);
}

static void bad_ptx_is_explained(void **state)
{
	static const char unknown[] = ".version 8.0\n.target sm_80\n.address_size 64\n"
				      ".visible .entry odd()\n{\nfrobnicate.u32;\nret;\n}\n";
	char error[256] = "untouched", information[64];
	CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES, CU_JIT_INFO_LOG_BUFFER,
				  CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES};
	void *values[] = {error, (void *)sizeof(error), information, (void *)sizeof(information)};
	CUmodule module = (CUmodule)state;
	CUresult result;

	result = cuModuleLoadDataEx(&module, unknown, 4, options, values);
	assert_true(result == CUDA_ERROR_INVALID_PTX || result == CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
	assert_ptr_equal(module, (CUmodule)state);
	assert_non_null(strstr(error, "frobnicate"));
	assert_int_equal((uintptr_t)values[1], strlen(error));
	assert_int_equal((uintptr_t)values[3], 0);
	/* A short buffer is filled and closed. */
	values[1] = (void *)8;
	memset(error, 'x', sizeof(error));
	assert_int_equal(cuModuleLoadDataEx(&module, unknown, 2, options, values), result);
	assert_int_equal(strlen(error), 7);
	assert_int_equal(error[8], 'x');
	options[0] = CU_JIT_NUM_OPTIONS;
	assert_result(cuModuleLoadDataEx(&module, unknown, 1, options, values), CUDA_ERROR_INVALID_VALUE);
}

static void bad_images_are_refused(void **state)
{
	CUmodule module;

	(void)state;
	assert_result(cuModuleLoadData(&module, ""), CUDA_ERROR_INVALID_IMAGE);
	assert_result(cuModuleLoadData(&module, "\x01\x02"), CUDA_ERROR_INVALID_IMAGE);
	assert_result(cuModuleLoadData(&module, "\x7f"
						"ELF\x02\x01\x01"),
		      CUDA_ERROR_NO_BINARY_FOR_GPU);
	assert_result(cuModuleLoadData(&module, "no PTX at all"), CUDA_ERROR_INVALID_PTX);
	assert_result(cuModuleLoadData(&module, NULL), CUDA_ERROR_INVALID_VALUE);
	assert_result(cuModuleLoad(&module, "/nonexistent/kernel.ptx"), CUDA_ERROR_FILE_NOT_FOUND);
}

static void linker_joins_texts(void **state)
{
	static char first[] = ".version 8.0\n.target sm_80\n.address_size 64\n"
			      ".visible .entry one()\n{\nret;\n}\n";
	static char second[] = ".version 8.0\n.target sm_80\n.address_size 64\n"
			       ".visible .entry two()\n{\nret;\n}\n";
	CUfunction function;
	CUlinkState link;
	CUmodule module;
	size_t bytes;
	void *image;

	(void)state;
	assert_ok(cuLinkCreate_v2(0, NULL, NULL, &link));
	assert_result(cuLinkComplete(link, &image, &bytes), CUDA_ERROR_INVALID_VALUE);
	assert_ok(cuLinkAddData_v2(link, CU_JIT_INPUT_PTX, first, sizeof(first), "first", 0, NULL, NULL));
	assert_ok(cuLinkAddData_v2(link, CU_JIT_INPUT_PTX, second, sizeof(second), "second", 0, NULL, NULL));
	assert_result(cuLinkAddData_v2(link, CU_JIT_INPUT_CUBIN, second, sizeof(second), "cubin", 0, NULL, NULL),
		      CUDA_ERROR_NO_BINARY_FOR_GPU);
	assert_ok(cuLinkComplete(link, &image, &bytes));
	assert_true(bytes > 0);
	assert_ok(cuModuleLoadData(&module, image));
	assert_ok(cuLinkDestroy(link));
	assert_result(cuLinkDestroy(link), CUDA_ERROR_INVALID_HANDLE);
	assert_ok(cuModuleGetFunction(&function, module, "one"));
	assert_ok(launch_one(function, NULL, NULL));
	assert_ok(cuModuleGetFunction(&function, module, "two"));
	assert_ok(launch_one(function, NULL, NULL));
	assert_ok(cuCtxSynchronize());
}

static void occupancy_follows_the_limits(void **state)
{
	CUmodule module;
	CUfunction function = kernel_load(&module, "spin");
	int blocks, grid, threads;
	size_t bytes;

	(void)state;
	assert_ok(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, function, 32, 0));
	assert_int_equal(blocks, 32);
	assert_ok(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, function, 1024, 0));
	assert_int_equal(blocks, 2);
	assert_ok(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, function, 32, 100 * 1024));
	assert_int_equal(blocks, 2);
	assert_ok(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, function, 32, 232449));
	assert_int_equal(blocks, 0);
	assert_ok(cuOccupancyMaxPotentialBlockSize(&grid, &threads, function, NULL, 0, 0));
	assert_int_equal(threads, 1024);
	assert_int_equal(grid % 2, 0);
	assert_ok(cuOccupancyAvailableDynamicSMemPerBlock(&bytes, function, 2, 1024));
	assert_true(bytes > 110000 && bytes < 116736);
	assert_ok(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, function, 1024, bytes));
	assert_int_equal(blocks, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(functions_and_variables_are_found),
		TEST(parameters_are_described),
		TEST(launch_takes_parameters_both_ways),
		TEST(launch_dimensions_are_checked),
		TEST(launch_attributes_are_honoured_or_refused),
		TEST(faults_stick_to_the_context),
		TEST(primary_context_heals_by_reset),
		TEST(unloaded_code_runs_to_its_end),
		TEST(library_serves_every_context),
		TEST(bad_ptx_is_explained),
		TEST(bad_images_are_refused),
		TEST(linker_joins_texts),
		TEST(occupancy_follows_the_limits),
	};

	alarm(120);
	if (cuInit(0))
		return 1;
	return cmocka_run_group_tests_name("softgpu modules", tests, NULL, NULL);
}
