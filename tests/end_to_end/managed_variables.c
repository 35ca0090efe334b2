/* SPDX-License-Identifier: Apache-2.0 */
/* Managed variables of modules and libraries, with any libcuda.so.1. Run by test_memory.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cuda_abi.h"
#include "memory_calls.h"

#define WORKS(call) assert_int_equal(call, CUDA_SUCCESS)

CUresult cuModuleGetGlobal_v2(CUdeviceptr *address, size_t *bytes, CUmodule module, const char *name);
CUresult cuMemGetAddressRange_v2(CUdeviceptr *base, size_t *bytes, CUdeviceptr address);
CUresult cuLibraryGetModule(CUmodule *module, CUlibrary library);
CUresult cuLibraryGetGlobal(CUdeviceptr *address, size_t *bytes, CUlibrary library, const char *name);
CUresult cuLibraryGetManaged(CUdeviceptr *address, size_t *bytes, CUlibrary library, const char *name);
CUresult cuLinkCreate_v2(unsigned int count, CUjit_option *options, void **values, CUlinkState *state);
CUresult cuLinkAddData_v2(CUlinkState state, CUjitInputType type, void *data, size_t bytes, const char *name,
			  unsigned int count, CUjit_option *options, void **values);
CUresult cuLinkComplete(CUlinkState state, void **image, size_t *bytes);
CUresult cuLinkDestroy(CUlinkState state);

#define HEADER ".version 7.0\n.target sm_70\n.address_size 64\n"

/* Adds to the number, and says where the words are. */
#define KERNEL                                                                                       \
	".visible .entry change(.param .u64 to)\n{\n"                                                \
	"\t.reg .b32 %r<4>; .reg .b64 %d<4>;\n"                                                      \
	"\tld.param.u64 %d1, [to];\n\tcvta.to.global.u64 %d1, %d1;\n"                                \
	"\tld.global.u32 %r1, [number];\n\tld.global.u32 %r2, [plain];\n"                            \
	"\tadd.s32 %r3, %r1, %r2;\n\tst.global.u32 [number], %r3;\n"                                 \
	"\tmov.u64 %d2, words;\n\tst.global.u64 [%d1], %d2;\n"                                       \
	"\tld.global.u64 %d3, [words+8];\n\tadd.s64 %d3, %d3, 1;\n\tst.global.u64 [words+8], %d3;\n" \
	"\tret;\n}\n"

static char variables_text[] =
	HEADER ".visible .global .align 4 .u32 plain = 9;\n"
	       ".visible .global .attribute(.managed) .align 4 .u32 number = 42;\n"
	       ".visible .global .attribute(.managed) .align 8 .u64 words[4] = {1, 2, number, 0};\n"
	       ".visible .global .attribute(.managed) .align 8 .b8 room[100000];\n" KERNEL;

/* Where 'plain' is only the driver knows, when it is too late to write it anywhere. */
static const char address_text[] =
	HEADER ".visible .global .align 4 .u32 plain = 9;\n"
	       ".visible .global .attribute(.managed) .align 4 .u32 number = 42;\n"
	       ".visible .global .attribute(.managed) .align 8 .u64 words[4] = {1, 2, plain, 0};\n" KERNEL;

struct variables {
	volatile uint32_t *number;
	volatile uint64_t *words;
	volatile uint8_t *room;
};

static CUcontext context;

static int setup(void **state)
{
	(void)state;
	return cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context);
}

static void *variable_of(CUmodule module, const char *name, size_t expected)
{
	CUdeviceptr address = 0;
	size_t bytes = 0;

	WORKS(cuModuleGetGlobal_v2(&address, &bytes, module, name));
	assert_int_equal(bytes, expected);
	return (void *)(uintptr_t)address;
}

static struct variables variables_of(CUmodule module)
{
	return (struct variables){
		.number = variable_of(module, "number", 4),
		.words = variable_of(module, "words", 32),
		.room = variable_of(module, "room", 100000),
	};
}

/* Initial values, then what each side writes the other one sees. */
static void use(CUmodule module, const struct variables *variables, bool is_of_library)
{
	uint64_t words_at = 0;
	CUfunction function;
	CUdeviceptr to;
	void *parameters[] = {&to};

	assert_int_equal(*variables->number, 42);
	assert_int_equal(variables->words[0], 1);
	/* Driver 580 leaves out addresses among the initial values of a library's managed variables. */
	if (!is_of_library || !getenv("VGPU_NATIVE"))
		assert_int_equal(variables->words[2], (uintptr_t)variables->number);
	assert_int_equal(variables->words[3], 0);
	assert_int_equal(variables->room[0] | variables->room[99999], 0);
	*variables->number = 100;
	WORKS(cuModuleGetFunction(&function, module, "change"));
	WORKS(cuMemAlloc_v2(&to, sizeof(words_at)));
	WORKS(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, parameters, NULL));
	WORKS(cuCtxSynchronize());
	assert_int_equal(*variables->number, 109);
	assert_int_equal(variables->words[1], 3);
	WORKS(cuMemcpyDtoH_v2(&words_at, to, sizeof(words_at)));
	assert_int_equal(words_at, (uintptr_t)variables->words);
	WORKS(cuMemsetD32_v2((uintptr_t)variables->room, 0x01020304, 25000));
	WORKS(cuCtxSynchronize());
	assert_int_equal(variables->room[99999], 1);
	WORKS(cuMemcpyDtoH_v2(&words_at, (uintptr_t)&variables->words[1], sizeof(words_at)));
	assert_int_equal(words_at, 3);
	WORKS(cuMemFree_v2(to));
}

static void test_module(void **state)
{
	struct variables first, second;
	CUmodule module, again;

	(void)state;
	WORKS(cuModuleLoadData(&module, variables_text));
	WORKS(cuModuleLoadData(&again, variables_text));
	first = variables_of(module);
	second = variables_of(again);
	assert_ptr_not_equal(first.number, second.number);
	use(module, &first, false);
	assert_int_equal(*second.number, 42);
	WORKS(cuModuleUnload(module));
	use(again, &second, false);
	WORKS(cuModuleUnload(again));
}

static void test_attributes(void **state)
{
	CUdeviceptr address, base = 0;
	struct variables variables;
	unsigned int managed = 0, type = 0;
	CUcontext of = context;
	size_t bytes = 0;
	void *host = NULL;
	CUmodule module;

	(void)state;
	WORKS(cuModuleLoadData(&module, variables_text));
	variables = variables_of(module);
	address = (uintptr_t)&variables.words[1];
	WORKS(cuPointerGetAttribute(&managed, CU_POINTER_ATTRIBUTE_IS_MANAGED, address));
	WORKS(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, address));
	WORKS(cuPointerGetAttribute(&host, CU_POINTER_ATTRIBUTE_HOST_POINTER, address));
	WORKS(cuPointerGetAttribute(&of, CU_POINTER_ATTRIBUTE_CONTEXT, address));
	WORKS(cuMemGetAddressRange_v2(&base, &bytes, address));
	assert_int_equal(managed, 1);
	assert_int_equal(type, CU_MEMORYTYPE_DEVICE);
	assert_int_equal((uintptr_t)host, address);
	assert_null(of);
	assert_int_equal(base, (uintptr_t)variables.words);
	assert_int_equal(bytes, 32);
	assert_int_not_equal(cuMemFree_v2((uintptr_t)variables.words), CUDA_SUCCESS);
	assert_int_equal(variables.words[0], 1);
	WORKS(cuModuleUnload(module));
	assert_int_equal(cuPointerGetAttribute(&managed, CU_POINTER_ATTRIBUTE_IS_MANAGED, address),
			 CUDA_ERROR_INVALID_VALUE);
}

static void library_use(CUlibrary library)
{
	CUdeviceptr managed = 0, global = 0, none;
	struct variables variables;
	CUmodule module;
	size_t bytes = 0;

	WORKS(cuLibraryGetManaged(&managed, &bytes, library, "number"));
	assert_int_equal(bytes, 4);
	assert_int_equal(*(volatile uint32_t *)(uintptr_t)managed, 42);
	assert_int_equal(cuLibraryGetManaged(&none, NULL, library, "plain"), CUDA_ERROR_NOT_FOUND);
	assert_int_equal(cuLibraryGetManaged(&none, NULL, library, "nothing"), CUDA_ERROR_NOT_FOUND);
	WORKS(cuCtxSetCurrent(context));
	WORKS(cuLibraryGetGlobal(&global, NULL, library, "number"));
	assert_int_equal(global, managed);
	WORKS(cuLibraryGetModule(&module, library));
	variables = variables_of(module);
	assert_int_equal((uintptr_t)variables.number, managed);
	use(module, &variables, true);
}

static void test_library(void **state)
{
	CUlibrary library;

	(void)state;
	WORKS(cuLibraryLoadData(&library, variables_text, NULL, NULL, 0, NULL, NULL, 0));
	library_use(library);
	WORKS(cuLibraryUnload(library));
}

static void test_library_without_context(void **state)
{
	CUlibrary library;

	(void)state;
	WORKS(cuCtxSetCurrent(NULL));
	WORKS(cuLibraryLoadData(&library, variables_text, NULL, NULL, 0, NULL, NULL, 0));
	library_use(library);
	WORKS(cuLibraryUnload(library));
}

/* As the runtime does it. */
static void test_library_of_the_runtime(void **state)
{
	CUlibraryOption option = CU_LIBRARY_BINARY_IS_PRESERVED;
	void *value = (void *)1;
	CUlibrary library, second;

	(void)state;
	WORKS(cuCtxSetCurrent(NULL));
	WORKS(cuLibraryLoadData(&library, variables_text, NULL, NULL, 0, &option, &value, 1));
	WORKS(cuLibraryLoadData(&second, variables_text, NULL, NULL, 0, &option, &value, 1));
	library_use(library);
	WORKS(cuCtxSetCurrent(NULL));
	library_use(second);
	WORKS(cuLibraryUnload(library));
	WORKS(cuLibraryUnload(second));
}

/* The linker's machine code. */
static void test_linked(void **state)
{
	struct variables variables;
	CUlinkState link;
	void *image = NULL;
	CUmodule module;

	(void)state;
	WORKS(cuLinkCreate_v2(0, NULL, NULL, &link));
	WORKS(cuLinkAddData_v2(link, CU_JIT_INPUT_PTX, variables_text, sizeof(variables_text), "text", 0, NULL, NULL));
	WORKS(cuLinkComplete(link, &image, NULL));
	WORKS(cuModuleLoadData(&module, image));
	WORKS(cuLinkDestroy(link));
	variables = variables_of(module);
	use(module, &variables, false);
	WORKS(cuModuleUnload(module));
}

/* What cannot be moved is not there for the program, and says so. The driver itself has no such limit. */
static void test_not_movable(void **state)
{
	CUresult expected = getenv("VGPU_NATIVE") ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED;
	CUdeviceptr address;
	CUlibrary library;

	(void)state;
	WORKS(cuLibraryLoadData(&library, address_text, NULL, NULL, 0, NULL, NULL, 0));
	assert_int_equal(cuLibraryGetManaged(&address, NULL, library, "words"), expected);
	WORKS(cuLibraryUnload(library));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_library_without_context),
		cmocka_unit_test(test_module),
		cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_library),
		cmocka_unit_test(test_library_of_the_runtime),
		cmocka_unit_test(test_linked),
		cmocka_unit_test(test_not_movable),
	};

	return cmocka_run_group_tests_name("managed variables", tests, setup, NULL);
}
