/* SPDX-License-Identifier: Apache-2.0 */
#include "control.h"
#include "builtin.h"
#include "module.h"
#include "special.h"

#include <string.h>
#include <time.h>

static uint32_t guard_mask(struct warp *warp, const struct instruction *ins)
{
	uint32_t predicate = *lanes32(warp, ins->guard);

	return warp->mask & (ins->guard_negated ? ~predicate : predicate);
}

const struct instruction *control_guard(struct warp *warp, const struct instruction *ins)
{
	uint32_t mask = warp->mask;
	uint32_t taken = guard_mask(warp, ins);

	if (!taken)
		return ins + 1;
	warp->mask = taken;
	ins->inner(warp, ins);
	warp->mask = mask;
	return ins + 1;
}

const struct instruction *control_branch(struct warp *warp, const struct instruction *ins)
{
	uint32_t taken = guard_mask(warp, ins);

	if (!taken)
		return warp_converge(warp, ins + 1);
	if (taken != warp->mask)
		return warp_diverge(warp, taken, ins->target, ins + 1);
	if (ins->target <= ins)
		return warp_back_edge(warp, ins->target);
	return warp_converge(warp, ins->target);
}

const struct instruction *control_jump(struct warp *warp, const struct instruction *ins)
{
	if (ins->target <= ins)
		return warp_back_edge(warp, ins->target);
	return warp_converge(warp, ins->target);
}

const struct instruction *control_converge(struct warp *warp, const struct instruction *ins)
{
	return warp_converge(warp, ins + 1);
}

const struct instruction *control_branch_table(struct warp *warp, const struct instruction *ins)
{
	const struct branch_table *table = ins->extra;
	const uint32_t *index = lanes32(warp, ins->a);
	uint32_t rest = warp->mask;

	while (rest) {
		uint32_t value = index[__builtin_ctz(rest)];
		uint32_t same = 0;

		LANES_OF(rest, lane)
		same |= index[lane] == value ? 1u << lane : 0;
		rest &= ~same;
		/* An index past the table is undefined behaviour in PTX: a fault here. */
		if (value >= table->count)
			exec_fault(warp, ENGINE_FAULT_ILLEGAL_INSTRUCTION, 0);
		warp_group_add(warp, same, table->targets[value], warp->frame, GROUP_RUNNABLE, 0);
	}
	if (--warp->budget < 0) {
		warp->yielded = true;
		warp->resume = NULL;
		return NULL;
	}
	return warp_next(warp);
}

const struct instruction *control_exit(struct warp *warp, const struct instruction *ins)
{
	uint32_t gone = warp->mask;

	(void)ins;
	warp->live &= ~gone;
	warp->block->live_threads -= (uint32_t)__builtin_popcount(gone);
	warp->mask = 0;
	for (struct frame *frame = warp->frame; frame; frame = frame->caller)
		frame->lanes &= ~gone;
	/* Frames that nobody will return to. */
	struct frame *frame = warp->frame;

	while (frame && frame->caller && !frame->lanes) {
		struct frame *caller = frame->caller;

		frame_release(warp, frame);
		frame = caller;
	}
	for (uint32_t i = 0; i < warp->group_count; i++)
		if (warp->groups[i].wait == GROUP_WAIT_SYNC)
			warp->groups[i].wait = GROUP_RUNNABLE;
	barrier_threads_exited(warp->block);
	return warp_next(warp);
}

/* Copies a value between the local memory of the same lanes; both ranges lie in frames. */
static void local_copy(struct warp *warp, uint32_t mask, uint64_t to, uint64_t from, uint32_t bytes)
{
	LANES_OF(mask, lane)
	{
		uint8_t *local = warp->local + lane * warp->local_stride;

		memcpy(local + to, local + from, bytes);
	}
}

static const struct instruction *call_enter(struct warp *warp, const struct instruction *ins,
					    const struct engine_function *callee)
{
	const struct call_site *site = ins->extra;
	struct frame *caller = warp->frame;
	struct frame *frame = frame_create(warp, callee, caller);

	frame->return_to = ins + 1;
	frame->lanes = warp->mask;
	for (uint32_t i = 0; i < site->argument_count; i++)
		local_copy(warp, warp->mask, (uint64_t)frame->local_base + callee->argument_offsets[i],
			   (uint64_t)caller->local_base + site->argument_offsets[i], site->argument_bytes[i]);
	warp->frame = frame;
	warp->registers = frame->registers;
	return warp_enter(warp, callee->code);
}

const struct instruction *control_call(struct warp *warp, const struct instruction *ins)
{
	return call_enter(warp, ins, ((const struct call_site *)ins->extra)->callee);
}

static bool call_fits(const struct call_site *site, const struct engine_function *callee)
{
	if (site->argument_count != callee->argument_count || site->return_bytes > callee->return_bytes)
		return false;
	for (uint32_t i = 0; i < site->argument_count; i++)
		if (site->argument_bytes[i] != callee->argument_bytes[i])
			return false;
	return true;
}

const struct instruction *control_call_indirect(struct warp *warp, const struct instruction *ins)
{
	const uint64_t *targets = lanes64(warp, ins->a);
	uint64_t target = targets[__builtin_ctz(warp->mask)];
	uint32_t same = 0;

	LANES_OF(warp->mask, lane)
	same |= targets[lane] == target ? 1u << lane : 0;
	const struct engine_function *callee = module_call_target(warp->frame->function->module, target);

	if (!callee || !call_fits(ins->extra, callee))
		exec_fault(warp, ENGINE_FAULT_ILLEGAL_INSTRUCTION, target);
	if (same != warp->mask) {
		warp_group_add(warp, warp->mask & ~same, ins, warp->frame, GROUP_RUNNABLE, 0);
		warp_lanes_set(warp, same);
	}
	return call_enter(warp, ins, callee);
}

const struct instruction *control_call_builtin(struct warp *warp, const struct instruction *ins)
{
	builtin_call(warp, ins);
	return ins + 1;
}

const struct instruction *control_return(struct warp *warp, const struct instruction *ins)
{
	struct frame *frame = warp->frame;
	struct frame *caller = frame->caller;

	if (!caller)
		return control_exit(warp, ins);
	const struct instruction *return_to = frame->return_to;
	const struct call_site *site = return_to[-1].extra;

	if (site->return_bytes)
		local_copy(warp, warp->mask, (uint64_t)caller->local_base + site->return_offset,
			   (uint64_t)frame->local_base + frame->function->return_offset, site->return_bytes);
	frame->lanes &= ~warp->mask;
	if (!frame->lanes)
		frame_release(warp, frame);
	warp->frame = caller;
	warp->registers = caller->registers;
	return warp_converge(warp, return_to);
}

const struct instruction *control_trap(struct warp *warp, const struct instruction *ins)
{
	(void)ins;
	exec_fault(warp, ENGINE_FAULT_TRAP, 0);
}

const struct instruction *control_nothing(struct warp *warp, const struct instruction *ins)
{
	(void)warp;
	return ins + 1;
}

/* Whoever sleeps waits for something: everybody else first. */
const struct instruction *control_sleep(struct warp *warp, const struct instruction *ins)
{
	warp->patience = 0;
	warp->budget -= warp->budget / 4;
	return ins + 1;
}

const struct instruction *control_poll(struct warp *warp, const struct instruction *ins)
{
	control_polled(warp);
	return ins + 1;
}

const struct instruction *control_fence(struct warp *warp, const struct instruction *ins)
{
	(void)warp;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return ins + 1;
}

static uint64_t clock_read(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

const struct instruction *control_special(struct warp *warp, const struct instruction *ins)
{
	uint64_t value = 0;

	switch (ins->op) {
	case SPECIAL_CLOCK:
	case SPECIAL_CLOCK64:
		value = clock_read(CLOCK_MONOTONIC);
		break;
	case SPECIAL_CLOCK_HI:
		value = clock_read(CLOCK_MONOTONIC) >> 32;
		break;
	case SPECIAL_GLOBALTIMER:
	case SPECIAL_GLOBALTIMER_LO:
		value = clock_read(CLOCK_REALTIME);
		break;
	case SPECIAL_GLOBALTIMER_HI:
		value = clock_read(CLOCK_REALTIME) >> 32;
		break;
	default:
		break;
	}
	LANES_OF(warp->mask, lane)
	lane_write(warp, ins->d, lane, ins->wide & WIDE_D, value);
	return ins + 1;
}

const struct instruction *control_scalar(struct warp *warp, const struct instruction *ins)
{
	uint32_t results = 0;

	LANES_OF(warp->mask, lane)
	{
		uint64_t a = lane_read(warp, ins->a, lane, ins->wide & WIDE_A);
		uint64_t b = lane_read(warp, ins->b, lane, ins->wide & WIDE_B);
		uint64_t c = lane_read(warp, ins->c, lane, ins->wide & WIDE_C);
		uint64_t result = ins->scalar(ins, a, b, c);

		if (ins->wide & RESULT_PREDICATE)
			results |= (uint32_t)(result & 1) << lane;
		else
			lane_write(warp, ins->d, lane, ins->wide & WIDE_D, result);
	}
	if (ins->wide & RESULT_PREDICATE)
		predicate_write(warp, ins->d, warp->mask, results);
	return ins + 1;
}

/* count elements of type2 bits each, in d; an element's offset of 0 is the sink. */
const struct instruction *control_pack(struct warp *warp, const struct instruction *ins)
{
	uint64_t element_mask = ins->type2 == 64 ? UINT64_MAX : (UINT64_C(1) << ins->type2) - 1;

	LANES_OF(warp->mask, lane)
	{
		uint64_t value = 0;

		for (unsigned e = 0; e < ins->count; e++)
			value |= (lane_read(warp, ins->elements[e], lane, ins->type2 == 64) & element_mask)
				 << (e * ins->type2);
		lane_write(warp, ins->d, lane, ins->wide & WIDE_D, value);
	}
	return ins + 1;
}

const struct instruction *control_unpack(struct warp *warp, const struct instruction *ins)
{
	uint64_t element_mask = ins->type2 == 64 ? UINT64_MAX : (UINT64_C(1) << ins->type2) - 1;

	LANES_OF(warp->mask, lane)
	{
		uint64_t value = lane_read(warp, ins->a, lane, ins->wide & WIDE_A);

		for (unsigned e = 0; e < ins->count; e++)
			if (ins->elements[e])
				lane_write(warp, ins->elements[e], lane, ins->type2 == 64,
					   value >> (e * ins->type2) & element_mask);
	}
	return ins + 1;
}

const struct instruction *control_predicate(struct warp *warp, const struct instruction *ins)
{
	uint32_t a = ins->op == PREDICATE_CONSTANT ? (uint32_t)ins->immediate : *lanes32(warp, ins->a);
	uint32_t b = ins->op == PREDICATE_CONSTANT ? 0 : *lanes32(warp, ins->b);

	a ^= ins->invert ? WARP_FULL_MASK : 0;
	b ^= ins->negate_c ? WARP_FULL_MASK : 0;
	switch (ins->op) {
	case PREDICATE_NOT:
		a = ~a;
		break;
	case PREDICATE_AND:
		a &= b;
		break;
	case PREDICATE_OR:
		a |= b;
		break;
	case PREDICATE_XOR:
		a ^= b;
		break;
	default:
		break;
	}
	predicate_write(warp, ins->d, warp->mask, a);
	return ins + 1;
}

static unsigned __int128 carry_product(const struct instruction *ins, uint64_t a, uint64_t b)
{
	if (!(ins->wide & WIDE_D)) {
		uint64_t product = ins->flags & CARRY_SIGNED ? (uint64_t)((int64_t)(int32_t)a * (int32_t)b)
							     : (uint64_t)(uint32_t)a * (uint32_t)b;

		return ins->op == CARRY_MAD_HI ? product >> 32 : (uint32_t)product;
	}
	unsigned __int128 product = ins->flags & CARRY_SIGNED ? (unsigned __int128)((__int128)(int64_t)a * (int64_t)b)
							      : (unsigned __int128)a * b;

	return ins->op == CARRY_MAD_HI ? (uint64_t)(product >> 64) : (uint64_t)product;
}

const struct instruction *control_carry(struct warp *warp, const struct instruction *ins)
{
	bool wide = ins->wide & WIDE_D;
	unsigned bits = wide ? 64 : 32;
	uint64_t all = wide ? UINT64_MAX : UINT32_MAX;
	uint32_t carries = *lanes32(warp, FRAME_CARRY_OFFSET);

	LANES_OF(warp->mask, lane)
	{
		uint64_t a = lane_read(warp, ins->a, lane, wide), b = lane_read(warp, ins->b, lane, wide);
		unsigned carry = ins->flags & CARRY_IN ? carries >> lane & 1 : 0;
		unsigned __int128 sum;

		if (ins->op == CARRY_SUB) {
			/*
			 * The flag is that of a + ~b + 1, set when nothing was borrowed: code that NVIDIA's compiler
			 * makes for 128-bit division reads it with addc after subc.cc.
			 */
			sum = (unsigned __int128)a + (~b & all) + (ins->flags & CARRY_IN ? carry : 1);
		} else if (ins->op == CARRY_ADD) {
			sum = (unsigned __int128)a + b + carry;
		} else {
			sum = (carry_product(ins, a, b) & all) + lane_read(warp, ins->c, lane, wide) + carry;
		}
		if (ins->flags & CARRY_OUT)
			carries = (carries & ~(1u << lane)) | (uint32_t)(sum >> bits & 1) << lane;
		lane_write(warp, ins->d, lane, wide, (uint64_t)sum);
	}
	*lanes32(warp, FRAME_CARRY_OFFSET) = carries;
	return ins + 1;
}
