/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scheduling of the groups of a warp.
 *
 * Of the groups that can run, the one deepest in calls and, there, at the lowest
 * instruction runs first: groups behind catch up and merge with those ahead.  A
 * group that has jumped back often while others wait loses its turn to the one
 * that has waited longest, so that a lane that spins on a lock lets its holder
 * release it.
 */
#include "exec.h"

#include <stdlib.h>
#include <string.h>

enum {
	GROUP_PATIENCE = 512,
	GROUP_TURN = 64,
	WARP_BUDGET = 20000,
};

void warp_lanes_set(struct warp *warp, uint32_t mask)
{
	warp->mask = mask;
	warp->lane_count = (uint32_t)__builtin_popcount(mask);
}

void warp_group_add(struct warp *warp, uint32_t mask, const struct instruction *pc, struct frame *frame,
		    enum group_wait wait, unsigned barrier)
{
	for (uint32_t i = 0; i < warp->group_count; i++) {
		struct group *group = &warp->groups[i];

		if (group->pc != pc || group->frame != frame || group->wait == GROUP_WAIT_BARRIER ||
		    wait == GROUP_WAIT_BARRIER)
			continue;
		group->mask |= mask;
		/* More lanes than either group had: a waiting .sync may be complete now. */
		group->wait = GROUP_RUNNABLE;
		return;
	}
	warp->groups[warp->group_count++] = (struct group){
		.mask = mask,
		.pc = pc,
		.frame = frame,
		.wait = wait,
		.barrier = barrier,
		.stamp = warp->clock,
	};
}

static bool group_before(const struct group *a, const struct group *b)
{
	if (a->frame->depth != b->frame->depth)
		return a->frame->depth > b->frame->depth;
	return a->pc < b->pc;
}

static const struct instruction *warp_group_take(struct warp *warp, uint32_t index)
{
	struct group group = warp->groups[index];

	warp->groups[index] = warp->groups[--warp->group_count];
	/* A barrier may have let several groups of one place go. */
	for (uint32_t i = 0; i < warp->group_count;) {
		struct group *other = &warp->groups[i];

		if (other->pc == group.pc && other->frame == group.frame && other->wait != GROUP_WAIT_BARRIER) {
			group.mask |= other->mask;
			*other = warp->groups[--warp->group_count];
		} else {
			i++;
		}
	}
	warp->frame = group.frame;
	warp->registers = group.frame->registers;
	warp->clock++;
	warp_lanes_set(warp, group.mask);
	return group.pc;
}

/*
 * When every group waits for others in a .sync: lanes may have reached the same
 * operation at different instructions, or those missing never come.  Either way
 * the one at the lowest instruction goes on alone.
 */
static const struct instruction *warp_sync_force(struct warp *warp)
{
	uint32_t best = UINT32_MAX;

	for (uint32_t i = 0; i < warp->group_count; i++) {
		if (warp->groups[i].wait == GROUP_WAIT_BARRIER)
			return NULL;
		if (best == UINT32_MAX || group_before(&warp->groups[i], &warp->groups[best]))
			best = i;
	}
	if (best == UINT32_MAX)
		return NULL;
	warp->forced_sync = true;
	return warp_group_take(warp, best);
}

static const struct instruction *warp_pick(struct warp *warp, bool oldest)
{
	uint32_t best = UINT32_MAX;

	for (uint32_t i = 0; i < warp->group_count; i++) {
		const struct group *group = &warp->groups[i];

		if (group->wait != GROUP_RUNNABLE)
			continue;
		if (best == UINT32_MAX ||
		    (oldest ? group->stamp < warp->groups[best].stamp : group_before(group, &warp->groups[best])))
			best = i;
	}
	warp->turn = oldest ? GROUP_TURN : 0;
	if (oldest)
		warp->patience = GROUP_PATIENCE;
	if (best != UINT32_MAX)
		return warp_group_take(warp, best);
	warp->mask = 0;
	return warp_sync_force(warp);
}

const struct instruction *warp_next(struct warp *warp)
{
	return warp_pick(warp, false);
}

/* The running group stops at pc. */
const struct instruction *warp_switch(struct warp *warp, const struct instruction *pc, enum group_wait wait,
				      unsigned barrier)
{
	warp_group_add(warp, warp->mask, pc, warp->frame, wait, barrier);
	return warp_pick(warp, false);
}

/* The running group is at a place where others may wait for it, or it for them. */
const struct instruction *warp_converge(struct warp *warp, const struct instruction *pc)
{
	if (likely(!warp->group_count))
		return pc;
	/* In a turn given for patience's sake the lowest must not take over at once. */
	if (warp->turn && --warp->turn)
		return pc;
	warp_group_add(warp, warp->mask, pc, warp->frame, GROUP_RUNNABLE, 0);
	return warp_pick(warp, false);
}

/* Some lanes go to other_pc, the rest on to pc. */
const struct instruction *warp_diverge(struct warp *warp, uint32_t other, const struct instruction *other_pc,
				       const struct instruction *pc)
{
	if (!warp->group_count)
		warp->patience = GROUP_PATIENCE;
	warp_group_add(warp, other, other_pc, warp->frame, GROUP_RUNNABLE, 0);
	warp_group_add(warp, warp->mask & ~other, pc, warp->frame, GROUP_RUNNABLE, 0);
	return warp_pick(warp, false);
}

struct frame *frame_create(struct warp *warp, const struct engine_function *function, struct frame *caller)
{
	struct frame **link = &warp->free_frames;
	struct frame *frame;
	uint32_t depth = caller ? caller->depth + 1 : 0;
	uint64_t local_base = caller ? (uint64_t)caller->local_base + caller->function->frame_local_bytes : 0;

	local_base = (local_base + 15) & ~(uint64_t)15;
	if (depth > WARP_DEPTH_MAX || local_base + function->frame_local_bytes > warp->local_stride)
		exec_fault(warp, ENGINE_FAULT_STACK_OVERFLOW, 0);
	while (*link && (*link)->bytes != function->frame_bytes)
		link = &(*link)->next_free;
	frame = *link;
	if (frame) {
		*link = frame->next_free;
	} else {
		if (warp->frames_bytes + function->frame_bytes > WARP_FRAMES_BYTES_MAX)
			exec_fault(warp, ENGINE_FAULT_STACK_OVERFLOW, 0);
		size_t bytes = (sizeof(*frame) + function->frame_bytes + 63) & ~(size_t)63;

		frame = aligned_alloc(64, bytes);
		if (!frame)
			exec_fault(warp, ENGINE_FAULT_OUT_OF_MEMORY, 0);
		memset(frame, 0, bytes);
		frame->bytes = function->frame_bytes;
		warp->frames_bytes += function->frame_bytes;
		frame->next_all = warp->all_frames;
		warp->all_frames = frame;
	}
	frame->caller = caller;
	frame->function = function;
	frame->depth = depth;
	frame->local_base = (uint32_t)local_base;
	memcpy(frame->registers + function->image_offset, function->image, function->image_bytes);
	frame_specials_fill(warp, frame);
	return frame;
}

void frame_release(struct warp *warp, struct frame *frame)
{
	frame->next_free = warp->free_frames;
	warp->free_frames = frame;
}

void warp_run(struct warp *warp)
{
	const struct instruction *ins = warp->resume;
	uint64_t operations = warp->operations;

	warp->yielded = false;
	warp->budget = WARP_BUDGET;
	warp->patience = GROUP_PATIENCE;
	if (!ins)
		ins = warp_next(warp);
	while (ins) {
		operations += warp->lane_count;
		ins = ins->run(warp, ins);
	}
	warp->operations = operations;
}

/* The budget is used up: the group stops at pc. */
static const struct instruction *warp_yield(struct warp *warp, const struct instruction *pc)
{
	warp_group_add(warp, warp->mask, pc, warp->frame, GROUP_RUNNABLE, 0);
	warp->yielded = true;
	warp->resume = NULL;
	return NULL;
}

/* Functions that call each other twice run for ever without a jump back. */
const struct instruction *warp_enter(struct warp *warp, const struct instruction *pc)
{
	if (unlikely(--warp->budget < 0))
		return warp_yield(warp, pc);
	return warp_converge(warp, pc);
}

/* After a jump back: other groups and other warps must get their turn at some time. */
const struct instruction *warp_back_edge(struct warp *warp, const struct instruction *pc)
{
	if (unlikely(--warp->budget < 0))
		return warp_yield(warp, pc);
	if (likely(!warp->group_count))
		return pc;
	if (--warp->patience >= 0)
		return warp_converge(warp, pc);
	warp_group_add(warp, warp->mask, pc, warp->frame, GROUP_RUNNABLE, 0);
	return warp_pick(warp, true);
}
