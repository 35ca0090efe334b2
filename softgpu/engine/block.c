/* SPDX-License-Identifier: Apache-2.0 */
#include "block.h"
#include "special.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
	ROUNDS_PER_SLICE = 4096,
};

static uint64_t round_up(uint64_t value, uint64_t alignment)
{
	return (value + alignment - 1) & ~(alignment - 1);
}

static bool warp_create(struct block *block, uint32_t index)
{
	const struct launch *launch = block->launch;
	const struct engine_function *function = launch->function;
	struct warp *warp = aligned_alloc(64, round_up(sizeof(*warp), 64));
	size_t frame_bytes = round_up(sizeof(struct frame) + function->frame_bytes, 64);

	if (!warp)
		return false;
	memset(warp, 0, sizeof(*warp));
	block->warps[index] = warp;
	block->warp_count = index + 1;
	warp->frame = aligned_alloc(64, frame_bytes);
	if (!warp->frame)
		return false;
	memset(warp->frame, 0, frame_bytes);
	warp->frame->function = function;
	warp->frame->bytes = function->frame_bytes;
	warp->frame->next_all = NULL;
	warp->all_frames = warp->frame;
	memcpy(warp->frame->registers + function->image_offset, function->image, function->image_bytes);
	warp->block = block;
	warp->index = index;
	warp->arena_base = launch->arena_base;
	warp->arena_bytes = launch->arena_bytes;
	warp->shared = block->shared;
	warp->shared_bytes = launch->shared_bytes;
	warp->local_stride = launch->local_stride;
	warp->local =
		block->memory + round_up(launch->shared_bytes, 64) + (size_t)index * launch->local_stride * WARP_LANES;
	return true;
}

struct block *block_create(const struct launch *launch, unsigned worker_index)
{
	struct block *block = calloc(1, sizeof(*block));

	if (!block)
		return NULL;
	block->launch = launch;
	block->worker_index = worker_index;
	/* Vector copies may read a whole register's worth: keep a margin at the end. */
	block->memory_bytes = round_up(launch->shared_bytes, 64) +
			      (size_t)launch->warps_per_block * launch->local_stride * WARP_LANES + 4096;
	block->memory = mmap(NULL, block->memory_bytes, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (block->memory == MAP_FAILED) {
		block->memory = NULL;
		goto fail;
	}
	block->shared = block->memory;
	block->shared_bytes = launch->shared_bytes;
	block->warps = calloc(launch->warps_per_block, sizeof(struct warp *));
	if (!block->warps)
		goto fail;
	for (uint32_t i = 0; i < launch->warps_per_block; i++)
		if (!warp_create(block, i))
			goto fail;
	return block;
fail:
	block_destroy(block);
	return NULL;
}

void block_destroy(struct block *block)
{
	if (!block)
		return;
	for (uint32_t i = 0; i < block->warp_count; i++) {
		struct warp *warp = block->warps[i];

		while (warp->all_frames) {
			struct frame *next = warp->all_frames->next_all;

			free(warp->all_frames);
			warp->all_frames = next;
		}
		free(warp);
	}
	free(block->warps);
	if (block->memory)
		munmap(block->memory, block->memory_bytes);
	free(block);
}

void block_start(struct block *block, uint64_t linear)
{
	const struct launch *launch = block->launch;
	const uint32_t *grid = launch->grid;

	block->linear = linear;
	block->position[0] = (uint32_t)(linear % grid[0]);
	block->position[1] = (uint32_t)(linear / grid[0] % grid[1]);
	block->position[2] = (uint32_t)(linear / grid[0] / grid[1]);
	block->live_threads = launch->threads_per_block;
	memset(block->barriers, 0, sizeof(block->barriers));
	for (uint32_t i = 0; i < block->warp_count; i++) {
		struct warp *warp = block->warps[i];
		uint32_t threads = launch->threads_per_block - i * WARP_LANES;
		uint32_t mask = threads >= WARP_LANES ? WARP_FULL_MASK : (1u << threads) - 1;

		warp->live = mask;
		warp->mask = 0;
		warp->resume = NULL;
		warp->forced_sync = false;
		warp->group_count = 0;
		warp->frame = warp->all_frames;
		/* The entry's frame is the first that was made, the last of the list. */
		while (warp->frame->next_all)
			warp->frame = warp->frame->next_all;
		warp->frame->lanes = mask;
		warp->frame->local_base = 0;
		frame_specials_fill(warp, warp->frame);
		warp_group_add(warp, mask, launch->function->code, warp->frame, GROUP_RUNNABLE, 0);
	}
}

static bool warp_can_run(const struct warp *warp)
{
	bool barrier = false, sync = false;

	for (uint32_t i = 0; i < warp->group_count; i++) {
		if (warp->groups[i].wait == GROUP_RUNNABLE)
			return true;
		barrier |= warp->groups[i].wait == GROUP_WAIT_BARRIER;
		sync |= warp->groups[i].wait == GROUP_WAIT_SYNC;
	}
	return sync && !barrier;
}

/* All warps wait: lanes that wait in .sync for lanes that wait in a barrier go on without them. */
static bool block_force(struct block *block)
{
	for (uint32_t w = 0; w < block->warp_count; w++) {
		struct warp *warp = block->warps[w];

		for (uint32_t i = 0; i < warp->group_count; i++) {
			if (warp->groups[i].wait != GROUP_WAIT_SYNC)
				continue;
			warp->groups[i].wait = GROUP_RUNNABLE;
			warp->forced_sync = true;
			warp_run(warp);
			return true;
		}
	}
	return false;
}

enum block_state block_run(struct block *block)
{
	/* Warps that meet at a barrier all the time never use up their budgets. */
	for (unsigned rounds = 0; rounds < ROUNDS_PER_SLICE; rounds++) {
		bool ran = false, yielded = false;

		for (uint32_t w = 0; w < block->warp_count; w++) {
			struct warp *warp = block->warps[w];

			if (!warp->group_count || !warp_can_run(warp))
				continue;
			warp_run(warp);
			ran = true;
			yielded |= warp->yielded;
		}
		if (!block->live_threads)
			return BLOCK_DONE;
		if (yielded)
			return BLOCK_YIELDED;
		if (!ran && !block_force(block))
			return BLOCK_STUCK;
	}
	return BLOCK_YIELDED;
}

uint64_t block_operations(const struct block *block)
{
	uint64_t operations = 0;

	for (uint32_t i = 0; i < block->warp_count; i++)
		operations += block->warps[i]->operations;
	return operations;
}

static uint32_t special_value(const struct warp *warp, unsigned special, unsigned lane)
{
	const struct block *block = warp->block;
	const struct launch *launch = block->launch;
	uint32_t thread = warp->index * WARP_LANES + lane;
	uint32_t bit = 1u << lane;

	switch (special) {
	case SPECIAL_TID_X:
		return thread % launch->block[0];
	case SPECIAL_TID_Y:
		return thread / launch->block[0] % launch->block[1];
	case SPECIAL_TID_Z:
		return thread / launch->block[0] / launch->block[1];
	case SPECIAL_NTID_X:
	case SPECIAL_NTID_Y:
	case SPECIAL_NTID_Z:
		return launch->block[special - SPECIAL_NTID_X];
	case SPECIAL_CTAID_X:
	case SPECIAL_CTAID_Y:
	case SPECIAL_CTAID_Z:
		return block->position[special - SPECIAL_CTAID_X];
	case SPECIAL_NCTAID_X:
	case SPECIAL_NCTAID_Y:
	case SPECIAL_NCTAID_Z:
		return launch->grid[special - SPECIAL_NCTAID_X];
	case SPECIAL_LANEID:
		return lane;
	case SPECIAL_WARPID:
		return warp->index;
	case SPECIAL_NWARPID:
		return launch->warps_per_block;
	case SPECIAL_SMID:
		return block->worker_index;
	case SPECIAL_NSMID:
		return launch->worker_count;
	case SPECIAL_GRIDID:
		return (uint32_t)launch->grid_id;
	case SPECIAL_LANEMASK_EQ:
		return bit;
	case SPECIAL_LANEMASK_LE:
		return bit | (bit - 1);
	case SPECIAL_LANEMASK_LT:
		return bit - 1;
	case SPECIAL_LANEMASK_GE:
		return ~(bit - 1);
	case SPECIAL_LANEMASK_GT:
		return ~(bit | (bit - 1));
	case SPECIAL_DYNAMIC_SMEM_SIZE:
		return launch->shared_bytes - launch->dynamic_shared_offset;
	case SPECIAL_TOTAL_SMEM_SIZE:
		return launch->shared_bytes;
	case SPECIAL_ENVREG1:
		return (uint32_t)(launch->workspace >> 32);
	case SPECIAL_ENVREG2:
		return (uint32_t)launch->workspace;
	case SPECIAL_CLUSTER_NCTAID:
		return 1;
	case SPECIAL_DYNAMIC_SHARED:
		return launch->dynamic_shared_offset;
	default:
		return 0;
	}
}

void frame_specials_fill(const struct warp *warp, struct frame *frame)
{
	const struct engine_function *function = frame->function;

	for (uint32_t i = 0; i < function->special_count; i++) {
		const struct frame_special *special = &function->specials[i];
		uint8_t *lanes = frame->registers + special->offset;

		for (unsigned lane = 0; lane < WARP_LANES; lane++) {
			if (special->special == SPECIAL_LOCAL_FRAME)
				((uint64_t *)(void *)lanes)[lane] = frame->local_base;
			else if (special->special == SPECIAL_GRIDID)
				((uint64_t *)(void *)lanes)[lane] = warp->block->launch->grid_id;
			else
				((uint32_t *)(void *)lanes)[lane] = special_value(warp, special->special, lane);
		}
	}
}
