/* SPDX-License-Identifier: Apache-2.0 */
/* What simulate.c runs and report.c prints. Times are virtual, in nanoseconds. */
#ifndef SIMULATION_H
#define SIMULATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schedule_policy.h"

enum { GROUPS_MAX = 32, TRACE_MAX = 100000, WAITS_MAX = 200000 };

struct trace {
	uint64_t (*entries)[2]; /* arrival and work, nanoseconds */
	size_t count;
};

struct group {
	unsigned count;
	unsigned weight;
	unsigned class;
	uint64_t kernel_ns;
	uint64_t pause_ns;
	unsigned kernels;
	bool is_endless;
	struct trace trace; /* count 0: none */
	uint64_t *waits;
	size_t wait_count;
};

struct machine {
	struct policy_tenant policy;
	struct group *group;
	uint64_t work_ns;   /* asked for and not done; UINT64_MAX: without end */
	uint64_t kernel_ns; /* of what is asked for */
	uint64_t next_ns;   /* when it asks again; UINT64_MAX: after what it has */
	uint64_t done_ns;   /* of kernels */
	size_t trace_at;
	uint64_t trace_start_ns;
	bool has_ended;
};

struct simulation {
	struct policy_queue queue;
	struct group groups[GROUPS_MAX];
	size_t group_count;
	struct machine *machines;
	size_t machine_count;
	struct machine **heap; /* those that ask later, by next_ns */
	size_t heap_count;
	uint64_t now_ns, end_ns, handover_ns, linger_ns, switch_ns, busy_ns;
	uint64_t burst_ns, gap_ns; /* burst 0: kernels one by one */
	unsigned bursts;
	uint64_t random;
	bool as_csv;
	bool ends;
};

/* Prints what simulate.c promises; sorts the groups' waits. */
void simulation_report(struct simulation *simulation);

#endif
