/* SPDX-License-Identifier: Apache-2.0 */
/* Launches by the calls from before CUDA 4, with any libcuda.so.1. Run by test_streams.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cuda_abi.h"
#include "memory_calls.h"

CUresult cuFuncSetBlockShape(CUfunction function, int x, int y, int z);
CUresult cuFuncSetSharedSize(CUfunction function, unsigned int bytes);
CUresult cuParamSetSize(CUfunction function, unsigned int bytes);
CUresult cuParamSeti(CUfunction function, int offset, unsigned int value);
CUresult cuParamSetf(CUfunction function, int offset, float value);
CUresult cuParamSetv(CUfunction function, int offset, void *value, unsigned int bytes);
CUresult cuLaunch(CUfunction function);
CUresult cuLaunchGrid(CUfunction function, int width, int height);
CUresult cuLaunchGridAsync(CUfunction function, int width, int height, CUstream stream);

#define WORKS(call) assert_int_equal(call, CUDA_SUCCESS)

enum { WORDS = 64 };

/* to[global index] = the bits of 'real', plus 'number'. */
static const char put_image[] = ".version 7.0\n.target sm_70\n.address_size 64\n"
				".visible .entry put(.param .u64 to, .param .f32 real, .param .u32 number)\n{\n"
				"\t.reg .b32 %r<8>; .reg .f32 %f<2>; .reg .b64 %d<4>;\n"
				"\tld.param.u64 %d1, [to];\n\tcvta.to.global.u64 %d1, %d1;\n"
				"\tld.param.f32 %f1, [real];\n\tld.param.u32 %r1, [number];\n"
				"\tmov.b32 %r2, %f1;\n\tadd.u32 %r2, %r2, %r1;\n"
				"\tmov.u32 %r3, %ctaid.x;\n\tmov.u32 %r4, %ntid.x;\n\tmov.u32 %r5, %tid.x;\n"
				"\tmad.lo.s32 %r6, %r3, %r4, %r5;\n\tmul.wide.u32 %d2, %r6, 4;\n"
				"\tadd.s64 %d3, %d1, %d2;\n\tst.global.u32 [%d3], %r2;\n\tret;\n}\n";

static CUstream stream;
static CUdeviceptr memory;
static CUfunction put;

static int setup(void **state)
{
	CUcontext context;
	CUmodule module;

	(void)state;
	return cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context) ||
	       cuStreamCreate(&stream, 0) || cuMemAlloc_v2(&memory, WORDS * 4) ||
	       cuModuleLoadData(&module, put_image) || cuModuleGetFunction(&put, module, "put");
}

static void expect(unsigned int count, uint32_t value)
{
	uint32_t words[WORDS];

	WORKS(cuCtxSynchronize());
	WORKS(cuMemcpyDtoH_v2(words, memory, sizeof(words)));
	for (unsigned int i = 0; i < WORDS; i++)
		assert_int_equal(words[i], i < count ? value : 0);
	WORKS(cuMemsetD32_v2(memory, 0, WORDS));
	WORKS(cuCtxSynchronize());
}

static void test_launches(void **state)
{
	const uint32_t half_bits = 0x3f000000;

	(void)state;
	WORKS(cuMemsetD32_v2(memory, 0, WORDS));
	WORKS(cuFuncSetBlockShape(put, 8, 1, 1));
	WORKS(cuFuncSetSharedSize(put, 0));
	WORKS(cuParamSetv(put, 0, &memory, sizeof(memory)));
	WORKS(cuParamSetf(put, 8, 0.5f));
	WORKS(cuParamSeti(put, 12, 7));
	WORKS(cuParamSetSize(put, 16));
	WORKS(cuLaunch(put));
	expect(8, half_bits + 7);
	/* What was set stays. */
	WORKS(cuParamSeti(put, 12, 9));
	WORKS(cuLaunchGrid(put, 3, 1));
	expect(24, half_bits + 9);
	WORKS(cuFuncSetBlockShape(put, 16, 1, 1));
	WORKS(cuLaunchGridAsync(put, 4, 1, stream));
	WORKS(cuStreamSynchronize(stream));
	expect(64, half_bits + 9);
}

static void test_errors(void **state)
{
	(void)state;
	/* NVIDIA's driver writes where it is told to: driver 580 ended by a segmentation fault. */
	if (getenv("VGPU_NATIVE"))
		skip();
	assert_int_equal(cuFuncSetBlockShape(put, 0, 1, 1), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(cuParamSetSize(put, 1u << 20), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(cuParamSeti(put, -4, 1), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(cuLaunchGrid(put, 0, 1), CUDA_ERROR_INVALID_VALUE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_launches), cmocka_unit_test(test_errors)};

	return cmocka_run_group_tests(tests, setup, NULL);
}
