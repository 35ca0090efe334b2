/* SPDX-License-Identifier: Apache-2.0 */
/* cuGetProcAddress and the export tables of the built library, before any session. */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cuda_abi.h"
#include "cuda_calls.h"
#include "proc_table.h"

static void *library;

static int setup(void **state)
{
	(void)state;
	library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
	return library ? 0 : -1;
}

static void *symbol(const char *name)
{
	void *address = dlsym(library, name);

	assert_non_null(address);
	return address;
}

static void *find(const char *name, int version, cuuint64_t flags)
{
	CUdriverProcAddressQueryResult status;
	void *function = NULL;

	assert_int_equal(cuGetProcAddress_v2(name, &function, version, flags, &status), CUDA_SUCCESS);
	return status == CU_GET_PROC_ADDRESS_SUCCESS ? function : NULL;
}

static void test_versions(void **state)
{
	(void)state;
	assert_ptr_equal(find("cuCtxCreate", 3020, 0), symbol("cuCtxCreate_v2"));
	assert_ptr_equal(find("cuCtxCreate", 2000, 0), symbol("cuCtxCreate"));
	assert_ptr_equal(find("cuCtxCreate", 12049, 0), symbol("cuCtxCreate_v3"));
	assert_ptr_equal(find("cuCtxCreate", 13000, 0), symbol("cuCtxCreate_v4"));
	assert_ptr_equal(find("cuMemAlloc", 13000, 0), symbol("cuMemAlloc_v2"));
	assert_ptr_equal(find("cuCtxGetDevice", 12090, 0), symbol("cuCtxGetDevice"));
	assert_ptr_equal(find("cuCtxGetDevice", 13000, 0), symbol("cuCtxGetDevice_v2"));
	assert_ptr_equal(find("cuGetProcAddress", 11030, 0), symbol("cuGetProcAddress"));
	assert_ptr_equal(find("cuGetProcAddress", 12000, 0), symbol("cuGetProcAddress_v2"));
}

static void test_per_thread(void **state)
{
	cuuint64_t per_thread = CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM;

	(void)state;
	assert_ptr_equal(find("cuMemcpyHtoD", 13000, per_thread), symbol("cuMemcpyHtoD_v2_ptds"));
	assert_ptr_equal(find("cuLaunchKernel", 13000, per_thread), symbol("cuLaunchKernel_ptsz"));
	assert_ptr_equal(find("cuLaunchKernel", 13000, 1), symbol("cuLaunchKernel"));
	assert_ptr_equal(find("cuMemAlloc", 13000, per_thread), symbol("cuMemAlloc_v2"));
	/* Before there was a per-thread variant, the only one there is. */
	assert_ptr_equal(find("cuLaunchKernel", 6050, per_thread), symbol("cuLaunchKernel"));
}

static void test_refused(void **state)
{
	CUdriverProcAddressQueryResult status;
	void *function = (void *)1;

	(void)state;
	assert_int_equal(cuGetProcAddress_v2("", &function, 13000, 0, NULL), CUDA_SUCCESS);
	assert_null(function);
	assert_int_equal(cuGetProcAddress_v2("cuAbsent", &function, 13000, 0, &status), CUDA_SUCCESS);
	assert_int_equal(status, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
	assert_int_equal(cuGetProcAddress_v2("cuLaunchKernelEx", &function, 11000, 0, &status), CUDA_SUCCESS);
	assert_int_equal(status, CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT);
	assert_int_equal(cuGetProcAddress_v2("cuMemAlloc_v2", &function, 13000, 0, &status), CUDA_SUCCESS);
	assert_int_equal(status, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
	assert_int_equal(cuGetProcAddress_v2(NULL, &function, 13000, 0, NULL), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(cuGetProcAddress_v2("cuInit", NULL, 13000, 0, NULL), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(cuGetProcAddress_v2("cuInit", &function, 13000, 77, NULL), CUDA_ERROR_INVALID_VALUE);
}

/* Every name that cudart of CUDA 13.0 was seen to ask for (reference traces) resolves. */
static void test_names_of_cudart(void **state)
{
	static const struct {
		const char *name;
		int version;
	} asked[] = {
		{"cuCtxGetCurrent", 4000},
		{"cuCtxGetDevice", 13000},
		{"cuCtxSetCurrent", 4000},
		{"cuDeviceGet", 2000},
		{"cuDeviceGetAttribute", 2000},
		{"cuDeviceGetCount", 2000},
		{"cuDeviceGetName", 2000},
		{"cuDeviceGetUuid", 9020},
		{"cuDevicePrimaryCtxRelease", 7000},
		{"cuDevicePrimaryCtxRetain", 7000},
		{"cuDeviceTotalMem", 3020},
		{"cuDriverGetVersion", 2020},
		{"cuInit", 2000},
		{"cuLaunchKernel", 4000},
		{"cuLibraryGetKernel", 12000},
		{"cuLibraryLoadData", 12000},
		{"cuLibraryUnload", 12000},
		{"cuMemAlloc", 3020},
		{"cuMemcpyDtoH", 3020},
		{"cuMemcpyHtoD", 3020},
		{"cuModuleGetLoadingMode", 11070},
		{"cuGraphLaunch", 10000},
		{"cuMemcpy3D", 3020},
		{"cuTensorMapEncodeTiled", 12000},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		if (!find(asked[i].name, asked[i].version, 0))
			fail_msg("%s@%d does not resolve", asked[i].name, asked[i].version);
	}
}

/* Every entry point of the description is found by its name and version, and by no smaller version. */
static void test_every_entry(void **state)
{
	(void)state;
	assert_true(proc_table_count > 600);
	for (size_t i = 0; i < proc_table_count; i++) {
		const struct proc_entry *entry = &proc_table[i];
		cuuint64_t flags = entry->per_thread ? CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM : 0;
		void *expected;

		memcpy(&expected, &entry->function, sizeof(expected));
		assert_non_null(expected);
		if (i > 0)
			assert_true(strcmp(proc_table[i - 1].base, entry->base) <= 0);
		if (find(entry->base, entry->version, flags) != expected)
			fail_msg("%s@%d is another function", entry->base, entry->version);
		assert_ptr_not_equal(find(entry->base, entry->version - 1, flags), expected);
	}
}

static const uint64_t *table(const unsigned char *uuid)
{
	const void *found = NULL;

	assert_int_equal(cuGetExportTable(&found, (const CUuuid *)uuid), CUDA_SUCCESS);
	return found;
}

static void test_export_tables(void **state)
{
	static const unsigned char cudart[16] = {0x6b, 0xd5, 0xfb, 0x6c, 0x5b, 0xf4, 0xe7, 0x4a,
						 0x89, 0x87, 0xd9, 0x39, 0x12, 0xfd, 0x9d, 0xf9};
	static const unsigned char hooks[16] = {0xa0, 0x94, 0x79, 0x8c, 0x2e, 0x74, 0x2e, 0x74,
						0x93, 0xf2, 0x08, 0x00, 0x20, 0x0c, 0x0a, 0x66};
	static const unsigned char tools[16] = {0x21, 0x31, 0x8c, 0x60, 0x97, 0x14, 0x32, 0x48,
						0x8c, 0xa6, 0x41, 0xff, 0x73, 0x24, 0xc8, 0xf2};
	static const unsigned char storage[16] = {0xc6, 0x93, 0x33, 0x6e, 0x11, 0x21, 0xdf, 0x11,
						  0xa8, 0xc3, 0x68, 0xf3, 0x55, 0xd8, 0x95, 0x93};
	static const unsigned char integrity[16] = {0xd4, 0x08, 0x20, 0x55, 0xbd, 0xe6, 0x70, 0x4b,
						    0x8d, 0x34, 0xba, 0x12, 0x3c, 0x66, 0xe1, 0xf2};
	static const unsigned char unknown[16] = {1, 2, 3};
	CUresult (*buffer)(void **, size_t *);
	CUresult (*refused)(void);
	CUresult (*hash)(uint32_t, uint64_t, uint64_t *);
	uint64_t out[2];
	const void *found;
	void *place;
	size_t bytes;

	(void)state;
	assert_int_equal(table(cudart)[0], 13 * 8);
	assert_int_equal(table(hooks)[0], 7 * 8);
	assert_int_equal(table(tools)[0], 93 * 8);
	assert_ptr_equal(table(cudart), table(cudart));
	for (size_t i = 1; i < 93; i++)
		assert_true(table(tools)[i] != 0);
	memcpy(&buffer, &table(hooks)[2], sizeof(buffer));
	assert_int_equal(buffer(&place, &bytes), CUDA_SUCCESS);
	assert_int_equal(bytes, 1024);
	assert_int_equal(((char *)place)[4095], 0);
	memcpy(&buffer, &table(hooks)[6], sizeof(buffer));
	assert_int_equal(buffer(&place, &bytes), CUDA_SUCCESS);
	assert_int_equal(bytes, 14);
	memcpy(&refused, &table(cudart)[5], sizeof(refused));
	assert_int_equal(refused(), CUDA_ERROR_NOT_SUPPORTED);
	assert_true(table(storage)[0] > 4096 && table(storage)[3] == 0);
	memcpy(&hash, &table(integrity)[1], sizeof(hash));
	assert_int_equal(hash(13000, 0, out), CUDA_SUCCESS);
	assert_true(out[0] == 0x3341181c03cb675c);
	assert_int_equal(cuGetExportTable(&found, (const CUuuid *)unknown), CUDA_ERROR_NOT_FOUND);
	assert_int_equal(cuGetExportTable(NULL, (const CUuuid *)unknown), CUDA_ERROR_INVALID_VALUE);
}

/* Without a mediator the library says once why, and is a machine without a GPU. */
static void test_no_mediator(void **state)
{
	CUdeviceptr pointer;
	int version = 0;

	(void)state;
	setenv("VGPU_TRANSPORT", "local", 1);
	setenv("VGPU_SOCKET", "/nonexistent/mediator.sock", 1);
	assert_int_equal(cuDriverGetVersion(&version), CUDA_SUCCESS);
	assert_int_equal(version, CUDA_VERSION);
	assert_int_equal(cuInit(1), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(cuInit(0), CUDA_ERROR_NO_DEVICE);
	assert_int_equal(cuInit(0), CUDA_ERROR_NO_DEVICE);
	assert_int_equal(cuMemAlloc_v2(&pointer, 16), CUDA_ERROR_NOT_INITIALIZED);
	assert_int_equal(cuCtxSynchronize(), CUDA_ERROR_NOT_INITIALIZED);
	setenv("VGPU_TRANSPORT", "carrier-pigeon", 1);
	assert_int_equal(cuInit(0), CUDA_ERROR_NO_DEVICE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions),    cmocka_unit_test(test_per_thread),
		cmocka_unit_test(test_refused),	    cmocka_unit_test(test_names_of_cudart),
		cmocka_unit_test(test_every_entry), cmocka_unit_test(test_export_tables),
		cmocka_unit_test(test_no_mediator),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
