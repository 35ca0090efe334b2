/* SPDX-License-Identifier: Apache-2.0 */
#include "placement.h"

#include <stdio.h>
#include <string.h>

#include "gpu_events.h"
#include "mediator.h"
#include "probe.h"
#include "scheduler.h"
#include "store.h"
#include "worker.h"

#define GPUS_MAX 32 /* that a probe finds */

/* What the database says of the GPUs that are there. */
struct assignments {
	const struct probe *probe;
	char pools[GPUS_MAX];
	bool any; /* also of one that is not there now */
	bool are_faulty[GPUS_MAX];
	bool any_faulty;
};

static bool assignment_take(const struct store_gpu *gpu, void *argument)
{
	struct assignments *assignments = argument;

	assignments->any = true;
	for (unsigned i = 0; i < probe_device_count(assignments->probe) && i < GPUS_MAX; i++) {
		if (strcmp(probe_device(assignments->probe, i).uuid, gpu->uuid) == 0)
			assignments->pools[i] = gpu->pool;
	}
	return true;
}

static bool assignments_read(const struct mediator *mediator, struct assignments *ret_assignments)
{
	*ret_assignments = (struct assignments){.probe = mediator->probe};
	for (unsigned i = 0; i < probe_device_count(mediator->probe) && i < GPUS_MAX; i++) {
		ret_assignments->are_faulty[i] =
			gpu_events_is_faulty(mediator->gpu_events, probe_device(mediator->probe, i).uuid);
		ret_assignments->any_faulty |= ret_assignments->are_faulty[i];
	}
	return store_gpus_visit(mediator->store, assignment_take, ret_assignments) == STORE_DONE;
}

static unsigned programs_on(const struct mediator *mediator, unsigned gpu)
{
	struct scheduler_gpu gpus[GPUS_MAX];
	unsigned count = schedulers_look(mediator, gpus, GPUS_MAX);

	for (unsigned i = 0; i < count && i < GPUS_MAX; i++) {
		if (gpus[i].gpu == gpu)
			return gpus[i].processes;
	}
	return 0;
}

/* Of the GPUs of that pool, or of none, that are not faulty, the one with the fewest programs. */
static bool least_loaded(const struct mediator *mediator, const struct assignments *assignments, char pool,
			 unsigned *ret_gpu)
{
	unsigned count = probe_device_count(mediator->probe);
	bool found = false;
	unsigned fewest = 0;

	for (unsigned i = 0; i < count && i < GPUS_MAX; i++) {
		unsigned programs = programs_on(mediator, i);

		if (assignments->pools[i] != pool || assignments->are_faulty[i] || (found && programs >= fewest))
			continue;
		*ret_gpu = i;
		fewest = programs;
		found = true;
	}
	return found;
}

bool placement_choose(const struct mediator *mediator, char pool, unsigned *ret_gpu,
		      char ret_uuid[PLACEMENT_UUID_BYTES])
{
	struct assignments assignments;
	unsigned gpu;

	if (worker_of_pool(mediator, (uint32_t)pool)) {
		*ret_gpu = worker_gpu(mediator, (uint32_t)pool);
		ret_uuid[0] = '\0';
		return true;
	}
	if (!assignments_read(mediator, &assignments))
		return false;
	if (!assignments.any && !assignments.any_faulty) {
		*ret_gpu = 0;
		ret_uuid[0] = '\0';
		return true;
	}
	if (!least_loaded(mediator, &assignments, pool, &gpu) && !least_loaded(mediator, &assignments, '\0', &gpu))
		return false;
	*ret_gpu = gpu;
	snprintf(ret_uuid, PLACEMENT_UUID_BYTES, "%s", probe_device(mediator->probe, gpu).uuid);
	return true;
}

char placement_pool(const struct mediator *mediator, unsigned gpu)
{
	struct assignments assignments;

	if (worker_gpu_pool(gpu))
		return worker_gpu_pool(gpu);
	if (gpu >= GPUS_MAX || !assignments_read(mediator, &assignments))
		return '\0';
	return assignments.pools[gpu];
}
