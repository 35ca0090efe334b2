/* SPDX-License-Identifier: Apache-2.0 */
#include "program.h"
#include "testing.h"

#include <string.h>

static void test_divergence(void **state)
{
	struct program program;

	(void)state;
	/* The length of each thread's Collatz sequence. */
	program_load(&program, "",
		     "add.u32 %r2, %i, 1; mov.u32 %r3, 0;\n"
		     "loop: setp.eq.u32 %p1, %r2, 1; @%p1 bra done; and.b32 %r4, %r2, 1; setp.eq.u32 %p2, %r4, 0;"
		     "@%p2 bra even; mad.lo.u32 %r2, %r2, 3, 1; bra next; even: shr.u32 %r2, %r2, 1;"
		     "next: add.u32 %r3, %r3, 1; bra loop; done: st.global.u32 [%at], %r3;",
		     2);
	program_run(&program, 8, 128, 0, 0);
	assert_int_equal(program.result.fault, ENGINE_FAULT_NONE);
	for (uint32_t i = 0; i < 1024; i++) {
		uint32_t length = 0;

		for (uint32_t value = i + 1; value != 1; value = value & 1 ? value * 3 + 1 : value / 2)
			length++;
		assert_int_equal(program.out[i], length);
	}
	program_end(&program);
}

static void test_branch_table(void **state)
{
	static const uint32_t expected[] = {10, 11, 12, 11};
	struct program program;

	(void)state;
	program_load(&program, "",
		     "and.b32 %r2, %me, 3; ts: .branchtargets L0, L1, L2, L1;\n brx.idx %r2, ts;\n"
		     "L0: mov.u32 %r3, 10; bra done; L1: mov.u32 %r3, 11; bra done; L2: mov.u32 %r3, 12;"
		     "done: st.global.u32 [%at], %r3;",
		     1);
	program_run(&program, 1, 64, 0, 0);
	assert_int_equal(program.result.fault, ENGINE_FAULT_NONE);
	for (uint32_t i = 0; i < 64; i++)
		assert_int_equal(program.out[i], expected[i & 3]);
	program_end(&program);
}

static void test_barriers(void **state)
{
	struct program program;

	(void)state;
	/* Half of the threads end before the barrier; the rest reduce. */
	program_load(&program, "",
		     "setp.ge.u32 %p1, %me, 100; @%p1 exit; setp.lt.u32 %p2, %me, 70;"
		     "bar.red.popc.u32 %r2, 0, %p2; bar.red.and.pred %p3, 0, %p2; bar.red.or.pred %p4, 0, %p2;"
		     "selp.u32 %r3, 1000, 0, %p3; selp.u32 %r4, 2000, 0, %p4; add.u32 %r2, %r2, %r3;"
		     "add.u32 %r2, %r2, %r4; st.global.u32 [%at], %r2;",
		     1);
	program_run(&program, 1, 128, 0, 0);
	assert_int_equal(program.result.fault, ENGINE_FAULT_NONE);
	for (uint32_t i = 0; i < 128; i++)
		assert_int_equal(program.out[i], i < 100 ? 2070 : 0);
	program_end(&program);
}

/* Producers arrive at one barrier, consumers wait at it (named barriers with thread counts). */
static void test_named_barriers(void **state)
{
	struct program program;

	(void)state;
	program_load(&program, ".shared .align 4 .b8 room[256];",
		     "mov.u32 %r2, room; and.b32 %r3, %me, 31; mad.lo.u32 %r2, %r3, 4, %r2; setp.lt.u32 %p1, %me, 32;"
		     "@%p1 bra consumer; mul.lo.u32 %r4, %me, 7; st.shared.u32 [%r2], %r4; bar.arrive 3, 64; bra done;"
		     "consumer: bar.sync 3, 64; ld.shared.u32 %r5, [%r2]; st.global.u32 [%at], %r5; done:",
		     1);
	program_run(&program, 1, 64, 0, 0);
	assert_int_equal(program.result.fault, ENGINE_FAULT_NONE);
	for (uint32_t i = 0; i < 32; i++)
		assert_int_equal(program.out[i], (i + 32) * 7);
	program_end(&program);
}

static void test_grid_barrier(void **state)
{
	struct program program;
	struct {
		uint64_t out, in;
		uint32_t n;
	} parameters;
	struct engine_launch launch = {
		.grid = {37, 1, 1},
		.block = {64, 1, 1},
		.parameters = &parameters,
		.parameter_bytes = 20,
		.cooperative = true,
	};

	(void)state;
	/* Every block waits until all have counted themselves: all must be resident. */
	program_load(&program, "",
		     "setp.ne.u32 %p1, %me, 0; @%p1 bra wait; atom.global.add.u32 %r2, [%out], 1;\n"
		     "wait: ld.acquire.gpu.global.u32 %r3, [%out]; mov.u32 %r4, %nctaid.x; setp.lt.u32 %p2, %r3, %r4;"
		     "@%p2 bra wait; bar.sync 0; st.global.u32 [%at+4], %r3;",
		     2);
	parameters.out = (uint64_t)(uintptr_t)program.out;
	parameters.in = (uint64_t)(uintptr_t)program.in;
	launch.function = engine_module_find_function(program.module, "k");
	engine_launch(program.harness->engine, &launch, &program.result);
	assert_int_equal(program.result.fault, ENGINE_FAULT_NONE);
	for (uint32_t i = 0; i < 37 * 64; i++)
		assert_int_equal(program.out[1 + i], 37);
	program_end(&program);
}

static void test_scopes(void **state)
{
	struct program program;

	(void)state;
	/* Inline assembly declares registers and labels of the same names in scopes of its own. */
	program_load(
		&program, "",
		"mov.u32 %r9, 0;\n{ .reg .pred p; .reg .b32 t; mov.u32 t, 0; again: add.u32 t, t, 1;"
		" setp.lt.u32 p, t, 5; @p bra again; add.u32 %r9, %r9, t; }\n"
		"{ .reg .pred p; .reg .b64 t; mov.u64 t, 0; again: add.u64 t, t, 1; setp.lt.u64 p, t, 7; @p bra again;"
		" .reg .b32 low; cvt.u32.u64 low, t; add.u32 %r9, %r9, low; }\n st.global.u32 [%at], %r9;",
		1);
	program_run(&program, 1, 32, 0, 0);
	assert_int_equal(program.result.fault, ENGINE_FAULT_NONE);
	for (uint32_t i = 0; i < 32; i++)
		assert_int_equal(program.out[i], 12);
	program_end(&program);
}

static void test_geometry(void **state)
{
	struct program program;
	struct {
		uint64_t out, in;
		uint32_t n;
	} parameters;
	struct engine_launch launch = {
		.grid = {2, 3, 2},
		.block = {3, 5, 2},
		.parameters = &parameters,
		.parameter_bytes = 20,
	};

	(void)state;
	program_load(
		&program, "",
		"mov.u32 %r2, %tid.z; mov.u32 %r3, %ntid.y; mov.u32 %r4, %tid.y; mad.lo.u32 %r2, %r2, %r3, %r4;"
		"mov.u32 %r3, %ntid.x; mov.u32 %r4, %tid.x; mad.lo.u32 %r2, %r2, %r3, %r4;"
		"mov.u32 %r5, %ctaid.z; mov.u32 %r6, %nctaid.y; mov.u32 %r7, %ctaid.y; mad.lo.u32 %r5, %r5, %r6, %r7;"
		"mov.u32 %r6, %nctaid.x; mov.u32 %r7, %ctaid.x; mad.lo.u32 %r5, %r5, %r6, %r7;"
		"mad.lo.u32 %r8, %r5, 30, %r2; mad.wide.u32 %rd1, %r8, 4, %out; st.global.u32 [%rd1], %r8;",
		2);
	parameters.out = (uint64_t)(uintptr_t)program.out;
	parameters.in = (uint64_t)(uintptr_t)program.in;
	launch.function = engine_module_find_function(program.module, "k");
	engine_launch(program.harness->engine, &launch, &program.result);
	assert_int_equal(program.result.fault, ENGINE_FAULT_NONE);
	for (uint32_t i = 0; i < 360; i++)
		assert_int_equal(program.out[i], i);
	assert_int_equal(program.out[360], 0);
	program_end(&program);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_divergence),   cmocka_unit_test(test_branch_table),
		cmocka_unit_test(test_barriers),     cmocka_unit_test(test_named_barriers),
		cmocka_unit_test(test_grid_barrier), cmocka_unit_test(test_scopes),
		cmocka_unit_test(test_geometry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
