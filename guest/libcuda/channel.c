/* SPDX-License-Identifier: Apache-2.0 */
/* Attaching to a channel and posting requests. */
#include "channel.h"

#include <string.h>
#include <sys/mman.h>

#include "channel_wait.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14; older C libraries do not name it */
#endif

/* At a microsecond or more for each of the calls in a full ring. */
#define ROOM_SLEEP_MS 1

static bool span_fits(uint64_t total, uint32_t offset, uint32_t bytes)
{
	return offset >= sizeof(struct vgpu_channel_header) && offset % 4096 == 0 && bytes > 0 &&
	       (uint64_t)offset + bytes <= total;
}

static bool ring_fits(uint64_t total, uint32_t offset, uint32_t bytes)
{
	return span_fits(total, offset, bytes) && (bytes & (bytes - 1)) == 0 && bytes >= 2 * VGPU_RECORD_BYTES_MAX;
}

static bool layout_valid(const struct vgpu_channel_header *layout, size_t bytes)
{
	return layout->magic == VGPU_CHANNEL_MAGIC && layout->version >> 16 == VGPU_PROTOCOL_MAJOR &&
	       ring_fits(bytes, layout->command_ring_offset, layout->command_ring_bytes) &&
	       ring_fits(bytes, layout->reply_ring_offset, layout->reply_ring_bytes) &&
	       span_fits(bytes, layout->upload_offset, layout->upload_bytes) &&
	       span_fits(bytes, layout->download_offset, layout->download_bytes) &&
	       (!layout->area_bytes || span_fits(bytes, layout->area_offset, layout->area_bytes)) &&
	       (!layout->function_bytes || span_fits(bytes, layout->function_offset, layout->function_bytes));
}

/*
 * A launch that is the first to write to a page of the ring would pay for a page fault. Kernels before
 * 5.14 do not know the advice, and device memory has no use for it: either way the faults do no harm.
 */
static void rings_populate(const struct channel *channel)
{
	const struct vgpu_channel_header *layout = &channel->layout;

	(void)madvise((uint8_t *)channel->header + layout->command_ring_offset, layout->command_ring_bytes,
		      MADV_POPULATE_WRITE);
	(void)madvise((uint8_t *)channel->header + layout->reply_ring_offset, layout->reply_ring_bytes,
		      MADV_POPULATE_WRITE);
}

bool channel_attach(struct channel *channel, struct transport *transport)
{
	uint8_t *memory = transport->memory;

	memset(channel, 0, sizeof(*channel));
	if (transport->bytes < sizeof(struct vgpu_channel_header))
		return false;
	memcpy(&channel->layout, memory, sizeof(channel->layout));
	if (!layout_valid(&channel->layout, transport->bytes))
		return false;
	channel->transport = transport;
	channel->header = (struct vgpu_channel_header *)memory;
	channel->upload = memory + channel->layout.upload_offset;
	channel->download = memory + channel->layout.download_offset;
	ring_attach(&channel->commands, &channel->header->command, memory + channel->layout.command_ring_offset,
		    channel->layout.command_ring_bytes);
	ring_attach(&channel->replies, &channel->header->reply, memory + channel->layout.reply_ring_offset,
		    channel->layout.reply_ring_bytes);
	rings_populate(channel);
	channel_wait_prepare(channel);
	return true;
}

struct room_wish {
	struct ring *ring;
	uint32_t length;
	enum ring_status status;
};

static bool room_ready(void *argument)
{
	struct room_wish *wish = argument;
	void *place;

	/* Reserving is not publishing, so it may be tried with any length. */
	wish->status = ring_reserve(wish->ring, wish->length, &place);
	return wish->status != RING_FULL;
}

/*
 * The command ring is full: waits for room, with the post lock held, so that others queue behind.  A
 * full ring is thousands of calls ahead of the executor.  So it is looked at from time to time rather
 * than announced: an executor that is asked to tell would tell after each record, and the program would
 * be woken for each.  For the same reason it waits until a quarter of the ring is free.
 */
static enum ring_status room_await(struct channel *channel, uint32_t length, void **ret_record)
{
	struct room_wish wish = {.ring = &channel->commands, .length = channel->commands.bytes / 4};

	if (wish.length < length)
		wish.length = length;
	if (!channel_wait_until(channel, room_ready, &wish, ROOM_SLEEP_MS) || wish.status != RING_OK)
		return RING_FATAL;
	return ring_reserve(&channel->commands, length, ret_record);
}

CUresult channel_begin(struct channel *channel, uint16_t opcode, uint32_t context, size_t payload_bytes,
		       struct channel_waiter *waiter, void **ret_payload)
{
	uint32_t length = (uint32_t)(sizeof(struct vgpu_record) + ((payload_bytes + 7) & ~(size_t)7));
	enum ring_status status;
	struct vgpu_record *record;
	void *place;

	if (payload_bytes > CHANNEL_PAYLOAD_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	channel_pass(channel);
	lock_take(&channel->post_lock);
	if (__builtin_expect(channel_lost(channel), 0))
		goto lost;
	status = ring_reserve(&channel->commands, length, &place);
	if (__builtin_expect(status == RING_FULL, 0))
		status = room_await(channel, length, &place);
	if (__builtin_expect(status != RING_OK, 0)) {
		channel_lose(channel);
		goto lost;
	}
	record = place;
	record->length = length;
	record->opcode = opcode;
	record->flags = waiter ? VGPU_FLAG_REPLY : 0;
	record->sequence = ++channel->sequence;
	record->context_or_result = context;
	if (length - sizeof(*record) != payload_bytes)
		memset((uint8_t *)place + length - 8, 0, 8);
	if (waiter)
		channel_waiter_add(channel, waiter, record->sequence);
	*ret_payload = record + 1;
	return CUDA_SUCCESS;

lost:
	lock_release(&channel->post_lock);
	return channel_lost_result(channel);
}

void channel_commit(struct channel *channel)
{
	__atomic_store_n(&channel->holds, channel->holds + 1, __ATOMIC_RELEASE);
	channel_commit_copy(channel);
}

void channel_commit_copy(struct channel *channel)
{
	__atomic_store_n(&channel->works, channel->works + 1, __ATOMIC_RELEASE);
	channel_commit_without_work(channel);
}

void channel_commit_without_work(struct channel *channel)
{
	bool sleeps = ring_commit(&channel->commands);

	lock_release(&channel->post_lock);
	if (sleeps)
		transport_ring(channel->transport);
}

/* Under the lock. The first error of a context is kept. */
static void error_keep(struct channel *channel, uint32_t context, CUresult result)
{
	for (uint32_t i = 0; i < channel->kept_count; i++) {
		if (channel->kept[i].context == context)
			return;
	}
	if (channel->kept_count == CHANNEL_KEPT_MAX)
		return;
	channel->kept[channel->kept_count] = (struct kept_error){.context = context, .result = result};
	__atomic_store_n(&channel->kept_count, channel->kept_count + 1, __ATOMIC_RELAXED);
}

/* Under the lock. */
static CUresult error_unkeep(struct channel *channel, uint32_t context)
{
	for (uint32_t i = 0; i < channel->kept_count; i++) {
		CUresult result = channel->kept[i].result;

		if (channel->kept[i].context != context)
			continue;
		channel->kept[i] = channel->kept[channel->kept_count - 1];
		__atomic_store_n(&channel->kept_count, channel->kept_count - 1, __ATOMIC_RELAXED);
		return result;
	}
	return CUDA_SUCCESS;
}

CUresult channel_find_deferred(struct channel *channel, uint32_t context)
{
	uint64_t deferred = __atomic_exchange_n(&channel->header->deferred_error, 0, __ATOMIC_ACQ_REL);
	uint32_t of = channel->errors_name_context ? (uint32_t)(deferred >> 32) : context;
	CUresult result;

	lock_take(&channel->kept_lock);
	if (deferred)
		error_keep(channel, of, (CUresult)(uint32_t)deferred);
	result = error_unkeep(channel, context);
	lock_release(&channel->kept_lock);
	return result;
}
