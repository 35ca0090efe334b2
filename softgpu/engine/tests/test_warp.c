/* SPDX-License-Identifier: Apache-2.0 */
#include "program.h"
#include "testing.h"

typedef uint32_t (*lane_reference)(uint32_t lane);

static uint32_t input(uint32_t lane)
{
	return lane * 2654435761u;
}

static void expect(const char *body, lane_reference reference)
{
	struct program program;

	program_load(&program, "", body, 1);
	program_run(&program, 1, 32, 0, 0);
	assert_int_equal(program.result.fault, ENGINE_FAULT_NONE);
	for (uint32_t lane = 0; lane < 32; lane++)
		if (program.out[lane] != reference(lane))
			fail_msg("%s: lane %u: got %x, expected %x", body, lane, program.out[lane], reference(lane));
	program_end(&program);
}

static uint32_t up(uint32_t lane)
{
	return lane >= 3 ? input(lane - 3) : input(lane);
}

static uint32_t down_8(uint32_t lane)
{
	return lane % 8 + 2 < 8 ? input(lane + 2) : input(lane) + 1;
}

static uint32_t butterfly(uint32_t lane)
{
	return input(lane ^ 5);
}

static uint32_t index_16(uint32_t lane)
{
	return input((lane & 16) | 7);
}

static void test_shuffle(void **state)
{
	(void)state;
	expect("ld.global.u32 %r2, [%in]; shfl.sync.up.b32 %r3, %r2, 3, 0, -1; st.global.u32 [%at], %r3;", up);
	/* The predicate says whether the source was in range. */
	expect("ld.global.u32 %r2, [%in]; shfl.sync.down.b32 %r3|%p1, %r2, 2, 0x1807, -1;"
	       "@!%p1 add.u32 %r3, %r3, 1; st.global.u32 [%at], %r3;",
	       down_8);
	expect("ld.global.u32 %r2, [%in]; shfl.sync.bfly.b32 %r2, %r2, 5, 31, 0xffffffff; st.global.u32 [%at], %r2;",
	       butterfly);
	expect("ld.global.u32 %r2, [%in]; shfl.sync.idx.b32 %r2, %r2, 7, 0x101f, -1; st.global.u32 [%at], %r2;",
	       index_16);
}

static uint32_t ballot(uint32_t lane)
{
	(void)lane;
	return 0x49249249;
}

static uint32_t ballot_half(uint32_t lane)
{
	return lane < 16 ? 0x9249 : 0x49240000;
}

static uint32_t any_all(uint32_t lane)
{
	(void)lane;
	return 1;
}

static void test_vote(void **state)
{
	(void)state;
	expect("rem.u32 %r2, %me, 3; setp.eq.u32 %p1, %r2, 0; vote.sync.ballot.b32 %r3, %p1, -1;"
	       "st.global.u32 [%at], %r3;",
	       ballot);
	/* Both halves vote at different instructions, each with its own member mask. */
	expect("rem.u32 %r2, %me, 3; setp.eq.u32 %p1, %r2, 0; setp.lt.u32 %p2, %me, 16; @%p2 bra low;"
	       "vote.sync.ballot.b32 %r3, %p1, 0xffff0000; bra done;"
	       "low: vote.sync.ballot.b32 %r3, %p1, 0xffff; done: st.global.u32 [%at], %r3;",
	       ballot_half);
	expect("setp.eq.u32 %p1, %me, 9; vote.sync.any.pred %p2, %p1, -1; vote.sync.all.pred %p3, %p1, -1;"
	       "selp.u32 %r2, 1, 0, %p2; selp.u32 %r3, 2, 0, %p3; or.b32 %r2, %r2, %r3; st.global.u32 [%at], %r2;",
	       any_all);
}

static uint32_t match_any(uint32_t lane)
{
	return 0x11111111u << (lane & 3);
}

static uint32_t sum(uint32_t lane)
{
	return lane & 1 ? 31 * 32 / 2 - 240 : 240;
}

static uint32_t least_signed(uint32_t lane)
{
	(void)lane;
	return (uint32_t)-15;
}

static void test_match_and_reduce(void **state)
{
	(void)state;
	expect("and.b32 %r2, %me, 3; match.any.sync.b32 %r3, %r2, -1; st.global.u32 [%at], %r3;", match_any);
	expect("and.b32 %r2, %me, 1; setp.eq.u32 %p1, %r2, 0; selp.b32 %r3, 0x55555555, 0xaaaaaaaa, %p1;"
	       "redux.sync.add.u32 %r4, %me, %r3; st.global.u32 [%at], %r4;",
	       sum);
	expect("sub.u32 %r2, 16, %me; redux.sync.min.s32 %r3, %r2, -1; st.global.u32 [%at], %r3;", least_signed);
}

static uint32_t waited(uint32_t lane)
{
	return lane < 8 ? 31 - lane : 100 + 31 - lane;
}

/* Lanes reach the shuffle after loops of different lengths: .sync waits for all of them. */
static void test_waiting(void **state)
{
	(void)state;
	expect("setp.lt.u32 %p1, %me, 8; mov.u32 %r5, 0; @%p1 bra second;"
	       "mov.u32 %r5, 100; mov.u32 %r2, 0; loop: add.u32 %r2, %r2, 1; setp.lt.u32 %p2, %r2, %me; @%p2 bra loop;"
	       "second: xor.b32 %r3, %me, 31; shfl.sync.bfly.b32 %r4, %me, 31, 31, -1;"
	       "add.u32 %r4, %r4, %r5; st.global.u32 [%at], %r4;",
	       waited);
}

static uint32_t active(uint32_t lane)
{
	return lane & 1 ? 0xaaaaaaaa : 0x55555555;
}

static uint32_t lane_masks(uint32_t lane)
{
	return (uint32_t)((UINT64_C(1) << lane) - 1) + lane;
}

static void test_masks(void **state)
{
	(void)state;
	expect("and.b32 %r2, %me, 1; setp.eq.u32 %p1, %r2, 0; @%p1 bra even; activemask.b32 %r3; bra done;"
	       "even: activemask.b32 %r3; done: st.global.u32 [%at], %r3;",
	       active);
	expect("mov.u32 %r2, %lanemask_lt; mov.u32 %r3, %laneid; add.u32 %r2, %r2, %r3; st.global.u32 [%at], %r2;",
	       lane_masks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shuffle), cmocka_unit_test(test_vote),  cmocka_unit_test(test_match_and_reduce),
		cmocka_unit_test(test_waiting), cmocka_unit_test(test_masks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
