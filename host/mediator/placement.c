/* SPDX-License-Identifier: Apache-2.0 */
#include "placement.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "channel.h"
#include "gpu_events.h"
#include "mediator.h"
#include "probe.h"
#include "scheduler.h"
#include "store.h"
#include "worker.h"

#define GPUS_MAX 32 /* that a probe finds */

#define PLACEMENT_PROGRAM "program"
#define PLACEMENT_TENANT  "tenant"

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

bool placement_setting_is_known(const char *text)
{
	return strcmp(text, PLACEMENT_PROGRAM) == 0 || strcmp(text, PLACEMENT_TENANT) == 0;
}

/* The pool's worker with the fewest programs, if it has fewer than that; of those that failed lately, or the others. */
static bool worker_less_loaded(const struct mediator *mediator, uint32_t pool, bool have_failed, unsigned fewest,
			       unsigned *ret_gpu)
{
	const char *worker;
	bool found = false;
	size_t at = 0;

	while ((worker = worker_of_pool(mediator, pool, &at))) {
		unsigned gpu = worker_gpu(worker);
		unsigned programs = programs_on(mediator, gpu);

		if (programs >= fewest || worker_has_failed(mediator, gpu) != have_failed)
			continue;
		*ret_gpu = gpu;
		fewest = programs;
		found = true;
	}
	return found;
}

/* Could a program of the pool be started on that GPU? */
static bool gpu_serves(const struct channel *channel, const struct assignments *assignments, unsigned gpu)
{
	const char *worker;
	size_t at = 0;

	while ((worker = worker_of_pool(channel->mediator, channel->pool_id, &at))) {
		if (worker_gpu(worker) == gpu)
			return true;
	}
	/* It may have been given to another pool meanwhile. */
	return gpu < probe_device_count(channel->mediator->probe) && gpu < GPUS_MAX && !assignments->are_faulty[gpu] &&
	       (!assignments->pools[gpu] || assignments->pools[gpu] == (char)channel->pool_id);
}

/* Must both see the same GPU? */
static bool belong_together(const struct channel *channel, const struct channel *other)
{
	const char *setting = channel->mediator->configuration.placement;
	const struct channel_request *one = &channel->request;
	const struct channel_request *two = &other->request;

	if (one->tenant != two->tenant)
		return false;
	if (setting && strcmp(setting, PLACEMENT_TENANT) == 0)
		return true;
	return one->process > 0 && one->process == two->process;
}

/* The GPU that others of the same program or tenant see. */
static bool companion_find(const struct channel *channel, const struct assignments *assignments, unsigned *ret_gpu)
{
	const struct channel *other;

	LIST_FOREACH(other, &channel->mediator->channels, link)
	{
		if (other == channel || !other->executor || !other->is_placed || other->pool_id != channel->pool_id ||
		    !gpu_serves(channel, assignments, other->request.gpu) || !belong_together(channel, other))
			continue;
		*ret_gpu = other->request.gpu;
		return true;
	}
	return false;
}

/* Of a pool that has workers: one of them, or a GPU of this host that was given to that pool. */
static unsigned pool_or_worker(const struct mediator *mediator, const struct assignments *assignments, char pool)
{
	unsigned gpu = 0;
	/* Those of no pool are not for a pool that has its own. */
	bool is_here = least_loaded(mediator, assignments, pool, &gpu);
	unsigned fewest = is_here ? programs_on(mediator, gpu) : UINT_MAX;

	if (!worker_less_loaded(mediator, (uint32_t)pool, false, fewest, &gpu) && !is_here)
		worker_less_loaded(mediator, (uint32_t)pool, true, UINT_MAX, &gpu);
	return gpu;
}

bool placement_choose(const struct channel *channel, unsigned *ret_gpu, char ret_uuid[PLACEMENT_UUID_BYTES])
{
	const struct mediator *mediator = channel->mediator;
	char pool = (char)channel->pool_id;
	struct assignments assignments;
	unsigned gpu;

	if (!assignments_read(mediator, &assignments))
		return false;
	if (pool_has_worker(mediator, channel->pool_id)) {
		if (!companion_find(channel, &assignments, &gpu))
			gpu = pool_or_worker(mediator, &assignments, pool);
	} else if (!assignments.any && !assignments.any_faulty) {
		*ret_gpu = 0;
		ret_uuid[0] = '\0';
		return true;
	} else if (!companion_find(channel, &assignments, &gpu) && !least_loaded(mediator, &assignments, pool, &gpu) &&
		   !least_loaded(mediator, &assignments, '\0', &gpu)) {
		return false;
	}
	*ret_gpu = gpu;
	ret_uuid[0] = '\0';
	if (gpu < probe_device_count(mediator->probe))
		snprintf(ret_uuid, PLACEMENT_UUID_BYTES, "%s", probe_device(mediator->probe, gpu).uuid);
	return true;
}

char placement_pool(const struct mediator *mediator, unsigned gpu)
{
	struct assignments assignments;
	char pool;

	if (worker_of_gpu(mediator, gpu, &pool))
		return pool;
	if (gpu >= GPUS_MAX || !assignments_read(mediator, &assignments))
		return '\0';
	return assignments.pools[gpu];
}
