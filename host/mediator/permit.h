/* SPDX-License-Identifier: Apache-2.0 */
/* One executor's permit page, written here and read-only for the executor. */
#ifndef MEDIATOR_PERMIT_H
#define MEDIATOR_PERMIT_H

#include "vgpu_schedule.h"

struct permit {
	struct vgpu_permit_page *page;
	int file;	/* -1: given away and not needed again */
	int wake;	/* wakeup.h */
	int wake_other; /* the executor's end of it; -1: it was sent */
	uint32_t number;
};

/* A closed one. 0, or -1 with errno. */
int permit_create(struct permit *ret_permit);
/* Of an executor that is running; the descriptors become the permit's. 0, or -1 with errno. */
int permit_adopt(struct permit *ret_permit, int file, int wake);
void permit_destroy(struct permit *permit);
/* The executor has its end. */
void permit_sent(struct permit *permit);

/* A new word, after which the executor's 'busy' may be looked at; wakes it. */
void permit_set(struct permit *permit, enum vgpu_permit_mode mode, uint64_t until_ns);

/* Another end under the same word; wakes it. */
void permit_until_set(struct permit *permit, uint64_t until_ns);

/* Of how work is sized, and how much of it is in flight; holds from the next burst on. */
void permit_bursts_set(struct permit *permit, uint64_t burst_ns, uint32_t burst_count, uint64_t linger_ns);

/* How long to wait at the end of the slice for what is in flight; a grant sets it to VGPU_DRAIN_US. */
void permit_drain_set(struct permit *permit, uint32_t drain_us);

/* Calls that take longer are logged; 0: none. */
void permit_slow_call_set(struct permit *permit, uint64_t slow_call_ms);

/* With a new word of the same mode, so that it is noticed. */
void permit_limits_set(struct permit *permit, const struct vgpu_limits *limits);

static inline enum vgpu_permit_mode permit_mode(const struct permit *permit)
{
	return (enum vgpu_permit_mode)VGPU_PERMIT_MODE(permit->page->word);
}

#endif
