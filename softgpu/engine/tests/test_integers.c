/* SPDX-License-Identifier: Apache-2.0 */
#include "snippet.h"
#include "testing.h"

#include <stdbool.h>

#define REFERENCE(name)                                                                              \
	static uint64_t name(__attribute__((unused)) uint64_t a, __attribute__((unused)) uint64_t b, \
			     __attribute__((unused)) uint64_t c)

#define CHECK(code, bits, reference) \
	snippet_check(code, bits, snippet_integers, snippet_integer_count, reference, snippet_equal)

REFERENCE(add)
{
	return a + b;
}

REFERENCE(sub)
{
	return a - b;
}

REFERENCE(mul)
{
	return a * b;
}

REFERENCE(mad)
{
	return a * b + c;
}

REFERENCE(mulhi_s32)
{
	return (uint64_t)((int64_t)(int32_t)a * (int32_t)b) >> 32;
}

REFERENCE(mulhi_u32)
{
	return (a & UINT32_MAX) * (b & UINT32_MAX) >> 32;
}

REFERENCE(mulhi_u64)
{
	return (uint64_t)((unsigned __int128)a * b >> 64);
}

REFERENCE(mulhi_s64)
{
	return (uint64_t)((__int128)(int64_t)a * (int64_t)b >> 64);
}

REFERENCE(mulwide_s32)
{
	return (uint64_t)((int64_t)(int32_t)a * (int32_t)b);
}

REFERENCE(madwide_u32)
{
	return (a & UINT32_MAX) * (b & UINT32_MAX) + c;
}

REFERENCE(mulwide_s16)
{
	return (uint32_t)((int16_t)a * (int16_t)b);
}

static void test_arithmetic(void **state)
{
	(void)state;
	CHECK("add.u32 %d32, %a32, %b32;", 32, add);
	CHECK("add.s64 %d, %a, %b;", 64, add);
	CHECK("add.u16 %d16, %a16, %b16;", 16, add);
	CHECK("sub.s32 %d32, %a32, %b32;", 32, sub);
	CHECK("sub.u64 %d, %a, %b;", 64, sub);
	CHECK("mul.lo.s32 %d32, %a32, %b32;", 32, mul);
	CHECK("mul.lo.u64 %d, %a, %b;", 64, mul);
	CHECK("mul.lo.s16 %d16, %a16, %b16;", 16, mul);
	CHECK("mul.hi.s32 %d32, %a32, %b32;", 32, mulhi_s32);
	CHECK("mul.hi.u32 %d32, %a32, %b32;", 32, mulhi_u32);
	CHECK("mul.hi.u64 %d, %a, %b;", 64, mulhi_u64);
	CHECK("mul.hi.s64 %d, %a, %b;", 64, mulhi_s64);
	CHECK("mul.wide.s32 %d, %a32, %b32;", 64, mulwide_s32);
	CHECK("mul.wide.s16 %d32, %a16, %b16;", 32, mulwide_s16);
	CHECK("mad.lo.s32 %d32, %a32, %b32, %c32;", 32, mad);
	CHECK("mad.lo.u64 %d, %a, %b, %c;", 64, mad);
	CHECK("mad.wide.u32 %d, %a32, %b32, %c;", 64, madwide_u32);
}

REFERENCE(div_u32)
{
	return (uint32_t)b ? (uint32_t)a / (uint32_t)b : UINT32_MAX;
}

REFERENCE(rem_u32)
{
	return (uint32_t)b ? (uint32_t)a % (uint32_t)b : a;
}

REFERENCE(div_s32)
{
	return (int32_t)b ? (uint64_t)((int64_t)(int32_t)a / (int32_t)b) : UINT64_MAX;
}

REFERENCE(rem_s32)
{
	return (int32_t)b ? (uint64_t)((int64_t)(int32_t)a % (int32_t)b) : a;
}

REFERENCE(div_u64)
{
	return b ? a / b : UINT64_MAX;
}

REFERENCE(rem_s64)
{
	return b ? (uint64_t)((__int128)(int64_t)a % (int64_t)b) : a;
}

static void test_division(void **state)
{
	(void)state;
	CHECK("div.u32 %d32, %a32, %b32;", 32, div_u32);
	CHECK("rem.u32 %d32, %a32, %b32;", 32, rem_u32);
	CHECK("div.s32 %d32, %a32, %b32;", 32, div_s32);
	CHECK("rem.s32 %d32, %a32, %b32;", 32, rem_s32);
	CHECK("div.u64 %d, %a, %b;", 64, div_u64);
	CHECK("rem.s64 %d, %a, %b;", 64, rem_s64);
}

REFERENCE(shl_32)
{
	return (uint32_t)b > 31 ? 0 : a << (uint32_t)b;
}

REFERENCE(shr_u32)
{
	return (uint32_t)b > 31 ? 0 : (uint32_t)a >> (uint32_t)b;
}

REFERENCE(shr_s32)
{
	return (uint64_t)((int32_t)a >> ((uint32_t)b > 31 ? 31 : (uint32_t)b));
}

REFERENCE(shr_s64)
{
	return (uint64_t)((int64_t)a >> ((uint32_t)b > 63 ? 63 : (uint32_t)b));
}

REFERENCE(shl_64)
{
	return (uint32_t)b > 63 ? 0 : a << (uint32_t)b;
}

REFERENCE(shr_s16)
{
	return (uint64_t)((int16_t)a >> ((uint32_t)b > 15 ? 15 : (uint32_t)b));
}

REFERENCE(shf_l_wrap)
{
	return ((b << 32 | (uint32_t)a) << (c & 31)) >> 32;
}

REFERENCE(shf_r_clamp)
{
	uint32_t n = (uint32_t)c > 32 ? 32 : (uint32_t)c;

	return (b << 32 | (uint32_t)a) >> n;
}

static void test_shifts(void **state)
{
	(void)state;
	CHECK("shl.b32 %d32, %a32, %b32;", 32, shl_32);
	CHECK("shr.u32 %d32, %a32, %b32;", 32, shr_u32);
	CHECK("shr.s32 %d32, %a32, %b32;", 32, shr_s32);
	CHECK("shl.b64 %d, %a, %b32;", 64, shl_64);
	CHECK("shr.s64 %d, %a, %b32;", 64, shr_s64);
	CHECK("shr.s16 %d16, %a16, %b32;", 16, shr_s16);
	CHECK("shf.l.wrap.b32 %d32, %a32, %b32, %c32;", 32, shf_l_wrap);
	CHECK("shf.r.clamp.b32 %d32, %a32, %b32, %c32;", 32, shf_r_clamp);
}

REFERENCE(popc)
{
	return (uint64_t)__builtin_popcount((uint32_t)a);
}

REFERENCE(popc64)
{
	return (uint64_t)__builtin_popcountll(a);
}

REFERENCE(clz)
{
	return (uint32_t)a ? (uint64_t)__builtin_clz((uint32_t)a) : 32;
}

REFERENCE(brev)
{
	uint32_t result = 0;

	for (int i = 0; i < 32; i++)
		if (a >> i & 1)
			result |= UINT32_C(0x80000000) >> i;
	return result;
}

REFERENCE(bfind_s32)
{
	uint32_t value = (int32_t)a < 0 ? ~(uint32_t)a : (uint32_t)a;

	return value ? 31u - (unsigned)__builtin_clz(value) : UINT32_MAX;
}

REFERENCE(bfe_u32)
{
	uint64_t n = b & 255, length = c & 255;

	if (n > 31 || !length)
		return 0;
	return (uint32_t)a >> n & ((UINT64_C(1) << (length > 32 ? 32 : length)) - 1);
}

REFERENCE(bfe_s32)
{
	uint64_t n = b & 255, length = c & 255;

	if (!length)
		return 0;
	int64_t wide = (int32_t)a;

	wide = n > 62 ? wide >> 62 : wide >> n;
	if (length > 63)
		return (uint64_t)wide;
	return (uint64_t)((int64_t)((uint64_t)wide << (64 - length)) >> (64 - length));
}

REFERENCE(bfi_b32)
{
	uint64_t n = c & 255, length = 9;

	if (n > 31)
		return b;
	uint64_t mask = ((UINT64_C(1) << length) - 1) << n;

	return (b & ~mask) | (a << n & mask);
}

REFERENCE(prmt)
{
	uint64_t bytes = b << 32 | (uint32_t)a;
	uint32_t result = 0;

	for (int i = 0; i < 4; i++) {
		uint32_t selector = c >> (4 * i) & 15;
		uint32_t byte = bytes >> (8 * (selector & 7)) & 255;

		result |= (selector & 8 ? (byte & 128 ? 255u : 0u) : byte) << (8 * i);
	}
	return result;
}

REFERENCE(lop3_majority)
{
	return (a & b) | (a & c) | (b & c);
}

REFERENCE(sad_s32)
{
	int64_t difference = (int64_t)(int32_t)a - (int32_t)b;

	return c + (uint64_t)(difference < 0 ? -difference : difference);
}

REFERENCE(dp4a_mixed)
{
	uint64_t sum = c;

	for (int i = 0; i < 4; i++)
		sum += (uint64_t)((int8_t)(a >> (8 * i)) * (int)(uint8_t)(b >> (8 * i)));
	return sum;
}

REFERENCE(mul24_s32)
{
	return (uint64_t)(((int64_t)(a << 40) >> 40) * ((int64_t)(b << 40) >> 40));
}

static void test_bits(void **state)
{
	(void)state;
	CHECK("popc.b32 %d32, %a32;", 32, popc);
	CHECK("popc.b64 %d32, %a;", 32, popc64);
	CHECK("clz.b32 %d32, %a32;", 32, clz);
	CHECK("brev.b32 %d32, %a32;", 32, brev);
	CHECK("bfind.s32 %d32, %a32;", 32, bfind_s32);
	CHECK("bfe.u32 %d32, %a32, %b32, %c32;", 32, bfe_u32);
	CHECK("bfe.s32 %d32, %a32, %b32, %c32;", 32, bfe_s32);
	CHECK("bfi.b32 %d32, %a32, %b32, %c32, 9;", 32, bfi_b32);
	CHECK("prmt.b32 %d32, %a32, %b32, %c32;", 32, prmt);
	CHECK("lop3.b32 %d32, %a32, %b32, %c32, 0xe8;", 32, lop3_majority);
	CHECK("sad.s32 %d32, %a32, %b32, %c32;", 32, sad_s32);
	CHECK("dp4a.s32.u32 %d32, %a32, %b32, %c32;", 32, dp4a_mixed);
	CHECK("mul24.lo.s32 %d32, %a32, %b32;", 32, mul24_s32);
}

REFERENCE(add128_high)
{
	/* (a:b) + (c:c), upper half. */
	return (uint64_t)((((unsigned __int128)a << 64 | b) + ((unsigned __int128)c << 64 | c)) >> 64);
}

REFERENCE(sub128_high)
{
	return (uint64_t)((((unsigned __int128)a << 64 | b) - ((unsigned __int128)c << 64 | c)) >> 64);
}

REFERENCE(square_high)
{
	return (a & UINT32_MAX) * (b & UINT32_MAX) >> 32;
}

static void test_carry(void **state)
{
	(void)state;
	CHECK("add.cc.u64 %t, %b, %c; addc.u64 %d, %a, %c;", 64, add128_high);
	CHECK("sub.cc.u64 %t, %b, %c; subc.u64 %d, %a, %c;", 64, sub128_high);
	CHECK("mad.lo.cc.u32 %t32, %a32, %b32, 0; madc.hi.u32 %d32, %a32, %b32, 0;", 32, square_high);
}

REFERENCE(min_s32)
{
	return (int32_t)a < (int32_t)b ? a : b;
}

REFERENCE(max_u64)
{
	return a > b ? a : b;
}

REFERENCE(min_u16)
{
	return (uint16_t)a < (uint16_t)b ? a : b;
}

REFERENCE(less_s32)
{
	return (int32_t)a < (int32_t)b ? a : c;
}

REFERENCE(greater_u64_or_equal)
{
	return a >= b ? 1 : 2;
}

REFERENCE(set_ne)
{
	return (uint32_t)a != (uint32_t)b ? UINT32_MAX : 0;
}

REFERENCE(combined)
{
	bool first = (uint32_t)a > (uint32_t)b, second = (int16_t)a <= (int16_t)c;

	return (uint64_t)(second && !first) | (uint64_t)(!second && !first) << 1;
}

REFERENCE(slct)
{
	return (int32_t)c >= 0 ? a : b;
}

static void test_selection(void **state)
{
	(void)state;
	CHECK("min.s32 %d32, %a32, %b32;", 32, min_s32);
	CHECK("max.u64 %d, %a, %b;", 64, max_u64);
	CHECK("min.u16 %d16, %a16, %b16;", 16, min_u16);
	CHECK("setp.lt.s32 %p, %a32, %b32; selp.b32 %d32, %a32, %c32, %p;", 32, less_s32);
	CHECK("setp.ge.u64 %p, %a, %b; selp.b64 %d, 1, 2, %p;", 64, greater_u64_or_equal);
	CHECK("set.ne.u32.u32 %d32, %a32, %b32;", 32, set_ne);
	CHECK("slct.b32.s32 %d32, %a32, %b32, %c32;", 32, slct);
	/* p = (a <= c) and !first, q = !(a <= c) and !first. */
	CHECK("setp.hi.u32 %p, %a32, %b32; setp.le.and.s16 %p|%q, %a16, %c16, !%p;"
	      "selp.u32 %d32, 1, 0, %p; selp.u32 %t32, 2, 0, %q; or.b32 %d32, %d32, %t32;",
	      32, combined);
}

REFERENCE(vabsdiff4_sum)
{
	uint64_t sum = c;

	for (int i = 0; i < 4; i++) {
		int x = (uint8_t)(a >> (8 * i)), y = (uint8_t)(b >> (8 * i));

		sum += (uint64_t)(x > y ? x - y : y - x);
	}
	return sum;
}

static void test_video(void **state)
{
	(void)state;
	CHECK("vabsdiff4.u32.u32.u32.add %d32, %a32, %b32, %c32;", 32, vabsdiff4_sum);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arithmetic), cmocka_unit_test(test_division), cmocka_unit_test(test_shifts),
		cmocka_unit_test(test_bits),	   cmocka_unit_test(test_carry),    cmocka_unit_test(test_selection),
		cmocka_unit_test(test_video),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
