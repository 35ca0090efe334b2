/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The relay's part in scheduling: to the mediator it is the executor (vgpu_schedule.h). It sends the worker what the
 * permit page says, and puts what the executor there claims where the mediator looks, with what the way costs: from
 * when it has sent a permit until the executor's answer has come it is busy, so that the mediator never takes the GPU
 * for free, and charges the tenant, while a revocation is still on its way.
 *
 * What the worker says is charged there is charged to the tenant's page here as well.
 */
#ifndef WORKER_RELAY_SCHEDULE_H
#define WORKER_RELAY_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "link.h"
#include "vgpu_schedule.h"

struct relay_schedule {
	const struct vgpu_permit_page *permit;
	struct vgpu_tenant_page *tenant;
	struct vgpu_executor_schedule *own;
	struct vgpu_executor_counters *counters; /* the page that 'own' is in */
	int wake;				 /* eventfds */
	int bell;
	bool is_due;		 /* the permit page may have changed in any way */
	uint64_t until_ns;	 /* as it was sent */
	struct link_permit sent; /* last; word 0: nothing yet */
	bool has_demanded;	 /* the executor has once needed the GPU */
	bool is_answered;	 /* the executor has stopped issuing under that word */
};

/* The descriptors come with the start; wake and bell stay open. 0, or -errno. */
int relay_schedule_open(struct relay_schedule *schedule, struct vgpu_executor_counters *counters, int permit,
			int tenant, int wake, int bell);

/* The permit's eventfd was written. */
void relay_schedule_wake(struct relay_schedule *schedule);

/* Sends the permit if it has changed and there is room. */
void relay_schedule_send(struct relay_schedule *schedule, struct link *link);

/* Records have left for an executor that has no permit: it will ask for one, which is done here and now. */
void relay_schedule_demand(struct relay_schedule *schedule);

/* Takes what the worker says, to which 'sent' bytes of records have been sent; false: it cannot be. */
bool relay_schedule_take(struct relay_schedule *schedule, const struct link_view *view, uint64_t sent);

#endif
