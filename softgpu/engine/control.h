/* SPDX-License-Identifier: Apache-2.0 */
/* Handlers that are compiled once: control flow, what crosses lanes, and everything rare. */
#ifndef SOFTGPU_CONTROL_H
#define SOFTGPU_CONTROL_H

#include "exec.h"

#define DECLARE_CONTROL(name) const struct instruction *name(struct warp *warp, const struct instruction *ins)

/* control.c */
DECLARE_CONTROL(control_guard);	   /* runs ins->guarded for the lanes of the guard */
DECLARE_CONTROL(control_branch);   /* target, guard */
DECLARE_CONTROL(control_jump);	   /* target */
DECLARE_CONTROL(control_converge); /* at every label */
DECLARE_CONTROL(control_exit);
DECLARE_CONTROL(control_return);
DECLARE_CONTROL(control_call);		/* extra: struct call_site */
DECLARE_CONTROL(control_call_indirect); /* a: the target's address */
DECLARE_CONTROL(control_call_builtin);	/* extra: struct call_site */
DECLARE_CONTROL(control_branch_table);	/* extra: struct branch_table */
DECLARE_CONTROL(control_trap);
DECLARE_CONTROL(control_nothing);
DECLARE_CONTROL(control_sleep);
DECLARE_CONTROL(control_special); /* op: a special register that changes */
DECLARE_CONTROL(control_scalar);  /* a scalar_function for each lane */
DECLARE_CONTROL(control_pack);
DECLARE_CONTROL(control_unpack);
DECLARE_CONTROL(control_predicate); /* op: enum predicate_operation */
DECLARE_CONTROL(control_carry);	    /* op: enum carry_operation */
DECLARE_CONTROL(control_fence);
DECLARE_CONTROL(control_poll); /* after a volatile load */

/* barrier.c */
DECLARE_CONTROL(barrier_sync); /* a: the barrier, b: threads (0: all), op: enum barrier_operation */

/* exchange.c: instructions that read other lanes' registers */
DECLARE_CONTROL(exchange_shuffle);
DECLARE_CONTROL(exchange_vote);
DECLARE_CONTROL(exchange_match);
DECLARE_CONTROL(exchange_reduce);
DECLARE_CONTROL(exchange_elect);
DECLARE_CONTROL(exchange_activemask);
DECLARE_CONTROL(exchange_warp_sync);

/* atomic.c */
DECLARE_CONTROL(atomic_run);

/* memory.c */
DECLARE_CONTROL(memory_load_parameter); /* at an address in a register */
DECLARE_CONTROL(memory_address_test);	/* isspacep */
DECLARE_CONTROL(memory_copy);		/* cp.async */

/* texture_run.c; extra: struct texture_site */
DECLARE_CONTROL(texture_sample);
DECLARE_CONTROL(texture_query);
DECLARE_CONTROL(surface_load);
DECLARE_CONTROL(surface_store);
DECLARE_CONTROL(surface_reduce);

struct call_site {
	const struct engine_function *callee;
	const uint32_t *argument_offsets; /* in the caller's frame's local memory */
	const uint32_t *argument_bytes;
	uint32_t argument_count;
	uint32_t return_offset;
	uint32_t return_bytes; /* 0: none */
};

struct branch_table {
	uint32_t count;
	const struct instruction *targets[];
};

enum predicate_operation {
	PREDICATE_MOVE,
	PREDICATE_NOT,
	PREDICATE_AND,
	PREDICATE_OR,
	PREDICATE_XOR,
	PREDICATE_CONSTANT,
};

enum carry_operation {
	CARRY_ADD,
	CARRY_SUB,
	CARRY_MAD_LO,
	CARRY_MAD_HI,
};

enum carry_flags {
	CARRY_IN = 1,
	CARRY_OUT = 2,
	CARRY_SIGNED = 4,
};

enum barrier_operation {
	BARRIER_SYNC,
	BARRIER_ARRIVE,
	BARRIER_POPC,
	BARRIER_AND,
	BARRIER_OR,
};

/* A warp's lanes ended: barriers and waiting groups may go on. */
void barrier_threads_exited(struct block *block);

#define LANES_OF(mask, lane) \
	for (uint32_t rest_ = (mask), lane = 0; rest_ && (lane = (uint32_t)__builtin_ctz(rest_), 1); rest_ &= rest_ - 1)

enum {
	POLL_PATIENCE = 8,
	POLL_BUDGET = 64,
};

/* After an instruction with which loops wait for other lanes, warps or blocks: those should run soon. */
static inline void control_polled(struct warp *warp)
{
	if (warp->patience > POLL_PATIENCE)
		warp->patience = POLL_PATIENCE;
	warp->budget -= POLL_BUDGET;
}

static inline uint32_t *lanes32(struct warp *warp, uint32_t offset)
{
	return (uint32_t *)(void *)(warp->registers + offset);
}

static inline uint64_t *lanes64(struct warp *warp, uint32_t offset)
{
	return (uint64_t *)(void *)(warp->registers + offset);
}

static inline uint64_t lane_read(struct warp *warp, uint32_t offset, unsigned lane, bool wide)
{
	return wide ? lanes64(warp, offset)[lane] : lanes32(warp, offset)[lane];
}

static inline void lane_write(struct warp *warp, uint32_t offset, unsigned lane, bool wide, uint64_t value)
{
	if (wide)
		lanes64(warp, offset)[lane] = value;
	else
		lanes32(warp, offset)[lane] = (uint32_t)value;
}

static inline void predicate_write(struct warp *warp, uint32_t offset, uint32_t mask, uint32_t value)
{
	uint32_t *predicate = lanes32(warp, offset);

	*predicate = (*predicate & ~mask) | (value & mask);
}

#endif
