/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine that runs lowered PTX.
 *
 * A function's code is an array of predecoded instructions.  A frame is the
 * register file of one activation: at byte offsets that the lowering chose it
 * holds predicates (a mask of 32 lanes each), special registers, constants and
 * virtual registers (32 lanes of 32 or 64 bits each).
 *
 * A warp's lanes are partitioned into groups that stand at the same place (same
 * frame, same instruction).  One group runs; the others wait in warp.groups.  A
 * handler executes one instruction for the lanes in warp.mask and returns the
 * next instruction, or NULL when the warp has nothing to run now.
 */
#ifndef SOFTGPU_EXEC_H
#define SOFTGPU_EXEC_H

#include "engine.h"
#include "handlers.h"

enum {
	WARP_LANES = 32,
	BARRIER_COUNT = 16,
	LANES32_BYTES = 128,
	LANES64_BYTES = 256,
	FRAME_CARRY_OFFSET = 0, /* the carry flag of add.cc, one bit a lane */
	WARP_DEPTH_MAX = 4096,
	WARP_FRAMES_BYTES_MAX = 64 * 1024 * 1024,
};

#define WARP_FULL_MASK UINT32_C(0xffffffff)

/* Where generic addresses that are no host addresses lie: above every address that a Linux process can have. */
#define WINDOW_SHARED	(UINT64_C(1) << 56)
#define WINDOW_LOCAL	(UINT64_C(2) << 56)
#define WINDOW_PARAM	(UINT64_C(3) << 56)
#define WINDOW_FUNCTION (UINT64_C(4) << 56)
#define WINDOW_BYTES	(UINT64_C(1) << 32)

struct warp;
struct instruction;
struct engine_function;

typedef const struct instruction *(*exec_handler)(struct warp *warp, const struct instruction *ins);
typedef uint64_t (*scalar_function)(const struct instruction *ins, uint64_t a, uint64_t b, uint64_t c);

enum operand_width {
	WIDE_D = 1,
	WIDE_A = 2,
	WIDE_B = 4,
	WIDE_C = 8,
	WIDE_ADDRESS = WIDE_A,
	RESULT_PREDICATE = 16,
};

struct instruction {
	exec_handler run;
	uint32_t d, a, b, c; /* byte offsets in the frame */
	uint64_t immediate;
	union {
		const struct instruction *target;
		scalar_function scalar;
		exec_handler guarded;
		const void *extra;
		const uint32_t *elements; /* frame offsets of a vector's elements */
	};
	exec_handler inner; /* what a guard protects */
	uint32_t guard;
	uint32_t line;
	uint8_t wide; /* enum operand_width */
	uint8_t type; /* enum ptx_type */
	uint8_t type2;
	uint8_t op; /* the family's own enum */
	uint8_t rounding;
	uint8_t flags;
	uint8_t space;
	uint8_t count;
	bool guard_negated;
	bool negate_c;
	bool invert;
	uint8_t combine;
	uint32_t q; /* second predicate result, 0: none */
};

enum group_wait {
	GROUP_RUNNABLE,
	GROUP_WAIT_SYNC, /* for the lanes of .sync's member mask */
	GROUP_WAIT_BARRIER,
};

struct frame {
	struct frame *caller;
	struct frame *next_free;
	struct frame *next_all;
	const struct engine_function *function;
	const struct instruction *return_to;
	uint32_t lanes; /* that have not returned */
	uint32_t depth;
	uint32_t local_base;
	uint32_t bytes;
	_Alignas(64) uint8_t registers[];
};

struct group {
	uint32_t mask;
	enum group_wait wait;
	const struct instruction *pc;
	struct frame *frame;
	uint64_t stamp; /* when it last ran */
	unsigned barrier;
};

struct warp {
	uint8_t *registers; /* of the running group's frame */
	uint32_t mask;	    /* the running group's lanes */
	uint32_t lane_count;
	uint32_t live; /* lanes that have not exited */
	uint32_t group_count;
	struct frame *frame;
	struct block *block;
	uint8_t *local;
	uint64_t arena_base;
	uint64_t arena_bytes;
	uint8_t *shared;
	uint64_t shared_bytes;
	uint64_t local_stride; /* bytes of local memory a lane has */
	int64_t budget;	       /* back edges until other warps get their turn */
	int64_t patience;      /* back edges until other groups get their turn */
	uint32_t turn;	       /* places to pass before a group that had to wait long gives way again */
	uint64_t clock;	       /* of group switches */
	uint64_t operations;
	uint32_t index;
	bool yielded;
	bool forced_sync; /* run the next .sync without its missing lanes: they can never come */
	const struct instruction *resume;
	struct frame *free_frames;
	struct frame *all_frames;
	uint64_t frames_bytes;
	struct group groups[WARP_LANES];
};

struct barrier {
	uint32_t arrived;
	uint32_t expected;
	uint32_t reduction;
	uint32_t lanes;
};

struct block {
	const struct launch *launch;
	uint32_t position[3];
	uint64_t linear;
	struct warp **warps;
	uint32_t warp_count;
	uint32_t live_threads;
	uint8_t *shared;
	uint32_t shared_bytes;
	uint32_t worker_index;
	struct barrier barriers[BARRIER_COUNT];
	uint8_t *memory; /* one mapping: shared memory, then every warp's local memory */
	size_t memory_bytes;
};

struct launch {
	struct engine *engine;
	const struct engine_function *function;
	uint64_t arena_base, arena_bytes;
	uint32_t grid[3];
	uint32_t block[3];
	uint32_t worker_count;
	const uint8_t *parameters;
	uint32_t parameter_bytes;
	uint32_t threads_per_block;
	uint32_t warps_per_block;
	uint32_t shared_bytes;
	uint32_t dynamic_shared_offset;
	uint32_t local_stride;
	uint64_t workspace; /* of a cooperative launch's grid barrier */
	uint64_t grid_id;
};

struct frame_special {
	uint32_t offset;
	uint32_t special;
};

struct engine_function {
	struct engine_function_info info;
	struct engine_module *module;
	const struct instruction *code;
	uint32_t code_count;
	uint32_t frame_bytes;
	uint32_t image_offset; /* the constants in every frame */
	uint32_t image_bytes;
	const uint8_t *image;
	const struct frame_special *specials;
	uint32_t special_count;
	uint32_t frame_local_bytes; /* parameters, return value and .local variables of one activation */
	uint32_t return_offset;	    /* in the frame's local memory */
	uint32_t return_bytes;
	const uint32_t *argument_offsets;
	const uint32_t *argument_bytes;
	uint32_t argument_count;
	bool makes_calls;
	uint32_t dynamic_shared_alignment;
};

/* Leaves the handler: the launch ends with this fault. */
_Noreturn void exec_fault(struct warp *warp, enum engine_fault fault, uint64_t address);

/* Scheduling within a warp: warp.c. */
const struct instruction *warp_switch(struct warp *warp, const struct instruction *pc, enum group_wait wait,
				      unsigned barrier);
const struct instruction *warp_converge(struct warp *warp, const struct instruction *pc);
const struct instruction *warp_diverge(struct warp *warp, uint32_t other, const struct instruction *other_pc,
				       const struct instruction *pc);
const struct instruction *warp_back_edge(struct warp *warp, const struct instruction *pc);
const struct instruction *warp_enter(struct warp *warp, const struct instruction *pc); /* a call's first instruction */
const struct instruction *warp_next(struct warp *warp);
void warp_group_add(struct warp *warp, uint32_t mask, const struct instruction *pc, struct frame *frame,
		    enum group_wait wait, unsigned barrier);
void warp_lanes_set(struct warp *warp, uint32_t mask);
struct frame *frame_create(struct warp *warp, const struct engine_function *function, struct frame *caller);
void frame_release(struct warp *warp, struct frame *frame);
void frame_specials_fill(const struct warp *warp, struct frame *frame);

/* Memory as seen by one lane, for what is not worth vectorising: memory.c.  Faults do not return. */
void *memory_lane_pointer(struct warp *warp, unsigned lane, unsigned space, uint64_t address, uint32_t bytes,
			  uint32_t alignment);

/* Runs the warp until it has nothing to do, is done or has used up its budget. */
void warp_run(struct warp *warp);

/* The handlers compiled for one instruction set. */
struct exec_table {
	exec_handler handlers[HANDLER_COUNT];
};
const struct exec_table *exec_table_choose(void);

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#endif
