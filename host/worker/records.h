/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records on the link, in either direction. A side has at most RECORDS_WINDOW_BYTES of them on the way that the other
 * has not put into its ring, and the other can hold as many: so it never has to stop reading the link because its ring
 * is full, and what must not wait behind records (permits, answers to them) gets through.
 */
#ifndef WORKER_RECORDS_H
#define WORKER_RECORDS_H

#include <stdbool.h>
#include <stdint.h>

#include "lanes.h"
#include "link.h"
#include "vgpu_wire.h"

#define RECORDS_WINDOW_BYTES (512u << 10)
/* The other side is told when so much more is in the ring: then nobody waits who could go on. */
#define RECORDS_TOLD_BYTES (RECORDS_WINDOW_BYTES / 4)
/*
 * A record of the link's own, which comes to no ring: what follows is held until so many pieces have come over the
 * lanes (lanes.h). It looks like a record of padding, of which nothing else ever crosses.
 */
#define RECORDS_AWAIT_BYTES (sizeof(struct vgpu_record) + sizeof(uint64_t))

_Static_assert(RECORDS_WINDOW_BYTES - RECORDS_TOLD_BYTES >=
		       VGPU_RECORD_BYTES_MAX + RECORDS_AWAIT_BYTES + sizeof(struct link_frame),
	       "a sender waits only for more than what is told about");

struct records_out {
	uint64_t sent;	/* bytes, since the start */
	uint64_t taken; /* of them in the other side's ring, as it says */
};

struct records_in {
	struct lanes *lanes; /* NULL: there is nothing to await */
	uint64_t put;	     /* bytes in the ring, since the start */
	uint64_t told;	     /* of them, as the other side knows */
	uint32_t begin, end;
	_Alignas(8) uint8_t bytes[RECORDS_WINDOW_BYTES];
};

/* There is room for the record, with an await before it if there is to be one. */
bool records_fit(const struct records_out *out, const struct link *link, uint32_t bytes, bool has_await);
/* Puts a record that fits. */
void records_send(struct records_out *out, struct link *link, enum link_frame_type type, const void *record,
		  uint32_t bytes);
/* Puts an await of all pieces that were made until now, before a record. */
void records_await(struct records_out *out, struct link *link, enum link_frame_type type, const struct lanes *lanes);

/* What the other side says of 'taken'; false: it was not sent. */
bool records_taken(struct records_out *out, uint64_t taken);

/* Takes a frame's records over. False: more than may be on the way. */
bool records_hold(struct records_in *in, const uint8_t *records, uint32_t bytes);

static inline bool records_are_held(const struct records_in *in)
{
	return in->begin != in->end;
}

/* Bytes that have come, since the start. */
static inline uint64_t records_arrived(const struct records_in *in)
{
	return in->put + (in->end - in->begin);
}

/* The next record whose header is in order; 1: there is one, 0: none that may go on, -1: what came is none. */
int records_next(struct records_in *in, struct vgpu_record *ret_header, const uint8_t **ret_record);

/* It is in the ring. */
void records_put(struct records_in *in, uint32_t bytes);

/* Tells the other side how far it is, if it is time to. */
void records_tell(struct records_in *in, struct link *link);

#endif
