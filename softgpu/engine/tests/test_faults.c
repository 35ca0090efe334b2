/* SPDX-License-Identifier: Apache-2.0 */
#include "program.h"
#include "testing.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static void expect(const char *body, enum engine_fault fault)
{
	struct program program;

	program_load(&program, ".shared .align 4 .b8 room[64];", body, 2);
	program_run(&program, 8, 64, 0, 0);
	if (program.result.fault != fault)
		fail_msg("%s: fault %d, expected %d", body, (int)program.result.fault, (int)fault);
	/* The engine goes on working. */
	program_end(&program);
}

static void test_addresses(void **state)
{
	(void)state;
	expect("st.global.u32 [0], %me;", ENGINE_FAULT_ILLEGAL_ADDRESS);
	expect("st.global.u32 [%at+65536], %me;", ENGINE_FAULT_ILLEGAL_ADDRESS);
	expect("ld.global.u32 %r2, [%at-4096];", ENGINE_FAULT_ILLEGAL_ADDRESS);
	expect("mov.u64 %rd1, 0xffffffffffffffff; ld.u8 %r2, [%rd1];", ENGINE_FAULT_ILLEGAL_ADDRESS);
	expect("mov.u64 %rd1, 0xfffffffffffffffc; ld.v4.u32 {%r2,%r3,%r4,%r5}, [%rd1+4];",
	       ENGINE_FAULT_ILLEGAL_ADDRESS);
	expect("mov.u64 %rd1, 0x7fff00000000; atom.add.u32 %r2, [%rd1], 1;", ENGINE_FAULT_ILLEGAL_ADDRESS);
	expect("ld.shared.u32 %r2, [room+64];", ENGINE_FAULT_ILLEGAL_ADDRESS);
	expect("mov.u32 %r3, -4; ld.shared.u32 %r2, [%r3];", ENGINE_FAULT_ILLEGAL_ADDRESS);
	expect("mov.u64 %rd1, room; cvta.shared.u64 %rd1, %rd1; st.u32 [%rd1+64], %me;", ENGINE_FAULT_ILLEGAL_ADDRESS);
	expect("mov.u64 %rd1, 1000000; ld.local.u32 %r2, [%rd1];", ENGINE_FAULT_ILLEGAL_ADDRESS);
	expect("mov.b64 %rd1, in; ld.param.u64 %rd2, [%rd1+16];", ENGINE_FAULT_ILLEGAL_ADDRESS);
	expect("st.shared.u32 [room+60], %me;", ENGINE_FAULT_NONE);
}

static void test_alignment(void **state)
{
	(void)state;
	expect("ld.global.u32 %r2, [%at+2];", ENGINE_FAULT_MISALIGNED_ADDRESS);
	expect("ld.global.v2.u32 {%r2, %r3}, [%out+4];", ENGINE_FAULT_MISALIGNED_ADDRESS);
	expect("st.shared.u16 [room+1], %h1;", ENGINE_FAULT_MISALIGNED_ADDRESS);
	expect("atom.global.cas.b64 %rd2, [%out+4], %rd3, %rd4;", ENGINE_FAULT_MISALIGNED_ADDRESS);
}

static void test_others(void **state)
{
	(void)state;
	expect("setp.eq.u32 %p1, %i, 77; @%p1 trap;", ENGINE_FAULT_TRAP);
	expect("mov.u64 %rd1, 5; call %rd1;", ENGINE_FAULT_ILLEGAL_INSTRUCTION);
	expect("setp.lt.u32 %p1, %me, 32; @%p1 bar.sync 1; @!%p1 bar.sync 2, 128;", ENGINE_FAULT_ILLEGAL_INSTRUCTION);
}

static _Atomic bool cancel;

static void *cancel_soon(void *unused)
{
	(void)unused;
	usleep(50 * 1000);
	atomic_store(&cancel, true);
	return NULL;
}

/* A kernel that never ends on its own does so when it is told to, in whatever way it goes round. */
static void expect_cancelled(const char *outside, const char *body, bool at_once)
{
	struct program program;
	pthread_t thread;
	struct {
		uint64_t out, in;
		uint32_t n;
	} parameters = {0};
	struct engine_launch launch = {
		.grid = {4, 1, 1},
		.block = {64, 1, 1},
		.parameters = &parameters,
		.parameter_bytes = 20,
		.cancel = &cancel,
	};

	program_load(&program, outside, body, 2);
	launch.function = engine_module_find_function(program.module, "k");
	atomic_store(&cancel, at_once);
	assert_int_equal(pthread_create(&thread, NULL, cancel_soon, NULL), 0);
	alarm(20);
	engine_launch(program.harness->engine, &launch, &program.result);
	alarm(0);
	pthread_join(thread, NULL);
	assert_int_equal(program.result.fault, ENGINE_FAULT_CANCELLED);
	program_end(&program);
}

static void test_cancel(void **state)
{
	(void)state;
	expect_cancelled("", "forever: bra forever;", true);
	expect_cancelled("", "forever: bra forever;", false);
	expect_cancelled("", "forever: nanosleep.u32 100; bra forever;", false);
}

static void test_cancel_barriers(void **state)
{
	(void)state;
	expect_cancelled("", "forever: bar.sync 0; bra forever;", false);
	expect_cancelled("", "forever: bar.warp.sync 0xffffffff; bra forever;", false);
}

/* 2^200 calls, none deeper than 200. */
static void test_cancel_calls(void **state)
{
	(void)state;
	expect_cancelled(".func twice(.param .b32 depth)\n{\n.reg .b32 %r<4>;\n.reg .pred %p;\n"
			 "ld.param.u32 %r1, [depth]; setp.eq.u32 %p, %r1, 0; @%p ret; sub.u32 %r1, %r1, 1;\n"
			 "{ .param .b32 next; st.param.b32 [next], %r1; call.uni twice, (next); }\n"
			 "{ .param .b32 next; st.param.b32 [next], %r1; call.uni twice, (next); }\nret;\n}\n",
			 "{ .param .b32 start; st.param.b32 [start], 200; call.uni twice, (start); }", false);
}

static void test_recursion(void **state)
{
	struct program program;

	(void)state;
	program_load(&program,
		     ".func deeper(.param .b32 depth)\n{\n.local .b8 room[256];\n.reg .b32 %r<4>;\n"
		     "ld.param.u32 %r1, [depth]; st.local.u32 [room], %r1;\n"
		     "{ .param .b32 next; st.param.b32 [next], %r1; call.uni deeper, (next); }\nret;\n}\n",
		     "{ .param .b32 start; st.param.b32 [start], %me; call.uni deeper, (start); }", 1);
	program_run(&program, 1, 32, 0, 0);
	assert_int_equal(program.result.fault, ENGINE_FAULT_STACK_OVERFLOW);
	program_end(&program);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),	cmocka_unit_test(test_alignment),
		cmocka_unit_test(test_others),		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_cancel_barriers), cmocka_unit_test(test_cancel_calls),
		cmocka_unit_test(test_recursion),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
