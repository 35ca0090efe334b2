/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's end of a channel whose GPU is elsewhere.  To the guest it is the
 * executor: it writes the layout, takes commands, puts replies, fills the download
 * window, releases the upload window.  What it takes goes to the worker in batches;
 * posted calls therefore never wait for the network, until what may be on the way
 * (records.h) and the guest's ring are full.
 *
 * Memory is bounded: one record of the guest's and a window of replies are held; while
 * a record waits for room, nothing more is taken from the ring that it came from.  No
 * lock-up can come of it: a guest that waits for anything reads its replies meanwhile.
 *
 * Both sides are hostile to it: what the guest writes is checked as an executor
 * checks it, what the worker sends is checked before it touches the guest's memory.
 */
#ifndef WORKER_RELAY_H
#define WORKER_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "channel.h"
#include "lanes.h"
#include "link.h"
#include "packing.h"
#include "records.h"
#include "relay_schedule.h"
#include "vgpu_control.h"

struct relay {
	struct channel channel;
	struct link link;
	struct lanes lanes;
	unsigned lanes_wanted;
	struct vgpu_executor_counters *counters;
	int control;
	uint32_t channel_number;
	uint64_t silence_ms;

	uint64_t upload_used;	     /* as far as records named the upload window */
	uint64_t upload_released;    /* as far as the worker gave it back */
	uint32_t functions_called;   /* as the worker said */
	uint32_t functions_returned; /* as the worker was told */
	uint32_t function_fetches;   /* bytes that the last of them is to bring */
	uint32_t held_bytes;	     /* of 'record', which waits for room in the link; 0: none */
	uint64_t held_sent;	     /* of the bytes that it names in the upload window */
	struct relay_schedule schedule;
	struct packer packer;
	struct unpacker unpacker;
	struct records_out commands_out;
	struct records_in replies_in;
	uint32_t reply_waits;	       /* length of the record that waits for room in the guest's ring; 0: none */
	bool function_waits;	       /* to be called, for replies that came before it */
	struct link_function function; /* the one that was called last */

	struct link_status
		last;	       /* the worker's last words, for when the guest has what came before; error 0: none yet */
	uint64_t moved_ms;     /* with them: when the guest last took something */
	uint64_t close_end_ms; /* 0: not closing */
	enum vgpu_channel_error fault;
	char fault_text[VGPU_CONTROL_TEXT_BYTES];
	_Alignas(8) uint8_t record[VGPU_RECORD_BYTES_MAX];
};

/* Until the mediator ends it, or a fault, which is then set. */
void relay_run(struct relay *relay);

/* The worker's last words, in a STATUS. */
void relay_last_take(struct relay *relay, const struct link_view *view);
/*
 * After a look at the replies, of which the guest has taken some ('progress') or none: it is the end, as the worker has
 * said it, when the guest has all that the executor said before, or takes no more of it.
 */
void relay_last_look(struct relay *relay, bool progress);
void relay_link_lost(struct relay *relay);

/* What a worker may say that it is, else 'otherwise'. */
enum vgpu_channel_error relay_error_admit(uint32_t error, enum vgpu_channel_error otherwise);

/* The first reason counts. */
__attribute__((format(printf, 3, 4))) void relay_fault(struct relay *relay, enum vgpu_channel_error error,
						       const char *format, ...);

#endif
