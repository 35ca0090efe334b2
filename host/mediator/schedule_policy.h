/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A policy decides which tenant uses a GPU next and for how long. It knows
 * neither processes nor clocks of its own: the scheduler and the simulator
 * (tests/sim) tell it what happens, in nanoseconds of one clock.
 *
 * A tenant is waiting (it has work and no permit), current (it has the permit),
 * or neither. At most one is current.
 */
#ifndef MEDIATOR_SCHEDULE_POLICY_H
#define MEDIATOR_SCHEDULE_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define POLICY_WEIGHT_MAX     100u
#define POLICY_WEIGHT_DEFAULT 50u
#define POLICY_CLASS_COUNT    3u /* 0 low, 1 medium, 2 high: enum vgpu_priority */
#define POLICY_FOREVER	      UINT64_MAX
#define POLICY_DEBTS_MAX      64u /* of tenants that have left: that are remembered of a queue */
#define POLICY_NAME_BYTES     80u

struct policy_tenant {
	/* Set by the owner before it is added: who it is, if it leaves and comes back. Empty: nobody knows it again. */
	char name[POLICY_NAME_BYTES];
	/* Set by the owner; may change at any time. */
	uint32_t weight;     /* 1..POLICY_WEIGHT_MAX */
	uint32_t priority;   /* class */
	uint64_t overrun_ns; /* about how long it keeps the GPU after the end of its turn: its kernels are that long */

	/* The queue's. */
	LIST_ENTRY(policy_tenant) link; /* all of the queue */
	bool is_waiting;
	uint64_t waiting_since_ns;
	uint64_t charged_at_ns;	  /* when it was charged last */
	uint64_t used_ns;	  /* in all */
	uint64_t overrun_last_ns; /* after its last turn alone */
	double tag;		  /* of the policy: virtual time, or order */
};

LIST_HEAD(policy_tenants, policy_tenant);

/* Since when a class wants the GPU and has not had a slice of it, and what it has had since. */
struct policy_age {
	uint64_t since_ns;
	uint64_t used_ns;
};

/*
 * A tenant that has left had used more than those who stayed, by what is between its tag and their present. If it comes
 * back before they have caught up it goes on there, so that nobody gains by ending and starting again.
 */
struct policy_debt {
	char name[POLICY_NAME_BYTES]; /* empty: none */
	uint32_t priority;
	double tag;
};

struct policy_queue {
	const struct policy *policy;
	struct policy_tenants tenants;
	uint64_t slice_ns;
	uint64_t aging_ns; /* a class that gets no slice in that time counts as one higher; 0: never */
	struct policy_age ages[POLICY_CLASS_COUNT];
	double virtual_time[POLICY_CLASS_COUNT];
	struct policy_debt debts[POLICY_DEBTS_MAX]; /* the largest */
	double next_order;
};

struct policy {
	const char *name;
	/* The tenant has begun to wait. */
	void (*arrive)(struct policy_queue *queue, struct policy_tenant *tenant);
	/* The one to be current, of those that wait; NULL only if none does. */
	struct policy_tenant *(*choose)(struct policy_queue *queue, uint64_t now);
	/* The tenant has had the GPU for that long, up to now. */
	void (*charge)(struct policy_queue *queue, struct policy_tenant *tenant, uint64_t used_ns);
	/*
	 * How long it may have the GPU while others wait, of which charged_ns have been charged; POLICY_FOREVER: as
	 * long as it is there.
	 */
	uint64_t (*slice)(const struct policy_queue *queue, const struct policy_tenant *tenant, uint64_t charged_ns);
	/* Must 'current' give way to 'waiting' before its slice is over, unless its turn has come by age? */
	bool (*preempts)(const struct policy_queue *queue, const struct policy_tenant *current,
			 const struct policy_tenant *waiting);
	/* The class that a tenant which waits, or is current and charged up to now, counts as by its age. */
	uint32_t (*rank)(const struct policy_queue *queue, const struct policy_tenant *tenant, uint64_t now);
	bool has_debts; /* tags are virtual times */
};

extern const struct policy policy_fair;
extern const struct policy policy_round_robin;
extern const struct policy policy_priority;
extern const struct policy policy_exclusive;

/* NULL: there is none of that name. */
const struct policy *policy_find(const char *name);

void policy_queue_init(struct policy_queue *queue, const struct policy *policy, uint64_t slice_ns, uint64_t aging_ns);
void policy_tenant_add(struct policy_queue *queue, struct policy_tenant *tenant);
void policy_tenant_remove(struct policy_queue *queue, struct policy_tenant *tenant);
/* With another policy: tags of one mean nothing to another, so who waits arrives anew. */
void policy_change(struct policy_queue *queue, const struct policy *policy);

/* Begins to wait, if it does not yet. */
void policy_arrive(struct policy_queue *queue, struct policy_tenant *tenant, uint64_t now);
/* Waits no longer, without having been chosen. */
void policy_leave(struct policy_tenant *tenant);
/* Takes the next one out of those that wait; NULL: none does. */
struct policy_tenant *policy_choose(struct policy_queue *queue, uint64_t now);
void policy_charge(struct policy_queue *queue, struct policy_tenant *tenant, uint64_t used_ns, uint64_t now);
/* It was alone and had the GPU for that long: nobody was kept from it, but who has left has been caught up with. */
void policy_pass(struct policy_queue *queue, struct policy_tenant *tenant, uint64_t used_ns);
/* For what it left on the GPU after its turn: its class is no younger by that, for others of it wait. */
void policy_charge_late(struct policy_queue *queue, struct policy_tenant *tenant, uint64_t used_ns, uint64_t now);
/* Its turn was to end at until_ns, or had no end (POLICY_FOREVER), and has ended now. */
void policy_turn_end(struct policy_tenant *tenant, uint64_t until_ns, uint64_t now);
/* Must 'current', charged up to now, give way to one that waits? */
bool policy_is_preempted(const struct policy_queue *queue, const struct policy_tenant *current, uint64_t now);

/* What policies have in common. */
void policy_order_arrive(struct policy_queue *queue, struct policy_tenant *tenant); /* tag: order of arrival */
struct policy_tenant *policy_order_choose(struct policy_queue *queue, uint64_t now);
void policy_charge_nothing(struct policy_queue *queue, struct policy_tenant *tenant, uint64_t used_ns);
uint64_t policy_slice_fixed(const struct policy_queue *queue, const struct policy_tenant *tenant, uint64_t charged_ns);
bool policy_preempts_by_class(const struct policy_queue *queue, const struct policy_tenant *current,
			      const struct policy_tenant *waiting);
bool policy_preempts_never(const struct policy_queue *queue, const struct policy_tenant *current,
			   const struct policy_tenant *waiting);
uint32_t policy_rank_class(const struct policy_queue *queue, const struct policy_tenant *tenant, uint64_t now);

#endif
