/* SPDX-License-Identifier: Apache-2.0 */
/* Device functions, and what every program may call: printf, malloc, free, assert. */
#include "program.h"
#include "testing.h"

#include <stdlib.h>
#include <string.h>

static const char fibonacci[] =
	".func (.param .b32 result) fibonacci(.param .b32 n)\n{\n.reg .b32 %r<8>; .reg .pred %p;\n"
	"ld.param.u32 %r1, [n]; setp.lt.u32 %p, %r1, 2; @%p bra small; sub.u32 %r2, %r1, 1; sub.u32 %r3, %r1, 2;\n"
	"{ .param .b32 a; .param .b32 r; st.param.b32 [a+0], %r2; call.uni (r), fibonacci, (a); "
	"ld.param.b32 %r4, [r+0]; }\n"
	"{ .param .b32 a; .param .b32 r; st.param.b32 [a+0], %r3; call.uni (r), fibonacci, (a); "
	"ld.param.b32 %r5, [r+0]; }\n"
	"add.u32 %r1, %r4, %r5; small: st.param.b32 [result+0], %r1; ret;\n}\n";

static void test_recursion(void **state)
{
	static const uint32_t expected[] = {0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89};
	struct program program;

	(void)state;
	/* Lanes of one warp recurse to different depths. */
	program_load(&program, fibonacci,
		     "rem.u32 %r2, %me, 12; { .param .b32 a; .param .b32 r; st.param.b32 [a], %r2;"
		     "call (r), fibonacci, (a); ld.param.b32 %r3, [r]; } st.global.u32 [%at], %r3;",
		     1);
	program_run(&program, 1, 64, 0, 0);
	assert_int_equal(program.result.fault, ENGINE_FAULT_NONE);
	for (uint32_t i = 0; i < 64; i++)
		assert_int_equal(program.out[i], expected[i % 12]);
	program_end(&program);
}

static void test_indirect(void **state)
{
	struct program program;

	(void)state;
	program_load(&program,
		     ".func (.param .b32 r) twice(.param .b32 a) { .reg .b32 %r<3>; ld.param.u32 %r1, [a];"
		     " shl.b32 %r2, %r1, 1; st.param.b32 [r], %r2; ret; }\n"
		     ".func (.param .b32 r) square(.param .b32 a) { .reg .b32 %r<3>; ld.param.u32 %r1, [a];"
		     " mul.lo.u32 %r2, %r1, %r1; st.param.b32 [r], %r2; ret; }\n"
		     ".global .align 8 .u64 table[2] = {twice, square};\n",
		     "and.b32 %r2, %me, 1; mov.u64 %rd1, table; mad.wide.u32 %rd1, %r2, 8, %rd1;"
		     "ld.global.u64 %rd2, [%rd1]; { .param .b32 a; .param .b32 r; st.param.b32 [a], %me;\n"
		     "p: .callprototype (.param .b32 _) _ (.param .b32 _);\n call (r), %rd2, (a), p;"
		     "ld.param.b32 %r3, [r]; } st.global.u32 [%at], %r3;",
		     1);
	program_run(&program, 1, 64, 0, 0);
	assert_int_equal(program.result.fault, ENGINE_FAULT_NONE);
	for (uint32_t i = 0; i < 64; i++)
		assert_int_equal(program.out[i], i & 1 ? i * i : 2 * i);
	program_end(&program);
}

static void test_structures(void **state)
{
	struct program program;

	(void)state;
	/* A structure by value: the callee works on its own copy. */
	program_load(&program,
		     ".func (.param .align 8 .b8 r[16]) swap(.param .align 8 .b8 s[16]) { .reg .b64 %rd<4>;"
		     " ld.param.u64 %rd1, [s]; ld.param.u64 %rd2, [s+8]; st.param.b64 [s], 0; st.param.b64 [r], %rd2;"
		     " st.param.b64 [r+8], %rd1; ret; }\n",
		     "cvt.u64.u32 %rd1, %me; add.u64 %rd2, %rd1, 100; { .param .align 8 .b8 s[16]; .param .align 8 .b8 "
		     "r[16];"
		     "st.param.b64 [s], %rd1; st.param.b64 [s+8], %rd2; call (r), swap, (s);"
		     "ld.param.b64 %rd3, [r]; ld.param.b64 %rd4, [r+8]; ld.param.b64 %rd5, [s]; }"
		     "mad.lo.u64 %rd3, %rd3, 1000, %rd4; add.u64 %rd3, %rd3, %rd5; cvt.u32.u64 %r2, %rd3;"
		     "st.global.u32 [%at], %r2;",
		     1);
	program_run(&program, 1, 32, 0, 0);
	assert_int_equal(program.result.fault, ENGINE_FAULT_NONE);
	for (uint32_t i = 0; i < 32; i++)
		assert_int_equal(program.out[i], (i + 100) * 1000 + 2 * i);
	program_end(&program);
}

static const char print_outside[] =
	".extern .func (.param .b32 r) vprintf(.param .b64 f, .param .b64 a);\n"
	".global .align 1 .b8 format[64] = {91, 37, 100, 124, 37, 48, 53, 117, 124, 37, 35, 120, 124, 37, 99, 124, 37,"
	" 115, 124, 37, 46, 50, 102, 124, 37, 108, 108, 100, 124, 37, 53, 100, 37, 37, 93, 10, 0};\n"
	".global .align 1 .b8 word[4] = {97, 98, 99, 0};\n";

/* [%d|%05u|%#x|%c|%s|%.2f|%lld|%5d%%]\n */
static void test_printf(void **state)
{
	struct program program;

	(void)state;
	program_load(
		&program, print_outside,
		".local .align 8 .b8 depot[64]; mov.u64 %rd1, depot; cvta.local.u64 %rd2, %rd1;"
		"neg.s32 %r2, %me; st.local.u32 [%rd1], %r2; st.local.u32 [%rd1+4], %me; st.local.u32 [%rd1+8], 255;"
		"st.local.u32 [%rd1+12], 65; mov.u64 %rd3, word; st.local.u64 [%rd1+16], %rd3;"
		"mov.f64 %rd4, 0d3FF8000000000000; st.local.u64 [%rd1+24], %rd4; st.local.u64 [%rd1+32], -5000000000;"
		"st.local.u32 [%rd1+40], 7; mov.u64 %rd5, format; setp.lt.u32 %p1, %me, 2; @!%p1 bra done;"
		"{ .param .b64 f; .param .b64 a; .param .b32 r; st.param.b64 [f], %rd5; st.param.b64 [a], %rd2;"
		"call.uni (r), vprintf, (f, a); ld.param.b32 %r3, [r]; } st.global.u32 [%at], %r3; done:",
		1);
	program_run(&program, 1, 32, 0, 0);
	assert_int_equal(program.result.fault, ENGINE_FAULT_NONE);
	assert_string_equal(program.harness->printed, "[0|00000|0xff|A|abc|1.50|-5000000000|    7%]\n"
						      "[-1|00001|0xff|A|abc|1.50|-5000000000|    7%]\n");
	assert_int_equal(program.out[0], 8);
	program_end(&program);
}

/* A format of the kernel's making must not reach further than its own text. */
static void test_printf_hostile(void **state)
{
	struct program program;

	(void)state;
	program_load(
		&program,
		".extern .func (.param .b32 r) vprintf(.param .b64 f, .param .b64 a);\n"
		".global .align 1 .b8 format[32] = {37, 57, 57, 57, 57, 57, 57, 57, 57, 57, 57, 100, 37, 110, 37, 113, "
		"37};\n",
		".local .align 8 .b8 depot[64]; mov.u64 %rd1, depot; cvta.local.u64 %rd2, %rd1; mov.u64 %rd5, format;"
		"st.local.u64 [%rd1], 0; setp.eq.u32 %p1, %me, 0; @!%p1 bra done;"
		"{ .param .b64 f; .param .b64 a; .param .b32 r; st.param.b64 [f], %rd5; st.param.b64 [a], %rd2;"
		"call.uni (r), vprintf, (f, a); } done:",
		1);
	program_run(&program, 1, 32, 0, 0);
	assert_int_equal(program.result.fault, ENGINE_FAULT_NONE);
	assert_int_equal(program.harness->printed_bytes, 512 + 5);
	assert_string_equal(program.harness->printed + 511, "0%n%q%");
	program_end(&program);
}

static void test_heap(void **state)
{
	struct program program;

	(void)state;
	/* Every thread's block is its own: what it wrote there is there after all have written. */
	program_load(&program,
		     ".extern .func (.param .b64 r) malloc(.param .b64 n);\n.extern .func free(.param .b64 p);\n",
		     "{ .param .b64 n; .param .b64 r; st.param.b64 [n], 40; call.uni (r), malloc, (n);"
		     "ld.param.b64 %rd1, [r]; } st.u32 [%rd1], %i; st.u32 [%rd1+36], %me; bar.sync 0;"
		     "ld.u32 %r2, [%rd1]; ld.u32 %r3, [%rd1+36]; add.u32 %r2, %r2, %r3; st.global.u32 [%at], %r2;"
		     "{ .param .b64 p; st.param.b64 [p], %rd1; call.uni free, (p); }",
		     2);
	program_run(&program, 4, 128, 0, 0);
	assert_int_equal(program.result.fault, ENGINE_FAULT_NONE);
	for (uint32_t i = 0; i < 512; i++)
		assert_int_equal(program.out[i], i + i % 128);
	program_end(&program);
}

static void test_assert(void **state)
{
	struct program program;

	(void)state;
	program_load(
		&program,
		".extern .func __assertfail(.param .b64 m, .param .b64 f, .param .b32 l, .param .b64 n, .param .b64 s)"
		" .noreturn;\n.global .b8 word[4] = {97, 98, 99, 0};\n",
		"mov.u64 %rd1, word; setp.ne.u32 %p1, %me, 5; @%p1 bra done;"
		"{ .param .b64 m; .param .b64 f; .param .b32 l; .param .b64 n; .param .b64 s; st.param.b64 [m], %rd1;"
		"st.param.b64 [f], %rd1; st.param.b32 [l], 12; st.param.b64 [n], %rd1; st.param.b64 [s], 1;"
		"call.uni __assertfail, (m, f, l, n, s); } done:",
		1);
	program_run(&program, 1, 32, 0, 0);
	assert_int_equal(program.result.fault, ENGINE_FAULT_ASSERT);
	assert_string_equal(program.harness->printed,
			    "abc:12: abc: block: [0,0,0], thread: [5,0,0] Assertion `abc` failed.\n");
	program_end(&program);
}

static void test_linking(void **state)
{
	static const char header[] = ".version 7.8\n.target sm_80\n.address_size 64\n";
	static const char one[] = ".visible .global .u32 shared_number = 77;\n"
				  ".visible .func (.param .b32 r) answer() { st.param.b32 [r], 42; ret; }\n";
	static const char two[] =
		".extern .global .u32 shared_number;\n.extern .func (.param .b32 r) answer();\n"
		".visible .entry k(.param .u64 out) { .reg .b64 %rd<3>; .reg .b32 %r<4>; ld.param.u64 %rd1, [out];\n"
		"{ .param .b32 r; call.uni (r), answer, (); ld.param.b32 %r1, [r]; } ld.global.u32 %r2, "
		"[shared_number];\n"
		"add.u32 %r3, %r1, %r2; st.global.u32 [%rd1], %r3; ret; }\n";
	struct harness *harness = harness_create(1);
	struct engine_module *module = NULL;
	char texts[2][1024];
	uint64_t out = harness_allocate(harness, 4096);

	(void)state;
	for (int i = 0; i < 2; i++) {
		strcpy(texts[i], header);
		strcat(texts[i], i ? two : one);
	}
	struct engine_ptx ptx[2] = {{texts[0], strlen(texts[0])}, {texts[1], strlen(texts[1])}};

	assert_int_equal(engine_module_load(harness->engine, &ptx[1], 1, harness->log, sizeof(harness->log), &module),
			 ENGINE_ERROR_UNRESOLVED);
	assert_null(module);
	assert_non_null(strstr(harness->log, "answer"));
	assert_int_equal(engine_module_load(harness->engine, ptx, 2, harness->log, sizeof(harness->log), &module),
			 ENGINE_OK);
	struct engine_result result = harness_launch(harness, module, "k", 1, 1, 0, &out, 8);

	assert_int_equal(result.fault, ENGINE_FAULT_NONE);
	assert_int_equal(*(uint32_t *)(uintptr_t)out, 119);
	engine_module_unload(module);
	harness_destroy(harness);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recursion),      cmocka_unit_test(test_indirect),
		cmocka_unit_test(test_structures),     cmocka_unit_test(test_printf),
		cmocka_unit_test(test_printf_hostile), cmocka_unit_test(test_heap),
		cmocka_unit_test(test_assert),	       cmocka_unit_test(test_linking),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
