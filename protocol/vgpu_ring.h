/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring of records in shared memory: one producer, one consumer, each a
 * process that does not trust the other.
 *
 * Invariants.  tail and head count bytes and never decrease; tail - head is at
 * most 'bytes'.  Each side keeps its own index privately (struct ring) and only
 * publishes it; the other side's index is read with acquire, checked against
 * those bounds, and a violation makes the ring fatal: every later call fails
 * with RING_FATAL.  Records are copied out before they are looked at.
 *
 * Sleeping.  A consumer that found nothing stores consumer_sleeps = 1, looks
 * again, then blocks.  A producer that has published looks at consumer_sleeps
 * and notifies if it is set (ring_commit() says so).  Both sides use sequentially
 * consistent fences between store and load, so no wake-up is lost.  The same
 * with producer_waits for a full ring.
 *
 * Threads.  No function may be called by two threads at once on the same struct
 * ring; callers that have several threads hold a lock.
 */
#ifndef VGPU_RING_H
#define VGPU_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vgpu_channel.h"
#include "vgpu_wire.h"

enum ring_status {
	RING_OK = 0,
	RING_EMPTY, /* nothing to take */
	RING_FULL,  /* no room for the record now */
	RING_FATAL, /* the other side broke the protocol */
};

struct ring {
	struct vgpu_ring_indices *shared;
	uint8_t *data;
	uint32_t bytes;	    /* power of two */
	uint64_t own;	    /* the index that this side writes */
	uint64_t other;	    /* the last checked value of the other side's */
	uint64_t published; /* a consumer's: how far the producer knows of it */
	uint64_t reserved_end;
	bool fatal;
};

/* Both sides start from zeroed indices. */
void ring_attach(struct ring *ring, struct vgpu_ring_indices *shared, void *data, uint32_t bytes);

/*
 * Producer: room for one record of 'length' bytes (a multiple of 8, from sizeof(struct vgpu_record)
 * to VGPU_RECORD_BYTES_MAX); *ret_record points into the ring until ring_commit().
 */
enum ring_status ring_reserve(struct ring *ring, uint32_t length, void **ret_record);

/* Publishes what was reserved; true if the consumer sleeps and must be notified. */
bool ring_commit(struct ring *ring);

/*
 * Consumer: copies the next record (PADs skipped) to 'buffer' of 'capacity' bytes, at least
 * VGPU_RECORD_BYTES_MAX. Its header has been checked: length within bounds. The room is given back
 * when nothing is left to take, or in sixteenths of the ring.
 */
enum ring_status ring_take(struct ring *ring, void *buffer, uint32_t capacity);

/*
 * Consumer: what ring_take() is going to find, as far as the producer does not change it until then: nothing to rely on
 * but that the ring is in order.
 */
enum ring_status ring_peek(struct ring *ring, uint16_t *ret_opcode);

/* Consumer: true if the producer waits for room and must be notified. Clears the wish. */
bool ring_producer_waits(struct ring *ring);

/* Consumer: about to sleep; RING_EMPTY: sleep, then ring_wake(); RING_OK: there is work after all. */
enum ring_status ring_prepare_sleep(struct ring *ring);
void ring_wake(struct ring *ring);

/* Producer: about to wait for room; RING_FULL: wait; RING_OK: there is room after all. */
enum ring_status ring_prepare_wait(struct ring *ring, uint32_t length);

#endif
