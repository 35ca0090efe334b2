/* SPDX-License-Identifier: Apache-2.0 */
/* What NVIDIA's libraries take from the private tables, with any libcuda.so.1. Run by test_streams.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cuda_abi.h"
#include "stream_calls.h"

CUresult cuGetExportTable(const void **table, const CUuuid *uuid);

#define WORKS(call) assert_int_equal(call, CUDA_SUCCESS)
#define FUNCTIONS   2

static char text[] = ".version 7.0\n.target sm_70\n.address_size 64\n"
		     ".visible .entry first(.param .u64 to)\n{\n"
		     "\t.reg .b32 %r<2>; .reg .b64 %d<2>;\n\tld.param.u64 %d1, [to];\n\tcvta.to.global.u64 %d1, %d1;\n"
		     "\tmov.u32 %r1, 1;\n\tst.global.u32 [%d1], %r1;\n\tret;\n}\n"
		     ".visible .entry second(.param .u64 to)\n{\n"
		     "\t.reg .b32 %r<2>; .reg .b64 %d<2>;\n\tld.param.u64 %d1, [to];\n\tcvta.to.global.u64 %d1, %d1;\n"
		     "\tmov.u32 %r1, 2;\n\tst.global.u32 [%d1], %r1;\n\tret;\n}\n";

struct visited {
	CUfunction functions[FUNCTIONS];
	char names[FUNCTIONS][16];
	unsigned count;
};

static void visit(void *user, CUfunction function, const char *name)
{
	struct visited *visited = user;

	assert_true(visited->count < FUNCTIONS);
	visited->functions[visited->count] = function;
	strncpy(visited->names[visited->count++], name, sizeof(visited->names[0]) - 1);
}

/* cuFFT launches the function that the table tells it of a module. */
static void test_functions_of_a_module(void **state)
{
	static const CUuuid tools_module = {"\x6e\x16\x3f\xbe\xb9\x58\x44\x4d\x83\x5c\xe1\x82\xaf\xf1\x99\x1e"};
	uint64_t (*functions_visit)(CUcontext, CUmodule, void (*)(void *, CUfunction, const char *), void *);
	struct visited visited = {0};
	const void *const *table;
	const void *untyped;
	CUcontext context;
	CUmodule module;
	CUdeviceptr to;

	(void)state;
	WORKS(cuInit(0));
	WORKS(cuDevicePrimaryCtxRetain(&context, 0));
	WORKS(cuCtxSetCurrent(context));
	WORKS(cuModuleLoadData(&module, text));
	WORKS(cuMemAlloc_v2(&to, sizeof(uint32_t)));
	WORKS(cuGetExportTable(&untyped, &tools_module));
	table = untyped;
	assert_true((uintptr_t)table[0] > 7 * sizeof(table[0]));
	memcpy(&functions_visit, &table[7], sizeof(functions_visit));
	print_message("answer %llu\n", (unsigned long long)functions_visit(context, module, visit, &visited));
	assert_int_equal(visited.count, FUNCTIONS);
	for (unsigned i = 0; i < FUNCTIONS; i++) {
		void *parameters[] = {&to};
		uint32_t got = 0;

		WORKS(cuLaunchKernel(visited.functions[i], 1, 1, 1, 1, 1, 1, 0, NULL, parameters, NULL));
		WORKS(cuMemcpyDtoH_v2(&got, to, sizeof(got)));
		assert_int_equal(got, strcmp(visited.names[i], "second") ? 1 : 2);
		assert_int_equal(strcmp(visited.names[i], "first") == 0, got == 1);
	}
	WORKS(cuMemFree_v2(to));
	WORKS(cuModuleUnload(module));
	WORKS(cuDevicePrimaryCtxRelease_v2(0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_functions_of_a_module)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
