/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <time.h>

#include "scheduler_private.h"

/*
 * With a higher class there, a lower one has less in flight, for that is what the higher one waits for. One burst costs
 * it the time until the next one is issued, 7 us on an H200.
 */
#define BURST_PART_BELOW  4
#define BURST_COUNT_BELOW 1

uint64_t scheduler_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

bool share_has_permit(const struct share *share)
{
	const struct scheduler_process *process;

	LIST_FOREACH(process, &share->processes, link)
	{
		if (process->state != PROCESS_OUT)
			return true;
	}
	return false;
}

bool share_has_demand(const struct share *share)
{
	const struct scheduler_process *process;

	LIST_FOREACH(process, &share->processes, link)
	{
		if (process->state == PROCESS_OUT && claim(&process->claims->demand))
			return true;
	}
	return false;
}

bool share_others_wait(const struct scheduler *scheduler, const struct share *share)
{
	const struct share *other;

	LIST_FOREACH(other, &scheduler->shares, link)
	{
		if (other != share && other->policy.is_waiting)
			return true;
	}
	return false;
}

bool share_is_alone(const struct scheduler *scheduler, const struct share *share)
{
	return LIST_FIRST(&scheduler->shares) == share && !LIST_NEXT(share, link);
}

static void pool_count(const struct share *share, uint64_t used_ns)
{
	uint32_t pool = tenant_pool(share->tenant) - 'A';

	if (pool < POOL_COUNT)
		share->scheduler->mediator->counters.gpu_ns[pool] += used_ns;
}

void share_charge(struct share *share, uint64_t used_ns, uint64_t now)
{
	policy_charge(&share->scheduler->queue, &share->policy, used_ns, now);
	pool_count(share, used_ns);
}

void scheduler_process_bursts_set(struct scheduler_process *process)
{
	const struct scheduler *scheduler = process->share->scheduler;
	const struct configuration *configuration = &scheduler->mediator->configuration;
	uint64_t burst_ns = configuration->burst_us * 1000ull;
	uint32_t burst_count = configuration->bursts;
	const struct share *other;

	LIST_FOREACH(other, &scheduler->shares, link)
	{
		if (other->policy.priority > process->share->policy.priority) {
			burst_ns = configuration->burst_us * 1000ull / BURST_PART_BELOW;
			burst_count = BURST_COUNT_BELOW;
		}
	}
	permit_bursts_set(&process->permit, burst_ns, burst_count, configuration->linger_us * 1000ull);
}

static void process_permit(struct scheduler_process *process, enum vgpu_permit_mode mode, uint64_t until_ns)
{
	scheduler_process_bursts_set(process);
	permit_drain_set(&process->permit, VGPU_DRAIN_US);
	permit_set(&process->permit, mode, until_ns);
}

void scheduler_process_grant(struct scheduler_process *process, enum vgpu_permit_mode mode, uint64_t until_ns)
{
	process_permit(process, mode, until_ns);
	process->state = PROCESS_HOLDS;
}

void scheduler_process_stand_by(struct scheduler_process *process, bool may_begin)
{
	bool stands_by = permit_mode(&process->permit) == VGPU_PERMIT_STANDBY;

	if (stands_by && !may_begin)
		permit_set(&process->permit, VGPU_PERMIT_CLOSED, 0);
	else if (may_begin && !stands_by && !claim(&process->claims->demand) && !claim(&process->claims->busy))
		process_permit(process, VGPU_PERMIT_STANDBY, VGPU_TIME_NEVER);
}

/* True: it is out at once. */
bool scheduler_process_revoke(struct scheduler_process *process)
{
	permit_set(&process->permit, VGPU_PERMIT_CLOSED, 0);
	process->state = claim(&process->claims->busy) ? PROCESS_CLOSING : PROCESS_OUT;
	return process->state == PROCESS_OUT;
}

static void overrun_charge(struct share *share, uint64_t now)
{
	if (share->overruns_since_ns && now > share->overruns_since_ns && share->scheduler->current != share) {
		uint64_t used_ns = now - share->overruns_since_ns;

		policy_charge_late(&share->scheduler->queue, &share->policy, used_ns, now);
		pool_count(share, used_ns);
	}
	share->overruns_since_ns = now;
}

void scheduler_process_out(struct scheduler_process *process, uint64_t now)
{
	process->state = PROCESS_OUT;
	if (!claim(&process->claims->busy) || !claim(&process->claims->in_flight))
		return;
	process->is_overrunning = true;
	process->share->overruns_since_ns = now;
}

/* Nothing is done to the process here: its end changes the lists that are being walked. */
static void deadline_look(struct scheduler_process *process, uint64_t now)
{
	uint64_t deadline = __atomic_load_n(&process->claims->deadline_ns, __ATOMIC_RELAXED);

	if (deadline && now > deadline && process->share->tenant->settings.limits.kernel_ms)
		process->is_overdue = true;
}

/* Takes in what the executor claims. */
void scheduler_process_look(struct scheduler_process *process, uint64_t now)
{
	const volatile struct vgpu_executor_schedule *claims = process->claims;
	struct share *share = process->share;
	uint64_t faults = claims->context_faults;
	char what[64];

	if (faults > process->faults_seen) {
		snprintf(what, sizeof(what), "CUDA error %u ended a context", (unsigned)claims->last_fault);
		tenant_fault_note(share->tenant, what);
	}
	process->faults_seen = faults;
	deadline_look(process, now);
	if (process->state == PROCESS_HOLDS && claim(&claims->done) == process->permit.page->word)
		scheduler_process_out(process, now);
	if (process->state == PROCESS_CLOSING &&
	    (!claim(&claims->busy) || claim(&claims->done) == process->permit.page->word))
		scheduler_process_out(process, now);
	/* Issued while it was revoked. */
	if (process->state == PROCESS_OUT && !process->is_overrunning && claim(&claims->busy) &&
	    claim(&claims->in_flight)) {
		process->is_overrunning = true;
		if (!share->overruns_since_ns)
			share->overruns_since_ns = now;
	}
	if (process->is_overrunning && (process->state != PROCESS_OUT || !claim(&claims->in_flight))) {
		process->is_overrunning = false;
		overrun_charge(share, now);
	}
}

void shares_look(struct scheduler *scheduler, uint64_t now)
{
	struct scheduler_process *process;
	struct share *share;

	LIST_FOREACH(share, &scheduler->shares, link)
	{
		bool any_overruns = false;

		LIST_FOREACH(process, &share->processes, link)
		{
			scheduler_process_look(process, now);
			any_overruns |= process->is_overrunning;
		}
		if (any_overruns)
			overrun_charge(share, now);
		else
			share->overruns_since_ns = 0;
	}
}
