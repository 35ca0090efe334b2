/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Places in the two windows of a channel through which bulk data passes.
 *
 * Upload: a FIFO (vgpu_channel.h).  Threads take pieces of it one after the other and fill them side by side; the
 * records that name the pieces are posted in the order of the pieces, each thread in its turn, for positions must reach
 * the executor in order.
 *
 * Download: the guest's own.  It is divided into slots of one size; a thread
 * takes as many as are free while nobody waits, and waits only while it holds
 * none, so threads cannot wait for each other in a circle, and a copy under way
 * keeps no other one from its first slot.
 *
 * What is in a window leaves it when its stream comes there, which may be when the program lets it.  A window of which
 * nothing has left for a while counts as stuck until something does; the callers then go by the ring, which never waits
 * for a stream.
 */
#ifndef VGPU_WINDOW_H
#define VGPU_WINDOW_H

#include "channel.h"

struct upload_window {
	struct channel *channel;
	struct lock lock;
	uint64_t head;	   /* position of the next byte */
	uint64_t released; /* last checked value of upload_released */
	uint32_t bytes;
	uint32_t piece_bytes; /* the most that one piece takes */
	uint32_t populated;   /* so much of it is known to be mapped */
	uint64_t stuck;	      /* value of 'released' that no wait has seen change */
	bool is_stuck;
	/* Not under the lock: who waits for room with it waits for those who have their pieces. */
	_Alignas(64) uint64_t posted; /* position before which every piece was posted */
	uint32_t turns;		      /* futex: counts changes of 'posted' */
	uint32_t waiting;
};

/* A part of the upload window that one thread fills. */
struct upload_piece {
	uint8_t *room;
	size_t bytes;
	uint64_t position;
	uint64_t end; /* position of the next one */
};

#define DOWNLOAD_SLOTS_MAX 32

struct download_window {
	struct channel *channel;
	struct lock lock;
	uint32_t slot_bytes;
	uint32_t slot_count;
	uint32_t free_slots; /* bit map */
	uint32_t changes;    /* futex: counts releases, for those who wait */
	uint32_t waiting;
	uint32_t stuck; /* value of 'changes' that a wait has not seen change */
	bool is_stuck;
};

void upload_window_prepare(struct upload_window *window, struct channel *channel);

enum upload_outcome {
	UPLOAD_TAKEN,
	UPLOAD_STUCK, /* nothing was taken */
	UPLOAD_LOST,  /* the channel is; nothing was taken */
};

/*
 * Takes room for at most 'wanted' bytes; blocks while there is none, unless the window is stuck. After UPLOAD_TAKEN
 * upload_done() must follow, before the thread takes another piece.
 */
enum upload_outcome upload_take(struct upload_window *window, size_t wanted, struct upload_piece *ret_piece);
/* Of the piece only the first 'bytes' are used. */
void upload_shrink(struct upload_window *window, struct upload_piece *piece, size_t bytes);
/* Blocks until it is this piece's turn to be posted. */
void upload_turn(struct upload_window *window, const struct upload_piece *piece);
/* After upload_turn(): the record that names the piece was posted, or there is none. */
void upload_done(struct upload_window *window, const struct upload_piece *piece);

void download_window_prepare(struct download_window *window, struct channel *channel);

/*
 * A slot's offset in the window, or -1: none is free, or somebody waits for it. With 'wait' blocks for one, unless the
 * window is stuck; the caller must hold none.
 */
int64_t download_take(struct download_window *window, bool wait);
void download_give(struct download_window *window, uint64_t offset);

#endif
