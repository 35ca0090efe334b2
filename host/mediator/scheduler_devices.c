/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which scheduler a process is under. One that was placed on a GPU is under that GPU's. One that sees all of them, of
 * this host or of its worker, begins under the first one's and goes to that of the GPU which it has a context on. A
 * permit is for all that a process does, so GPUs that one process uses together have one scheduler, that of the lowest
 * of them, and with it all who use any of them: no two tenants are ever told at a time that they have a GPU. Tenants
 * that have no GPU in common do not wait for each other.
 *
 * Between the call that makes a context and the move a process works under its old permit: a moment, in which the GPU's
 * own time slicing serves both. What executors claim of their devices can only bring them to wait for more of the
 * others.
 */
#include <limits.h>

#include "gpus.h"
#include "log.h"
#include "probe.h"
#include "scheduler_private.h"
#include "worker.h"
#include "worker_watch.h"

/* The number of the first GPU where that one is. */
static unsigned first_gpu(unsigned gpu)
{
	return worker_owns_gpu(gpu) ? gpu & ~(GPUS_MAX - 1) : 0;
}

/* By its place, that of this host's GPU or of the worker's; UINT_MAX: it is not known. */
static unsigned gpu_index(const struct mediator *mediator, unsigned first, uint32_t place)
{
	unsigned count = probe_device_count(mediator->probe);

	if (worker_owns_gpu(first))
		return worker_watch_index(mediator, first, place);
	for (unsigned gpu = 0; gpu < count; gpu++) {
		if (probe_pci_place(mediator->probe, gpu) == place)
			return gpu;
	}
	return UINT_MAX;
}

/* The GPUs that it says it has contexts on, of those that there are. It may number them otherwise. */
static uint32_t devices_claimed(const struct scheduler_process *process, const struct mediator *mediator)
{
	uint64_t claimed = __atomic_load_n(&process->claims->devices, __ATOMIC_ACQUIRE);
	uint32_t devices = 0;

	if (!process->sees_all)
		return 0;
	for (unsigned i = 0; i < VGPU_COUNTED_DEVICES; i++) {
		uint32_t place = __atomic_load_n(&process->device_claims[i].pci_place, __ATOMIC_RELAXED);
		unsigned index = claimed >> i & 1 ? gpu_index(mediator, first_gpu(process->gpu), place) : UINT_MAX;

		if (index < GPUS_MAX)
			devices |= 1u << index;
	}
	return devices;
}

/* True: some have changed. */
static bool devices_look(struct mediator *mediator)
{
	struct scheduler_process *process;
	struct scheduler *scheduler;
	struct share *share;
	bool any = false;

	LIST_FOREACH(scheduler, &mediator->schedulers, link)
	{
		LIST_FOREACH(share, &scheduler->shares, link)
		{
			LIST_FOREACH(process, &share->processes, link)
			{
				uint32_t devices = devices_claimed(process, mediator);

				any |= devices != process->devices;
				process->devices = devices;
			}
		}
	}
	return any;
}

/* Of this host's GPUs, or of a worker's; by their numbers from the first one on. */
struct groups {
	unsigned first;
	unsigned lowest[GPUS_MAX]; /* a GPU of the same group that is not above; its own: it is the lowest */
};

static unsigned group_of(const struct groups *groups, unsigned gpu)
{
	while (gpu < GPUS_MAX && groups->lowest[gpu] != gpu)
		gpu = groups->lowest[gpu];
	return gpu;
}

static void group_join(struct groups *groups, uint32_t devices)
{
	unsigned lowest;

	if (!devices)
		return;
	lowest = group_of(groups, (unsigned)__builtin_ctz(devices));
	for (; devices; devices &= devices - 1) {
		unsigned other = group_of(groups, (unsigned)__builtin_ctz(devices));

		groups->lowest[other > lowest ? other : lowest] = other < lowest ? other : lowest;
		if (other < lowest)
			lowest = other;
	}
}

static void groups_make(const struct mediator *mediator, unsigned first, struct groups *ret_groups)
{
	const struct scheduler_process *process;
	const struct scheduler *scheduler;
	const struct share *share;

	ret_groups->first = first;
	for (unsigned i = 0; i < GPUS_MAX; i++)
		ret_groups->lowest[i] = i;
	LIST_FOREACH(scheduler, &mediator->schedulers, link)
	{
		LIST_FOREACH(share, &scheduler->shares, link)
		{
			LIST_FOREACH(process, &share->processes, link)
			{
				if (first_gpu(process->gpu) == first)
					group_join(ret_groups, process->devices);
			}
		}
	}
}

/* Without a context it is where it began. */
static unsigned gpu_wanted(const struct groups *groups, const struct scheduler_process *process)
{
	unsigned own = process->devices ? (unsigned)__builtin_ctz(process->devices) : process->gpu - groups->first;

	return groups->first + group_of(groups, own);
}

/* NULL: all are where they belong. */
static struct scheduler_process *misplaced_find(const struct mediator *mediator, const struct groups *groups)
{
	const struct scheduler *scheduler;
	struct scheduler_process *process;
	const struct share *share;

	LIST_FOREACH(scheduler, &mediator->schedulers, link)
	{
		LIST_FOREACH(share, &scheduler->shares, link)
		{
			LIST_FOREACH(process, &share->processes, link)
			{
				if (first_gpu(process->gpu) == groups->first &&
				    gpu_wanted(groups, process) != scheduler->gpu)
					return process;
			}
		}
	}
	return NULL;
}

/* False: out of memory; it stays. */
static bool process_move(struct scheduler_process *process, unsigned gpu)
{
	struct share *from_share = process->share;
	struct scheduler *from = from_share->scheduler;
	struct scheduler *to = scheduler_of_gpu(from->mediator, gpu);
	struct share *to_share = to ? share_of_tenant(to, from_share->tenant) : NULL;
	uint64_t now = scheduler_now();

	if (!to_share) {
		if (to)
			scheduler_sweep(to);
		return false;
	}
	scheduler_process_look(process, now);
	if (from->current == from_share)
		scheduler_current_charge(from, now);
	LIST_REMOVE(process, link);
	process->share = to_share;
	process->is_overrunning = false;
	LIST_INSERT_HEAD(&to_share->processes, process, link);
	/* As with one that an earlier mediator has left: the turn decides who of those that are open goes on. */
	if (process->state == PROCESS_HOLDS)
		scheduler_process_grant(process, VGPU_PERMIT_OPEN, VGPU_TIME_NEVER);
	share_settle(from_share);
	if (LIST_EMPTY(&from->shares))
		scheduler_sweep(from);
	else
		scheduler_turn(from);
	scheduler_turn(to);
	return true;
}

static void machine_regroup(struct mediator *mediator, unsigned first)
{
	struct scheduler_process *process;
	struct groups groups;

	groups_make(mediator, first, &groups);
	/* From the start each time, for a move changes the lists; each process moves once. */
	while ((process = misplaced_find(mediator, &groups))) {
		if (!process_move(process, gpu_wanted(&groups, process))) {
			log_error("[SCHEDULER] out of memory: a process stays under GPU %u's scheduler",
				  process->share->scheduler->gpu);
			return;
		}
	}
}

/* Those where some process has begun, each once, from the lowest on: the next one from 'first' on. UINT_MAX: none. */
static unsigned machine_next(const struct mediator *mediator, unsigned first)
{
	const struct scheduler_process *process;
	const struct scheduler *scheduler;
	const struct share *share;
	unsigned next = UINT_MAX;

	LIST_FOREACH(scheduler, &mediator->schedulers, link)
	{
		LIST_FOREACH(share, &scheduler->shares, link)
		{
			LIST_FOREACH(process, &share->processes, link)
			{
				unsigned gpu = first_gpu(process->gpu);

				if (gpu >= first && gpu < next)
					next = gpu;
			}
		}
	}
	return next;
}

void schedulers_regroup(struct mediator *mediator)
{
	unsigned first = 0;

	if (!devices_look(mediator) && !mediator->groups_may_part)
		return;
	mediator->groups_may_part = false;
	while ((first = machine_next(mediator, first)) != UINT_MAX)
		machine_regroup(mediator, first++);
}
