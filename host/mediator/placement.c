/* SPDX-License-Identifier: Apache-2.0 */
#include "placement.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "channel.h"
#include "gpu_events.h"
#include "gpus.h"
#include "mediator.h"
#include "probe.h"
#include "scheduler.h"
#include "store.h"
#include "worker.h"
#include "worker_watch.h"

#define PLACEMENT_PROGRAM "program"
#define PLACEMENT_TENANT  "tenant"

/* What the database says of the GPUs that are there. */
struct assignments {
	const struct probe *probe;
	char pools[GPUS_MAX];
	bool any; /* also of one that is not there now */
	bool any_instances;
	bool are_faulty[GPUS_MAX];
	bool any_faulty;
};

static bool assignment_take(const struct store_gpu *gpu, void *argument)
{
	struct assignments *assignments = argument;
	unsigned device = probe_device_find(assignments->probe, gpu->uuid);

	assignments->any = true;
	if (device != UINT_MAX)
		assignments->pools[device] = gpu->pool;
	return true;
}

static bool assignments_read(const struct mediator *mediator, struct assignments *ret_assignments)
{
	*ret_assignments = (struct assignments){.probe = mediator->probe};
	for (unsigned i = 0; i < probe_device_count(mediator->probe); i++) {
		struct probe_device device = probe_device(mediator->probe, i);

		ret_assignments->any_instances |= device.parent[0] != '\0';
		ret_assignments->are_faulty[i] = gpu_events_is_faulty(mediator->gpu_events, probe_device_gpu(&device));
		ret_assignments->any_faulty |= ret_assignments->are_faulty[i];
	}
	return store_gpus_visit(mediator->store, assignment_take, ret_assignments) == STORE_DONE;
}

static unsigned programs_on(const struct mediator *mediator, unsigned gpu)
{
	struct scheduler_gpu gpus[SCHEDULERS_MAX];
	unsigned count = schedulers_look(mediator, gpus, SCHEDULERS_MAX);
	const struct channel *channel;
	unsigned programs = 0;

	/* At a worker: on any of its GPUs. */
	for (unsigned i = 0; i < count && i < SCHEDULERS_MAX; i++) {
		if (gpus[i].gpu == gpu || (worker_owns_gpu(gpu) && gpus[i].gpu - gpu < GPUS_MAX))
			programs += gpus[i].processes;
	}
	/* Who only looks at a GPU does not use it. */
	LIST_FOREACH(channel, &mediator->channels, link)
	{
		if (channel->is_telemetry && channel->schedule && channel->request.gpu == gpu && programs > 0)
			programs--;
	}
	return programs;
}

/* Of the GPUs of that pool, or of none, that are not faulty, the one with the fewest programs. */
static bool least_loaded(const struct mediator *mediator, const struct assignments *assignments, char pool,
			 unsigned *ret_gpu)
{
	unsigned count = probe_device_count(mediator->probe);
	bool found = false;
	unsigned fewest = 0;

	for (unsigned i = 0; i < count; i++) {
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

static bool was_tried(const struct channel *channel, unsigned gpu)
{
	for (unsigned i = 0; i < channel->tried_count; i++) {
		if (channel->tried[i] == gpu)
			return true;
	}
	return false;
}

/* The pool's worker with the fewest programs, if it has fewer than that; of those that failed lately, or the others. */
static bool worker_less_loaded(const struct channel *channel, bool have_failed, unsigned fewest, unsigned *ret_gpu)
{
	const struct mediator *mediator = channel->mediator;
	const char *worker;
	bool found = false;
	size_t at = 0;

	while ((worker = worker_of_pool(mediator, channel->pool_id, &at))) {
		unsigned gpu = worker_gpu(worker);
		unsigned programs = programs_on(mediator, gpu);

		/* Its programs see all its GPUs, a faulty one too. */
		bool has_failed =
			worker_has_failed(mediator, gpu) || gpu_events_worker_is_faulty(mediator->gpu_events, worker);

		if (programs >= fewest || has_failed != have_failed || was_tried(channel, gpu))
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
			return !was_tried(channel, gpu) && !worker_has_failed(channel->mediator, gpu);
	}
	/* It may have been given to another pool meanwhile. */
	return gpu < probe_device_count(channel->mediator->probe) && !assignments->are_faulty[gpu] &&
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
static bool pool_or_worker(const struct channel *channel, const struct assignments *assignments, unsigned *ret_gpu)
{
	/* Those of no pool are not for a pool that has its own. */
	bool is_here = least_loaded(channel->mediator, assignments, (char)channel->pool_id, ret_gpu);
	unsigned fewest = is_here ? programs_on(channel->mediator, *ret_gpu) : UINT_MAX;

	return worker_less_loaded(channel, false, fewest, ret_gpu) || is_here ||
	       worker_less_loaded(channel, true, UINT_MAX, ret_gpu);
}

/* Has the pool, beside that worker, a GPU of this host or a worker that was not tried? */
static bool others_are_there(const struct channel *channel, const struct assignments *assignments, unsigned gpu)
{
	unsigned own;
	const char *worker;
	size_t at = 0;

	while ((worker = worker_of_pool(channel->mediator, channel->pool_id, &at))) {
		if (worker_gpu(worker) != gpu && !was_tried(channel, worker_gpu(worker)))
			return true;
	}
	return least_loaded(channel->mediator, assignments, (char)channel->pool_id, &own);
}

bool placement_choose(const struct channel *channel, struct channel_placement *ret_placement)
{
	const struct mediator *mediator = channel->mediator;
	char pool = (char)channel->pool_id;
	struct assignments assignments;
	unsigned gpu;

	if (!assignments_read(mediator, &assignments))
		return false;
	if (pool_has_worker(mediator, channel->pool_id)) {
		if (!companion_find(channel, &assignments, &gpu) && !pool_or_worker(channel, &assignments, &gpu))
			return false;
	} else if (!assignments.any && !assignments.any_faulty && !assignments.any_instances) {
		*ret_placement = (struct channel_placement){.gpu = 0};
		return true;
	} else if (!companion_find(channel, &assignments, &gpu) && !least_loaded(mediator, &assignments, pool, &gpu) &&
		   !least_loaded(mediator, &assignments, '\0', &gpu)) {
		return false;
	}
	*ret_placement = (struct channel_placement){.gpu = gpu};
	if (gpu < probe_device_count(mediator->probe))
		snprintf(ret_placement->uuid, PLACEMENT_UUID_BYTES, "%s", probe_device(mediator->probe, gpu).uuid);
	ret_placement->has_others = worker_owns_gpu(gpu) && others_are_there(channel, &assignments, gpu);
	return true;
}

bool placement_gpus_read(const struct mediator *mediator, struct placement_gpus *ret_gpus)
{
	struct assignments assignments;

	if (!assignments_read(mediator, &assignments))
		return false;
	*ret_gpus = (struct placement_gpus){.any_assigned = assignments.any};
	for (unsigned i = 0; i < probe_device_count(mediator->probe); i++) {
		unsigned char pool = (unsigned char)assignments.pools[i];

		if (!assignments.are_faulty[i] && pool <= 'Z')
			ret_gpus->usable[pool]++;
	}
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
