/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running a grid.  The launching thread runs blocks itself and workers help it,
 * so that every launch makes progress whatever the workers do.  A worker keeps
 * several blocks resident when those it has only spin: a block may wait for
 * another one (grid-wide barriers, chained scans).
 */
#include "block.h"
#include "engine_private.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
	RESIDENT_BLOCKS_MAX = 4096,
	/* Slices without a finished block after which another one is admitted. */
	PATIENCE_SLICES = 16,
	CALL_STACK_BYTES = 64 * 1024,
	WORKSPACE_BYTES = 256,
};

struct grid_run {
	struct grid_run *next;
	struct launch launch;
	const _Atomic bool *cancel;
	bool cooperative;
	unsigned helpers_max;
	uint64_t block_count;
	_Atomic uint64_t next_block;
	_Atomic uint64_t operations;
	_Atomic int fault;
	uint64_t fault_address; /* written by whoever set fault */
	unsigned helpers;	/* under the engine's lock */
	pthread_cond_t idle;
};

struct residents {
	struct block **blocks;
	uint32_t count, capacity;
	struct block *spare; /* a finished one, for the next */
};

static void run_fail(struct grid_run *run, enum engine_fault fault, uint64_t address)
{
	int none = ENGINE_FAULT_NONE;

	if (atomic_compare_exchange_strong(&run->fault, &none, (int)fault))
		run->fault_address = address;
}

static bool residents_admit(struct grid_run *run, struct residents *residents, unsigned worker_index)
{
	uint64_t linear;

	if (atomic_load_explicit(&run->next_block, memory_order_relaxed) >= run->block_count)
		return false;
	linear = atomic_fetch_add(&run->next_block, 1);
	if (linear >= run->block_count)
		return false;
	if (residents->count == residents->capacity) {
		uint32_t capacity = residents->capacity ? residents->capacity * 2 : 8;
		struct block **grown = realloc(residents->blocks, capacity * sizeof(*grown));

		if (!grown) {
			run_fail(run, ENGINE_FAULT_OUT_OF_MEMORY, 0);
			return false;
		}
		residents->blocks = grown;
		residents->capacity = capacity;
	}
	struct block *block = residents->spare;

	residents->spare = NULL;
	if (!block)
		block = block_create(&run->launch, worker_index);
	if (!block) {
		run_fail(run, ENGINE_FAULT_OUT_OF_MEMORY, 0);
		return false;
	}
	block_start(block, linear);
	residents->blocks[residents->count++] = block;
	return true;
}

/* One slice of every resident block.  True when at least one finished. */
static bool residents_run(struct grid_run *run, struct residents *residents)
{
	bool finished = false;

	for (uint32_t i = 0; i < residents->count;) {
		struct block *block = residents->blocks[i];
		enum block_state state = block_run(block);

		if (state == BLOCK_STUCK) {
			run_fail(run, ENGINE_FAULT_ILLEGAL_INSTRUCTION, 0);
			return false;
		}
		if (state == BLOCK_YIELDED) {
			i++;
			continue;
		}
		finished = true;
		residents->blocks[i] = residents->blocks[--residents->count];
		if (residents->spare) {
			atomic_fetch_add(&run->operations, block_operations(block));
			block_destroy(block);
		} else {
			residents->spare = block;
		}
	}
	return finished;
}

static bool run_must_stop(struct grid_run *run)
{
	if (run->cancel && atomic_load_explicit(run->cancel, memory_order_relaxed))
		run_fail(run, ENGINE_FAULT_CANCELLED, 0);
	return atomic_load_explicit(&run->fault, memory_order_relaxed) != ENGINE_FAULT_NONE;
}

static __attribute__((noinline)) void residents_loop(struct grid_run *run, struct residents *residents,
						     unsigned worker_index)
{
	unsigned fruitless = 0;

	while (!run_must_stop(run)) {
		if (!residents->count && !residents_admit(run, residents, worker_index))
			break;
		if (residents_run(run, residents)) {
			fruitless = 0;
			continue;
		}
		if ((run->cooperative || ++fruitless >= PATIENCE_SLICES) && residents->count < RESIDENT_BLOCKS_MAX) {
			fruitless = 0;
			residents_admit(run, residents, worker_index);
		}
	}
}

static void run_blocks(struct grid_run *run, unsigned worker_index)
{
	struct residents residents = {0};
	struct fault_scope scope = {
		.arena_base = run->launch.arena_base,
		.arena_bytes = run->launch.arena_bytes,
	};

	fault_scope_enter(&scope);
	if (sigsetjmp(scope.jump, 0) == 0)
		residents_loop(run, &residents, worker_index);
	else
		run_fail(run, scope.fault, scope.address);
	fault_scope_leave();
	for (uint32_t i = 0; i < residents.count; i++) {
		atomic_fetch_add(&run->operations, block_operations(residents.blocks[i]));
		block_destroy(residents.blocks[i]);
	}
	if (residents.spare)
		atomic_fetch_add(&run->operations, block_operations(residents.spare));
	block_destroy(residents.spare);
	free(residents.blocks);
}

static void *worker_main(void *user)
{
	struct engine *engine = user;
	unsigned index = 0;

	pthread_mutex_lock(&engine->lock);
	while (index < engine->thread_count && !pthread_equal(engine->threads[index], pthread_self()))
		index++;
	while (!engine->stopping) {
		struct grid_run *run = engine->runs;

		while (run && (atomic_load(&run->next_block) >= run->block_count || run->helpers >= run->helpers_max))
			run = run->next;
		if (!run) {
			pthread_cond_wait(&engine->work, &engine->lock);
			continue;
		}
		run->helpers++;
		pthread_mutex_unlock(&engine->lock);
		run_blocks(run, index + 1);
		pthread_mutex_lock(&engine->lock);
		/* A run that a fault ended has no more work, whatever its count of blocks says. */
		if (atomic_load(&run->fault) != ENGINE_FAULT_NONE)
			atomic_store(&run->next_block, run->block_count);
		if (--run->helpers == 0)
			pthread_cond_signal(&run->idle);
	}
	pthread_mutex_unlock(&engine->lock);
	return NULL;
}

bool engine_workers_start(struct engine *engine)
{
	engine->threads = calloc(engine->worker_count, sizeof(*engine->threads));
	if (!engine->threads)
		return false;
	pthread_mutex_lock(&engine->lock);
	bool started = true;

	while (started && engine->thread_count + 1 < engine->worker_count) {
		started = pthread_create(&engine->threads[engine->thread_count], NULL, worker_main, engine) == 0;
		engine->thread_count += started;
	}
	pthread_mutex_unlock(&engine->lock);
	/* Fewer threads than wished for still run everything. */
	return true;
}

void engine_workers_stop(struct engine *engine)
{
	pthread_mutex_lock(&engine->lock);
	engine->stopping = true;
	pthread_cond_broadcast(&engine->work);
	pthread_mutex_unlock(&engine->lock);
	for (unsigned i = 0; i < engine->thread_count; i++)
		pthread_join(engine->threads[i], NULL);
	free(engine->threads);
}

static void run_with_helpers(struct engine *engine, struct grid_run *run)
{
	struct grid_run **link;

	pthread_mutex_lock(&engine->lock);
	run->next = engine->runs;
	engine->runs = run;
	pthread_cond_broadcast(&engine->work);
	pthread_mutex_unlock(&engine->lock);
	run_blocks(run, 0);
	pthread_mutex_lock(&engine->lock);
	for (link = &engine->runs; *link != run; link = &(*link)->next)
		;
	*link = run->next;
	while (run->helpers)
		pthread_cond_wait(&run->idle, &engine->lock);
	pthread_mutex_unlock(&engine->lock);
}

static bool workspace_create(struct engine *engine, struct launch *launch)
{
	const struct engine_memory *memory = &engine->config.memory;

	/*
	 * cooperative_groups' grid workspace (details/helpers.h): its size, then the
	 * barrier; %envreg1 and %envreg2 hold its address.
	 */
	launch->workspace = memory->allocate(memory->user, WORKSPACE_BYTES, WORKSPACE_BYTES);
	if (!launch->workspace)
		return false;
	memset((void *)(uintptr_t)launch->workspace, 0, WORKSPACE_BYTES);
	*(uint32_t *)(uintptr_t)launch->workspace = WORKSPACE_BYTES;
	return true;
}

void engine_launch(struct engine *engine, const struct engine_launch *request, struct engine_result *ret_result)
{
	const struct engine_function *function = request->function;
	struct grid_run run = {
		.cancel = request->cancel,
		.cooperative = request->cooperative,
		.helpers_max = request->workers_max ? request->workers_max - 1 : engine->worker_count,
	};
	struct launch *launch = &run.launch;
	uint64_t threads = 1;
	uint8_t *parameters = calloc(1, (size_t)function->info.parameter_bytes + 64);

	if (!parameters) {
		*ret_result = (struct engine_result){.fault = ENGINE_FAULT_OUT_OF_MEMORY};
		return;
	}
	memcpy(parameters, request->parameters,
	       request->parameter_bytes < function->info.parameter_bytes ? request->parameter_bytes
									 : function->info.parameter_bytes);
	launch->engine = engine;
	launch->function = function;
	launch->arena_base = engine->config.memory.arena_base;
	launch->arena_bytes = engine->config.memory.arena_bytes;
	launch->parameters = parameters;
	launch->parameter_bytes = function->info.parameter_bytes;
	launch->worker_count = engine->worker_count;
	launch->grid_id = atomic_fetch_add(&engine->grid_ids, 1) + 1;
	run.block_count = 1;
	for (unsigned i = 0; i < 3; i++) {
		launch->grid[i] = request->grid[i];
		launch->block[i] = request->block[i];
		run.block_count *= request->grid[i];
		threads *= request->block[i];
	}
	launch->threads_per_block = (uint32_t)threads;
	launch->warps_per_block = (uint32_t)((threads + WARP_LANES - 1) / WARP_LANES);
	launch->dynamic_shared_offset = (function->info.static_shared_bytes + function->dynamic_shared_alignment - 1) &
					~(function->dynamic_shared_alignment - 1);
	launch->shared_bytes = request->dynamic_shared_bytes
				       ? launch->dynamic_shared_offset + request->dynamic_shared_bytes
				       : function->info.static_shared_bytes;
	if (!request->dynamic_shared_bytes)
		launch->dynamic_shared_offset = launch->shared_bytes;
	launch->local_stride =
		((function->frame_local_bytes + 15) & ~15u) + (function->makes_calls ? CALL_STACK_BYTES : 0);
	pthread_cond_init(&run.idle, NULL);
	if (request->cooperative && !workspace_create(engine, launch))
		run_fail(&run, ENGINE_FAULT_OUT_OF_MEMORY, 0);
	else if (run.block_count > 1 && engine->thread_count && run.helpers_max)
		run_with_helpers(engine, &run);
	else
		run_blocks(&run, 0);
	pthread_cond_destroy(&run.idle);
	if (launch->workspace)
		engine->config.memory.release(engine->config.memory.user, launch->workspace);
	free(parameters);
	*ret_result = (struct engine_result){
		.fault = (enum engine_fault)atomic_load(&run.fault),
		.fault_address = run.fault_address,
		.lane_operations = atomic_load(&run.operations),
	};
}
