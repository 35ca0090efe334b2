/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving bytes between the program's memory and the device through the windows
 * of the channel: rows of 'width' bytes, 'pitch' bytes apart on each side.
 *
 * Up: when it returns, the program may change its memory; the device has the
 * bytes in stream order.  Down: when it returns, the bytes are there.
 */
#ifndef VGPU_TRANSFER_H
#define VGPU_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cuda_abi.h"

struct transfer {
	uint64_t device; /* address */
	size_t device_pitch;
	uint8_t *host;
	size_t host_pitch;
	size_t width;
	size_t height;
	uint32_t context;
	uint32_t stream;
	bool is_prompt; /* up: natively the call never waits for the stream */
	bool is_alone;	/* the stream has only such copies, which nothing holds, or has been waited for */
};

/*
 * What a transfer of so many bytes begins with, and several alike that belong together: waits for the stream unless it
 * is a short one.
 */
CUresult transfer_await(const struct transfer *transfer, size_t bytes);

CUresult transfer_up(const struct transfer *transfer);
CUresult transfer_down(const struct transfer *transfer);

/* The same for the library itself: what posted calls failed of is left to the program's. */
CUresult transfer_down_own(const struct transfer *transfer);

#endif
