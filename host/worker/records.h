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

#include "link.h"
#include "vgpu_wire.h"

#define RECORDS_WINDOW_BYTES (512u << 10)
/* The other side is told when so much more is in the ring: then nobody waits who could go on. */
#define RECORDS_TOLD_BYTES (RECORDS_WINDOW_BYTES / 4)

_Static_assert(RECORDS_WINDOW_BYTES - RECORDS_TOLD_BYTES >= VGPU_RECORD_BYTES_MAX,
	       "a sender waits only for more than what is told about");

struct records_out {
	uint64_t sent;	/* bytes, since the start */
	uint64_t taken; /* of them in the other side's ring, as it says */
};

struct records_in {
	uint64_t put;  /* bytes in the ring, since the start */
	uint64_t told; /* of them, as the other side knows */
	uint32_t begin, end;
	_Alignas(8) uint8_t bytes[RECORDS_WINDOW_BYTES];
};

static inline bool records_may_send(const struct records_out *out, uint32_t bytes)
{
	return out->sent - out->taken + bytes <= RECORDS_WINDOW_BYTES;
}

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

/* The next record whose header is in order; 1: there is one, 0: none is held, -1: what came is none. */
int records_next(const struct records_in *in, struct vgpu_record *ret_header, const uint8_t **ret_record);

/* It is in the ring. */
void records_put(struct records_in *in, uint32_t bytes);

/* Tells the other side how far it is, if it is time to. */
void records_tell(struct records_in *in, struct link *link);

#endif
