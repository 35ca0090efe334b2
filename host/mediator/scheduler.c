/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gpus.h"
#include "log.h"
#include "placement.h"
#include "scheduler_private.h"
#include "worker.h"
#include "worker_watch.h"

static struct scheduler_process *overdue_find(const struct scheduler *scheduler)
{
	struct scheduler_process *process;
	const struct share *share;

	LIST_FOREACH(share, &scheduler->shares, link)
	{
		LIST_FOREACH(process, &share->processes, link)
		{
			if (process->is_overdue && process->overdue)
				return process;
		}
	}
	return NULL;
}

/* An executor leaves when it was reaped, not when it is told to end: the scheduler stays. */
void scheduler_overdue_end(struct scheduler *scheduler)
{
	struct scheduler_process *process;

	while ((process = overdue_find(scheduler))) {
		scheduler_overdue_handler *overdue = process->overdue;

		process->overdue = NULL;
		overdue(process->owner);
	}
}

static void timer_fired(evutil_socket_t none, short what, void *argument)
{
	(void)none;
	(void)what;
	scheduler_turn(argument);
	scheduler_overdue_end(argument);
}

static void scheduler_free(struct scheduler *scheduler)
{
	if (scheduler->timer)
		event_free(scheduler->timer);
	free(scheduler);
}

/* The policy is that of the pool which the GPU belongs to, or the configuration's. */
static void policy_apply(struct scheduler *scheduler)
{
	const struct mediator *mediator = scheduler->mediator;
	const char *name = mediator->configuration.policy;
	char pool_letter = placement_pool(mediator, scheduler->gpu);
	const struct policy *policy = NULL;
	struct store_pool pool;

	if (pool_letter && store_pool_get(mediator->store, pool_letter, &pool) == STORE_DONE && pool.policy[0])
		name = pool.policy;
	scheduler->is_off = name && strcmp(name, SCHEDULER_POLICY_NONE) == 0;
	if (name && !scheduler->is_off)
		policy = policy_find(name);
	policy_change(&scheduler->queue, policy ? policy : &policy_fair);
}

static struct scheduler *scheduler_create(struct mediator *mediator, unsigned gpu)
{
	const struct configuration *configuration = &mediator->configuration;
	struct scheduler *scheduler = calloc(1, sizeof(*scheduler));

	if (!scheduler)
		return NULL;
	*scheduler = (struct scheduler){.mediator = mediator, .gpu = gpu};
	policy_queue_init(&scheduler->queue, &policy_fair, configuration->slice_us * 1000ull,
			  configuration->aging_ms * 1000000ull);
	policy_apply(scheduler);
	scheduler->timer = evtimer_new(mediator->base, timer_fired, scheduler);
	if (!scheduler->timer) {
		scheduler_free(scheduler);
		errno = ENOMEM;
		return NULL;
	}
	LIST_INSERT_HEAD(&mediator->schedulers, scheduler, link);
	return scheduler;
}

struct scheduler *scheduler_of_gpu(struct mediator *mediator, unsigned gpu)
{
	struct scheduler *scheduler;

	LIST_FOREACH(scheduler, &mediator->schedulers, link)
	{
		if (scheduler->gpu == gpu)
			return scheduler;
	}
	return scheduler_create(mediator, gpu);
}

static void share_settings_apply(struct share *share)
{
	const struct tenant_settings *settings = &share->tenant->settings;
	struct scheduler_process *process;

	share->policy.weight = settings->weight;
	share->policy.priority = settings->priority;
	LIST_FOREACH(process, &share->processes, link)
	{
		permit_slow_call_set(&process->permit, share->tenant->mediator->configuration.slow_call_ms);
		permit_limits_set(&process->permit, &settings->limits);
	}
}

/* A scheduler without shares has nothing to do: the next process makes a new one. */
void scheduler_sweep(struct scheduler *scheduler)
{
	if (!LIST_EMPTY(&scheduler->shares))
		return;
	LIST_REMOVE(scheduler, link);
	scheduler_free(scheduler);
}

struct share *share_of_tenant(struct scheduler *scheduler, struct tenant *tenant)
{
	struct share *share;

	LIST_FOREACH(share, &scheduler->shares, link)
	{
		if (share->tenant == tenant)
			return share;
	}
	share = calloc(1, sizeof(*share));
	if (!share)
		return NULL;
	share->tenant = tenant;
	share->scheduler = scheduler;
	LIST_INIT(&share->processes);
	share_settings_apply(share);
	snprintf(share->policy.name, sizeof(share->policy.name), "%s", tenant->name);
	policy_tenant_add(&scheduler->queue, &share->policy);
	LIST_INSERT_HEAD(&scheduler->shares, share, link);
	tenant_hold(tenant);
	return share;
}

void share_settle(struct share *share)
{
	struct scheduler *scheduler = share->scheduler;

	if (!LIST_EMPTY(&share->processes))
		return;
	if (scheduler->current == share)
		scheduler->current = NULL;
	policy_tenant_remove(&scheduler->queue, &share->policy);
	LIST_REMOVE(share, link);
	share->tenant->used_ns += share->policy.used_ns;
	tenant_release(share->tenant);
	free(share);
}

/* 'bell': its descriptor, or -1. It and the permit are the process's, or closed; without one, errno says why. */
static struct scheduler_process *process_add(struct scheduler *scheduler, struct permit *permit, int bell,
					     struct tenant *tenant, const struct scheduler_join *join)
{
	struct scheduler_process *process = calloc(1, sizeof(*process));
	int error;

	if (!process && bell >= 0)
		close(bell);
	if (!process || scheduler_bell_open(process, scheduler->mediator, bell) < 0)
		goto fail;
	process->share = share_of_tenant(scheduler, tenant);
	if (!process->share) {
		scheduler_bell_close(&process->bell);
		errno = ENOMEM;
		goto fail;
	}
	process->permit = *permit;
	process->gpu = scheduler->gpu;
	process->device_claims = join->devices;
	process->sees_all = join->sees_all;
	process->claims = join->claims;
	process->overdue = join->overdue;
	process->owner = join->owner;
	process->faults_seen = join->claims->context_faults;
	permit_slow_call_set(&process->permit, tenant->mediator->configuration.slow_call_ms);
	permit_limits_set(&process->permit, &tenant->settings.limits);
	LIST_INSERT_HEAD(&process->share->processes, process, link);
	tenant->processes++;
	return process;
fail:
	error = errno;
	permit_destroy(permit);
	free(process);
	scheduler_sweep(scheduler);
	errno = error;
	return NULL;
}

struct scheduler_process *scheduler_join(struct mediator *mediator, unsigned gpu, struct tenant *tenant,
					 const struct scheduler_join *join)
{
	struct scheduler *scheduler = scheduler_of_gpu(mediator, gpu);
	struct scheduler_process *process;
	struct permit permit;

	if (!scheduler)
		return NULL;
	if (permit_create(&permit) < 0) {
		scheduler_sweep(scheduler);
		return NULL;
	}
	process = process_add(scheduler, &permit, -1, tenant, join);
	if (process)
		scheduler_turn(scheduler);
	return process;
}

struct scheduler_process *scheduler_adopt(struct mediator *mediator, unsigned gpu, struct tenant *tenant,
					  const struct scheduler_join *join,
					  const struct scheduler_descriptors *descriptors)
{
	struct scheduler *scheduler = scheduler_of_gpu(mediator, gpu);
	struct scheduler_process *process;
	struct permit permit;

	tenant_page_adopt(tenant, descriptors->tenant);
	if (permit_adopt(&permit, descriptors->permit, descriptors->wake) < 0) {
		close(descriptors->bell);
		if (scheduler)
			scheduler_sweep(scheduler);
		return NULL;
	}
	if (!scheduler) {
		close(descriptors->bell);
		permit_destroy(&permit);
		return NULL;
	}
	process = process_add(scheduler, &permit, descriptors->bell, tenant, join);
	if (!process)
		return NULL;
	/* The keeper has opened it, or the mediator was gone for a moment only. */
	process->state = permit_mode(&process->permit) == VGPU_PERMIT_CLOSED ? PROCESS_CLOSING : PROCESS_HOLDS;
	if (process->state == PROCESS_HOLDS)
		scheduler_process_grant(process, VGPU_PERMIT_OPEN, VGPU_TIME_NEVER);
	scheduler_turn(scheduler);
	return process;
}

struct scheduler_descriptors scheduler_descriptors_of(const struct scheduler_process *process)
{
	return (struct scheduler_descriptors){
		.permit = process->permit.file,
		.tenant = process->share->tenant->page_file,
		.wake = process->permit.wake,
		.wake_other = process->permit.wake_other,
		.bell = process->bell.descriptor,
	};
}

void scheduler_descriptors_sent(struct scheduler_process *process)
{
	permit_sent(&process->permit);
	if (process->share->scheduler->mediator->keeper >= 0)
		return;
	close(process->permit.file);
	process->permit.file = -1;
}

void scheduler_leave(struct scheduler_process *process)
{
	struct share *share = process->share;
	struct scheduler *scheduler = share->scheduler;
	struct mediator *mediator = scheduler->mediator;

	scheduler_process_look(process, scheduler_now());
	if (scheduler->current == share)
		scheduler_current_charge(scheduler, scheduler_now());
	LIST_REMOVE(process, link);
	share->tenant->processes--;
	tenant_charges_return(share->tenant, process->claims);
	permit_destroy(&process->permit);
	scheduler_bell_close(&process->bell);
	scheduler->mediator->groups_may_part |= (process->devices & (process->devices - 1)) != 0;
	free(process);
	share_settle(share);
	if (LIST_EMPTY(&scheduler->shares))
		scheduler_sweep(scheduler);
	else
		scheduler_turn(scheduler);
	schedulers_regroup(mediator);
}

void scheduler_settings_apply(struct mediator *mediator)
{
	const struct configuration *configuration = &mediator->configuration;
	struct scheduler_process *process;
	struct scheduler *scheduler;
	struct share *share;

	LIST_FOREACH(scheduler, &mediator->schedulers, link)
	{
		policy_apply(scheduler);
		scheduler->queue.slice_ns = configuration->slice_us * 1000ull;
		scheduler->queue.aging_ns = configuration->aging_ms * 1000000ull;
		LIST_FOREACH(share, &scheduler->shares, link)
		share_settings_apply(share);
		/* By the priorities of all of them. */
		LIST_FOREACH(share, &scheduler->shares, link)
		{
			LIST_FOREACH(process, &share->processes, link)
			scheduler_process_bursts_set(process);
		}
		scheduler_turn(scheduler);
	}
	/* The driver may be known only now, and with it how many GPUs there are. */
	schedulers_regroup(mediator);
}

uint64_t scheduler_used_ns(const struct mediator *mediator, const struct tenant *tenant)
{
	const struct scheduler *scheduler;
	const struct share *share;
	uint64_t used_ns = tenant->used_ns;

	LIST_FOREACH(scheduler, &mediator->schedulers, link)
	{
		LIST_FOREACH(share, &scheduler->shares, link)
		{
			if (share->tenant == tenant)
				used_ns += share->policy.used_ns;
		}
	}
	return used_ns;
}

/* The share's weight in those of its class. */
static double entitlement_of(const struct scheduler *scheduler, const struct share *share)
{
	const struct share *other;
	double sum = 0;

	LIST_FOREACH(other, &scheduler->shares, link)
	{
		if (other->policy.priority == share->policy.priority)
			sum += other->policy.weight;
	}
	return share->policy.weight / sum;
}

struct scheduler_view scheduler_look(const struct mediator *mediator, const struct tenant *tenant)
{
	struct scheduler_view view = {0};
	const struct scheduler *scheduler;
	const struct share *share;

	LIST_FOREACH(scheduler, &mediator->schedulers, link)
	{
		LIST_FOREACH(share, &scheduler->shares, link)
		{
			double entitlement;

			if (share->tenant != tenant)
				continue;
			entitlement = entitlement_of(scheduler, share);
			if (view.entitlement == 0 || entitlement < view.entitlement)
				view.entitlement = entitlement;
			view.is_waiting |= share->policy.is_waiting;
			view.has_gpu |= share == scheduler->current;
		}
	}
	return view;
}

unsigned schedulers_look(const struct mediator *mediator, struct scheduler_gpu *gpus, unsigned count)
{
	const struct scheduler *scheduler;
	const struct scheduler_process *process;
	const struct share *share;
	unsigned found = 0;

	LIST_FOREACH(scheduler, &mediator->schedulers, link)
	{
		struct scheduler_gpu gpu = {
			.gpu = scheduler->gpu,
			.policy = scheduler->is_off ? SCHEDULER_POLICY_NONE : scheduler->queue.policy->name,
			.current = scheduler->current ? scheduler->current->tenant : NULL,
		};

		LIST_FOREACH(share, &scheduler->shares, link)
		{
			gpu.tenants++;
			gpu.waiting += share->policy.is_waiting;
			LIST_FOREACH(process, &share->processes, link)
			gpu.processes++;
		}
		if (found < count)
			gpus[found] = gpu;
		found++;
	}
	return found;
}

void schedulers_log(const struct mediator *mediator)
{
	const struct scheduler *scheduler;
	const struct share *share;

	LIST_FOREACH(scheduler, &mediator->schedulers, link)
	{
		char pool;
		const char *worker = worker_of_gpu(mediator, scheduler->gpu, &pool);
		char name[WORKER_GPU_NAME_BYTES] = "";

		if (worker)
			worker_gpu_name(worker, scheduler->gpu & (GPUS_MAX - 1), name);
		log_info("[STATE] GPU %u%s%s: policy %s, slice %" PRIu64 " us, %" PRIu64 " grants, %s%s",
			 scheduler->gpu, worker ? " at " : "", name, scheduler->queue.policy->name,
			 scheduler->queue.slice_ns / 1000, scheduler->grants, scheduler->current ? "now " : "idle",
			 scheduler->current ? scheduler->current->tenant->label : "");
		LIST_FOREACH(share, &scheduler->shares, link)
		log_info("[STATE]   %s weight=%u priority=%u contended_ms=%" PRIu64 " memory=%" PRIu64 "%s",
			 share->tenant->label, share->policy.weight, share->policy.priority,
			 share->policy.used_ns / 1000000, share->tenant->page->memory_bytes,
			 share->policy.is_waiting ? " waiting" : "");
	}
}

void schedulers_destroy(struct mediator *mediator)
{
	struct scheduler *scheduler;

	while ((scheduler = LIST_FIRST(&mediator->schedulers))) {
		LIST_REMOVE(scheduler, link);
		scheduler_free(scheduler);
	}
}
