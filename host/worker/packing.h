/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bulk data packed by zstd, where the link is slower than that: decided piece by piece from what packing has saved in
 * its time lately, and from how fast the link takes data that waits for it. So a fast link, and data that does not get
 * smaller, cost next to nothing. One thread uses a packer.
 */
#ifndef WORKER_PACKING_H
#define WORKER_PACKING_H

#include <stdbool.h>
#include <stdint.h>

#include "link.h"

#define PACKING_PIECE_BYTES (128u << 10) /* of bulk data in one frame */

struct packer {
	void *context; /* zstd's, for packing; NULL: nothing is packed */
	uint8_t *piece;
	uint8_t *packed;
	/* The link: bytes a second while data waited for it; 0: not known yet. */
	double link_rate;
	uint64_t looked_ns; /* when data last waited; 0: not lately */
	uint64_t looked_sent;
	/* Packing: bytes saved in a second of it; tried anew after 'skip' pieces, each time more of them. */
	double saving_rate;
	unsigned skip;
	unsigned skip_next;
};

struct unpacker {
	void *context;
	uint8_t *piece;
};

/* Until then nothing is packed. 0, or -1 out of memory. */
int packer_open(struct packer *packer);

/* As link_put(), of a frame {struct link_place, data}; packed as the other type where that pays. */
void bulk_put(struct packer *packer, struct link *link, enum link_frame_type type, enum link_frame_type packed_type,
	      uint64_t place, const uint8_t *data, uint32_t bytes);

/* The data of a frame that is not packed, and its place. NULL: it is malformed. */
const uint8_t *bulk_view(const struct link_view *view, uint64_t *ret_place, uint32_t *ret_bytes);

/*
 * The data of a packed frame and its place, until the next call; NULL: it is malformed, or does not have the bytes that
 * it says.
 */
const uint8_t *bulk_unpack(struct unpacker *unpacker, const struct link_view *view, uint64_t *ret_place,
			   uint32_t *ret_bytes);

#endif
