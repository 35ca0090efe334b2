/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's end of a channel: a memory file with the same layout as the guest's
 * channel, and an executor on it that cannot tell it from a guest.  To the executor
 * the mirror is the guest.
 *
 * What comes from the network is checked before it touches the memory, and so is
 * what the executor wrote there: a guest may have taken it over.
 */
#ifndef WORKER_MIRROR_H
#define WORKER_MIRROR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "accounts.h"
#include "lanes.h"
#include "link.h"
#include "mirror_log.h"
#include "mirror_schedule.h"
#include "packing.h"
#include "records.h"
#include "vgpu_control.h"
#include "vgpu_ring.h"

/* Requests whose replies say that the download window is filled; a guest library has a few dozen at most. */
#define MIRROR_DOWNLOADS_MAX 512

struct mirror_download {
	uint32_t sequence;
	uint64_t offset;
	uint64_t bytes;
};

struct mirror {
	struct link *link;
	struct lanes lanes;
	uint64_t silence_ms;
	pid_t executor;
	int executor_exit; /* pidfd */
	int control;
	int accounts;	    /* the main process's end of the socket (accounts.h); -1: it is gone */
	int doorbell;	    /* wakeup.h */
	int doorbell_other; /* the executor's end of it */
	int interrupt;	    /* an eventfd, which the executor writes */
	int interrupted;    /* wakeup_listen() of it */
	uint8_t *memory;
	struct vgpu_channel_header *header;
	const struct vgpu_executor_counters *counters;
	struct ring commands;
	struct ring replies;
	uint32_t upload_offset, upload_bytes;
	uint32_t download_offset, download_bytes;
	uint32_t function_offset, function_bytes;

	uint64_t upload_used;	     /* as far as records named the upload window */
	uint64_t upload_released;    /* as far as the relay was told */
	uint32_t functions_called;   /* as the relay was told */
	uint32_t functions_returned; /* as it has said */
	uint32_t function_fetches;   /* bytes that the last of them is to bring */
	struct mirror_schedule schedule;
	struct mirror_log log;
	struct packer packer;
	struct unpacker unpacker;
	struct records_in commands_in;
	struct records_out replies_out;
	uint32_t command_waits; /* length of the record that waits for room in the ring; 0: none */
	struct mirror_download downloads[MIRROR_DOWNLOADS_MAX];
	size_t download_count;
	uint32_t held_bytes; /* of 'record', a reply that waits for room in the link; 0: none */
	uint64_t held_sent;  /* of the bytes of held_download */
	struct mirror_download held_download;

	bool is_closing;
	bool is_finishing; /* its executor has ended: what it said last is sent on, then it is over */
	uint64_t moved_ms; /* meanwhile: when something last was */
	uint64_t moved;	   /* and how far it was */
	bool is_over;
	bool is_end_awaited;	   /* the executor has ended without a word: the main process says how */
	struct link_status end;	   /* what that has said; error 0: nothing yet */
	struct link_status status; /* why, for the relay; error 0: nothing to say */
	_Alignas(8) uint8_t record[VGPU_RECORD_BYTES_MAX];
};

struct mirror_plan {
	const char *driver;
	int accounts; /* socket to the main process (accounts.h) */
	unsigned lanes_max;
	bool allows_pageable;
	uint8_t certificate[ACCOUNT_CERTIFICATE_BYTES];
	struct link_open open;
};

/* Starts an executor and waits until it is ready. False: see mirror->status. */
bool mirror_open(struct mirror *mirror, const struct mirror_plan *plan);

/* Until the relay closes, the link is lost or the executor ends. */
void mirror_run(struct mirror *mirror);

/* Ends the executor, within two seconds, and tells the relay what can still be told. */
void mirror_close(struct mirror *mirror);

/* At once, whatever is on the way. */
__attribute__((format(printf, 3, 4))) void mirror_end(struct mirror *mirror, enum vgpu_channel_error error,
						      const char *format, ...);

/* The executor has ended: when its last replies are sent. */
__attribute__((format(printf, 3, 4))) void mirror_finish(struct mirror *mirror, enum vgpu_channel_error error,
							 const char *format, ...);
/* After a look at the replies: whether it is over. */
void mirror_finish_look(struct mirror *mirror);

void mirror_counters_send(struct mirror *mirror);

#endif
