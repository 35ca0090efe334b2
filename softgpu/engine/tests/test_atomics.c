/* SPDX-License-Identifier: Apache-2.0 */
#include "program.h"
#include "testing.h"

#include <string.h>

static void run(struct program *program, const char *body, uint32_t initial)
{
	program_load(program, ".shared .align 8 .b8 room[64];", body, 2);
	program->out[0] = initial;
	program_run(program, 16, 96, 0, 0);
	assert_int_equal(program->result.fault, ENGINE_FAULT_NONE);
}

static void expect(const char *body, uint32_t initial, uint32_t expected)
{
	struct program program;

	run(&program, body, initial);
	if (program.out[0] != expected)
		fail_msg("%s: got %x, expected %x", body, program.out[0], expected);
	program_end(&program);
}

static void test_integers(void **state)
{
	(void)state;
	expect("atom.global.add.u32 %r2, [%out], 3;", 5, 5 + 3 * 1536);
	expect("red.global.max.s32 [%out], %i;", 0xffffff00, 1535);
	expect("red.min.u32 [%out], %i;", 0xffffff00, 0);
	expect("and.b32 %r2, %i, 31; shl.b32 %r3, 1, %r2; red.or.b32 [%out], %r3;", 0, 0xffffffff);
	expect("not.b32 %r2, %i; red.and.b32 [%out], %r2;", 0xffffffff, 0xfffff800);
	expect("red.xor.b32 [%out], %i;", 7, 7);
	expect("atom.inc.u32 %r2, [%out], 9;", 0, 1536 % 10);
	expect("atom.dec.u32 %r2, [%out], 9;", 0, (10 - 1536 % 10) % 10);
	expect("atom.global.exch.b32 %r2, [%out], 42;", 1, 42);
	expect("atom.add.u64 %rd2, [%out], 0x100000000; atom.global.add.u32 %r2, [%out+4], 0;", 9, 9);
}

/* Every lane's result of an increment is different. */
static void test_results(void **state)
{
	struct program program;
	static uint8_t seen[1536];

	(void)state;
	run(&program, "atom.global.add.u32 %r2, [%out], 1; st.global.u32 [%at+64], %r2;", 0);
	for (unsigned i = 0; i < 1536; i++) {
		assert_true(program.out[16 + i] < 1536);
		seen[program.out[16 + i]]++;
	}
	for (unsigned i = 0; i < 1536; i++)
		assert_int_equal(seen[i], 1);
	program_end(&program);
}

static void test_floats(void **state)
{
	(void)state;
	expect("red.global.add.f32 [%out], 0f3F800000;", 0, 0x44c00000);
	expect("atom.add.f64 %rd1, [%out], 0d3FF0000000000000; bar.sync 0; "
	       "ld.global.u32 %r2, [%out+4]; setp.eq.u32 %p1, %r2, 0x40980000; @%p1 st.global.u32 [%out+8], 1; "
	       "@%p1 st.global.u32 [%out], 1;",
	       0, 1);
	expect("mov.b32 %r2, 0x3c003c00; atom.add.noftz.f16x2 %r3, [%out], %r2;", 0, 0x66006600);
}

static void test_shared(void **state)
{
	struct program program;

	(void)state;
	run(&program,
	    "setp.eq.u32 %p1, %me, 0; @%p1 st.shared.u32 [room], 0; bar.sync 0;"
	    "atom.shared.add.u32 %r2, [room], %me; bar.sync 0; ld.shared.u32 %r3, [room]; st.global.u32 [%at], %r3;",
	    0);
	for (unsigned i = 0; i < 1536; i++)
		assert_int_equal(program.out[i], 95 * 96 / 2);
	program_end(&program);
}

/* A lock that lanes of one warp take in turn: the holder must get to run while the others spin. */
static void test_lock(void **state)
{
	(void)state;
	expect("again: atom.global.cas.b32 %r2, [%out+4], 0, 1; setp.ne.u32 %p1, %r2, 0; @%p1 bra again;"
	       "ld.volatile.global.u32 %r3, [%out]; add.u32 %r3, %r3, 1; st.volatile.global.u32 [%out], %r3;"
	       "membar.gl; atom.global.exch.b32 %r4, [%out+4], 0;",
	       0, 1536);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_integers), cmocka_unit_test(test_results), cmocka_unit_test(test_floats),
		cmocka_unit_test(test_shared),	 cmocka_unit_test(test_lock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
