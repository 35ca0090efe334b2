/* SPDX-License-Identifier: Apache-2.0 */
#include "window.h"

#include <limits.h>
#include <sys/mman.h>

#include "clock.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

#define PAGE_BYTES	4096u
#define POPULATE_BYTES	(512u << 10)
#define PIECE_BYTES_MAX (1u << 20)
#define PIECE_BYTES_MIN (64u << 10)
/* Some 20 us: others fill a piece, or wait for room that is about to come. */
#define SPIN_TURNS 500
/* A window that moves does so within much less, also where the GPU is far away. */
#define STUCK_MS 20
#define STUCK_NS (STUCK_MS * 1000000ull)

static uint32_t piece_bytes_of(uint32_t window_bytes)
{
	uint32_t bytes = window_bytes / 8;

	if (bytes > PIECE_BYTES_MAX)
		bytes = PIECE_BYTES_MAX;
	if (bytes < PIECE_BYTES_MIN)
		bytes = PIECE_BYTES_MIN < window_bytes ? PIECE_BYTES_MIN : window_bytes;
	return bytes >= 4096 ? bytes & ~4095u : bytes;
}

void upload_window_prepare(struct upload_window *window, struct channel *channel)
{
	*window = (struct upload_window){
		.channel = channel,
		.bytes = channel->layout.upload_bytes,
		.piece_bytes = piece_bytes_of(channel->layout.upload_bytes),
	};
}

struct upload_wish {
	struct upload_window *window;
	size_t wanted;
	uint64_t seen; /* released, when it last changed */
	uint64_t end_ns;
	bool broken;
};

/* The executor may only move its index forward, and not past what was posted. */
static bool upload_refresh(struct upload_window *window)
{
	uint64_t released = __atomic_load_n(&window->channel->header->upload_released, __ATOMIC_ACQUIRE);

	if (released - window->released > window->head - window->released)
		return false;
	window->released = released;
	return true;
}

static size_t upload_room(const struct upload_window *window)
{
	return window->bytes - (size_t)(window->head - window->released);
}

/* Also true when nothing was released for too long. */
static bool upload_ready(void *argument)
{
	struct upload_wish *wish = argument;

	__atomic_store_n(&wish->window->channel->header->upload_waits, 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	wish->broken = !upload_refresh(wish->window);
	if (wish->broken || upload_room(wish->window) >= wish->wanted)
		return true;
	if (wish->seen != wish->window->released) {
		wish->seen = wish->window->released;
		wish->end_ns = now_ns() + STUCK_NS;
	}
	return now_ns() >= wish->end_ns;
}

/*
 * Sees to it that the window is mapped up to 'end', for a fault for each page would take longer than the copy: for
 * 64 KiB 20 us instead of 4. A part at a time, for many programs never use all of it.
 */
static void window_populate(struct upload_window *window, size_t end)
{
	uintptr_t start = ((uintptr_t)window->channel->upload + window->populated) & ~(uintptr_t)(PAGE_BYTES - 1);
	size_t wanted = end + POPULATE_BYTES < window->bytes ? end + POPULATE_BYTES : window->bytes;

	/* Where it cannot be, it is mapped already (a virtual machine's), or faults will do. */
	(void)madvise((void *)start, (uintptr_t)window->channel->upload + wanted - start, MADV_POPULATE_WRITE);
	window->populated = (uint32_t)wanted;
}

static void window_lock(struct upload_window *window)
{
	for (int i = 0; window->channel->spins && i < SPIN_TURNS; i++) {
		if (__atomic_load_n(&window->lock.state, __ATOMIC_RELAXED) == LOCK_FREE && lock_try(&window->lock))
			return;
		processor_relax();
	}
	lock_take(&window->lock);
}

/* With the lock. */
static enum upload_outcome room_await(struct upload_window *window, size_t wanted)
{
	struct upload_wish wish = {.window = window, .wanted = wanted, .end_ns = now_ns() + STUCK_NS};
	bool alive;

	if (upload_room(window) >= wanted || (upload_refresh(window) && upload_room(window) >= wanted))
		return UPLOAD_TAKEN;
	if (window->is_stuck && window->stuck == window->released)
		return channel_lost(window->channel) ? UPLOAD_LOST : UPLOAD_STUCK;
	wish.seen = window->released;
	alive = channel_wait_until(window->channel, upload_ready, &wish, STUCK_MS);
	__atomic_store_n(&window->channel->header->upload_waits, 0, __ATOMIC_RELAXED);
	if (!alive || wish.broken)
		return UPLOAD_LOST;
	window->is_stuck = upload_room(window) < wanted;
	window->stuck = window->released;
	return window->is_stuck ? UPLOAD_STUCK : UPLOAD_TAKEN;
}

enum upload_outcome upload_take(struct upload_window *window, size_t wanted, struct upload_piece *ret_piece)
{
	size_t place;
	enum upload_outcome outcome;

	window_lock(window);
	place = (size_t)(window->head % window->bytes);
	if (wanted > window->piece_bytes)
		wanted = window->piece_bytes;
	/* Data can be cut anywhere, so the window's end needs no padding. */
	if (wanted > window->bytes - place)
		wanted = window->bytes - place;
	outcome = room_await(window, wanted);
	if (outcome == UPLOAD_TAKEN) {
		if (place + wanted > window->populated)
			window_populate(window, place + wanted);
		*ret_piece = (struct upload_piece){
			.room = window->channel->upload + place,
			.bytes = wanted,
			.position = window->head,
			.end = window->head + wanted,
		};
		window->head += wanted;
	}
	lock_release(&window->lock);
	return outcome;
}

void upload_shrink(struct upload_window *window, struct upload_piece *piece, size_t bytes)
{
	window_lock(window);
	/* Behind another piece there is no giving back: that one's release passes the rest by. */
	if (window->head == piece->end) {
		window->head = piece->position + bytes;
		piece->end = window->head;
	}
	lock_release(&window->lock);
	piece->bytes = bytes;
}

void upload_turn(struct upload_window *window, const struct upload_piece *piece)
{
	for (int i = 0; i < (window->channel->spins ? SPIN_TURNS : 1); i++) {
		if (__atomic_load_n(&window->posted, __ATOMIC_ACQUIRE) == piece->position)
			return;
		processor_relax();
	}
	__atomic_fetch_add(&window->waiting, 1, __ATOMIC_SEQ_CST);
	for (;;) {
		uint32_t turns = __atomic_load_n(&window->turns, __ATOMIC_SEQ_CST);

		if (__atomic_load_n(&window->posted, __ATOMIC_SEQ_CST) == piece->position)
			break;
		word_sleep(&window->turns, turns, -1);
	}
	__atomic_fetch_sub(&window->waiting, 1, __ATOMIC_SEQ_CST);
}

void upload_done(struct upload_window *window, const struct upload_piece *piece)
{
	__atomic_store_n(&window->posted, piece->end, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&window->turns, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&window->waiting, __ATOMIC_SEQ_CST))
		word_wake(&window->turns, INT_MAX);
}

void download_window_prepare(struct download_window *window, struct channel *channel)
{
	uint32_t slot_bytes = piece_bytes_of(channel->layout.download_bytes);
	uint32_t slot_count = channel->layout.download_bytes / slot_bytes;

	if (slot_count > DOWNLOAD_SLOTS_MAX)
		slot_count = DOWNLOAD_SLOTS_MAX;
	*window = (struct download_window){
		.channel = channel,
		.slot_bytes = slot_bytes,
		.slot_count = slot_count,
		.free_slots = slot_count == 32 ? ~0u : (1u << slot_count) - 1,
	};
}

static int64_t slot_take(struct download_window *window)
{
	int64_t offset = -1;

	lock_take(&window->lock);
	if (window->free_slots) {
		int slot = __builtin_ctz(window->free_slots);

		window->free_slots &= ~(1u << slot);
		offset = (int64_t)slot * window->slot_bytes;
	}
	lock_release(&window->lock);
	return offset;
}

/* Is it, as long as nothing is released? 'waited': nothing was for too long. */
static bool slots_are_stuck(struct download_window *window, uint32_t changes, bool waited)
{
	bool is_stuck;

	lock_take(&window->lock);
	if (waited) {
		window->is_stuck = true;
		window->stuck = changes;
	}
	is_stuck = window->is_stuck && window->stuck == changes;
	lock_release(&window->lock);
	return is_stuck;
}

int64_t download_take(struct download_window *window, bool wait)
{
	int64_t offset = -1;
	uint32_t seen = 0;
	uint64_t end_ns = 0;

	/* Who has none gets the next one: whose copy is under way would take each that he gives back again. */
	if (wait || !__atomic_load_n(&window->waiting, __ATOMIC_SEQ_CST))
		offset = slot_take(window);
	if (offset >= 0 || !wait)
		return offset;
	__atomic_fetch_add(&window->waiting, 1, __ATOMIC_SEQ_CST);
	for (;;) {
		uint32_t changes = __atomic_load_n(&window->changes, __ATOMIC_SEQ_CST);

		if (end_ns == 0 || changes != seen)
			end_ns = now_ns() + STUCK_NS;
		seen = changes;
		offset = slot_take(window);
		if (offset >= 0 || slots_are_stuck(window, changes, now_ns() >= end_ns))
			break;
		word_sleep(&window->changes, changes, STUCK_MS);
	}
	__atomic_fetch_sub(&window->waiting, 1, __ATOMIC_SEQ_CST);
	return offset;
}

void download_give(struct download_window *window, uint64_t offset)
{
	lock_take(&window->lock);
	window->free_slots |= 1u << (offset / window->slot_bytes);
	lock_release(&window->lock);
	__atomic_fetch_add(&window->changes, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&window->waiting, __ATOMIC_SEQ_CST))
		word_wake(&window->changes, 1);
}
