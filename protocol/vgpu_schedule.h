/* SPDX-License-Identifier: GPL-2.0-or-later OR Apache-2.0 */
/*
 * What mediator and executor share to schedule a GPU and to keep a tenant within its limits.
 *
 * Permit page: one for each executor, written by the mediator, mapped read-only by the executor.
 * Schedule part of the counters page (at VGPU_SCHEDULE_OFFSET): written by the executor; claims.
 * Tenant page: one for each tenant, written by all its executors and by the mediator with atomic
 * operations: what they use together.
 *
 * A permit is OPEN (issue as you like: nobody else is there), SLICED (issue until 'until_ns', with
 * bounded work in flight), CLOSED, or STANDBY (the only one of the highest class, without work: it may
 * begin as under SLICED without end, and says so with 'demand', upon which the mediator takes the GPU
 * from whoever has it and grants SLICED). Every change has a new 'word', after which the mediator wakes the
 * executor. The executor answers in its part and rings its bell:
 *   - 'demand' = 1: it has work and no permit, or has begun under STANDBY;
 *   - 'done' = word: it has stopped issuing under that word, and what it issued is finished (or takes
 *     longer than 'drain_us', then 'in_flight' stays set until it is).
 * Both hold 'busy' against each other as in Dekker's algorithm: the executor sets it and then looks at
 * the word, the mediator writes the word and then looks at 'busy'. An executor that was not busy when
 * its permit was closed needs no answer.
 *
 * All times are CLOCK_MONOTONIC in nanoseconds. A limit of 0 means none.
 */
#ifndef VGPU_SCHEDULE_H
#define VGPU_SCHEDULE_H

#include <stdint.h>

#define VGPU_SCHEDULE_PAGE_BYTES 4096
#define VGPU_SCHEDULE_OFFSET	 2048 /* in the counters page */
#define VGPU_TIME_NEVER		 UINT64_MAX
#define VGPU_DRAIN_US		 250000u /* among equals */
#define VGPU_BURSTS_DEFAULT	 2	 /* in flight, so that the GPU always has work */

enum vgpu_permit_mode {
	VGPU_PERMIT_OPEN = 0,
	VGPU_PERMIT_CLOSED = 1,
	VGPU_PERMIT_SLICED = 2,
	VGPU_PERMIT_STANDBY = 3,
};

#define VGPU_PERMIT_MODE_BITS	  2
#define VGPU_PERMIT_MODE(word)	  ((word)&3u)
#define VGPU_PERMIT_WORD(n, mode) ((uint32_t)(n) << VGPU_PERMIT_MODE_BITS | (uint32_t)(mode))

struct vgpu_limits {
	uint64_t memory_bytes; /* device memory of the tenant */
	uint64_t pinned_bytes; /* of the tenant */
	uint64_t handles;      /* objects of the tenant */
	uint64_t queue_depth;  /* records in flight on the GPU, of one process */
	uint64_t commands_per_second;
	uint64_t bytes_per_second; /* copied between guest and device */
	uint64_t kernel_ms;	   /* longest kernel */
};

struct vgpu_permit_page {
	uint32_t word;
	uint32_t drain_us;		/* at the end of a slice: wait so long for what is in flight */
	uint32_t burst_count;		/* in flight at most; 0: VGPU_BURSTS_DEFAULT */
	_Alignas(64) uint64_t until_ns; /* SLICED; may change without a new word */
	uint64_t burst_ns;		/* length of work in a burst */
	uint64_t linger_ns;		/* keep the permit so long without work */
	struct vgpu_limits limits;
	uint64_t slow_call_ms; /* calls that take longer are logged; 0: none */
};

struct vgpu_executor_schedule {
	uint32_t done;
	uint32_t demand;
	uint32_t busy;
	uint32_t in_flight; /* records given to the GPU and not known to be finished */
	uint64_t gpu_ns;    /* in which the GPU had work of this process, while that was measured */
	uint64_t permit_waits;
	uint64_t permit_wait_ns;
	uint64_t delays; /* for rates */
	uint64_t delay_ns;
	uint64_t handles;
	uint64_t memory_charged;
	uint64_t pinned_charged;
	uint64_t context_faults; /* contexts that an error of the program has ended */
	uint64_t last_fault;	 /* CUresult */
	uint64_t devices;     /* bit i: it has a context on device i, by its own numbering; a change rings the bell */
	uint64_t deadline_ns; /* when the oldest work in flight is longer than kernel_ms allows; 0: it is not limited */
};

struct vgpu_tenant_page {
	uint64_t memory_bytes;
	uint64_t pinned_bytes;
	uint64_t handles;
	uint64_t commands_free_ns; /* when the commands so far would be paid for at the allowed rate */
	uint64_t bytes_free_ns;
	uint64_t telemetry_free_ns; /* the same for the host's time that its requests of NVML take */
};

#endif
