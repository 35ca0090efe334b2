/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Further connections of a link, for bulk data alone, so that more than one core of each side encrypts it: the side
 * that has a place of a window to send cuts it into pieces and numbers them; each lane (lane.h) takes the next piece
 * when it has sent one, and the other side's lane reads it straight into the same place of its window.  Lanes
 * overtake each other, so a record that needs pieces comes behind an await (records.h), which says how many pieces
 * must have come before it.
 *
 * Who makes pieces and waits for them, the owner, is one thread; the lanes are threads of its process (relay) or
 * processes (worker), so what they share is a page of atomic words, and two eventfds.
 *
 * Bounded: LANES_QUEUE pieces wait, as places, not as bytes; no lane holds more than TLS does.
 */
#ifndef WORKER_LANES_H
#define WORKER_LANES_H

#include <stdbool.h>
#include <stdint.h>

#define LANES_MAX	 8
#define LANE_PIECE_BYTES (256u << 10)
/* Less goes over the link itself: a lane's thread would have to be woken for it. */
#define LANE_BULK_BYTES (64u << 10)
#define LANE_PUT_BYTES	(1u << 20) /* of a place that is handed over at once, at most */
#define LANES_QUEUE	256u
/* More pieces are never on the way: what a window can hold of LANE_BULK_BYTES each, and as much again. */
#define LANES_AHEAD	   4096u
#define LANES_REASON_BYTES 160

/* Of a channel's windows, in its memory. */
struct lanes_windows {
	uint32_t out_offset, out_bytes;
	uint32_t in_offset, in_bytes;
};

struct lanes_piece {
	uint64_t place; /* in the window */
	uint64_t bytes;
};

struct lanes_page {
	struct lanes_windows windows;
	uint32_t is_open; /* the windows are known; pieces may come */
	uint32_t is_over; /* the lanes are to end */
	/* Sending: pieces that were made, and those that lanes have taken. */
	_Alignas(64) uint64_t made;
	_Alignas(64) uint64_t taken;
	_Alignas(64) uint32_t lanes_idle;
	_Alignas(64) uint32_t owner_waits; /* for room in the queue */
	/* Receiving: all pieces before that have come; and what has come, whole or not. */
	_Alignas(64) uint64_t complete;
	_Alignas(64) uint64_t heard_bytes;
	_Alignas(64) uint32_t owner_sleeps;
	_Alignas(64) uint32_t lost; /* enum lanes_lost */
	char reason[LANES_REASON_BYTES];
	struct lanes_piece queue[LANES_QUEUE];
	uint64_t arrived[LANES_AHEAD]; /* at number % LANES_AHEAD: number + 1, when the piece is there */
};

enum lanes_lost { LANES_THERE, LANES_ENDING, LANES_LOST };

struct lanes {
	unsigned count; /* 0: there are none, and nothing else is used */
	struct lanes_page *page;
	int wake; /* eventfds: the lanes', a semaphore; the owner's */
	int bell;
	uint64_t awaited; /* pieces, by an await that holds records up; not more than complete: none */
	/* For what was awaited when it was looked at last: what had come by then, and when the last of it was seen. */
	uint64_t looked_awaited, heard_bytes, heard_ms;
};

/* -1 with errno. The page is shared memory: 'file', unless NULL, gets its descriptor. */
int lanes_create(struct lanes *lanes, unsigned count, int *file);
/* The windows are known. */
void lanes_open(struct lanes *lanes, const struct lanes_windows *windows);

/*
 * Hands over at most LANE_PUT_BYTES of the outgoing window, which stay as they are until the other side has them.
 * False: there is no room now; the bell rings when there is.
 */
bool lanes_put(struct lanes *lanes, uint64_t place, uint64_t bytes);

/* All pieces before this number have come. */
uint64_t lanes_complete(struct lanes *lanes);

/* Before sleeping, with the bell among what is waited for; true: something has come meanwhile. */
bool lanes_sleep_prepare(struct lanes *lanes);
void lanes_wake(struct lanes *lanes);

/* NULL: they are all right. Else why they are lost; 'silence_ms' is how long an awaited piece may make no progress. */
const char *lanes_lost(struct lanes *lanes, uint64_t now_ms, uint64_t silence_ms);

/* Has the lanes end. */
void lanes_end(struct lanes *lanes);

/* The page of a file that another process made; NULL with errno. */
struct lanes_page *lanes_page_map(int file);

/* A lane's side: the next piece to send and its number; false: there is none. */
bool lanes_piece_take(struct lanes_page *page, int bell, struct lanes_piece *ret_piece, uint64_t *ret_number);
/* A piece is there, which lanes_number_is_valid(). */
bool lanes_number_is_valid(const struct lanes_page *page, uint64_t number);
void lanes_piece_came(struct lanes_page *page, int bell, uint64_t number);
/* The first reason counts. */
void lanes_lose(struct lanes_page *page, int bell, const char *reason);

#endif
