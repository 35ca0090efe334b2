/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting on a channel: the leader, replies and events (see channel.h). */
#include "channel_wait.h"

#include <limits.h>
#include <sched.h>
#include <string.h>

#include "clock.h"

/* Bits of channel_waiter.word. */
#define WAITER_DONE  0x1u /* the reply is there, or the channel is lost */
#define WAITER_NUDGE 0x2u /* look again: take the lead, or there may be room */

#define SPIN_MIN_NS 2000u
#define SPIN_MAX_NS 50000u
/* With processors to spare: a wait for the device is spun through, as the native library does by default. */
#define SPIN_SPARE_NS	    10000000u
#define PROCESSORS_TO_SPARE 8
#define FOLLOW_SPIN_NS	    20000u

void channel_wait_prepare(struct channel *channel)
{
	cpu_set_t allowed;
	int processors = sched_getaffinity(0, sizeof(allowed), &allowed) == 0 ? CPU_COUNT(&allowed) : 1;

	/* On one processor the executor cannot answer while we spin. */
	channel->spins = processors > 1;
	channel->spin_max_ns = processors >= PROCESSORS_TO_SPARE ? SPIN_SPARE_NS : SPIN_MAX_NS;
	channel->spin_ns = channel->spin_max_ns;
}

static struct channel_waiter **bucket_of(struct channel *channel, uint32_t sequence)
{
	return &channel->buckets[sequence % CHANNEL_BUCKETS];
}

void channel_waiter_add(struct channel *channel, struct channel_waiter *waiter, uint32_t sequence)
{
	struct channel_waiter **bucket = bucket_of(channel, sequence);

	waiter->word = 0;
	waiter->sequence = sequence;
	waiter->result = channel_lost_result(channel);
	waiter->bytes = 0;
	waiter->sleeps = false;
	waiter->wants_nudge = false;
	waiter->never_leads = false;
	lock_take(&channel->waiters_lock);
	waiter->bucket_next = *bucket;
	*bucket = waiter;
	/* Who is lost between the check in channel_begin() and here must not be forgotten. */
	if (channel_lost(channel)) {
		*bucket = waiter->bucket_next;
		waiter->word = WAITER_DONE;
	}
	lock_release(&channel->waiters_lock);
}

/* Has the reply come already? Does not take replies from the ring. */
static bool waiter_done(const struct channel_waiter *waiter)
{
	return __atomic_load_n(&waiter->word, __ATOMIC_ACQUIRE) & WAITER_DONE;
}

/* The waiter may be gone as soon as its word says done: nothing of it is touched after that. */
static void waiter_signal(struct channel_waiter *waiter, uint32_t bits)
{
	bool sleeps = waiter->sleeps;

	__atomic_fetch_or(&waiter->word, bits, __ATOMIC_RELEASE);
	if (sleeps)
		word_wake(&waiter->word, 1);
}

static void sleeper_remove(struct channel *channel, struct channel_waiter *waiter)
{
	struct channel_waiter **place = &channel->sleepers;

	while (*place && *place != waiter)
		place = &(*place)->sleeper_next;
	if (*place)
		*place = waiter->sleeper_next;
}

/* The header says it in a VM; a local channel's memory may be gone by now, there the mediator has said it. */
static CUresult lost_result_find(const struct channel *channel)
{
	uint32_t said = __atomic_load_n(&channel->header->lost_result, __ATOMIC_ACQUIRE);

	if (said == CUDA_ERROR_LAUNCH_TIMEOUT || channel->transport->lost_error == VGPU_ERROR_KERNEL_TIMEOUT)
		return CUDA_ERROR_LAUNCH_TIMEOUT;
	return CHANNEL_LOST_RESULT;
}

void channel_lose(struct channel *channel)
{
	lock_take(&channel->waiters_lock);
	if (!channel_lost(channel))
		channel->lost_result = lost_result_find(channel);
	__atomic_store_n(&channel->lost, 1, __ATOMIC_RELEASE);
	for (struct channel_waiter *sleeper = channel->sleepers, *next; sleeper; sleeper = next) {
		next = sleeper->sleeper_next;
		if (sleeper->wants_nudge)
			waiter_signal(sleeper, WAITER_NUDGE);
	}
	for (size_t i = 0; i < CHANNEL_BUCKETS; i++) {
		struct channel_waiter *waiter = channel->buckets[i];

		channel->buckets[i] = NULL;
		while (waiter) {
			struct channel_waiter *next = waiter->bucket_next;

			if (waiter->sleeps)
				sleeper_remove(channel, waiter);
			waiter->result = channel_lost_result(channel);
			waiter_signal(waiter, WAITER_DONE);
			waiter = next;
		}
	}
	lock_release(&channel->waiters_lock);
}

/* One record of the reply ring; false: the executor broke the protocol. */
static bool record_deliver(struct channel *channel)
{
	struct vgpu_record record;
	const uint8_t *payload = channel->record + sizeof(record);
	struct channel_waiter **place;
	struct channel_waiter *waiter;
	size_t bytes;

	memcpy(&record, channel->record, sizeof(record));
	bytes = record.length - sizeof(record);
	if (record.flags & VGPU_FLAG_EVENT) {
		if (record.opcode == VGPU_OPCODE_PRINT)
			channel_print(&channel->prints, (const char *)payload, bytes);
		return true;
	}
	lock_take(&channel->waiters_lock);
	place = bucket_of(channel, record.sequence);
	while (*place && (*place)->sequence != record.sequence)
		place = &(*place)->bucket_next;
	waiter = *place;
	if (waiter) {
		*place = waiter->bucket_next;
		if (waiter->sleeps)
			sleeper_remove(channel, waiter);
		waiter->result = (CUresult)record.context_or_result;
		waiter->bytes = bytes;
		if (waiter->reply)
			memcpy(waiter->reply, payload, bytes < waiter->capacity ? bytes : waiter->capacity);
		waiter_signal(waiter, WAITER_DONE);
	}
	lock_release(&channel->waiters_lock);
	return waiter != NULL;
}

/* As the leader: takes what is in the reply ring. */
static void replies_drain(struct channel *channel)
{
	enum ring_status status;
	bool taken = false;

	while ((status = ring_take(&channel->replies, channel->record, sizeof(channel->record))) == RING_OK) {
		taken = true;
		if (!record_deliver(channel)) {
			status = RING_FATAL;
			break;
		}
	}
	if (taken && ring_producer_waits(&channel->replies))
		transport_ring(channel->transport);
	if (status == RING_FATAL)
		channel_lose(channel);
}

static void sleepers_nudge(struct channel *channel)
{
	lock_take(&channel->waiters_lock);
	for (struct channel_waiter *sleeper = channel->sleepers; sleeper; sleeper = sleeper->sleeper_next) {
		if (sleeper->wants_nudge)
			waiter_signal(sleeper, WAITER_NUDGE);
	}
	lock_release(&channel->waiters_lock);
}

/* Wakes one of those who sleep, to lead. */
static void lead_offer(struct channel *channel)
{
	struct channel_waiter *sleeper;

	lock_take(&channel->waiters_lock);
	sleeper = channel->sleepers;
	while (sleeper && sleeper->never_leads)
		sleeper = sleeper->sleeper_next;
	if (sleeper)
		waiter_signal(sleeper, WAITER_NUDGE);
	lock_release(&channel->waiters_lock);
}

static void lead_release(struct channel *channel)
{
	lock_release(&channel->lead_lock);
	lead_offer(channel);
}

struct wish {
	struct channel_waiter *waiter;
	bool (*ready)(void *argument);
	void *argument;
	/*
	 * The longest sleep. Where an interrupt is to end it nothing depends on this; it bounds the harm
	 * of an interrupt that a transport has lost.
	 */
	int sleep_ms;
};

static bool wish_fulfilled(struct channel *channel, const struct wish *wish)
{
	if (wish->ready)
		return channel_lost(channel) || wish->ready(wish->argument);
	return waiter_done(wish->waiter);
}

/* As a leader that spins, to which no interrupt says that a host function is called: its thread may sleep. */
static void functions_announce(struct channel *channel)
{
	uint32_t called = __atomic_load_n(&channel->header->functions_called, __ATOMIC_ACQUIRE);

	if (__builtin_expect(called == channel->functions_seen, 1))
		return;
	channel->functions_seen = called;
	sleepers_nudge(channel);
}

/* As the leader, until the wish is fulfilled. */
static void lead(struct channel *channel, const struct wish *wish)
{
	/* Who waits for room is far ahead; looking all the time would only take the executor's cache lines. */
	uint32_t spin_ns = wish->ready && channel->spin_ns > SPIN_MAX_NS ? SPIN_MAX_NS : channel->spin_ns;
	uint64_t spin_end = channel->spins ? now_ns() + spin_ns : 0;

	for (;;) {
		enum ring_status status;
		enum transport_event event;

		replies_drain(channel);
		if (wish_fulfilled(channel, wish))
			return;
		if (spin_end) {
			processor_relax();
			functions_announce(channel);
			if (now_ns() < spin_end)
				continue;
			/* The spin was in vain: a shorter one next time. */
			if (!wish->ready && channel->spin_ns > SPIN_MIN_NS)
				channel->spin_ns -= channel->spin_ns / 4;
			spin_end = 0;
		}
		status = ring_prepare_sleep(&channel->replies);
		if (status == RING_FATAL)
			channel_lose(channel);
		if (status != RING_EMPTY || wish_fulfilled(channel, wish)) {
			ring_wake(&channel->replies);
			continue;
		}
		event = transport_wait(channel->transport, wish->sleep_ms);
		ring_wake(&channel->replies);
		replies_drain(channel);
		if (event == TRANSPORT_LOST)
			channel_lose(channel);
		sleepers_nudge(channel);
	}
}

static void sleeper_add(struct channel *channel, struct channel_waiter *waiter)
{
	waiter->sleeps = true;
	waiter->sleeper_next = channel->sleepers;
	channel->sleepers = waiter;
}

/* Sleeps until signalled; another thread leads. */
static void follow(struct channel *channel, const struct wish *wish)
{
	struct channel_waiter *waiter = wish->waiter;
	uint64_t end = channel->spins ? now_ns() + FOLLOW_SPIN_NS : 0;

	while (end && now_ns() < end) {
		for (int i = 0; i < 4; i++)
			processor_relax();
		if (wish_fulfilled(channel, wish) ||
		    __atomic_load_n(&channel->lead_lock.state, __ATOMIC_RELAXED) == LOCK_FREE)
			return;
	}
	lock_take(&channel->waiters_lock);
	if (wish_fulfilled(channel, wish)) {
		lock_release(&channel->waiters_lock);
		return;
	}
	sleeper_add(channel, waiter);
	lock_release(&channel->waiters_lock);

	/* A leader that left before we were on the list passed the lead to nobody. */
	if (__atomic_load_n(&channel->lead_lock.state, __ATOMIC_SEQ_CST) != LOCK_FREE)
		word_sleep(&waiter->word, 0, wish->sleep_ms);

	lock_take(&channel->waiters_lock);
	if (!waiter_done(waiter))
		sleeper_remove(channel, waiter);
	waiter->sleeps = false;
	lock_release(&channel->waiters_lock);
	__atomic_fetch_and(&waiter->word, ~WAITER_NUDGE, __ATOMIC_ACQUIRE);
}

static void wish_await(struct channel *channel, const struct wish *wish)
{
	bool followed = false;

	while (!wish_fulfilled(channel, wish)) {
		if (lock_try(&channel->lead_lock)) {
			uint64_t began = channel->spins ? now_ns() : 0;

			lead(channel, wish);
			if (began && now_ns() - began < channel->spin_max_ns)
				channel->spin_ns = channel->spin_max_ns;
			lead_release(channel);
		} else {
			follow(channel, wish);
			followed = true;
		}
	}
	/* The lead may have been offered to us just when we stopped needing it. */
	if (followed && __atomic_load_n(&channel->lead_lock.state, __ATOMIC_SEQ_CST) == LOCK_FREE)
		lead_offer(channel);
}

CUresult channel_await(struct channel *channel, struct channel_waiter *waiter)
{
	wish_await(channel, &(struct wish){.waiter = waiter, .sleep_ms = CHANNEL_SLEEP_MS});
	/* Who signalled may still hold the lock in which it looked at the waiter. */
	lock_take(&channel->waiters_lock);
	lock_release(&channel->waiters_lock);
	channel_print_rest(&channel->prints);
	channel_pass(channel);
	return waiter->result;
}

struct impatient_wait {
	const struct channel_waiter *waiter;
	bool (*gives_up)(void);
};

static bool done_or_given_up(void *argument)
{
	const struct impatient_wait *wait = argument;

	return waiter_done(wait->waiter) || wait->gives_up();
}

bool channel_await_unless(struct channel *channel, struct channel_waiter *waiter, bool (*gives_up)(void), int look_ms)
{
	struct impatient_wait wait = {.waiter = waiter, .gives_up = gives_up};

	wish_await(channel,
		   &(struct wish){.waiter = waiter, .ready = done_or_given_up, .argument = &wait, .sleep_ms = look_ms});
	if (!channel_lost(channel) && !waiter_done(waiter))
		return false;
	(void)channel_await(channel, waiter);
	return true;
}

void channel_pause(struct channel *channel, bool begins)
{
	__atomic_store_n(&channel->paused, begins ? (uint32_t)gettid() : 0, __ATOMIC_SEQ_CST);
	if (!begins)
		word_wake(&channel->paused, INT_MAX);
}

void channel_pause_await(struct channel *channel)
{
	uint32_t paused;

	while ((paused = __atomic_load_n(&channel->paused, __ATOMIC_ACQUIRE)) != 0 && paused != (uint32_t)gettid())
		word_sleep(&channel->paused, paused, -1);
}

struct limited_wait {
	const struct channel_waiter *waiter;
	uint64_t end_ns;
};

static bool done_or_late(void *argument)
{
	const struct limited_wait *wait = argument;

	return waiter_done(wait->waiter) || now_ns() >= wait->end_ns;
}

CUresult channel_await_for(struct channel *channel, struct channel_waiter *waiter, int timeout_ms)
{
	struct limited_wait wait = {.waiter = waiter, .end_ns = now_ns() + (uint64_t)timeout_ms * 1000000u};

	channel_wait_until(channel, done_or_late, &wait, timeout_ms < CHANNEL_SLEEP_MS ? timeout_ms : CHANNEL_SLEEP_MS);
	if (!waiter_done(waiter))
		channel_lose(channel);
	return channel_await(channel, waiter);
}

bool channel_wait_until(struct channel *channel, bool (*ready)(void *argument), void *argument, int sleep_ms)
{
	struct channel_waiter waiter = {.wants_nudge = true};
	const struct wish wish = {.waiter = &waiter, .ready = ready, .argument = argument, .sleep_ms = sleep_ms};

	wish_await(channel, &wish);
	lock_take(&channel->waiters_lock);
	lock_release(&channel->waiters_lock);
	return !channel_lost(channel);
}

bool channel_wait_apart(struct channel *channel, bool (*ready)(void *argument), void *argument, int sleep_ms)
{
	struct channel_waiter waiter = {.wants_nudge = true, .never_leads = true};

	while (!channel_lost(channel) && !ready(argument)) {
		lock_take(&channel->waiters_lock);
		sleeper_add(channel, &waiter);
		lock_release(&channel->waiters_lock);
		word_sleep(&waiter.word, 0, sleep_ms);
		lock_take(&channel->waiters_lock);
		sleeper_remove(channel, &waiter);
		waiter.sleeps = false;
		lock_release(&channel->waiters_lock);
		__atomic_fetch_and(&waiter.word, ~WAITER_NUDGE, __ATOMIC_ACQUIRE);
	}
	return !channel_lost(channel);
}
