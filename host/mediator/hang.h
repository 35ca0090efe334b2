/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose fault it is that an executor is stuck in the kernel (standstill.h): its tenant's, unless another tenant's is
 * stuck with the same GPU, or one was lately ended for that. Then that GPU's driver hangs, and it is no tenant's. One
 * rule for the mediator's own GPUs and a worker's.
 *
 * One that was ended and that the kernel does not let go says something for one limit more, as its end does: else who
 * can have one stay for good would excuse all that come after it.
 *
 * Who looks prepares it once for all executors. GPUs are bits, as the caller numbers them, tenants are compared only.
 */
#ifndef MEDIATOR_HANG_H
#define MEDIATOR_HANG_H

#include <stdbool.h>
#include <stdint.h>

#include "gpus.h"
#include "standstill.h"
#include "vgpu_control.h"

struct hang_look {
	uint64_t now_ms;	       /* CLOCK_MONOTONIC */
	unsigned limit_ms;	       /* for which one may be stuck */
	uint32_t recent;	       /* GPUs with which one was ended lately, and it was not its tenant's fault */
	uint32_t several;	       /* with which those of several tenants are stuck */
	const void *tenants[GPUS_MAX]; /* the first one with each; NULL: there is none */
};

/* Was it seen, at such a time (0: never), not longer ago than that counts? */
static inline bool hang_is_recent(const struct hang_look *look, uint64_t seen_ms)
{
	return seen_ms && look->now_ms - seen_ms <= look->limit_ms;
}

/* Is it stuck, so that others may be so for the same reason? 'ended_ms': when it was ended, 0: it was not. */
bool hang_is_stuck(const struct hang_look *look, const struct standstill *standstill, uint64_t ended_ms);

/* Such a one of that tenant, which works with those GPUs. */
void hang_add(struct hang_look *look, const void *tenant, uint32_t gpus);

/*
 * Those of its GPUs that hang, so that it is not its tenant's fault; 0: none. *ret_seen: of these, those with which
 * another tenant's is stuck now. From now on they are recent; what is recent alone does not make itself so again, else
 * a tenant whose executors are stuck one after the other would be excused for good.
 */
uint32_t hang_judge(const struct hang_look *look, const void *tenant, uint32_t gpus, uint32_t *ret_seen);

/* Where the devices are that an executor was last seen to have contexts on (VGPU_PCI_PLACE). All zero: on none yet. */
struct hang_places {
	uint32_t places[VGPU_COUNTED_DEVICES];
	unsigned count;
};

/*
 * Looks what it says now; whose contexts are gone works with what it had: else who takes its executor over would be
 * stuck with all GPUs, and be excused by whoever is stuck with one.
 */
void hang_places_look(struct hang_places *places, const volatile struct vgpu_executor_counters *counters);

#endif
