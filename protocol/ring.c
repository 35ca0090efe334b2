/* SPDX-License-Identifier: Apache-2.0 */
#include "vgpu_ring.h"

#include <string.h>

static uint64_t index_load(const uint64_t *shared)
{
	return __atomic_load_n(shared, __ATOMIC_ACQUIRE);
}

void ring_attach(struct ring *ring, struct vgpu_ring_indices *shared, void *data, uint32_t bytes)
{
	*ring = (struct ring){.shared = shared, .data = data, .bytes = bytes};
}

static enum ring_status ring_fail(struct ring *ring)
{
	ring->fatal = true;
	return RING_FATAL;
}

/* Rereads the consumer's index; it may only advance, and never past what was published. */
static enum ring_status head_refresh(struct ring *ring)
{
	uint64_t head = index_load(&ring->shared->head);

	if (head - ring->other > ring->own - ring->other)
		return ring_fail(ring);
	ring->other = head;
	return RING_OK;
}

/* The bytes that a record takes at the producer's place, the padding before it included. */
static uint64_t span_of(const struct ring *ring, uint32_t length)
{
	uint32_t to_end = ring->bytes - (uint32_t)(ring->own & (ring->bytes - 1));

	return length <= to_end ? length : (uint64_t)to_end + length;
}

enum ring_status ring_reserve(struct ring *ring, uint32_t length, void **ret_record)
{
	uint64_t span;
	uint32_t place;

	if (ring->fatal)
		return RING_FATAL;
	span = span_of(ring, length);
	if (span > ring->bytes - (ring->own - ring->other)) {
		if (head_refresh(ring))
			return RING_FATAL;
		if (span > ring->bytes - (ring->own - ring->other))
			return RING_FULL;
	}
	place = (uint32_t)(ring->own & (ring->bytes - 1));
	if (span != length) {
		struct vgpu_record pad = {.length = ring->bytes - place, .opcode = VGPU_OPCODE_PAD};

		/* A gap smaller than a record header holds its length alone; the consumer reads no more. */
		memcpy(ring->data + place, &pad, pad.length < sizeof(pad) ? pad.length : sizeof(pad));
		place = 0;
	}
	ring->reserved_end = ring->own + span;
	*ret_record = ring->data + place;
	return RING_OK;
}

bool ring_commit(struct ring *ring)
{
	ring->own = ring->reserved_end;
	__atomic_store_n(&ring->shared->tail, ring->own, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&ring->shared->consumer_sleeps, __ATOMIC_RELAXED))
		return false;
	/* One notification is enough until the consumer has said again that it sleeps. */
	return __atomic_exchange_n(&ring->shared->consumer_sleeps, 0, __ATOMIC_RELAXED) != 0;
}

/* Rereads the producer's index; no more than a ring's bytes can be outstanding. */
static enum ring_status tail_refresh(struct ring *ring)
{
	uint64_t tail = index_load(&ring->shared->tail);

	if (tail - ring->own > ring->bytes || tail - ring->own < ring->other - ring->own)
		return ring_fail(ring);
	ring->other = tail;
	return RING_OK;
}

/*
 * Gives room back. Not for every record: the producer's next store to the line would have to fetch it
 * from this processor each time.
 */
static void head_publish(struct ring *ring)
{
	if (ring->own != ring->other && ring->own - ring->published < ring->bytes / 16)
		return;
	ring->published = ring->own;
	__atomic_store_n(&ring->shared->head, ring->own, __ATOMIC_RELEASE);
}

/* The next record is still in the producer's cache: fetching it goes on while this one is executed. */
static void next_prefetch(const struct ring *ring)
{
	uint32_t place = (uint32_t)(ring->own & (ring->bytes - 1));

	for (uint32_t ahead = 0; ahead < 256 && place + ahead < ring->bytes; ahead += 64)
		__builtin_prefetch(ring->data + place + ahead);
}

/*
 * The next record that is none of padding, of which length and opcode are copied and checked. They are there even in
 * the smallest gap; read once, which a compiler need not do for plain memory (places are multiples of
 * VGPU_RECORD_ALIGNMENT).
 */
static enum ring_status record_find(struct ring *ring, uint32_t capacity, uint64_t *ret_prefix,
				    struct vgpu_record *ret_record)
{
	for (;;) {
		struct vgpu_record record = {0};
		uint64_t available, prefix;
		uint32_t place, to_end;

		if (ring->fatal)
			return RING_FATAL;
		if (ring->own == ring->other) {
			if (tail_refresh(ring))
				return RING_FATAL;
			if (ring->own == ring->other)
				return RING_EMPTY;
		}
		available = ring->other - ring->own;
		place = (uint32_t)(ring->own & (ring->bytes - 1));
		to_end = ring->bytes - place;
		prefix = __atomic_load_n((const uint64_t *)(const void *)(ring->data + place), __ATOMIC_RELAXED);
		memcpy(&record, &prefix, sizeof(prefix));
		if (record.length % VGPU_RECORD_ALIGNMENT || record.length > available || record.length > to_end)
			return ring_fail(ring);
		if (record.opcode == VGPU_OPCODE_PAD) {
			if (record.length != to_end)
				return ring_fail(ring);
			ring->own += record.length;
			continue;
		}
		if (record.length < sizeof(record) || record.length > capacity)
			return ring_fail(ring);
		*ret_prefix = prefix;
		*ret_record = record;
		return RING_OK;
	}
}

enum ring_status ring_peek(struct ring *ring, uint16_t *ret_opcode)
{
	struct vgpu_record record;
	uint64_t prefix;
	enum ring_status status = record_find(ring, VGPU_RECORD_BYTES_MAX, &prefix, &record);

	if (status == RING_OK)
		*ret_opcode = record.opcode;
	return status;
}

enum ring_status ring_take(struct ring *ring, void *buffer, uint32_t capacity)
{
	struct vgpu_record record;
	uint64_t prefix;
	enum ring_status status = record_find(ring, capacity, &prefix, &record);

	if (status)
		return status;
	memcpy(buffer, ring->data + (ring->own & (ring->bytes - 1)), record.length);
	/* The producer may have changed the header since it was checked. */
	memcpy(buffer, &prefix, sizeof(prefix));
	ring->own += record.length;
	head_publish(ring);
	if (ring->own != ring->other)
		next_prefetch(ring);
	return RING_OK;
}

bool ring_producer_waits(struct ring *ring)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&ring->shared->producer_waits, __ATOMIC_RELAXED))
		return false;
	return __atomic_exchange_n(&ring->shared->producer_waits, 0, __ATOMIC_RELAXED) != 0;
}

enum ring_status ring_prepare_sleep(struct ring *ring)
{
	if (ring->fatal)
		return RING_FATAL;
	__atomic_store_n(&ring->shared->consumer_sleeps, 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (tail_refresh(ring)) {
		ring_wake(ring);
		return RING_FATAL;
	}
	if (ring->own == ring->other)
		return RING_EMPTY;
	ring_wake(ring);
	return RING_OK;
}

void ring_wake(struct ring *ring)
{
	__atomic_store_n(&ring->shared->consumer_sleeps, 0, __ATOMIC_RELAXED);
}

enum ring_status ring_prepare_wait(struct ring *ring, uint32_t length)
{
	if (ring->fatal)
		return RING_FATAL;
	__atomic_store_n(&ring->shared->producer_waits, 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (head_refresh(ring))
		return RING_FATAL;
	if (span_of(ring, length) <= ring->bytes - (ring->own - ring->other)) {
		__atomic_store_n(&ring->shared->producer_waits, 0, __ATOMIC_RELAXED);
		return RING_OK;
	}
	return RING_FULL;
}
