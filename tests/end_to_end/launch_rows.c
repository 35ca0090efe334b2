/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of launches that a program issues without waiting, with any libcuda.so.1: each must see what the one before it
 * has done, whatever stands between them. Run by test_streams.py; with the argument "held" it issues a row when there
 * is a line of standard input, and says so: for a test that keeps the host from taking any of them meanwhile.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cuda_abi.h"
#include "stream_calls.h"

CUresult cuEventCreate(CUevent *event, unsigned int flags);
CUresult cuEventRecord(CUevent event, CUstream stream);
CUresult cuEventDestroy_v2(CUevent event);
CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned int flags);
CUresult cuStreamCreateWithPriority(CUstream *stream, unsigned int flags, int priority);
CUresult cuCtxGetStreamPriorityRange(int *least, int *greatest);

#define WORKS(call) assert_int_equal(call, CUDA_SUCCESS)

enum { ROW = 2000, SHARED_BYTES = 4096 };

/*
 * Of the word at 'at': multiply makes it thrice the word plus 'number', add adds, and swap adds it to 'number' by way
 * of shared memory; its last parameters make it longer than the others. fault writes where there is nothing.
 */
static const char image[] =
	".version 7.0\n.target sm_70\n.address_size 64\n"
	".extern .shared .align 4 .b8 room[];\n"
	".visible .entry multiply(.param .u64 at, .param .u32 number)\n{\n"
	"\t.reg .b32 %r<8>; .reg .b64 %d<4>; .reg .pred %p<2>;\n"
	"\tmov.u32 %r1, %tid.x;\n\tmov.u32 %r2, %ctaid.x;\n\tor.b32 %r1, %r1, %r2;\n\tsetp.ne.u32 %p1, %r1, 0;\n\t@%p1 "
	"ret;\n"
	"\tld.param.u64 %d1, [at];\n\tcvta.to.global.u64 %d1, %d1;\n\tld.param.u32 %r3, [number];\n"
	"\tld.global.u32 %r4, [%d1];\n\tmul.lo.u32 %r4, %r4, 3;\n\tadd.u32 %r4, %r4, %r3;\n"
	"\tst.global.u32 [%d1], %r4;\n\tret;\n}\n"
	".visible .entry add(.param .u64 at, .param .u32 number)\n{\n"
	"\t.reg .b32 %r<8>; .reg .b64 %d<4>; .reg .pred %p<2>;\n"
	"\tmov.u32 %r1, %tid.x;\n\tmov.u32 %r2, %ctaid.x;\n\tor.b32 %r1, %r1, %r2;\n\tsetp.ne.u32 %p1, %r1, 0;\n\t@%p1 "
	"ret;\n"
	"\tld.param.u64 %d1, [at];\n\tcvta.to.global.u64 %d1, %d1;\n\tld.param.u32 %r3, [number];\n"
	"\tld.global.u32 %r4, [%d1];\n\tadd.u32 %r4, %r4, %r3;\n\tst.global.u32 [%d1], %r4;\n\tret;\n}\n"
	".visible .entry swap(.param .u64 at, .param .u32 number, .param .u64 more, .param .u64 most)\n{\n"
	"\t.reg .b32 %r<8>; .reg .b64 %d<4>; .reg .pred %p<2>;\n"
	"\tmov.u32 %r1, %tid.x;\n\tmov.u32 %r2, %ctaid.x;\n\tor.b32 %r1, %r1, %r2;\n\tsetp.ne.u32 %p1, %r1, 0;\n\t@%p1 "
	"ret;\n"
	"\tld.param.u64 %d1, [at];\n\tcvta.to.global.u64 %d1, %d1;\n\tld.param.u32 %r3, [number];\n"
	"\tmov.u32 %r5, room;\n\tst.shared.u32 [%r5], %r3;\n\tld.shared.u32 %r6, [%r5];\n"
	"\tld.global.u32 %r4, [%d1];\n\tadd.u32 %r4, %r4, %r6;\n\tst.global.u32 [%d1], %r4;\n\tret;\n}\n"
	".visible .entry fault(.param .u64 at, .param .u32 number)\n{\n"
	"\t.reg .b32 %r<4>; .reg .b64 %d<4>; .reg .pred %p<2>;\n"
	"\tld.param.u32 %r1, [number];\n\tsetp.ne.u32 %p1, %r1, 777;\n\t@%p1 ret;\n"
	"\tmov.u64 %d1, 8;\n\tst.global.u32 [%d1], %r1;\n\tret;\n}\n";

enum kernel { MULTIPLY, ADD, SWAP, FAULT, KERNELS };
static const char *const names[KERNELS] = {"multiply", "add", "swap", "fault"};

static CUdeviceptr memory;
static CUmodule module;
static CUfunction functions[KERNELS];
static uint32_t expected;

static void module_load(void)
{
	WORKS(cuModuleLoadData(&module, image));
	for (int i = 0; i < KERNELS; i++)
		WORKS(cuModuleGetFunction(&functions[i], module, names[i]));
}

static int setup(void **state)
{
	CUcontext context;

	(void)state;
	WORKS(cuInit(0));
	WORKS(cuDevicePrimaryCtxRetain(&context, 0));
	WORKS(cuCtxSetCurrent(context));
	WORKS(cuMemAlloc_v2(&memory, 4096));
	module_load();
	return 0;
}

static void launch(enum kernel kernel, uint32_t number, CUstream stream)
{
	uint64_t more = number;
	void *parameters[] = {&memory, &number, &more, &more};

	expected = kernel == MULTIPLY ? expected * 3 + number : expected + number;
	WORKS(cuLaunchKernel(functions[kernel], 1 + number % 2, 1, 1, 32, 1, 1, kernel == SWAP ? SHARED_BYTES : 0,
			     stream, parameters, NULL));
}

/* Of so many kernels in turns. */
static void row_launch(int kinds, CUstream stream)
{
	for (uint32_t i = 0; i < ROW; i++)
		launch((enum kernel)(i % (uint32_t)kinds), i, stream);
}

static void begin(void)
{
	expected = 7;
	WORKS(cuMemsetD32_v2(memory, expected, 1));
	WORKS(cuCtxSynchronize());
}

static void end(void)
{
	uint32_t word;

	WORKS(cuCtxSynchronize());
	WORKS(cuMemcpyDtoH_v2(&word, memory, sizeof(word)));
	assert_int_equal(word, expected);
}

static void test_rows(void **state)
{
	CUstream stream;

	(void)state;
	WORKS(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	for (int kinds = 1; kinds <= 3; kinds++) {
		begin();
		row_launch(kinds, stream);
		end();
		begin();
		row_launch(kinds, NULL);
		end();
	}
	WORKS(cuStreamDestroy_v2(stream));
}

static void test_row_of_a_stream_with_priority(void **state)
{
	int least, greatest;
	CUstream stream;

	(void)state;
	WORKS(cuCtxGetStreamPriorityRange(&least, &greatest));
	WORKS(cuStreamCreateWithPriority(&stream, CU_STREAM_NON_BLOCKING, greatest));
	begin();
	row_launch(2, stream);
	end();
	WORKS(cuStreamDestroy_v2(stream));
}

/* Copies, fills and events stand between launches of two streams. */
static void test_rows_with_other_work_between(void **state)
{
	CUstream streams[2];
	CUevent event;

	(void)state;
	for (int i = 0; i < 2; i++)
		WORKS(cuStreamCreate(&streams[i], CU_STREAM_NON_BLOCKING));
	WORKS(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
	begin();
	for (int round = 0; round < 40; round++) {
		CUstream from = streams[round % 2], to = streams[1 - round % 2];

		for (uint32_t i = 0; i < 20 + (uint32_t)round; i++)
			launch((enum kernel)(i % 3), i, from);
		if (round % 4 == 3) {
			expected = (uint32_t)round * 0x01010101u;
			WORKS(cuMemsetD8Async(memory, (unsigned char)round, 4, from));
		}
		WORKS(cuEventRecord(event, from));
		WORKS(cuStreamWaitEvent(to, event, 0));
	}
	end();
	WORKS(cuEventDestroy_v2(event));
	for (int i = 0; i < 2; i++)
		WORKS(cuStreamDestroy_v2(streams[i]));
}

static void test_modules_that_end(void **state)
{
	(void)state;
	begin();
	for (int round = 0; round < 5; round++) {
		row_launch(2, NULL);
		WORKS(cuModuleUnload(module));
		module_load();
	}
	end();
}

static void test_capture_between(void **state)
{
	CUgraphExec exec;
	CUgraph graph;
	CUstream stream;
	uint32_t before;

	(void)state;
	WORKS(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	begin();
	row_launch(1, stream);
	before = expected;
	WORKS(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	for (int i = 0; i < 100; i++)
		launch(ADD, 5, stream);
	WORKS(cuStreamEndCapture(stream, &graph));
	assert_int_equal(expected, before + 500);
	WORKS(cuGraphInstantiateWithFlags(&exec, graph, 0));
	WORKS(cuGraphLaunch(exec, stream));
	row_launch(1, stream);
	end();
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));
	WORKS(cuStreamDestroy_v2(stream));
}

/* The last one: the context is lost. What came before the fault in its stream has been done. */
static void test_fault_in_a_row(void **state)
{
	(void)state;
	begin();
	for (uint32_t i = 0; i < ROW; i++)
		launch(FAULT, i == ROW / 2 ? 777 : 0, NULL);
	assert_int_equal(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
	assert_int_equal(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
}

/* Each when there is a line of standard input. */
static int held_rows(void)
{
	CUstream stream;

	setup(NULL);
	WORKS(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	/* The first use of a function asks for what it is. */
	begin();
	launch(MULTIPLY, 1, stream);
	end();
	for (int row = 0; row < 2; row++) {
		begin();
		printf("ready\n");
		fflush(stdout);
		if (getchar() == EOF)
			return 1;
		row_launch(1, stream);
		printf("issued\n");
		fflush(stdout);
		end();
	}
	return 0;
}

int main(int argument_count, char **arguments)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_row_of_a_stream_with_priority),
		cmocka_unit_test(test_rows_with_other_work_between),
		cmocka_unit_test(test_modules_that_end),
		cmocka_unit_test(test_capture_between),
		cmocka_unit_test(test_fault_in_a_row),
	};

	if (argument_count > 1 && strcmp(arguments[1], "held") == 0)
		return held_rows();
	return cmocka_run_group_tests(tests, setup, NULL);
}
