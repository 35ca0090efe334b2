/* SPDX-License-Identifier: Apache-2.0 */
/* The engine object itself, and where faults of its threads land. */
#ifndef SOFTGPU_ENGINE_PRIVATE_H
#define SOFTGPU_ENGINE_PRIVATE_H

#include "engine.h"
#include "exec.h"
#include "heap.h"

#include <pthread.h>
#include <setjmp.h>

struct grid_run;
struct texture_table;

struct engine {
	struct engine_config config;
	const struct exec_table *table;
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct grid_run *runs; /* that want helpers */
	bool stopping;
	pthread_t *threads;
	unsigned thread_count; /* started */
	unsigned worker_count; /* threads and the launching one */
	_Atomic uint64_t grid_ids;
	pthread_mutex_t print_lock;
	struct heap *heap;
	struct texture_table *textures;
};

/* A thread that runs blocks; faults leave through jump. */
struct fault_scope {
	sigjmp_buf jump;
	uint64_t arena_base, arena_bytes;
	uint64_t host_low, host_high; /* host memory that the kernel was let at */
	enum engine_fault fault;
	uint64_t address;
};

bool fault_handlers_install(void);
void fault_scope_enter(struct fault_scope *scope);
void fault_scope_leave(void);
void fault_scope_admit(uint64_t address, uint64_t bytes);
bool engine_workers_start(struct engine *engine);
void engine_workers_stop(struct engine *engine);

#endif
