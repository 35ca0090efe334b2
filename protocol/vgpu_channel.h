/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of one channel, the same on every transport that shares memory.
 *
 *   0                      struct vgpu_channel_header, one page
 *   command_ring_offset    guest -> executor records (vgpu_ring.h)
 *   reply_ring_offset      executor -> guest records
 *   upload_offset          bulk data to the host
 *   download_offset        bulk data to the guest
 *   function_offset        what host functions move, a piece at a time, in either direction
 *   area_offset            memory that the guest can pin (HOST_AREA in vgpu_wire.h), where there is some
 *
 * The executor writes the layout before the channel becomes ready and keeps its
 * own copy: what the guest stores there later means nothing to it.
 *
 * The upload window is a FIFO that the guest allocates from and the executor
 * releases: upload_released counts the bytes (mod 2^64, padding at the window's
 * end included) that the guest may reuse.  The download window belongs to the
 * guest: it names a place in each request and knows from the reply when the
 * place is filled.
 */
#ifndef VGPU_CHANNEL_H
#define VGPU_CHANNEL_H

#include <stdint.h>

#include "vgpu_device.h"

#define VGPU_CHANNEL_MAGIC 0x4e414843 /* "CHAN" */

#define VGPU_CHANNEL_BYTES_MIN	   (4u << 20)
#define VGPU_CHANNEL_BYTES_WINDOWS (4u << 20)  /* of a larger one, what is no area */
#define VGPU_CHANNEL_BYTES_LOCAL   (34u << 20) /* of the local transport */
#define VGPU_COMMAND_RING_BYTES	   (1u << 20)
#define VGPU_REPLY_RING_BYTES	   (256u << 10)

/*
 * Indices of a ring: bytes since the start, free running. Each word has a cache line of its own: a wish
 * that the other side looks at for every record must not share one with an index that moves for every record.
 */
struct vgpu_ring_indices {
	_Alignas(64) uint64_t tail;	       /* written by the producer */
	_Alignas(64) uint32_t producer_waits;  /* the producer sleeps until there is room; notify it */
	_Alignas(64) uint64_t head;	       /* written by the consumer */
	_Alignas(64) uint32_t consumer_sleeps; /* the consumer sleeps; notify it after moving the tail */
};

enum vgpu_function_use {
	VGPU_FUNCTION_CALL = 0,
	VGPU_FUNCTION_FETCH = 1,   /* the piece is to be put into the window */
	VGPU_FUNCTION_DELIVER = 2, /* the piece is there */
	VGPU_FUNCTION_END = 3,	   /* it will not be called any more */
};

struct vgpu_channel_header {
	uint32_t magic;
	uint32_t version; /* VGPU_PROTOCOL_VERSION of the executor */
	uint64_t channel_bytes;
	uint32_t command_ring_offset;
	uint32_t command_ring_bytes; /* a power of two */
	uint32_t reply_ring_offset;
	uint32_t reply_ring_bytes; /* a power of two */
	uint32_t upload_offset;
	uint32_t upload_bytes;
	uint32_t download_offset;
	uint32_t download_bytes;
	uint32_t function_offset;
	uint32_t function_bytes; /* 0: of an executor that does not know it */

	struct vgpu_ring_indices command;
	struct vgpu_ring_indices reply;

	_Alignas(64) uint64_t upload_released; /* written by the executor */
	uint32_t upload_waits;		       /* written by the guest: it sleeps until upload_released moves */

	/*
	 * The first error of a posted call since the guest last took it: result in the low word, the
	 * record's context in the high one (VGPU_FEATURE_ERROR_OF); 0 when there is none.  The executor sets it with a
	 * compare-and-swap from 0, the guest takes it by exchanging 0.
	 */
	_Alignas(64) uint64_t deferred_error;

	/*
	 * Host functions (cuLaunchHostFunc, cuStreamAddCallback): the executor calls one at a time. It names it,
	 * then counts functions_called up and interrupts the guest; the guest has returned from it once
	 * functions_returned is the same. These are words, not records, because the executor's main thread may
	 * be inside a call of the driver that waits for this very function.
	 *
	 * A copy of a graph from or to memory of the program that is not shared is a function too: in the
	 * function window is, or is to be, a piece of the bytes that it copies, rows without a gap between them.
	 */
	_Alignas(64) uint64_t function; /* as the guest named it when it was launched; written by the executor */
	uint32_t function_status;	/* CUresult, for a callback */
	uint32_t functions_called;
	uint32_t function_use;			  /* enum vgpu_function_use */
	uint32_t function_piece_bytes;		  /* of a copy: in the function window, at most function_bytes */
	uint64_t function_piece_offset;		  /* in what is copied */
	_Alignas(64) uint32_t functions_returned; /* written by the guest, which then rings the doorbell */

	/* CUresult of all calls once the channel is lost, written by a VM's device; 0: it is not said. */
	uint32_t lost_result;

	uint32_t area_offset;
	uint32_t area_bytes; /* 0: there is none */
};

_Static_assert(sizeof(struct vgpu_channel_header) <= 4096, "the header is one page");

#endif
