/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block-wide barriers count threads.  A group that waits stands at its bar
 * instruction; whoever completes the barrier moves every waiting group past it.
 */
#include "control.h"

static void barrier_release(struct block *block, unsigned id)
{
	struct barrier *barrier = &block->barriers[id];
	uint32_t popc = barrier->reduction, lanes = barrier->lanes;

	barrier->arrived = 0;
	barrier->expected = 0;
	barrier->reduction = 0;
	barrier->lanes = 0;
	for (uint32_t w = 0; w < block->warp_count; w++) {
		struct warp *warp = block->warps[w];

		for (uint32_t i = 0; i < warp->group_count; i++) {
			struct group *group = &warp->groups[i];

			if (group->wait != GROUP_WAIT_BARRIER || group->barrier != id)
				continue;
			const struct instruction *ins = group->pc;
			uint8_t *d = group->frame->registers + ins->d;

			if (ins->op == BARRIER_POPC) {
				LANES_OF(group->mask, lane)
				((uint32_t *)(void *)d)[lane] = popc;
			} else if (ins->op == BARRIER_AND || ins->op == BARRIER_OR) {
				bool value = ins->op == BARRIER_AND ? popc == lanes : popc != 0;
				uint32_t *predicate = (uint32_t *)(void *)d;

				*predicate = (*predicate & ~group->mask) | (value ? group->mask : 0);
			}
			group->pc++;
			group->wait = GROUP_RUNNABLE;
		}
	}
}

static void barrier_check(struct block *block, unsigned id)
{
	struct barrier *barrier = &block->barriers[id];

	if (!barrier->arrived)
		return;
	/* Without a count: all threads that still run. */
	uint32_t needed = barrier->expected ? barrier->expected : block->live_threads;

	if (barrier->expected && barrier->lanes == block->live_threads)
		needed = barrier->arrived;
	if (barrier->arrived >= needed)
		barrier_release(block, id);
}

void barrier_threads_exited(struct block *block)
{
	for (unsigned id = 0; id < BARRIER_COUNT; id++)
		barrier_check(block, id);
}

const struct instruction *barrier_sync(struct warp *warp, const struct instruction *ins)
{
	unsigned first = (unsigned)__builtin_ctz(warp->mask);
	uint32_t id = lanes32(warp, ins->a)[first];
	uint32_t expected = lanes32(warp, ins->b)[first];
	uint32_t arriving = (uint32_t)__builtin_popcount(warp->mask);

	if (id >= BARRIER_COUNT || expected % WARP_LANES)
		exec_fault(warp, ENGINE_FAULT_ILLEGAL_INSTRUCTION, 0);
	struct block *block = warp->block;
	struct barrier *barrier = &block->barriers[id];

	/* With a thread count warps count in full, also those of which lanes are missing or gone. */
	barrier->lanes += arriving;
	barrier->arrived += expected && warp->mask == warp->live ? WARP_LANES : arriving;
	if (expected)
		barrier->expected = expected;
	if (ins->op >= BARRIER_POPC) {
		uint32_t predicate = *lanes32(warp, ins->c) ^ (ins->negate_c ? WARP_FULL_MASK : 0);

		barrier->reduction += (uint32_t)__builtin_popcount(predicate & warp->mask);
	}
	if (ins->op == BARRIER_ARRIVE) {
		barrier_check(block, id);
		return ins + 1;
	}
	/* Others may be released before this warp runs on: it waits like them. */
	warp_group_add(warp, warp->mask, ins, warp->frame, GROUP_WAIT_BARRIER, id);
	barrier_check(block, id);
	return warp_next(warp);
}
