/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may use a GPU now: one scheduler for each GPU, or for several that one process uses together
 * (scheduler_devices.c). It reads what executors
 * claim, asks its policy (schedule_policy.h), and writes permits
 * (vgpu_schedule.h). Nothing of the data path passes here: it acts when an
 * executor rings its bell, begins or ends.
 *
 * A tenant's processes hold the permit together. A tenant is charged the time
 * from its grant until the last of its processes has answered, whatever they
 * claim to have used: who holds the permit keeps the others from the GPU.
 *
 *   nobody else there     OPEN: nothing is asked or counted
 *   others there, idle    SLICED without end: work in flight is bounded, so that others need not wait long
 *   others have work      SLICED until the slice is over
 */
#ifndef MEDIATOR_SCHEDULER_H
#define MEDIATOR_SCHEDULER_H

#include <stdbool.h>
#include <stdint.h>

#include "vgpu_schedule.h"

/* As a policy: everybody issues as he likes. */
#define SCHEDULER_POLICY_NONE "none"

struct mediator;
struct scheduler_process;
struct tenant;

/* Of one executor, to be sent with EXECUTOR_START. */
struct scheduler_descriptors {
	int permit;
	int tenant;
	int wake;
	int wake_other; /* the executor's end of 'wake'; -1: it has it */
	int bell;
};

/* A kernel has run for longer than the tenant's may. Called once, from the loop; may end the executor. */
typedef void scheduler_overdue_handler(void *owner);

struct scheduler_join {
	/* Its part of its counters page, which must stay mapped until scheduler_leave(). */
	const volatile struct vgpu_executor_schedule *claims;
	scheduler_overdue_handler *overdue;
	void *owner;
	const volatile struct vgpu_executor_device *devices; /* of the same page */
	bool sees_all; /* GPUs of its machine: its scheduler is that of those which it says that it has contexts on */
};

/*
 * An executor of 'tenant' begins on a GPU. NULL with errno.
 */
struct scheduler_process *scheduler_join(struct mediator *mediator, unsigned gpu, struct tenant *tenant,
					 const struct scheduler_join *join);

/* The same for one that an earlier mediator has started, with what it was given; the descriptors are taken over. */
struct scheduler_process *scheduler_adopt(struct mediator *mediator, unsigned gpu, struct tenant *tenant,
					  const struct scheduler_join *join,
					  const struct scheduler_descriptors *descriptors);

/* They stay the process's; those of the permit, and the executor's end, are closed by scheduler_descriptors_sent(). */
struct scheduler_descriptors scheduler_descriptors_of(const struct scheduler_process *process);
void scheduler_descriptors_sent(struct scheduler_process *process);

/* The executor was reaped. */
void scheduler_leave(struct scheduler_process *process);

/* Tenants' settings, slices or the policy have changed. */
void scheduler_settings_apply(struct mediator *mediator);

/* CLOCK_MONOTONIC. */
uint64_t scheduler_now(void);

/* GPU time that the tenant has been charged, on all GPUs. */
uint64_t scheduler_used_ns(const struct mediator *mediator, const struct tenant *tenant);

/* How a tenant stands now: on the GPU where its entitlement is the smallest. */
struct scheduler_view {
	bool is_waiting;
	bool has_gpu;
	double entitlement;
};
struct scheduler_view scheduler_look(const struct mediator *mediator, const struct tenant *tenant);

/* A GPU that has programs now. */
struct scheduler_gpu {
	unsigned gpu;
	const char *policy;
	unsigned tenants;
	unsigned processes;
	unsigned waiting;
	const struct tenant *current; /* NULL: nobody has it */
};
#define SCHEDULERS_MAX 256 /* that are looked at, workers' too */
/* The number of them, at most 'count' of which are written. */
unsigned schedulers_look(const struct mediator *mediator, struct scheduler_gpu *gpus, unsigned count);

void schedulers_log(const struct mediator *mediator);
void schedulers_destroy(struct mediator *mediator);

#endif
