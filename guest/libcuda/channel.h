/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One channel to an executor, shared by all threads of the program.
 *
 * Theory of operation.  Requests are built in place in the command ring under
 * 'post_lock'.  A request that wants a reply has a struct channel_waiter, found
 * by its sequence when the reply comes.  There is no thread of the library: of
 * the threads that wait for something, one is the leader.  It takes replies from
 * the ring and hands them to their waiters, spins for a while, then sleeps on
 * the transport.  The others spin on their own word, then sleep on it.  A leader
 * that has what it wanted passes the lead to a sleeper before it leaves, so as
 * long as somebody waits, somebody leads.
 *
 * Waiting for room in the command ring or the upload window works the same way:
 * the executor's interrupt, or time, wakes the leader, which nudges those sleepers.
 *
 * Loss.  When the executor or the mediator is gone, or the executor broke the
 * protocol, the channel is lost for good: every waiter and every later call gets
 * CHANNEL_LOST_RESULT, and nothing blocks.  A native program whose GPU falls off
 * the bus sees every call fail too; CUDA_ERROR_DEVICE_UNAVAILABLE is the code
 * that cannot be mistaken for a fault of the program's own kernels.
 */
#ifndef VGPU_GUEST_CHANNEL_H
#define VGPU_GUEST_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "channel_print.h"
#include "cuda_abi.h"
#include "lock.h"
#include "transport.h"
#include "vgpu_ring.h"

#define CHANNEL_LOST_RESULT CUDA_ERROR_DEVICE_UNAVAILABLE
#define CHANNEL_PAYLOAD_MAX (VGPU_RECORD_BYTES_MAX - sizeof(struct vgpu_record))

/* Somebody waiting: for the reply to 'sequence', or (nudged) for room. On the waiter's stack. */
struct channel_waiter {
	uint32_t word; /* WAITER_*; the waiter's own futex */
	uint32_t sequence;
	CUresult result;
	size_t bytes;	 /* of the payload that came */
	void *reply;	 /* where the payload goes, NULL: nowhere */
	size_t capacity; /* of 'reply' */
	bool sleeps;
	bool wants_nudge; /* waits for room, not for a reply */
	bool never_leads;
	struct channel_waiter *bucket_next;
	struct channel_waiter *sleeper_next;
};

#define CHANNEL_SLEEP_MS 1000 /* for waits that an interrupt ends */
#define CHANNEL_BUCKETS	 64
#define CHANNEL_KEPT_MAX 16 /* contexts with an error, beside the current ones; more than that are lost */

struct channel {
	struct transport *transport;
	struct vgpu_channel_header *header; /* shared */
	struct vgpu_channel_header layout;  /* copy of its constant part, checked */
	uint8_t *upload;
	uint8_t *download;
	uint32_t lost;
	uint32_t paused;      /* futex: the thread that may go on alone; 0: all may */
	CUresult lost_result; /* of all calls then */
	uint32_t spin_max_ns;
	bool spins; /* waiting begins with a spin: there is a processor for the executor meanwhile */

	/* Posting. */
	_Alignas(64) struct lock post_lock;
	uint32_t sequence;
	uint64_t works; /* requests that may bring work to a device */
	uint64_t holds; /* those of them after which a stream may wait for something else than itself */
	struct ring commands;

	/* Errors of posted calls in contexts that no call has been made in since. */
	bool errors_name_context;
	uint32_t kept_count;
	struct lock kept_lock;
	struct kept_error {
		uint32_t context;
		CUresult result;
	} kept[CHANNEL_KEPT_MAX];

	/* Waiting. */
	_Alignas(64) struct lock lead_lock; /* held by the leader */
	struct ring replies;		    /* the leader's */
	uint32_t spin_ns;		    /* the leader's: how long it spins before it sleeps */
	uint32_t functions_seen;	    /* the leader's: of functions_called, those that were announced */
	_Alignas(64) struct lock waiters_lock;
	struct channel_waiter *buckets[CHANNEL_BUCKETS];
	struct channel_waiter *sleepers;
	uint8_t record[VGPU_RECORD_BYTES_MAX]; /* the leader's: the record taken last */
	struct print_backlog prints;
};

/*
 * Attaches to the memory of 'transport', whose layout is checked; the transport stays the caller's
 * and must outlive the channel. false: the layout is unusable.
 */
bool channel_attach(struct channel *channel, struct transport *transport);

/*
 * Begins a request with room for payload_bytes (at most CHANNEL_PAYLOAD_MAX) at *ret_payload, in the
 * ring, and takes the post lock; channel_commit() must follow. Blocks while the ring is full. 'waiter',
 * if not NULL, wants the reply; its reply and capacity are set by the caller before.
 */
CUresult channel_begin(struct channel *channel, uint16_t opcode, uint32_t context, size_t payload_bytes,
		       struct channel_waiter *waiter, void **ret_payload);
void channel_commit(struct channel *channel);
/* The same for a request that brings no work to a device. */
void channel_commit_without_work(struct channel *channel);
/* For one that brings nothing but a copy of what the request itself names. */
void channel_commit_copy(struct channel *channel);

/* How many of the other requests there were; of those that are counted all come before what is begun after this. */
static inline uint64_t channel_works(const struct channel *channel)
{
	return __atomic_load_n(&channel->works, __ATOMIC_ACQUIRE);
}

/* The same of those that are no copies. */
static inline uint64_t channel_holds(const struct channel *channel)
{
	return __atomic_load_n(&channel->holds, __ATOMIC_ACQUIRE);
}

/* Until it is over other threads neither begin a request nor get a reply or a host function's call. One at a time. */
void channel_pause(struct channel *channel, bool begins);
void channel_pause_await(struct channel *channel);

/* Waits for its end, where there is a pause. */
static inline void channel_pass(struct channel *channel)
{
	if (__builtin_expect(__atomic_load_n(&channel->paused, __ATOMIC_ACQUIRE) != 0, 0))
		channel_pause_await(channel);
}

/* Waits for the reply; the host's result. The waiter is free afterwards. */
CUresult channel_await(struct channel *channel, struct channel_waiter *waiter);

/*
 * The same, unless gives_up(), which is asked at least every look_ms and must only look, says so before. False: it has,
 * and the waiter is to be waited for once more.
 */
bool channel_await_unless(struct channel *channel, struct channel_waiter *waiter, bool (*gives_up)(void), int look_ms);

/*
 * The same, but for no longer than timeout_ms: then the channel is lost, because the reply that may
 * still come would have nowhere to go.
 */
CUresult channel_await_for(struct channel *channel, struct channel_waiter *waiter, int timeout_ms);

/*
 * Waits until ready(argument) is true; it is called often, also under a lock of the channel, and must
 * only look. It is called at least every sleep_ms, and after each interrupt of the executor, for which
 * ready() may ask. false: the channel is lost.
 */
bool channel_wait_until(struct channel *channel, bool (*ready)(void *argument), void *argument, int sleep_ms);

/*
 * The same for what is not urgent while nobody else waits: the thread never leads, so that those who wait for
 * replies take them themselves. It is noticed within sleep_ms, or at once while another thread waits.
 */
bool channel_wait_apart(struct channel *channel, bool (*ready)(void *argument), void *argument, int sleep_ms);

/* The part of the next where there is an error. */
CUresult channel_find_deferred(struct channel *channel, uint32_t context);

/* The first error of posted calls in the context (its wire id) since it was last taken; CUDA_SUCCESS: none. */
static inline CUresult channel_take_deferred(struct channel *channel, uint32_t context)
{
	if (__builtin_expect(__atomic_load_n(&channel->header->deferred_error, __ATOMIC_ACQUIRE) == 0 &&
				     __atomic_load_n(&channel->kept_count, __ATOMIC_RELAXED) == 0,
			     1))
		return CUDA_SUCCESS;
	return channel_find_deferred(channel, context);
}

static inline bool channel_lost(const struct channel *channel)
{
	return __atomic_load_n(&channel->lost, __ATOMIC_ACQUIRE) != 0;
}

/* What calls return once it is lost: CHANNEL_LOST_RESULT, or what the host says that a native program would see. */
static inline CUresult channel_lost_result(const struct channel *channel)
{
	return channel_lost(channel) ? channel->lost_result : CHANNEL_LOST_RESULT;
}

#endif
