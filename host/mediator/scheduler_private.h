/* SPDX-License-Identifier: Apache-2.0 */
/* What the scheduler's files share: what it knows of executors (claims), whose turn it is (turn), and its life. */
#ifndef MEDIATOR_SCHEDULER_PRIVATE_H
#define MEDIATOR_SCHEDULER_PRIVATE_H

#include <sys/queue.h>

#include "mediator.h"
#include "permit.h"
#include "schedule_policy.h"
#include "scheduler.h"
#include "tenant.h"

enum process_state {
	PROCESS_OUT,	 /* no permit, or it has answered */
	PROCESS_HOLDS,	 /* OPEN or SLICED */
	PROCESS_CLOSING, /* CLOSED; its answer is waited for */
};

struct scheduler_bell {
	int descriptor;
	struct event *rung;
	struct event *pause; /* while it is not listened to */
};

struct scheduler_process {
	LIST_ENTRY(scheduler_process) link;
	struct share *share;
	struct permit permit;
	const volatile struct vgpu_executor_schedule *claims;
	const volatile struct vgpu_executor_device *device_claims;
	struct scheduler_bell bell;
	unsigned gpu; /* where it began */
	bool sees_all;
	uint32_t devices; /* that it claims, if it sees all: a bit for each GPU, of this host or of its worker */
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
	uint64_t asked_ns;	    /* for the turn that goes on; 0: it was not granted one */
	uint64_t gpu_before_ns;	    /* what its processes claimed to have used when it began */
};

struct scheduler {
	LIST_ENTRY(scheduler) link;
	struct mediator *mediator;
	unsigned gpu;
	struct policy_queue queue;
	bool is_off; /* everybody issues as he likes */
	LIST_HEAD(, share) shares;
	struct share *current;
	uint64_t since_ns;   /* when it was granted */
	uint64_t charged_ns; /* up to when it has been charged */
	uint64_t until_ns;
	struct event *timer;
	uint64_t grants;
};

/* scheduler_claims.c */

static inline uint32_t claim(const volatile uint32_t *field)
{
	return __atomic_load_n(field, __ATOMIC_ACQUIRE);
}

bool share_has_permit(const struct share *share);
bool share_has_demand(const struct share *share);
bool share_others_wait(const struct scheduler *scheduler, const struct share *share);
bool share_is_alone(const struct scheduler *scheduler, const struct share *share);

/* It has had the GPU for that long, up to now. */
void share_charge(struct share *share, uint64_t used_ns, uint64_t now);

/* How much it may have in flight, by the settings and who else is there. */
void scheduler_process_bursts_set(struct scheduler_process *process);
void scheduler_process_grant(struct scheduler_process *process, enum vgpu_permit_mode mode, uint64_t until_ns);
/* Of one that is out: whether it may begin without a grant. One that has work is given nothing. */
void scheduler_process_stand_by(struct scheduler_process *process, bool may_begin);
/* True: it is out at once. */
bool scheduler_process_revoke(struct scheduler_process *process);
void scheduler_process_out(struct scheduler_process *process, uint64_t now);

/* Take in what executors claim. */
void scheduler_process_look(struct scheduler_process *process, uint64_t now);
void shares_look(struct scheduler *scheduler, uint64_t now);

/* scheduler.c */

/* Found or made; NULL: out of memory. Each that was found without a share, or lost its last one, is to be swept. */
struct scheduler *scheduler_of_gpu(struct mediator *mediator, unsigned gpu);
void scheduler_sweep(struct scheduler *scheduler);
struct share *share_of_tenant(struct scheduler *scheduler, struct tenant *tenant);
/* Ends it if it has no processes. */
void share_settle(struct share *share);
void scheduler_overdue_end(struct scheduler *scheduler);

/* scheduler_devices.c */

/* Puts each process under the scheduler of its GPUs, if any has changed them. */
void schedulers_regroup(struct mediator *mediator);

/* scheduler_bell.c */

/*
 * The process's. 'descriptor', -1 or the eventfd that an earlier mediator has given to the executor, is taken over.
 * 0, or -1 with errno.
 */
int scheduler_bell_open(struct scheduler_process *process, struct mediator *mediator, int descriptor);
void scheduler_bell_close(struct scheduler_bell *bell);

/* scheduler_turn.c */

/* Something has happened: grants, revokes and sets the timer. */
void scheduler_turn(struct scheduler *scheduler);

/* Charges the current tenant up to now. */
void scheduler_current_charge(struct scheduler *scheduler, uint64_t now);

#endif
