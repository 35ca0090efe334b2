/* SPDX-License-Identifier: Apache-2.0 */
#include "rest.h"

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
