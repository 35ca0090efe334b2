/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One further connection of a link (lanes.h), in both directions, by one thread. What goes over it is pieces: a struct
 * lane_head, then its bytes, and nothing else. The other side is hostile: a piece that has no place in the window, or a
 * number that cannot be, ends the link.
 *
 * A lane begins as any link does, with LINK_LANE as its first frame and LINK_STATUS as the answer to it. The relay uses
 * it or not; the head of a piece of nothing (all zeroes), which the relay sends first, says that it does. Before that
 * nothing else goes over it, and its end means nothing.
 */
#ifndef WORKER_LANE_H
#define WORKER_LANE_H

#include <stdint.h>

#include "lanes.h"
#include "link.h"

/* Little-endian. */
struct lane_head {
	uint64_t number;
	uint64_t place; /* in the window */
	uint32_t bytes; /* at most LANE_PIECE_BYTES */
	uint32_t reserved;
};

struct lane {
	struct link *link; /* whose TLS and socket it uses; flushed, and all that has come was looked at */
	struct lanes_page *page;
	uint8_t *memory; /* the channel's */
	uint64_t memory_bytes;
	int wake; /* as in struct lanes */
	int bell;
	bool has_begun;		      /* the relay uses it */
	struct lanes_windows windows; /* as the page has them when the first piece comes or leaves */
	/* Sending: of head and bytes together. */
	struct lanes_piece out_piece;
	struct lane_head out_head;
	uint64_t out_left; /* 0: no piece */
	/* Receiving. */
	struct lane_head in_head;
	uint64_t in_got; /* of head and bytes together */
};

/* The relay's: it begins. */
void lane_begin(struct lane *lane);

/* Until the lanes are to end (lanes_end()), or the lane is lost, which the page then says. */
void lane_run(struct lane *lane);

#endif
