/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The executor's side of scheduling: whether the next record may be taken from
 * the ring (vgpu_schedule.h says what is agreed with the mediator).
 *
 * While the permit is open and there is no limit that needs counting, the answer
 * costs one load and one comparison. Otherwise records are taken in bursts
 * (burst.h), at most two of them in flight. Without a permit none is taken; waits
 * and replies go on.
 *
 * A program may need later records for earlier work to end (a kernel that polls
 * for what another stream will do). So a burst that makes no progress for
 * STALL_NS lets one more follow, and a drain that takes longer than the permit
 * says gives it back with the work still in flight.
 */
#ifndef EXECUTOR_GATE_H
#define EXECUTOR_GATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "burst.h"
#include "vgpu_schedule.h"

struct context;
struct executor;

struct gate {
	const struct vgpu_permit_page *permit; /* an open one of our own where nobody schedules */
	struct vgpu_executor_schedule *own;
	int wake; /* eventfds, -1: none */
	int bell;

	uint32_t free_word; /* with this word nothing is asked; GATE_WORD_NONE: always ask */
	uint32_t word;	    /* the last one that was acted upon */
	bool is_ending;	    /* no more under this word: draining */
	bool is_done;	    /* answered */
	bool is_refusing;   /* the last record was not let through */
	bool is_passing;    /* the last record was, past a kernel in flight, for it looked as if it took no time */
	uint64_t refused_since_ns;
	uint64_t ending_since_ns;
	uint64_t idle_since_ns;
	uint64_t delayed_until_ns; /* by a rate; 0: not */
	struct bursts bursts;

	/* The deadline, which other threads put off while the guest runs a host function. */
	pthread_mutex_t deadline_lock;
	uint64_t deadline_ns;	       /* without functions; 0: none */
	uint64_t deadline_progress_ns; /* progress of the bursts that it counts from */
	uint64_t function_since_ns;    /* one runs; 0: none does */
	uint64_t function_ns;	       /* that they ran for since that progress */
};

#define GATE_WORD_NONE UINT32_MAX

/* Without a schedule: permit, own are NULL and the descriptors -1. */
void gate_open(struct gate *gate, const struct vgpu_permit_page *permit, struct vgpu_executor_schedule *own, int wake,
	       int bell);

/* Are there records in the ring? */
bool gate_work_waits(const struct executor *executor);

bool gate_ask(struct executor *executor);

/* Nothing is counted, all records may be executed. */
static inline bool gate_is_free(const struct gate *gate)
{
	return __atomic_load_n(&gate->permit->word, __ATOMIC_RELAXED) == gate->free_word;
}

/* May the next record be executed? */
static inline bool gate_admits(struct executor *executor, const struct gate *gate)
{
	return gate_is_free(gate) || gate_ask(executor);
}

/*
 * The record that was let through has been taken. False: it is none of those that may pass; the guest has changed it
 * since it was looked at.
 */
bool gate_pass_is_right(struct gate *gate, uint16_t opcode);

/* In each round of the loop; true: something went on. */
bool gate_poll(struct executor *executor);

/*
 * Before a call that takes long without the GPU, such as a compilation, while kernels have a limit: nobody could see
 * meanwhile whether they have ended. Waits for what is in flight, at most until its deadline, which the mediator looks
 * at. Another context may be current afterwards.
 */
void gate_drain(struct executor *executor);

/*
 * Around a host function, which the guest runs: not the GPU's time. From any thread, one function at a time. What
 * is in flight may be put off by FUNCTION_NS_MAX in all, so that a kernel cannot hide behind functions for ever.
 */
#define FUNCTION_NS_MAX 60000000000u
void gate_function_begin(struct gate *gate);
void gate_function_end(struct gate *gate);

/* Empties the wake eventfd. */
void gate_wake_clear(const struct gate *gate);

/* True: there is something of ours to look at again soon. */
bool gate_is_watching(const struct gate *gate);

/* A record is executed that uses the stream, which is of the context with that wire id, whichever is current. */
void gate_touch(struct executor *executor, uint32_t context, CUstream stream);

/* Marks what was issued, before a stream of it stops taking marks: it ends, or is captured. */
void gate_settle(struct executor *executor);

void gate_forget_stream(struct executor *executor, CUstream stream);
void gate_forget_context(struct executor *executor, struct context *context);

/* The guest process has its first context on the device, or none any more. */
void gate_device_note(struct gate *gate, CUdevice device, bool is_used);

/* A result that ends its context, counted for the mediator. */
void gate_fault_note(struct executor *executor, CUresult result);

#endif
