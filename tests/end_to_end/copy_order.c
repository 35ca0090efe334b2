/* SPDX-License-Identifier: Apache-2.0 */
/*
 * That a synchronous copy of pageable memory to the device has been made when it returns, with any libcuda.so.1: a
 * kernel in a stream that waits for no other one finds the bytes. Libraries rely on it for their tables (cuFFT's
 * plans). Run by test_streams.py; on a GPU the copy and the kernel are engines' that know nothing of each other.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cuda_abi.h"
#include "graph_calls.h"

#define WORKS(call)  assert_int_equal(call, CUDA_SUCCESS)
#define BYTES_MAX    (5u << 20)
#define ROUNDS_BYTES (512u << 20) /* are copied in all of a size's rounds, which are not more than so many */

/* Reads the last word of an area. */
static const char take_image[] = ".version 6.4\n.target sm_50\n.address_size 64\n"
				 ".visible .entry take(.param .u64 to, .param .u64 from)\n{\n"
				 "	.reg .b64 %rd<3>;\n"
				 "	.reg .b32 %r<2>;\n"
				 "	ld.param.u64 %rd1, [to];\n"
				 "	ld.param.u64 %rd2, [from];\n"
				 "	ld.global.u32 %r1, [%rd2];\n"
				 "	st.global.u32 [%rd1], %r1;\n"
				 "	ret;\n}\n";

static CUcontext context;
static CUstream stream, blocking;
static CUdeviceptr memory, taken;
static CUfunction take;
static uint32_t *host;
static size_t rounds_max = 3000; /* of a size */

static int setup(void **state)
{
	CUmodule module;

	(void)state;
	host = malloc(BYTES_MAX);
	return !host || cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context) ||
	       cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING) || cuStreamCreate(&blocking, 0) ||
	       cuMemAlloc_v2(&memory, BYTES_MAX) || cuMemAlloc_v2(&taken, 4) || cuModuleLoadData(&module, take_image) ||
	       cuModuleGetFunction(&take, module, "take");
}

/* How often the kernel found what was there before, in rounds with other work before the copy or without. */
static int stale_count(size_t bytes, bool is_busy)
{
	size_t rounds = ROUNDS_BYTES / bytes < rounds_max ? ROUNDS_BYTES / bytes : rounds_max;
	CUdeviceptr last = memory + bytes - 4;
	void *parameters[] = {&taken, &last};
	int stale = 0;

	for (uint32_t round = 1; round <= rounds; round++) {
		uint32_t found;

		for (size_t i = 0; i < bytes / 4; i++)
			host[i] = round;
		if (is_busy)
			WORKS(cuMemsetD8Async(memory, 0, bytes, blocking));
		WORKS(cuMemcpyHtoD_v2(memory, host, bytes));
		WORKS(cuLaunchKernel(take, 1, 1, 1, 1, 1, 1, 0, stream, parameters, NULL));
		WORKS(cuMemcpyDtoHAsync_v2(&found, taken, 4, stream));
		WORKS(cuStreamSynchronize(stream));
		stale += found != round;
	}
	printf("# %zu bytes%s: %d stale\n", bytes, is_busy ? " behind other work" : "", stale);
	return stale;
}

/* What a native driver does is only told: it promises nothing. */
static void expect_found(const size_t *sizes, size_t count, bool is_busy)
{
	int stale = 0;

	for (size_t i = 0; i < count; i++)
		stale += stale_count(sizes[i], is_busy);
	if (!getenv("VGPU_NATIVE"))
		assert_int_equal(stale, 0);
}

/* Those that an H200 has always made when the call returns, and others (driver 580: most of 256 KiB, none of 1 MiB). */
static void test_long_copies(void **state)
{
	static const size_t sizes[] = {65540, 131072};

	(void)state;
	expect_found(sizes, 2, false);
	expect_found(sizes, 2, true);
	stale_count(256u << 10, false);
	stale_count(1u << 20, false);
	stale_count(BYTES_MAX, false);
}

/* Copies of 64 KiB or less may be made later (API synchronization behavior). Natively they never were. */
static void test_short_copies(void **state)
{
	static const size_t sizes[] = {8, 4096, 16384, 65536};

	(void)state;
	for (int i = 0; i < 4; i++)
		stale_count(sizes[i], true);
	expect_found(sizes, 4, false);
}

/* copy_order [ROUNDS]: with a number of rounds only what is certain, for a software GPU on a machine that is busy. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_long_copies), cmocka_unit_test(test_short_copies)};

	if (argc == 1)
		return cmocka_run_group_tests(tests, setup, NULL);
	rounds_max = strtoul(argv[1], NULL, 10);
	return _cmocka_run_group_tests("long copies", tests, 1, setup, NULL);
}
