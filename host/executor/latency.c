/* SPDX-License-Identifier: Apache-2.0 */
#include "latency.h"

#include <stdio.h>

#include "executor.h"
#include "opcode.h"

#define SLOW_FREE	5
#define SLOW_PER_SECOND 1

static const uint64_t bounds_ns[] = {VGPU_LATENCY_BOUNDS_NS};

_Static_assert(sizeof(bounds_ns) / sizeof(bounds_ns[0]) == VGPU_LATENCY_BUCKETS - 1, "one more has what is longer");

void latency_open(struct latency *latency)
{
	*latency = (struct latency){
		.first_left = LATENCY_FIRST,
		.slow_limit = {.free_count = SLOW_FREE, .per_second = SLOW_PER_SECOND},
	};
}

uint32_t latency_weigh(struct latency *latency, const struct request *request)
{
	if (request->flags & VGPU_FLAG_REPLY)
		return 1;
	switch (opcode_class(request->opcode)) {
	case VGPU_CLASS_LAUNCH:
	case VGPU_CLASS_COPY:
	case VGPU_CLASS_SYNCHRONIZE:
		break;
	default:
		return 1;
	}
	if (latency->skip) {
		latency->skip--;
		return 0;
	}
	if (latency->first_left) {
		latency->first_left--;
		return 1;
	}
	latency->skip = LATENCY_EACH - 1;
	return LATENCY_EACH;
}

static void count(struct executor *executor, const struct request *request, uint32_t weight, uint64_t taken_ns)
{
	struct vgpu_latency *latency = &executor->counters->latencies[opcode_class(request->opcode)];
	unsigned bucket = 0;

	while (bucket < VGPU_LATENCY_BUCKETS - 1 && taken_ns > bounds_ns[bucket])
		bucket++;
	counter_add(&latency->buckets[bucket], weight);
	counter_add(&latency->sum_ns, taken_ns * weight);
}

static void slow_look(struct executor *executor, const struct request *request, uint64_t taken_ns)
{
	struct latency *latency = &executor->latency;
	uint64_t slow_ms = __atomic_load_n(&executor->gate.permit->slow_call_ms, __ATOMIC_RELAXED);
	char others[64] = "";

	if (!slow_ms || taken_ns / 1000000 < slow_ms)
		return;
	if (!log_limit_passes(&latency->slow_limit)) {
		latency->slow_left_out++;
		return;
	}
	if (latency->slow_left_out)
		snprintf(others, sizeof(others), "; %llu others are not logged",
			 (unsigned long long)latency->slow_left_out);
	log_write("vm_id=%u channel=%u: slow call: %s took %llu ms (process %llu)%s", executor->vm_id,
		  executor->channel_number, opcode_name(request->opcode), (unsigned long long)taken_ns / 1000000,
		  (unsigned long long)executor->counters->process_id, others);
	latency->slow_left_out = 0;
}

void latency_end(struct executor *executor, const struct request *request, CUresult result)
{
	const struct latency_mark *mark = &executor->latency.mark;
	uint64_t taken_ns = schedule_now() - mark->began_ns;

	slow_look(executor, request, taken_ns);
	if (result != EXECUTE_DEFERRED || !(request->flags & VGPU_FLAG_REPLY))
		count(executor, request, mark->weight, taken_ns);
}

void latency_end_deferred(struct executor *executor, const struct request *request, const struct latency_mark *mark)
{
	if (request->flags & VGPU_FLAG_REPLY)
		count(executor, request, mark->weight, schedule_now() - mark->began_ns);
}
