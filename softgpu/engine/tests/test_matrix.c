/* SPDX-License-Identifier: Apache-2.0 */
/* Products of small integers, which every format holds exactly. */
#include "program.h"
#include "testing.h"

#include <string.h>

static uint16_t half_of(int value)
{
	/* f16 of an integer below 2048. */
	unsigned magnitude = (unsigned)(value < 0 ? -value : value), exponent = 0;

	if (!magnitude)
		return 0;
	while (magnitude >> (exponent + 1))
		exponent++;
	return (uint16_t)((value < 0 ? 0x8000 : 0) | (exponent + 15) << 10 | ((magnitude << 10 >> exponent) & 0x3ff));
}

static int element(unsigned seed, unsigned row, unsigned column)
{
	return (int)((row * 7 + column * 13 + seed * 5 + row * column) % 19) - 9;
}

static float product(unsigned row, unsigned column, unsigned depth)
{
	int sum = 0;

	for (unsigned k = 0; k < depth; k++)
		sum += element(1, row, k) * element(2, k, column);
	return (float)sum;
}

/* The usual way: tiles in shared memory, ldmatrix, mma. */
static void test_mma(void **state)
{
	struct program program;

	(void)state;
	program_load(&program, ".shared .align 16 .b8 room[1024];",
		     "mov.u32 %r2, room; mad.lo.u32 %r2, %me, 24, %r2; ld.param.u64 %rd1, [in]; mad.wide.u32 %rd1, "
		     "%me, 24, %rd1;"
		     "ld.global.v2.u32 {%r3, %r4}, [%rd1]; st.shared.v2.u32 [%r2], {%r3, %r4};"
		     "ld.global.v2.u32 {%r3, %r4}, [%rd1+8]; st.shared.v2.u32 [%r2+8], {%r3, %r4};"
		     "ld.global.v2.u32 {%r3, %r4}, [%rd1+16]; st.shared.v2.u32 [%r2+16], {%r3, %r4}; bar.sync 0;"
		     "mov.u32 %r5, room; and.b32 %r6, %me, 15; shr.u32 %r7, %me, 4; mad.lo.u32 %r8, %r6, 32, %r5;"
		     "mad.lo.u32 %r8, %r7, 16, %r8; ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r10, %r11, %r12, %r13}, "
		     "[%r8];"
		     "and.b32 %r6, %me, 7; shr.u32 %r7, %me, 3; and.b32 %r7, %r7, 1; mad.lo.u32 %r8, %r6, 32, %r5;"
		     "mad.lo.u32 %r8, %r7, 16, %r8; ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%r14, %r15}, [%r8+512];"
		     "mov.f32 %f1, 0f3F800000; mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%f2, %f3, %f4, %f5},"
		     " {%r10, %r11, %r12, %r13}, {%r14, %r15}, {%f1, %f1, %f1, %f1};"
		     "shr.u32 %r16, %me, 2; and.b32 %r17, %me, 3; mad.lo.u32 %r18, %r16, 4, %r17;"
		     "mad.wide.u32 %rd2, %r18, 8, %out; st.global.v2.f32 [%rd2], {%f2, %f3};"
		     "st.global.v2.f32 [%rd2+256], {%f4, %f5};",
		     1);
	uint16_t *a = (uint16_t *)program.in, *b = a + 256;

	for (unsigned i = 0; i < 256; i++)
		a[i] = half_of(element(1, i / 16, i % 16));
	/* Column by column. */
	for (unsigned i = 0; i < 128; i++)
		b[i] = half_of(element(2, i % 16, i / 16));
	program_run(&program, 1, 32, 0, 0);
	assert_int_equal(program.result.fault, ENGINE_FAULT_NONE);
	for (unsigned i = 0; i < 128; i++) {
		float got;

		memcpy(&got, &program.out[i], sizeof(got));
		assert_true(got == product(i / 8, i % 8, 16) + 1.0f);
	}
	program_end(&program);
}

static void test_wmma(void **state)
{
	struct program program;

	(void)state;
	/* A by rows, B by columns, the result by rows with a stride of 20. */
	program_load(
		&program, "",
		"ld.param.u64 %rd1, [in]; mov.u32 %r2, 16; mov.f32 %f1, 0f40000000;"
		"wmma.load.a.sync.aligned.row.m16n16k16.global.f16 {%r10,%r11,%r12,%r13,%r14,%r15,%r16,%r17}, [%rd1], "
		"%r2;"
		"wmma.load.b.sync.aligned.col.m16n16k16.global.f16 {%r20,%r21,%r22,%r23,%r24,%r25,%r26,%r27}, "
		"[%rd1+512], %r2;"
		"wmma.mma.sync.aligned.row.col.m16n16k16.f32.f32 {%f2,%f3,%f4,%f5,%f6,%f7,%f8,%f9},"
		" {%r10,%r11,%r12,%r13,%r14,%r15,%r16,%r17}, {%r20,%r21,%r22,%r23,%r24,%r25,%r26,%r27},"
		" {%f1,%f1,%f1,%f1,%f1,%f1,%f1,%f1};"
		"wmma.store.d.sync.aligned.row.m16n16k16.global.f32 [%out], {%f2,%f3,%f4,%f5,%f6,%f7,%f8,%f9}, 20;",
		1);
	uint16_t *a = (uint16_t *)program.in, *b = a + 256;

	for (unsigned i = 0; i < 256; i++) {
		a[i] = half_of(element(1, i / 16, i % 16));
		b[i] = half_of(element(2, i % 16, i / 16));
	}
	program_run(&program, 1, 32, 0, 0);
	assert_int_equal(program.result.fault, ENGINE_FAULT_NONE);
	for (unsigned i = 0; i < 256; i++) {
		float got;

		memcpy(&got, &program.out[i / 16 * 20 + i % 16], sizeof(got));
		assert_true(got == product(i / 16, i % 16, 16) + 2.0f);
	}
	program_end(&program);
}

static void test_tensor_float(void **state)
{
	struct program program;

	(void)state;
	/* A is all ones, B is k at [k][n]: every sum is 0 + 1 + ... + 7. */
	program_load(
		&program, "",
		"mov.b32 %r2, 0x3f800000; and.b32 %r3, %me, 3; cvt.rn.f32.u32 %f1, %r3; add.f32 %f2, %f1, 0f40800000;"
		"mov.b32 %r4, %f1; mov.b32 %r5, %f2; mov.f32 %f3, 0f00000000;"
		"mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%f4,%f5,%f6,%f7}, {%r2,%r2,%r2,%r2}, {%r4,%r5},"
		" {%f3,%f3,%f3,%f3}; add.f32 %f4, %f4, %f7; st.global.f32 [%at], %f4;",
		1);
	program_run(&program, 1, 32, 0, 0);
	assert_int_equal(program.result.fault, ENGINE_FAULT_NONE);
	for (unsigned i = 0; i < 32; i++) {
		float got;

		memcpy(&got, &program.out[i], sizeof(got));
		assert_true(got == 56.0f);
	}
	program_end(&program);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mma),
		cmocka_unit_test(test_wmma),
		cmocka_unit_test(test_tensor_float),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
