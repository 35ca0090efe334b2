/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "mediator.h"
#include "permit.h"
#include "schedule_policy.h"
#include "tenant.h"

/* An executor that has not answered so long after its slice is inside a driver call: others go on. */
#define ANSWER_NS 1000000000u

/* Kernels that may not be longer than some time are looked at in a part of it. */
#define WATCH_PART   8
#define WATCH_NS_MIN 10000000u
#define WATCH_NS_MAX 250000000u

/* With a higher class there, a lower one has less in flight, for that is what the higher one waits for. */
#define BURST_PART_BELOW 4

enum process_state {
	PROCESS_OUT,	 /* no permit, or it has answered */
	PROCESS_HOLDS,	 /* OPEN or SLICED */
	PROCESS_CLOSING, /* CLOSED; its answer is waited for */
};

struct scheduler_process {
	LIST_ENTRY(scheduler_process) link;
	struct share *share;
	struct permit permit;
	const volatile struct vgpu_executor_schedule *claims;
	enum process_state state;
	bool is_overrunning; /* what it has issued goes on without a permit */
	uint64_t faults_seen;
	scheduler_overdue_handler *overdue;
	void *owner;
	bool is_overdue;
};

/* A tenant on this GPU. */
struct share {
	struct policy_tenant policy;
	struct tenant *tenant;
	struct scheduler *scheduler;
	LIST_ENTRY(share) link;
	LIST_HEAD(, scheduler_process) processes;
	uint64_t overruns_since_ns; /* charged up to here; 0: no process does */
};

struct scheduler {
	LIST_ENTRY(scheduler) link;
	struct mediator *mediator;
	unsigned gpu;
	struct policy_queue queue;
	LIST_HEAD(, share) shares;
	struct share *current;
	uint64_t since_ns;   /* when it was granted */
	uint64_t charged_ns; /* up to when it has been charged */
	uint64_t until_ns;
	int bell;
	struct event *rung;
	struct event *timer;
	uint64_t grants;
};

static struct share *share_of(struct policy_tenant *tenant)
{
	_Static_assert(offsetof(struct share, policy) == 0, "a cast");
	return (struct share *)tenant;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint32_t claim(const volatile uint32_t *field)
{
	return __atomic_load_n(field, __ATOMIC_ACQUIRE);
}

static bool share_has_permit(const struct share *share)
{
	const struct scheduler_process *process;

	LIST_FOREACH(process, &share->processes, link)
	{
		if (process->state != PROCESS_OUT)
			return true;
	}
	return false;
}

static bool share_has_demand(const struct share *share)
{
	const struct scheduler_process *process;

	LIST_FOREACH(process, &share->processes, link)
	{
		if (process->state == PROCESS_OUT && claim(&process->claims->demand))
			return true;
	}
	return false;
}

static bool others_wait(const struct scheduler *scheduler, const struct share *share)
{
	const struct share *other;

	LIST_FOREACH(other, &scheduler->shares, link)
	{
		if (other != share && other->policy.is_waiting)
			return true;
	}
	return false;
}

static bool share_is_alone(const struct scheduler *scheduler, const struct share *share)
{
	return LIST_FIRST(&scheduler->shares) == share && !LIST_NEXT(share, link);
}

static void process_grant(struct scheduler_process *process, enum vgpu_permit_mode mode, uint64_t until_ns)
{
	const struct scheduler *scheduler = process->share->scheduler;
	const struct configuration *configuration = &scheduler->mediator->configuration;
	uint64_t burst_ns = configuration->burst_us * 1000ull;
	const struct share *other;

	LIST_FOREACH(other, &scheduler->shares, link)
	{
		if (other->policy.priority > process->share->policy.priority)
			burst_ns = configuration->burst_us * 1000ull / BURST_PART_BELOW;
	}
	permit_times_set(&process->permit, burst_ns, configuration->linger_us * 1000ull);
	permit_set(&process->permit, mode, until_ns);
	process->state = PROCESS_HOLDS;
}

/* True: it is out at once. */
static bool process_revoke(struct scheduler_process *process)
{
	permit_set(&process->permit, VGPU_PERMIT_CLOSED, 0);
	process->state = claim(&process->claims->busy) ? PROCESS_CLOSING : PROCESS_OUT;
	return process->state == PROCESS_OUT;
}

static void overrun_charge(struct share *share, uint64_t now)
{
	if (share->overruns_since_ns && now > share->overruns_since_ns && share->scheduler->current != share)
		policy_charge(&share->scheduler->queue, &share->policy, now - share->overruns_since_ns);
	share->overruns_since_ns = now;
}

static void process_out(struct scheduler_process *process, uint64_t now)
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
static void process_look(struct scheduler_process *process, uint64_t now)
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
		process_out(process, now);
	if (process->state == PROCESS_CLOSING &&
	    (!claim(&claims->busy) || claim(&claims->done) == process->permit.page->word))
		process_out(process, now);
	if (process->is_overrunning && (process->state != PROCESS_OUT || !claim(&claims->in_flight))) {
		process->is_overrunning = false;
		overrun_charge(share, now);
	}
}

static void shares_look(struct scheduler *scheduler, uint64_t now)
{
	struct scheduler_process *process;
	struct share *share;

	LIST_FOREACH(share, &scheduler->shares, link)
	{
		bool any_overruns = false;

		LIST_FOREACH(process, &share->processes, link)
		{
			process_look(process, now);
			any_overruns |= process->is_overrunning;
		}
		if (any_overruns)
			overrun_charge(share, now);
		else
			share->overruns_since_ns = 0;
	}
}

static void current_charge(struct scheduler *scheduler, uint64_t now)
{
	struct share *current = scheduler->current;

	if (now > scheduler->charged_ns)
		policy_charge(&scheduler->queue, &current->policy, now - scheduler->charged_ns);
	scheduler->charged_ns = now;
}

static void current_begin(struct scheduler *scheduler, struct share *share, uint64_t until_ns, uint64_t now)
{
	scheduler->current = share;
	scheduler->since_ns = now;
	scheduler->charged_ns = now;
	scheduler->until_ns = until_ns;
}

static void current_end(struct scheduler *scheduler, uint64_t now)
{
	struct share *current = scheduler->current;

	current_charge(scheduler, now);
	scheduler->current = NULL;
	if (share_has_demand(current))
		policy_arrive(&scheduler->queue, &current->policy, now);
}

static void alone_open(struct scheduler *scheduler, struct share *share, uint64_t now)
{
	struct scheduler_process *process;

	policy_leave(&share->policy);
	LIST_FOREACH(process, &share->processes, link)
	{
		if (process->state != PROCESS_HOLDS || permit_mode(&process->permit) != VGPU_PERMIT_OPEN)
			process_grant(process, VGPU_PERMIT_OPEN, VGPU_TIME_NEVER);
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
				process_revoke(process);
				continue;
			}
			process_grant(process, VGPU_PERMIT_SLICED, VGPU_TIME_NEVER);
			if (scheduler->current != share || scheduler->until_ns != VGPU_TIME_NEVER)
				current_begin(scheduler, share, VGPU_TIME_NEVER, now);
			/* Nobody was there to be kept from the GPU. */
			scheduler->charged_ns = now;
		}
	}
}

static void demands_take(struct scheduler *scheduler, uint64_t now)
{
	struct scheduler_process *process;
	struct share *share;

	LIST_FOREACH(share, &scheduler->shares, link)
	{
		if (share == scheduler->current || share->policy.is_waiting || !share_has_demand(share))
			continue;
		/* Up to here the current tenant was the only one: its time is the present that this one starts at. */
		if (scheduler->current && scheduler->until_ns == VGPU_TIME_NEVER)
			current_charge(scheduler, now);
		policy_arrive(&scheduler->queue, &share->policy, now);
	}
	if (!scheduler->current || now >= scheduler->until_ns)
		return;
	/* Another process of the tenant whose turn it is. */
	LIST_FOREACH(process, &scheduler->current->processes, link)
	{
		if (process->state == PROCESS_OUT && claim(&process->claims->demand))
			process_grant(process, VGPU_PERMIT_SLICED, scheduler->until_ns);
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
		if (process->state == PROCESS_HOLDS && !claim(&process->claims->busy) && process_revoke(process))
			process_out(process, now);
	}
}

static bool current_is_preempted(const struct scheduler *scheduler)
{
	const struct policy_queue *queue = &scheduler->queue;
	const struct share *share;

	LIST_FOREACH(share, &scheduler->shares, link)
	{
		/* Who was passed over when it was granted, for reasons of age, waits until the slice is over. */
		if (share != scheduler->current && share->policy.is_waiting &&
		    share->policy.waiting_since_ns > scheduler->since_ns &&
		    queue->policy->preempts(queue, &scheduler->current->policy, &share->policy))
			return true;
	}
	return false;
}

/* It does not answer: leaves it to itself and goes on. */
static void current_abandon(struct scheduler *scheduler, uint64_t now)
{
	struct scheduler_process *process;

	LIST_FOREACH(process, &scheduler->current->processes, link)
	{
		if (process->state == PROCESS_OUT)
			continue;
		if (process->state == PROCESS_HOLDS)
			process_revoke(process);
		process_out(process, now);
	}
}

static void current_look(struct scheduler *scheduler, uint64_t now)
{
	struct share *current = scheduler->current;

	if (share_has_permit(current) && others_wait(scheduler, current)) {
		uint64_t slice_ns = scheduler->queue.policy->slice(&scheduler->queue, &current->policy);
		uint64_t end_ns = scheduler->since_ns + slice_ns;

		if (scheduler->until_ns == VGPU_TIME_NEVER && slice_ns != POLICY_FOREVER) {
			idle_revoke(scheduler, now);
			until_set(scheduler, end_ns > now ? end_ns : now);
		}
		if (now < scheduler->until_ns && current_is_preempted(scheduler))
			until_set(scheduler, now);
		if (scheduler->until_ns != VGPU_TIME_NEVER && now >= scheduler->until_ns + ANSWER_NS)
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
	slice_ns = scheduler->queue.policy->slice(&scheduler->queue, chosen);
	current_begin(scheduler, share,
		      slice_ns == POLICY_FOREVER || !others_wait(scheduler, share) ? VGPU_TIME_NEVER : now + slice_ns,
		      now);
	scheduler->grants++;
	LIST_FOREACH(process, &share->processes, link)
	{
		if (claim(&process->claims->demand))
			process_grant(process, VGPU_PERMIT_SLICED, scheduler->until_ns);
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

static bool scheduling_is_off(const struct configuration *configuration)
{
	return configuration->policy && strcmp(configuration->policy, SCHEDULER_POLICY_NONE) == 0;
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
				process_grant(process, VGPU_PERMIT_OPEN, VGPU_TIME_NEVER);
		}
	}
}

static void scheduler_turn(struct scheduler *scheduler)
{
	struct share *first = LIST_FIRST(&scheduler->shares);
	uint64_t now = now_ns();

	shares_look(scheduler, now);
	if (scheduling_is_off(&scheduler->mediator->configuration)) {
		all_open(scheduler);
	} else if (first && share_is_alone(scheduler, first)) {
		alone_open(scheduler, first, now);
	} else if (first) {
		alone_end(scheduler, now);
		demands_take(scheduler, now);
		if (scheduler->current)
			current_look(scheduler, now);
		if (!scheduler->current)
			next_grant(scheduler, now);
	}
	timer_set(scheduler, now);
}

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
static void overdue_end(struct scheduler *scheduler)
{
	struct scheduler_process *process;

	while ((process = overdue_find(scheduler))) {
		scheduler_overdue_handler *overdue = process->overdue;

		process->overdue = NULL;
		overdue(process->owner);
	}
}

static void bell_rung(evutil_socket_t bell, short what, void *argument)
{
	uint64_t count;
	ssize_t got = read(bell, &count, sizeof(count));

	(void)what;
	/* Executors can only write it; to have read nothing is as good. */
	(void)got;
	scheduler_turn(argument);
	overdue_end(argument);
}

static void timer_fired(evutil_socket_t none, short what, void *argument)
{
	(void)none;
	(void)what;
	scheduler_turn(argument);
	overdue_end(argument);
}

static void scheduler_free(struct scheduler *scheduler)
{
	if (scheduler->rung)
		event_free(scheduler->rung);
	if (scheduler->timer)
		event_free(scheduler->timer);
	if (scheduler->bell >= 0)
		close(scheduler->bell);
	free(scheduler);
}

static const struct policy *policy_configured(const struct configuration *configuration)
{
	if (!configuration->policy || scheduling_is_off(configuration))
		return &policy_fair;
	return policy_find(configuration->policy);
}

/* bell -1: a new one; else taken over. */
static struct scheduler *scheduler_create(struct mediator *mediator, unsigned gpu, int bell)
{
	const struct configuration *configuration = &mediator->configuration;
	struct scheduler *scheduler = calloc(1, sizeof(*scheduler));

	if (!scheduler)
		return NULL;
	*scheduler = (struct scheduler){.mediator = mediator, .gpu = gpu};
	policy_queue_init(&scheduler->queue, policy_configured(configuration), configuration->slice_us * 1000ull,
			  configuration->aging_ms * 1000000ull);
	scheduler->bell = bell >= 0 ? bell : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (scheduler->bell >= 0)
		scheduler->rung =
			event_new(mediator->base, scheduler->bell, EV_READ | EV_PERSIST, bell_rung, scheduler);
	scheduler->timer = evtimer_new(mediator->base, timer_fired, scheduler);
	if (!scheduler->rung || !scheduler->timer || event_add(scheduler->rung, NULL) < 0) {
		scheduler_free(scheduler);
		errno = ENOMEM;
		return NULL;
	}
	LIST_INSERT_HEAD(&mediator->schedulers, scheduler, link);
	return scheduler;
}

/* 'bell', -1 or the eventfd that an earlier mediator has given to executors of this GPU, is taken over. */
static struct scheduler *scheduler_of_gpu(struct mediator *mediator, unsigned gpu, int bell)
{
	struct scheduler *scheduler;

	LIST_FOREACH(scheduler, &mediator->schedulers, link)
	{
		if (scheduler->gpu != gpu)
			continue;
		/* Another descriptor of the same eventfd. */
		if (bell >= 0)
			close(bell);
		return scheduler;
	}
	return scheduler_create(mediator, gpu, bell);
}

static void share_settings_apply(struct share *share)
{
	const struct tenant_settings *settings = &share->tenant->settings;
	struct scheduler_process *process;

	share->policy.weight = settings->weight;
	share->policy.priority = settings->priority;
	LIST_FOREACH(process, &share->processes, link)
	permit_limits_set(&process->permit, &settings->limits);
}

/* A scheduler without shares has nothing to do: the next process makes a new one. */
static void scheduler_sweep(struct scheduler *scheduler)
{
	if (!LIST_EMPTY(&scheduler->shares))
		return;
	LIST_REMOVE(scheduler, link);
	scheduler_free(scheduler);
}

static struct share *share_of_tenant(struct scheduler *scheduler, struct tenant *tenant)
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
	policy_tenant_add(&scheduler->queue, &share->policy);
	LIST_INSERT_HEAD(&scheduler->shares, share, link);
	tenant_hold(tenant);
	return share;
}

static void share_leave(struct share *share)
{
	struct scheduler *scheduler = share->scheduler;

	if (!LIST_EMPTY(&share->processes))
		return;
	if (scheduler->current == share)
		scheduler->current = NULL;
	policy_tenant_remove(&share->policy);
	LIST_REMOVE(share, link);
	share->tenant->used_ns += share->policy.used_ns;
	tenant_release(share->tenant);
	free(share);
}

static struct scheduler_process *process_add(struct scheduler *scheduler, struct permit *permit, struct tenant *tenant,
					     const struct scheduler_join *join)
{
	struct scheduler_process *process = calloc(1, sizeof(*process));

	if (process)
		process->share = share_of_tenant(scheduler, tenant);
	if (!process || !process->share) {
		permit_destroy(permit);
		free(process);
		scheduler_sweep(scheduler);
		errno = ENOMEM;
		return NULL;
	}
	process->permit = *permit;
	process->claims = join->claims;
	process->overdue = join->overdue;
	process->owner = join->owner;
	process->faults_seen = join->claims->context_faults;
	permit_limits_set(&process->permit, &tenant->settings.limits);
	LIST_INSERT_HEAD(&process->share->processes, process, link);
	tenant->processes++;
	return process;
}

struct scheduler_process *scheduler_join(struct mediator *mediator, unsigned gpu, struct tenant *tenant,
					 const struct scheduler_join *join)
{
	struct scheduler *scheduler = scheduler_of_gpu(mediator, gpu, -1);
	struct scheduler_process *process;
	struct permit permit;

	if (!scheduler)
		return NULL;
	if (permit_create(&permit) < 0) {
		scheduler_sweep(scheduler);
		return NULL;
	}
	process = process_add(scheduler, &permit, tenant, join);
	if (process)
		scheduler_turn(scheduler);
	return process;
}

struct scheduler_process *scheduler_adopt(struct mediator *mediator, unsigned gpu, struct tenant *tenant,
					  const struct scheduler_join *join,
					  const struct scheduler_descriptors *descriptors)
{
	struct scheduler *scheduler = scheduler_of_gpu(mediator, gpu, descriptors->bell);
	struct scheduler_process *process;
	struct permit permit;

	tenant_page_adopt(tenant, descriptors->tenant);
	if (!scheduler || permit_adopt(&permit, descriptors->permit, descriptors->wake) < 0)
		return NULL;
	process = process_add(scheduler, &permit, tenant, join);
	if (!process)
		return NULL;
	/* The keeper has opened it, or the mediator was gone for a moment only. */
	process->state = permit_mode(&process->permit) == VGPU_PERMIT_CLOSED ? PROCESS_CLOSING : PROCESS_HOLDS;
	if (process->state == PROCESS_HOLDS)
		process_grant(process, VGPU_PERMIT_OPEN, VGPU_TIME_NEVER);
	scheduler_turn(scheduler);
	return process;
}

struct scheduler_descriptors scheduler_descriptors_of(const struct scheduler_process *process)
{
	return (struct scheduler_descriptors){
		.permit = process->permit.file,
		.tenant = process->share->tenant->page_file,
		.wake = process->permit.wake,
		.bell = process->share->scheduler->bell,
	};
}

void scheduler_descriptors_sent(struct scheduler_process *process)
{
	if (process->share->scheduler->mediator->keeper >= 0)
		return;
	close(process->permit.file);
	process->permit.file = -1;
}

void scheduler_leave(struct scheduler_process *process)
{
	struct share *share = process->share;
	struct scheduler *scheduler = share->scheduler;

	process_look(process, now_ns());
	if (scheduler->current == share)
		current_charge(scheduler, now_ns());
	LIST_REMOVE(process, link);
	share->tenant->processes--;
	tenant_charges_return(share->tenant, process->claims);
	permit_destroy(&process->permit);
	free(process);
	share_leave(share);
	if (LIST_EMPTY(&scheduler->shares))
		scheduler_sweep(scheduler);
	else
		scheduler_turn(scheduler);
}

void scheduler_settings_apply(struct mediator *mediator)
{
	const struct configuration *configuration = &mediator->configuration;
	struct scheduler *scheduler;
	struct share *share;

	LIST_FOREACH(scheduler, &mediator->schedulers, link)
	{
		scheduler->queue.policy = policy_configured(configuration);
		scheduler->queue.slice_ns = configuration->slice_us * 1000ull;
		scheduler->queue.aging_ns = configuration->aging_ms * 1000000ull;
		LIST_FOREACH(share, &scheduler->shares, link)
		share_settings_apply(share);
		scheduler_turn(scheduler);
	}
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

void schedulers_log(const struct mediator *mediator)
{
	const struct scheduler *scheduler;
	const struct share *share;

	LIST_FOREACH(scheduler, &mediator->schedulers, link)
	{
		log_info("[STATE] GPU %u: policy %s, slice %" PRIu64 " us, %" PRIu64 " grants, %s%s", scheduler->gpu,
			 scheduler->queue.policy->name, scheduler->queue.slice_ns / 1000, scheduler->grants,
			 scheduler->current ? "now " : "idle",
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
