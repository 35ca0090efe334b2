/* SPDX-License-Identifier: Apache-2.0 */
#include "program.h"
#include "testing.h"

#include <string.h>

static void test_shared(void **state)
{
	struct program program;

	(void)state;
	/* Reverses each block through static and dynamic shared memory, by offset and by generic address. */
	program_load(&program, ".extern .shared .align 16 .b8 dynamic[];",
		     ".shared .align 4 .b8 fixed[1024];\n"
		     "ld.global.u32 %r2, [%in]; mov.u32 %r3, fixed; mad.lo.u32 %r3, %me, 4, %r3;"
		     "st.shared.u32 [%r3], %r2; bar.sync 0;"
		     "sub.u32 %r4, %r1, %me; sub.u32 %r4, %r4, 1; mov.u32 %r5, fixed; mad.lo.u32 %r5, %r4, 4, %r5;"
		     "cvt.u64.u32 %rd1, %r5; cvta.shared.u64 %rd1, %rd1; ld.u32 %r6, [%rd1];"
		     "mov.u32 %r7, dynamic; mad.lo.u32 %r7, %me, 4, %r7; st.shared.u32 [%r7], %r6;"
		     "ld.shared.u32 %r8, [%r7]; st.global.u32 [%at], %r8;",
		     2);
	program_run(&program, 4, 256, 1024, 0);
	assert_int_equal(program.result.fault, ENGINE_FAULT_NONE);
	for (uint32_t i = 0; i < 1024; i++)
		assert_int_equal(program.out[i], program.in[i / 256 * 256 + 255 - i % 256]);
	program_end(&program);
}

static void test_widths(void **state)
{
	struct program program;

	(void)state;
	program_load(&program, "",
		     "shl.b32 %r2, %me, 0; cvt.s64.s32 %rd1, %r2; ld.param.u64 %rd2, [in]; add.u64 %rd2, %rd2, %rd1;"
		     "ld.global.s8 %r3, [%rd2]; ld.global.u8 %r4, [%rd2]; ld.global.s8 %rd3, [%rd2];"
		     "cvt.u32.u64 %r5, %rd3; xor.b32 %r5, %r5, %r3; add.u32 %r3, %r3, %r5; shl.b32 %r4, %r4, 16;"
		     "and.b32 %r3, %r3, 0xffff; or.b32 %r3, %r3, %r4; st.global.u32 [%at], %r3;"
		     "st.global.u8 [%at+3], %me;",
		     1);
	program_run(&program, 1, 64, 0, 0);
	assert_int_equal(program.result.fault, ENGINE_FAULT_NONE);
	for (uint32_t i = 0; i < 64; i++) {
		uint8_t byte = ((const uint8_t *)program.in)[i];

		assert_int_equal(program.out[i], ((uint32_t)(int8_t)byte & 0xffff) | (uint32_t)byte << 16 | i << 24);
	}
	program_end(&program);
}

static void test_vectors(void **state)
{
	struct program program;

	(void)state;
	program_load(&program, "",
		     "ld.param.u64 %rd1, [in]; mad.wide.u32 %rd1, %i, 16, %rd1;"
		     "ld.global.nc.v4.u32 {%r2, %r3, %r4, %r5}, [%rd1]; ld.param.u64 %rd2, [out];"
		     "mad.wide.u32 %rd2, %i, 16, %rd2; st.global.v2.b32 [%rd2], {%r5, %r4};"
		     "mov.b64 %rd3, {%r3, %r2}; st.global.cs.b64 [%rd2+8], %rd3;",
		     1);
	program_run(&program, 2, 48, 0, 0);
	assert_int_equal(program.result.fault, ENGINE_FAULT_NONE);
	for (uint32_t i = 0; i < 96 * 4; i++)
		assert_int_equal(program.out[i], program.in[i / 4 * 4 + 3 - i % 4]);
	program_end(&program);
}

static void test_globals(void **state)
{
	struct program program;
	uint64_t address;
	size_t bytes;

	(void)state;
	program_load(&program,
		     ".visible .global .align 4 .b32 numbers[4] = {1, -2, 0x30, 0f3F800000};\n"
		     ".const .align 8 .u64 pointer = generic(numbers)+4;\n"
		     ".global .align 1 .b8 text[4] = {65, 66, 67};\n"
		     ".visible .const .f64 real = 0d3FF8000000000000;\n",
		     "ld.const.u64 %rd1, [pointer]; ld.u32 %r2, [%rd1]; ld.global.u32 %r3, [numbers+8];"
		     "ld.global.u8 %r4, [text+2]; add.u32 %r2, %r2, %r3; add.u32 %r2, %r2, %r4;"
		     "ld.const.f64 %rd2, [real]; shr.u64 %rd2, %rd2, 48; cvt.u32.u64 %r5, %rd2; add.u32 %r2, %r2, %r5;"
		     "mov.u64 %rd3, numbers; cvta.global.u64 %rd3, %rd3; ld.u32 %r6, [%rd3+12]; add.u32 %r2, %r2, %r6;"
		     "st.global.u32 [%at], %r2;",
		     1);
	program_run(&program, 1, 1, 0, 0);
	assert_int_equal(program.result.fault, ENGINE_FAULT_NONE);
	assert_int_equal(program.out[0], 0x30 - 2 + 67 + 0x3ff8 + 0x3f800000);
	assert_int_equal(engine_module_find_global(program.module, "numbers", &address, &bytes), ENGINE_OK);
	assert_int_equal(bytes, 16);
	assert_int_equal(*(int32_t *)(uintptr_t)(address + 4), -2);
	assert_int_equal(engine_module_find_global(program.module, "none", &address, &bytes), ENGINE_ERROR_NOT_FOUND);
	program_end(&program);
}

static void test_local(void **state)
{
	struct program program;

	(void)state;
	/* Every lane fills its own array and reads it back at an index of its own, by generic address. */
	program_load(
		&program, "",
		".local .align 4 .b8 depot[64];\n.reg .b64 %SP, %SPL;\n"
		"mov.u64 %SPL, depot; cvta.local.u64 %SP, %SPL; mov.u32 %r2, 0;\n"
		"fill: mad.wide.u32 %rd1, %r2, 4, %SPL; mad.lo.u32 %r3, %i, 100, %r2; st.local.u32 [%rd1], %r3;"
		"add.u32 %r2, %r2, 1; setp.lt.u32 %p1, %r2, 16; @%p1 bra fill;\n"
		"and.b32 %r4, %i, 15; mad.wide.u32 %rd2, %r4, 4, %SP; ld.u32 %r5, [%rd2]; st.global.u32 [%at], %r5;",
		1);
	program_run(&program, 2, 100, 0, 0);
	assert_int_equal(program.result.fault, ENGINE_FAULT_NONE);
	for (uint32_t i = 0; i < 200; i++)
		assert_int_equal(program.out[i], i * 100 + (i & 15));
	program_end(&program);
}

static void test_host_range(void **state)
{
	static uint32_t host[64];
	struct program program;
	uint64_t address = (uint64_t)(uintptr_t)host;

	(void)state;
	program_load(&program, "",
		     "ld.global.u64 %rd1, [%out]; mad.wide.u32 %rd1, %me, 4, %rd1; st.global.u32 [%rd1], %me;", 1);
	memcpy(program.out, &address, sizeof(address));
	program_run(&program, 1, 64, 0, 0);
	assert_int_equal(program.result.fault, ENGINE_FAULT_ILLEGAL_ADDRESS);
	assert_int_equal(program.result.fault_address, address);
	program.harness->host_base = address;
	program.harness->host_bytes = sizeof(host);
	program_run(&program, 1, 64, 0, 0);
	assert_int_equal(program.result.fault, ENGINE_FAULT_NONE);
	for (uint32_t i = 0; i < 64; i++)
		assert_int_equal(host[i], i);
	program_end(&program);
}

static void test_async_copy(void **state)
{
	struct program program;

	(void)state;
	program_load(
		&program, ".shared .align 16 .b8 room[2048];",
		"mov.u32 %r2, room; mad.lo.u32 %r2, %me, 4, %r2;"
		"cp.async.ca.shared.global [%r2], [%in], 4; cp.async.commit_group; cp.async.wait_group 0; bar.sync 0;"
		"xor.b32 %r3, %me, 1; mov.u32 %r4, room; mad.lo.u32 %r4, %r3, 4, %r4; ld.shared.u32 %r5, [%r4];"
		"st.global.u32 [%at], %r5;",
		1);
	program_run(&program, 1, 64, 0, 0);
	assert_int_equal(program.result.fault, ENGINE_FAULT_NONE);
	for (uint32_t i = 0; i < 64; i++)
		assert_int_equal(program.out[i], program.in[i ^ 1]);
	program_end(&program);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shared),	   cmocka_unit_test(test_widths), cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_globals),	   cmocka_unit_test(test_local),  cmocka_unit_test(test_host_range),
		cmocka_unit_test(test_async_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
