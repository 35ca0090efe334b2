/* SPDX-License-Identifier: Apache-2.0 */
/* What every test of the driver needs. */
#ifndef SOFTGPU_DRIVER_TESTS_COMMON_H
#define SOFTGPU_DRIVER_TESTS_COMMON_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "calls.h"

#define assert_ok(call)		  assert_int_equal((call), CUDA_SUCCESS)
#define assert_result(call, code) assert_int_equal((call), (code))

/* Kernels: each does one thing that a test can see from outside. */
#define KERNELS_PTX                                                                                 \
	".version 8.0\n.target sm_80\n.address_size 64\n"                                           \
	".visible .global .align 4 .u32 counter = 7;\n" /* *address = value */                      \
	".visible .entry store(.param .u64 address, .param .u32 value)\n{\n"                        \
	".reg .b64 %rd<2>;\n.reg .b32 %r<2>;\n"                                                     \
	"ld.param.u64 %rd1, [address];\nld.param.u32 %r1, [value];\n"                               \
	"st.global.u32 [%rd1], %r1;\nret;\n}\n" /* runs for so many nanoseconds */                  \
	".visible .entry spin(.param .u64 duration)\n{\n"                                           \
	".reg .pred %p<2>;\n.reg .b64 %rd<5>;\n"                                                    \
	"ld.param.u64 %rd1, [duration];\nmov.u64 %rd2, %globaltimer;\n"                             \
	"again:\nmov.u64 %rd3, %globaltimer;\nsub.s64 %rd4, %rd3, %rd2;\n"                          \
	"setp.lt.u64 %p1, %rd4, %rd1;\n@%p1 bra again;\nret;\n}\n" /* writes where nothing is */    \
	".visible .entry wild()\n{\n.reg .b64 %rd<2>;\n.reg .b32 %r<2>;\n"                          \
	"mov.u64 %rd1, 16;\nmov.u32 %r1, 1;\nst.global.u32 [%rd1], %r1;\nret;\n}\n"                 \
	".visible .entry misaligned(.param .u64 address)\n{\n.reg .b64 %rd<3>;\n.reg .b32 %r<2>;\n" \
	"ld.param.u64 %rd1, [address];\nadd.s64 %rd2, %rd1, 1;\nmov.u32 %r1, 1;\n"                  \
	"st.global.u32 [%rd2], %r1;\nret;\n}\n"                                                     \
	".visible .entry stop()\n{\ntrap;\nret;\n}\n"

static inline double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static inline void sleep_ms(long milliseconds)
{
	nanosleep(&(struct timespec){milliseconds / 1000, milliseconds % 1000 * 1000000}, NULL);
}

/* Each test gets a context of its own, current, in *state. */
static inline int context_setup(void **state)
{
	CUcontext context;

	if (cuInit(0) || cuCtxCreate_v2(&context, 0, 0))
		return -1;
	*state = context;
	return 0;
}

static inline int context_teardown(void **state)
{
	return cuCtxDestroy_v2(*state) ? -1 : 0;
}

static inline CUfunction kernel_load(CUmodule *ret_module, const char *name)
{
	CUfunction function;

	assert_ok(cuModuleLoadData(ret_module, KERNELS_PTX));
	assert_ok(cuModuleGetFunction(&function, *ret_module, name));
	return function;
}

/* One thread of a kernel. */
static inline CUresult launch_one(CUfunction function, CUstream stream, void **parameters)
{
	return cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, stream, parameters, NULL);
}

static inline void spin(CUfunction function, CUstream stream, uint64_t nanoseconds)
{
	void *parameters[] = {&nanoseconds};

	assert_ok(launch_one(function, stream, parameters));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, context_setup, context_teardown)

#endif
