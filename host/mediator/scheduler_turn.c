/* SPDX-License-Identifier: Apache-2.0 */
#include <event2/event.h>
#include <stddef.h>

#include "recorder.h"
#include "scheduler_private.h"

/* An executor that has not answered so long after its slice is inside a driver call: others go on. */
#define ANSWER_NS 1000000000u

/* Executors that do not mean what they claim do not keep the loop. */
#define GRANTS_TRIED_MAX 16

/* Kernels that may not be longer than some time are looked at in a part of it. */
#define WATCH_PART   8
#define WATCH_NS_MIN 10000000u
#define WATCH_NS_MAX 250000000u

static struct share *share_of(struct policy_tenant *tenant)
{
	_Static_assert(offsetof(struct share, policy) == 0, "a cast");
	return (struct share *)tenant;
}

void scheduler_current_charge(struct scheduler *scheduler, uint64_t now)
{
	struct share *current = scheduler->current;

	if (now > scheduler->charged_ns)
		share_charge(current, now - scheduler->charged_ns, now);
	scheduler->charged_ns = now;
}

static void current_begin(struct scheduler *scheduler, struct share *share, uint64_t until_ns, uint64_t now)
{
	scheduler->current = share;
	scheduler->since_ns = now;
	scheduler->charged_ns = now;
	scheduler->until_ns = until_ns;
}

/* Of the processes that are there. */
static uint64_t claimed_ns(const struct share *share)
{
	const struct scheduler_process *process;
	uint64_t sum = 0;

	LIST_FOREACH(process, &share->processes, link)
	sum += process->claims->gpu_ns;
	return sum;
}

static void turn_note(struct share *share, uint64_t asked_ns)
{
	share->asked_ns = asked_ns;
	share->gpu_before_ns = claimed_ns(share);
}

/*
 * A turn that was granted is over, if one was. Its work is what the GPU did of it, as far as its executors can be
 * believed: it may have kept a turn in which it had no work, for nobody else wanted it.
 */
static void turn_record(struct scheduler *scheduler, struct share *share, uint64_t now)
{
	uint64_t work_ns = now - scheduler->since_ns;
	uint64_t claimed = claimed_ns(share) - share->gpu_before_ns;

	if (share->asked_ns)
		recorder_note(scheduler->mediator, share->tenant, share->asked_ns,
			      claimed && claimed < work_ns ? claimed : work_ns);
	share->asked_ns = 0;
}

static void current_end(struct scheduler *scheduler, uint64_t now)
{
	struct share *current = scheduler->current;

	scheduler_current_charge(scheduler, now);
	turn_record(scheduler, current, now);
	policy_turn_end(&current->policy, scheduler->until_ns, now);
	scheduler->current = NULL;
	if (share_has_demand(current))
		policy_arrive(&scheduler->queue, &current->policy, now);
}

/* It has been alone since it was charged last, and may have had the GPU all the time. */
static void alone_pass(struct scheduler *scheduler, uint64_t now)
{
	if (now > scheduler->charged_ns)
		policy_pass(&scheduler->queue, &scheduler->current->policy, now - scheduler->charged_ns);
	scheduler->charged_ns = now;
}

static void alone_open(struct scheduler *scheduler, struct share *share, uint64_t now)
{
	struct scheduler_process *process;

	policy_leave(&share->policy);
	if (scheduler->current == share) {
		alone_pass(scheduler, now);
		turn_record(scheduler, share, now);
	}
	LIST_FOREACH(process, &share->processes, link)
	{
		if (process->state != PROCESS_HOLDS || permit_mode(&process->permit) != VGPU_PERMIT_OPEN)
			scheduler_process_grant(process, VGPU_PERMIT_OPEN, VGPU_TIME_NEVER);
	}
	current_begin(scheduler, share, VGPU_TIME_NEVER, now);
}

/*
 * Somebody else has come: the one that was alone goes on with bounded work in flight. Where several were open,
 * for nobody scheduled them, one of them goes on and the others have to ask.
 */
static void alone_end(struct scheduler *scheduler, uint64_t now)
{
	struct scheduler_process *process;
	struct share *share;

	LIST_FOREACH(share, &scheduler->shares, link)
	{
		LIST_FOREACH(process, &share->processes, link)
		{
			if (process->state != PROCESS_HOLDS || permit_mode(&process->permit) != VGPU_PERMIT_OPEN)
				continue;
			if (scheduler->current && scheduler->current != share) {
				scheduler_process_revoke(process);
				continue;
			}
			scheduler_process_grant(process, VGPU_PERMIT_SLICED, VGPU_TIME_NEVER);
			if (scheduler->current != share || scheduler->until_ns != VGPU_TIME_NEVER)
				current_begin(scheduler, share, VGPU_TIME_NEVER, now);
			/* Nobody was there to be kept from the GPU. */
			alone_pass(scheduler, now);
		}
	}
}

static void demands_take(struct scheduler *scheduler, uint64_t now)
{
	struct scheduler_process *process;
	struct share *share;

	/* What was claimed may have been answered meanwhile, or its process have ended. */
	LIST_FOREACH(share, &scheduler->shares, link)
	{
		if (share->policy.is_waiting && !share_has_demand(share))
			policy_leave(&share->policy);
	}
	LIST_FOREACH(share, &scheduler->shares, link)
	{
		if (share == scheduler->current || share->policy.is_waiting || !share_has_demand(share))
			continue;
		policy_arrive(&scheduler->queue, &share->policy, now);
	}
	if (!scheduler->current || now >= scheduler->until_ns)
		return;
	/* Another process of the tenant whose turn it is. */
	LIST_FOREACH(process, &scheduler->current->processes, link)
	{
		if (process->state == PROCESS_OUT && claim(&process->claims->demand))
			scheduler_process_grant(process, VGPU_PERMIT_SLICED, scheduler->until_ns);
	}
}

static void until_set(struct scheduler *scheduler, uint64_t until_ns)
{
	struct scheduler_process *process;

	scheduler->until_ns = until_ns;
	LIST_FOREACH(process, &scheduler->current->processes, link)
	{
		if (process->state == PROCESS_HOLDS)
			permit_until_set(&process->permit, until_ns);
	}
}

/* Processes without work are out of the way at once. */
static void idle_revoke(struct scheduler *scheduler, uint64_t now)
{
	struct scheduler_process *process;

	LIST_FOREACH(process, &scheduler->current->processes, link)
	{
		if (process->state == PROCESS_HOLDS && !claim(&process->claims->busy) &&
		    scheduler_process_revoke(process))
			scheduler_process_out(process, now);
	}
}

/* Leaves it to itself and goes on. */
static void current_abandon(struct scheduler *scheduler, uint64_t now)
{
	struct scheduler_process *process;

	LIST_FOREACH(process, &scheduler->current->processes, link)
	{
		if (process->state == PROCESS_OUT)
			continue;
		if (process->state == PROCESS_HOLDS)
			scheduler_process_revoke(process);
		scheduler_process_out(process, now);
	}
}

/*
 * The higher class does not wait, neither for the answer nor for what is in flight: that is little, or one kernel
 * that takes long, and there the GPU's own time slicing serves both sooner than its end would.
 */
static void current_preempt(struct scheduler *scheduler, uint64_t now)
{
	struct scheduler_process *process;

	LIST_FOREACH(process, &scheduler->current->processes, link)
	{
		permit_drain_set(&process->permit, 0);
	}
	current_abandon(scheduler, now);
}

static void current_look(struct scheduler *scheduler, uint64_t now)
{
	struct share *current = scheduler->current;

	if (share_has_permit(current) && share_others_wait(scheduler, current)) {
		uint64_t slice_ns = scheduler->queue.policy->slice(&scheduler->queue, &current->policy,
								   scheduler->charged_ns - scheduler->since_ns);
		uint64_t end_ns = scheduler->since_ns + slice_ns;

		if (scheduler->until_ns == VGPU_TIME_NEVER && slice_ns != POLICY_FOREVER)
			idle_revoke(scheduler, now);
		/* Who has come meanwhile may be due sooner than those who waited when it was granted. */
		if (end_ns < now)
			end_ns = now;
		/* Never later: who does not answer is left to itself when its time has been over for a while. */
		if (slice_ns != POLICY_FOREVER && end_ns < scheduler->until_ns)
			until_set(scheduler, end_ns);
		if (policy_is_preempted(&scheduler->queue, &current->policy, now))
			current_preempt(scheduler, now);
		else if (scheduler->until_ns != VGPU_TIME_NEVER && now >= scheduler->until_ns + ANSWER_NS)
			current_abandon(scheduler, now);
	}
	if (!share_has_permit(current))
		current_end(scheduler, now);
}

static void next_grant(struct scheduler *scheduler, uint64_t now)
{
	struct policy_tenant *chosen = policy_choose(&scheduler->queue, now);
	struct scheduler_process *process;
	struct share *share;
	uint64_t slice_ns;

	if (!chosen)
		return;
	share = share_of(chosen);
	slice_ns = scheduler->queue.policy->slice(&scheduler->queue, chosen, 0);
	current_begin(scheduler, share,
		      slice_ns == POLICY_FOREVER || !share_others_wait(scheduler, share) ? VGPU_TIME_NEVER
											 : now + slice_ns,
		      now);
	scheduler->grants++;
	scheduler->mediator->counters.grants++;
	turn_note(share, chosen->waiting_since_ns);
	usage_wait_note(share->tenant, scheduler->gpu, now - chosen->waiting_since_ns);
	LIST_FOREACH(process, &share->processes, link)
	{
		if (claim(&process->claims->demand))
			scheduler_process_grant(process, VGPU_PERMIT_SLICED, scheduler->until_ns);
	}
	/* An executor that takes its demand back leaves nobody to wait for. */
	if (!share_has_permit(share))
		current_end(scheduler, now);
}

/* No other tenant is in its class or in a higher one, and there are lower ones. */
static bool share_is_first(const struct scheduler *scheduler, const struct share *share)
{
	const struct policy_queue *queue = &scheduler->queue;
	const struct share *other;

	LIST_FOREACH(other, &scheduler->shares, link)
	{
		if (other != share && !queue->policy->preempts(queue, &other->policy, &share->policy))
			return false;
	}
	return !share_is_alone(scheduler, share);
}

/*
 * Who would preempt anybody need not ask: its work goes to the GPU without waiting for our answer, which takes two
 * wake-ups. A turn that has come by age is kept from it.
 */
static void standby_look(struct scheduler *scheduler, uint64_t now)
{
	const struct policy_queue *queue = &scheduler->queue;
	const struct share *current = scheduler->current;
	struct scheduler_process *process;
	struct share *share;

	LIST_FOREACH(share, &scheduler->shares, link)
	{
		bool may_begin = share_is_first(scheduler, share);

		if (current && current != share &&
		    queue->policy->rank(queue, &current->policy, now) >= share->policy.priority)
			may_begin = false;
		LIST_FOREACH(process, &share->processes, link)
		{
			if (process->state == PROCESS_OUT)
				scheduler_process_stand_by(process, may_begin);
		}
	}
}

/* How often to look for kernels that take too long; VGPU_TIME_NEVER: nobody's are limited. */
static uint64_t watch_interval(const struct scheduler *scheduler)
{
	uint64_t interval = VGPU_TIME_NEVER;
	const struct share *share;

	LIST_FOREACH(share, &scheduler->shares, link)
	{
		uint64_t part_ns = share->tenant->settings.limits.kernel_ms * 1000000ull / WATCH_PART;

		if (!part_ns)
			continue;
		if (part_ns < WATCH_NS_MIN)
			part_ns = WATCH_NS_MIN;
		if (part_ns > WATCH_NS_MAX)
			part_ns = WATCH_NS_MAX;
		if (part_ns < interval)
			interval = part_ns;
	}
	return interval;
}

static void timer_set(struct scheduler *scheduler, uint64_t now)
{
	uint64_t left_ns = watch_interval(scheduler);
	uint64_t answer_ns = VGPU_TIME_NEVER;
	struct timeval delay;

	event_del(scheduler->timer);
	if (scheduler->current && scheduler->until_ns != VGPU_TIME_NEVER)
		answer_ns = scheduler->until_ns + ANSWER_NS > now ? scheduler->until_ns + ANSWER_NS - now : 0;
	if (answer_ns < left_ns)
		left_ns = answer_ns;
	if (left_ns == VGPU_TIME_NEVER)
		return;
	delay = (struct timeval){.tv_sec = (time_t)(left_ns / 1000000000u),
				 .tv_usec = (suseconds_t)(left_ns % 1000000000u / 1000) + 1};
	event_add(scheduler->timer, &delay);
}

/* Everybody issues as he likes, and the driver's own time slicing decides. */
static void all_open(struct scheduler *scheduler)
{
	struct scheduler_process *process;
	struct share *share;

	scheduler->current = NULL;
	LIST_FOREACH(share, &scheduler->shares, link)
	{
		policy_leave(&share->policy);
		LIST_FOREACH(process, &share->processes, link)
		{
			if (process->state != PROCESS_HOLDS || permit_mode(&process->permit) != VGPU_PERMIT_OPEN)
				scheduler_process_grant(process, VGPU_PERMIT_OPEN, VGPU_TIME_NEVER);
		}
	}
}

void scheduler_turn(struct scheduler *scheduler)
{
	struct share *first = LIST_FIRST(&scheduler->shares);
	uint64_t now = scheduler_now();

	shares_look(scheduler, now);
	if (scheduler->is_off) {
		all_open(scheduler);
	} else if (first && share_is_alone(scheduler, first)) {
		alone_open(scheduler, first, now);
	} else if (first) {
		alone_end(scheduler, now);
		/* Who comes now starts at the present, which the current one has to have paid for. */
		if (scheduler->current)
			scheduler_current_charge(scheduler, now);
		demands_take(scheduler, now);
		if (scheduler->current)
			current_look(scheduler, now);
		for (unsigned i = 0; !scheduler->current && i < GRANTS_TRIED_MAX; i++)
			next_grant(scheduler, now);
		standby_look(scheduler, now);
	}
	timer_set(scheduler, now);
}
