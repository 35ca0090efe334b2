/* SPDX-License-Identifier: Apache-2.0 */
#include "rest.h"

#include "host_calls.h"
#include "session.h"
#include "vgpu_wire.h"

/* A context's index above, the number of records below: both at once, without a lock. At first there was no work. */
#define WORK_BITS (64 - VGPU_ID_INDEX_BITS)

static uint64_t rested;

static uint64_t pack(uint32_t context, uint64_t works)
{
	return (uint64_t)VGPU_ID_INDEX(context) << WORK_BITS | (works & ((1ull << WORK_BITS) - 1));
}

uint64_t rest_begin(void)
{
	return channel_works(session.channel);
}

void rest_note(uint32_t context, uint64_t begun)
{
	__atomic_store_n(&rested, pack(context, begun), __ATOMIC_RELEASE);
}

bool rest_is_known(uint32_t context)
{
	return __atomic_load_n(&rested, __ATOMIC_ACQUIRE) == pack(context, channel_works(session.channel));
}

/* The same of streams and of contexts' default ones, with one bit more for which it is. */
#define HOLD_BITS (WORK_BITS - 1)

static uint64_t rested_stream;

static uint64_t stream_pack(uint32_t context, uint32_t stream, uint64_t holds)
{
	uint64_t key = stream ? 1ull << VGPU_ID_INDEX_BITS | VGPU_ID_INDEX(stream) : VGPU_ID_INDEX(context);

	return key << HOLD_BITS | (holds & ((1ull << HOLD_BITS) - 1));
}

static bool stream_is_known(uint32_t context, uint32_t stream)
{
	return __atomic_load_n(&rested_stream, __ATOMIC_ACQUIRE) ==
	       stream_pack(context, stream, channel_holds(session.channel));
}

CUresult rest_stream_await(uint32_t context, uint32_t stream)
{
	uint64_t begun = channel_holds(session.channel);
	CUresult result;

	if (stream_is_known(context, stream))
		return CUDA_SUCCESS;
	result = host_cuStreamSynchronize(context, stream);
	if (!result)
		__atomic_store_n(&rested_stream, stream_pack(context, stream, begun), __ATOMIC_RELEASE);
	return result;
}

void rest_commit_copy(uint32_t context, uint32_t stream)
{
	/* In the legacy default stream it waits for the blocking ones, and they for it. */
	if (stream || stream_is_known(context, 0))
		channel_commit_copy(session.channel);
	else
		channel_commit(session.channel);
}
