/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How an entry point of the guest library reaches the host.  Generated stubs
 * (api/generate.py) and hand-written entry points use only this and object.h.
 *
 * A call is posted (returns at once; a failure surfaces later, see
 * vgpu_channel.h) or waited for.  All functions may be called by any thread.
 */
#ifndef VGPU_CALL_H
#define VGPU_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cuda_abi.h"
#include "vgpu_wire.h"

struct channel_waiter;

/* Declares and defines an exported entry point. */
#define API(name, ...)                                                     \
	__attribute__((visibility("default"))) CUresult name(__VA_ARGS__); \
	CUresult name(__VA_ARGS__)

/* What must be there before a call is made. */
enum call_needs {
	CALL_NEEDS_NOTHING,
	CALL_NEEDS_INIT,    /* else CUDA_ERROR_NOT_INITIALIZED; after fork() in the child as well */
	CALL_NEEDS_CONTEXT, /* a current context, else CUDA_ERROR_INVALID_CONTEXT */
};

/*
 * Checks 'needs', takes a deferred error of an earlier posted call (returned as this call's result,
 * as the real driver does), and gives the wire id of the thread's current context (0: none).
 */
CUresult call_begin(enum call_needs needs, uint32_t *ret_context);

/*
 * Whether an answer so far was a failure of work on the device, or of a call that was posted: what is known here of
 * the device's work may not be all that there is to say then. Any thread.
 */
bool call_has_failed(void);

/*
 * One piece of a payload. Pieces are laid one after the other; generated requests are padded to 8
 * bytes by their type.
 */
struct call_piece {
	const void *data;
	size_t bytes;
};

/* Posts a request; while a stream is captured, waits for its result. */
CUresult call_post(uint16_t opcode, uint32_t context, const struct call_piece *pieces, size_t piece_count);

/* 'result', of an entry point that is not built; CUDA_ERROR_NOT_INITIALIZED before that. */
CUresult call_refused(const char *name, CUresult result);

/*
 * Sends a request and waits for its reply, whose payload is copied to 'reply' (at most reply_bytes;
 * *ret_bytes, if not NULL, is how many came; a shorter success than reply_bytes is
 * CUDA_ERROR_UNKNOWN unless ret_bytes is given). The result is the host's.
 */
CUresult call_wait(uint16_t opcode, uint32_t context, const struct call_piece *pieces, size_t piece_count, void *reply,
		   size_t reply_bytes, size_t *ret_bytes);

/* The same without an answer, for the library itself: what posted calls failed of is left to the program's. */
CUresult call_wait_own(uint16_t opcode, uint32_t context, const struct call_piece *pieces, size_t piece_count);

/* The same, of which the caller waits for the reply (channel.h). On failure there is none. */
CUresult call_send_own(uint16_t opcode, uint32_t context, const struct call_piece *pieces, size_t piece_count,
		       struct channel_waiter *waiter);

/* The same for a reply of that size, waited for no longer than timeout_ms: then the channel is lost. */
CUresult call_wait_for(uint16_t opcode, const struct call_piece *pieces, size_t piece_count, void *reply,
		       size_t reply_bytes, int timeout_ms);

#endif
