/* SPDX-License-Identifier: Apache-2.0 */
/* Memory as one lane sees it, and the rare instructions on memory. */
#include "control.h"
#include "engine_private.h"
#include "module.h"
#include "ptx.h"

#include <string.h>

static void *memory_global(struct warp *warp, uint64_t address, uint32_t bytes)
{
	const struct engine_memory *memory = &warp->block->launch->engine->config.memory;

	if (bytes <= memory->arena_bytes && address - memory->arena_base <= memory->arena_bytes - bytes)
		return (void *)(uintptr_t)address;
	if (address + bytes < address || !memory->host_range_contains ||
	    !memory->host_range_contains(memory->user, address, bytes))
		exec_fault(warp, ENGINE_FAULT_ILLEGAL_ADDRESS, address);
	fault_scope_admit(address, bytes);
	return (void *)(uintptr_t)address;
}

void *memory_lane_pointer(struct warp *warp, unsigned lane, unsigned space, uint64_t address, uint32_t bytes,
			  uint32_t alignment)
{
	const struct launch *launch = warp->block->launch;
	uint64_t window = address & ~(WINDOW_BYTES - 1);
	uint64_t offset = address;

	if (address & (alignment - 1))
		exec_fault(warp, ENGINE_FAULT_MISALIGNED_ADDRESS, address);
	if (space == SPACE_GENERIC && window >= WINDOW_SHARED) {
		offset = address - window;
		space = window == WINDOW_SHARED	 ? SPACE_SHARED
			: window == WINDOW_LOCAL ? SPACE_LOCAL
			: window == WINDOW_PARAM ? SPACE_PARAM
						 : SPACE_GLOBAL;
	}
	switch (space) {
	case SPACE_SHARED:
		if (bytes > warp->shared_bytes || offset > warp->shared_bytes - bytes)
			exec_fault(warp, ENGINE_FAULT_ILLEGAL_ADDRESS, address);
		return warp->shared + offset;
	case SPACE_LOCAL:
		if (bytes > warp->local_stride || offset > warp->local_stride - bytes)
			exec_fault(warp, ENGINE_FAULT_ILLEGAL_ADDRESS, address);
		return warp->local + lane * warp->local_stride + offset;
	case SPACE_PARAM:
		if (bytes > launch->parameter_bytes || offset > launch->parameter_bytes - bytes)
			exec_fault(warp, ENGINE_FAULT_ILLEGAL_ADDRESS, address);
		return (void *)(uintptr_t)(launch->parameters + offset);
	default:
		return memory_global(warp, address, bytes);
	}
}

static uint64_t lane_address(struct warp *warp, const struct instruction *ins, uint32_t offset, unsigned lane,
			     bool wide, uint64_t immediate)
{
	uint64_t base = lane_read(warp, offset, lane, wide);

	(void)ins;
	return wide ? base + immediate : (uint32_t)(base + immediate);
}

const struct instruction *memory_load_parameter(struct warp *warp, const struct instruction *ins)
{
	uint32_t bytes = ins->type2;

	LANES_OF(warp->mask, lane)
	{
		uint64_t address = lane_address(warp, ins, ins->a, lane, ins->wide & WIDE_A, ins->immediate);
		const uint8_t *from = memory_lane_pointer(warp, lane, SPACE_PARAM, address, bytes * ins->count, bytes);

		for (unsigned e = 0; e < ins->count; e++) {
			uint64_t value = 0;

			memcpy(&value, from + (size_t)e * bytes, bytes);
			if (ptx_type_signed((enum ptx_type)ins->type) && bytes < 8) {
				unsigned shift = 64 - 8 * bytes;

				value = (uint64_t)((int64_t)(value << shift) >> shift);
			}
			lane_write(warp, ins->count == 1 ? ins->d : ins->elements[e], lane, ins->wide & WIDE_D, value);
		}
	}
	return ins + 1;
}

const struct instruction *memory_address_test(struct warp *warp, const struct instruction *ins)
{
	const struct engine_module *module = warp->frame->function->module;
	uint32_t result = 0;

	LANES_OF(warp->mask, lane)
	{
		uint64_t address = lane_read(warp, ins->a, lane, ins->wide & WIDE_A);
		uint64_t window = address & ~(WINDOW_BYTES - 1);
		bool inside;

		switch (ins->space) {
		case SPACE_SHARED:
			inside = window == WINDOW_SHARED;
			break;
		case SPACE_LOCAL:
			inside = window == WINDOW_LOCAL;
			break;
		case SPACE_PARAM:
			inside = window == WINDOW_PARAM;
			break;
		case SPACE_CONST:
			inside = address >= module->constants_begin && address < module->constants_end;
			break;
		default:
			inside = window < WINDOW_SHARED;
			break;
		}
		result |= (uint32_t)inside << lane;
	}
	predicate_write(warp, ins->d, warp->mask, result);
	return ins + 1;
}

/* cp.async, done at once: d: shared address, a: global address, type2: bytes, b: bytes to copy (the rest is zero). */
const struct instruction *memory_copy(struct warp *warp, const struct instruction *ins)
{
	uint32_t bytes = ins->type2;

	LANES_OF(warp->mask, lane)
	{
		uint64_t to = lane_address(warp, ins, ins->d, lane, ins->wide & WIDE_D, ins->immediate);
		uint64_t from =
			lane_address(warp, ins, ins->a, lane, ins->wide & WIDE_A, (uint64_t)(uintptr_t)ins->extra);
		uint32_t count = ins->b ? lanes32(warp, ins->b)[lane] : bytes;

		if (count > bytes)
			count = bytes;
		uint8_t *target = memory_lane_pointer(warp, lane, SPACE_SHARED, to, bytes, bytes);

		if (count)
			memcpy(target, memory_lane_pointer(warp, lane, SPACE_GLOBAL, from, count, bytes), count);
		memset(target + count, 0, bytes - count);
	}
	return ins + 1;
}
