/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The channel's memory as the executor sees it: mapped once, laid out by the
 * executor, which trusts its own copy of the layout only (vgpu_channel.h).
 */
#ifndef EXECUTOR_CHANNEL_H
#define EXECUTOR_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "cuda_abi.h"
#include "vgpu_channel.h"
#include "vgpu_control.h"
#include "vgpu_ring.h"

struct channel {
	uint8_t *memory; /* NULL: not mapped */
	uint64_t bytes;
	struct vgpu_channel_header *header;
	struct ring commands;
	struct ring replies;
	uint8_t *upload;
	uint32_t upload_bytes;
	uint8_t *download;
	uint32_t download_bytes;
	uint8_t *function; /* its window */
	uint32_t function_bytes;
	uint8_t *area;	     /* of memory that the guest can pin */
	uint32_t area_bytes; /* 0: there is none */
	int doorbell;	     /* eventfds, the channel's own */
	int interrupt;
};

/* Where a channel's memory is, as the mediator said. */
struct channel_memory {
	int file;
	uint64_t offset; /* in the file; not for a guest of Xen */
	uint64_t bytes;
	/* not 0: pages of this domain, 'file' is Xen's privcmd device, or with xen_grants gntdev */
	uint32_t xen_domain;
	uint32_t xen_frame; /* guest frame number of the first page, or number of the page in gntdev's file */
	uint32_t xen_grants;
	bool has_area;
	bool is_far;
};

/* 'file' is the descriptor that came with the start. */
struct channel_memory channel_memory_of(const struct vgpu_control_executor_start *start, int file);

/*
 * Maps the memory and writes the layout. The descriptors become the channel's, but not the memory's. 0, or
 * -errno: EINVAL for a size that the layout does not fit, EFBIG for a file that is too short.
 */
int channel_open(struct channel *channel, const struct channel_memory *memory, int doorbell, int interrupt);
void channel_close(struct channel *channel);

/* Wakes the guest. */
void channel_notify(const struct channel *channel);

/* Empties the doorbell after poll() said that it was rung. */
void channel_doorbell_clear(const struct channel *channel);

/* Keeps the first error of a posted call, made in the context of that wire id, until the guest takes it. */
void channel_error_defer(const struct channel *channel, uint32_t context, CUresult result);

/* A call of a host function; the piece is of a copy. */
struct channel_call {
	uint64_t function; /* the guest's name for it */
	CUresult status;
	enum vgpu_function_use use;
	uint32_t piece_bytes;
	uint64_t piece_offset;
};

/*
 * Calls a host function of the guest, of which 'called' have been called then; one at a time. And how many the
 * guest says it has returned from. Any thread may use these two.
 */
void channel_function_call(const struct channel *channel, const struct channel_call *call, uint32_t called);
uint32_t channel_functions_returned(const struct channel *channel);

/* Tells the guest how far it may reuse the upload window. */
void channel_upload_release(const struct channel *channel, uint64_t position);

#endif
