/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The channel's memory as the executor sees it: mapped once, laid out by the
 * executor, which trusts its own copy of the layout only (vgpu_channel.h).
 */
#ifndef EXECUTOR_CHANNEL_H
#define EXECUTOR_CHANNEL_H

#include <stdint.h>

#include "cuda_abi.h"
#include "vgpu_channel.h"
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
	int doorbell; /* eventfds, the channel's own */
	int interrupt;
};

/*
 * Maps bytes [offset, offset + bytes) of 'memory' and writes the layout. The three descriptors become
 * the channel's. 0, or -errno: EINVAL for a size that the layout does not fit, EFBIG for a file that
 * is too short.
 */
int channel_open(struct channel *channel, int memory, uint64_t offset, uint64_t bytes, int doorbell, int interrupt);
void channel_close(struct channel *channel);

/* Wakes the guest. */
void channel_notify(const struct channel *channel);

/* Empties the doorbell after poll() said that it was rung. */
void channel_doorbell_clear(const struct channel *channel);

/* Keeps the first error of a posted call until the guest takes it. */
void channel_error_defer(const struct channel *channel, uint32_t sequence, CUresult result);

/*
 * Calls a host function of the guest, of which 'called' have been called then; one at a time. And how many the
 * guest says it has returned from. Any thread may use these two.
 */
void channel_function_call(const struct channel *channel, uint64_t function, CUresult status, uint32_t called);
uint32_t channel_functions_returned(const struct channel *channel);

/* Tells the guest how far it may reuse the upload window. */
void channel_upload_release(const struct channel *channel, uint64_t position);

#endif
