/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Places in the two windows of a channel through which bulk data passes.
 *
 * Upload: a FIFO (vgpu_channel.h).  A piece is filled and its record posted with
 * the window's lock held, so that positions reach the executor in order.
 *
 * Download: the guest's own.  It is divided into slots of one size; a thread
 * takes as many as are free, and waits only while it holds none, so threads
 * cannot wait for each other in a circle.
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
};

void upload_window_prepare(struct upload_window *window, struct channel *channel);

/*
 * Takes the window's lock and room for at most 'wanted' bytes; blocks while there is none. Gives the
 * room, its position and how many bytes it has; upload_release() must follow, after the record that
 * names the piece has been posted. 0 bytes: the channel is lost, and the lock is not taken.
 */
size_t upload_reserve(struct upload_window *window, size_t wanted, void **ret_room, uint64_t *ret_position);
/* Gives back the last bytes of the room just taken; before upload_release(). */
void upload_shrink(struct upload_window *window, size_t bytes);
void upload_release(struct upload_window *window);

void download_window_prepare(struct download_window *window, struct channel *channel);

/* A slot's offset in the window, or -1: none is free. With 'wait' blocks for one; the caller must hold none. */
int64_t download_take(struct download_window *window, bool wait);
void download_give(struct download_window *window, uint64_t offset);

#endif
