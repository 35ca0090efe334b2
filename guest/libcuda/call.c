/* SPDX-License-Identifier: Apache-2.0 */
#include "call.h"

#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "context.h"
#include "debug.h"
#include "error_callback.h"
#include "memory.h"
#include "mirror.h"
#include "session.h"
#include "vgpu_api_wire.h"

static bool has_failed;

bool call_has_failed(void)
{
	return __atomic_load_n(&has_failed, __ATOMIC_RELAXED);
}

/* Results that come of work on the device, by which its context cannot be used any more (cudaError_enum). */
static bool is_of_work(CUresult result)
{
	switch (result) {
	case CUDA_ERROR_ECC_UNCORRECTABLE:
	case CUDA_ERROR_ILLEGAL_ADDRESS:
	case CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES:
	case CUDA_ERROR_LAUNCH_TIMEOUT:
	case CUDA_ERROR_ASSERT:
	case CUDA_ERROR_HARDWARE_STACK_ERROR:
	case CUDA_ERROR_ILLEGAL_INSTRUCTION:
	case CUDA_ERROR_MISALIGNED_ADDRESS:
	case CUDA_ERROR_INVALID_ADDRESS_SPACE:
	case CUDA_ERROR_INVALID_PC:
	case CUDA_ERROR_LAUNCH_FAILED:
	case CUDA_ERROR_UNKNOWN:
		return true;
	default:
		return false;
	}
}

CUresult call_begin(enum call_needs needs, uint32_t *ret_context)
{
	struct object *current;
	CUresult result;

	if (!session_ready()) {
		*ret_context = 0;
		return needs == CALL_NEEDS_NOTHING ? CUDA_SUCCESS : CUDA_ERROR_NOT_INITIALIZED;
	}
	current = context_current();
	if (needs == CALL_NEEDS_CONTEXT && __builtin_expect(!current, 0))
		return context_current_error();
	*ret_context = current ? current->id : 0;
	result = channel_take_deferred(session.channel, *ret_context);
	if (__builtin_expect(result != CUDA_SUCCESS, 0)) {
		__atomic_store_n(&has_failed, true, __ATOMIC_RELAXED);
		error_callbacks_check();
	}
	return result;
}

/* The payload's size, or too much. */
static size_t pieces_bytes(const struct call_piece *pieces, size_t piece_count)
{
	size_t bytes = 0;

	for (size_t i = 0; i < piece_count; i++) {
		if (pieces[i].bytes > CHANNEL_PAYLOAD_MAX - bytes)
			return SIZE_MAX;
		bytes += pieces[i].bytes;
	}
	return bytes;
}

static bool brings_work(uint16_t opcode)
{
	switch (opcode) {
	case VGPU_CALL_cuMemAlloc_v2:
	case VGPU_CALL_cuMemFree_v2:
	case VGPU_CALL_cuCtxSynchronize:
	case VGPU_CALL_cuStreamSynchronize:
		return false;
	default:
		return true;
	}
}

static CUresult pieces_place(uint16_t opcode, uint32_t context, const struct call_piece *pieces, size_t piece_count,
			     size_t bytes, struct channel_waiter *waiter)
{
	uint8_t *payload;
	void *place;
	CUresult result;

	result = channel_begin(session.channel, opcode, context, bytes, waiter, &place);
	if (result)
		return result;
	payload = place;
	for (size_t i = 0; i < piece_count; i++) {
		if (pieces[i].bytes)
			memcpy(payload, pieces[i].data, pieces[i].bytes);
		payload += pieces[i].bytes;
	}
	if (brings_work(opcode))
		channel_commit(session.channel);
	else
		channel_commit_without_work(session.channel);
	return CUDA_SUCCESS;
}

static bool is_mirrored(const struct call_piece *piece)
{
	struct memory_range range;

	return piece->bytes && memory_lookup((uintptr_t)piece->data, &range) && range.kind == MEMORY_MIRRORED;
}

/*
 * Where there is mirrored memory: a piece in it is read before there is a lock that the thread needs which brings
 * it. *ret_copy is to be freed, NULL: there is no such piece.
 */
static CUresult pieces_copy(const struct call_piece *pieces, size_t piece_count, size_t bytes, uint8_t **ret_copy)
{
	bool found = false;
	uint8_t *copy;
	size_t at = 0;

	*ret_copy = NULL;
	for (size_t i = 0; i < piece_count && !found; i++)
		found = is_mirrored(&pieces[i]);
	if (!found)
		return CUDA_SUCCESS;
	copy = malloc(bytes);
	if (!copy)
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (size_t i = 0; i < piece_count; i++) {
		if (pieces[i].bytes)
			memcpy(copy + at, pieces[i].data, pieces[i].bytes);
		at += pieces[i].bytes;
	}
	*ret_copy = copy;
	return CUDA_SUCCESS;
}

static CUresult pieces_send_mirrored(uint16_t opcode, uint32_t context, const struct call_piece *pieces,
				     size_t piece_count, size_t bytes, struct channel_waiter *waiter)
{
	struct call_piece whole = {.bytes = bytes};
	struct mirror_use use;
	uint8_t *copy;
	bool is_use;
	CUresult result = pieces_copy(pieces, piece_count, bytes, &copy);

	if (result)
		return result;
	if (copy) {
		whole.data = copy;
		pieces = &whole;
		piece_count = 1;
	}
	is_use = mirror_use_of_call(opcode, context, pieces, &use);
	if (is_use)
		result = mirror_use_begin(&use);
	if (!result)
		result = pieces_place(opcode, context, pieces, piece_count, bytes, waiter);
	else
		is_use = false;
	if (is_use)
		mirror_use_end();
	free(copy);
	return result;
}

static CUresult pieces_send(uint16_t opcode, uint32_t context, const struct call_piece *pieces, size_t piece_count,
			    struct channel_waiter *waiter)
{
	size_t bytes = pieces_bytes(pieces, piece_count);

	if (bytes == SIZE_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	return mirrors_exist() ? pieces_send_mirrored(opcode, context, pieces, piece_count, bytes, waiter)
			       : pieces_place(opcode, context, pieces, piece_count, bytes, waiter);
}

CUresult call_post(uint16_t opcode, uint32_t context, const struct call_piece *pieces, size_t piece_count)
{
	/* What a capture refuses, the program is to learn from the call itself. */
	if (__builtin_expect(__atomic_load_n(&captures_open, __ATOMIC_ACQUIRE) != 0, 0))
		return call_wait(opcode, context, pieces, piece_count, NULL, 0, NULL);
	return pieces_send(opcode, context, pieces, piece_count, NULL);
}

/*
 * Calls at which a native program would learn of a failure of something that it issued before: what
 * posted calls left behind while this one was under way is their result too. Others leave it for the
 * next call, so that what they made is not lost.
 */
static bool is_synchronisation(uint16_t opcode)
{
	switch (opcode) {
	case VGPU_CALL_cuCtxSynchronize:
	case VGPU_CALL_cuStreamSynchronize:
	case VGPU_CALL_cuStreamQuery:
	case VGPU_CALL_cuEventSynchronize:
	case VGPU_CALL_cuEventQuery:
		return true;
	default:
		return false;
	}
}

CUresult call_wait(uint16_t opcode, uint32_t context, const struct call_piece *pieces, size_t piece_count, void *reply,
		   size_t reply_bytes, size_t *ret_bytes)
{
	struct channel_waiter waiter = {.reply = reply, .capacity = reply_bytes};
	CUresult result;

	result = pieces_send(opcode, context, pieces, piece_count, &waiter);
	if (result)
		return result;
	result = channel_await(session.channel, &waiter);
	if (ret_bytes)
		*ret_bytes = waiter.bytes < reply_bytes ? waiter.bytes : reply_bytes;
	else if (!result && waiter.bytes < reply_bytes)
		result = CUDA_ERROR_UNKNOWN;
	if (!result && is_synchronisation(opcode))
		result = channel_take_deferred(session.channel, context);
	/* Programs poll for what is not ready: no error, and no time to look into the environment. */
	if (result && result != CUDA_ERROR_NOT_READY) {
		if (is_of_work(result))
			__atomic_store_n(&has_failed, true, __ATOMIC_RELAXED);
		debug_note("call %u: error %d", opcode, (int)result);
		error_callbacks_check();
	}
	return result;
}

CUresult call_send_own(uint16_t opcode, uint32_t context, const struct call_piece *pieces, size_t piece_count,
		       struct channel_waiter *waiter)
{
	*waiter = (struct channel_waiter){0};
	return pieces_send(opcode, context, pieces, piece_count, waiter);
}

CUresult call_wait_own(uint16_t opcode, uint32_t context, const struct call_piece *pieces, size_t piece_count)
{
	struct channel_waiter waiter;
	CUresult result = call_send_own(opcode, context, pieces, piece_count, &waiter);

	return result ? result : channel_await(session.channel, &waiter);
}

CUresult call_refused(const char *name, CUresult result)
{
	debug_note("%s is not supported", name);
	return session_ready() ? result : CUDA_ERROR_NOT_INITIALIZED;
}

CUresult call_wait_for(uint16_t opcode, const struct call_piece *pieces, size_t piece_count, void *reply,
		       size_t reply_bytes, int timeout_ms)
{
	struct channel_waiter waiter = {.reply = reply, .capacity = reply_bytes};
	CUresult result = pieces_send(opcode, 0, pieces, piece_count, &waiter);

	if (!result)
		result = channel_await_for(session.channel, &waiter, timeout_ms);
	return !result && waiter.bytes < reply_bytes ? CUDA_ERROR_UNKNOWN : result;
}
