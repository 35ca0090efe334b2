/* SPDX-License-Identifier: Apache-2.0 */
#include "channel.h"
#include "channel_xen.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER_BYTES	  4096u
#define WINDOW_ALIGNMENT  (64u << 10)
#define CHANNEL_BYTES_MAX (1ull << 31) /* offsets in the header have 32 bits */
#define FUNCTION_BYTES	  (128u << 10)
/*
 * A window is walked through again and again: one that stays in the processor's cache is faster than a large one (1 MiB
 * against 16 on an H200's host: 8.4 to 7.0 GB/s up, 12.8 to 11.8 down, and 15 to 1.7 where each page is new).
 */
#define WINDOW_BYTES_NEAR (1u << 20)

/* Of a channel that is to have one, what lies behind rings and windows. */
static uint32_t area_bytes_of(uint64_t channel_bytes)
{
	return channel_bytes > VGPU_CHANNEL_BYTES_WINDOWS ? (uint32_t)(channel_bytes - VGPU_CHANNEL_BYTES_WINDOWS) : 0;
}

static void layout_write(struct channel *channel, bool has_area, bool is_far)
{
	struct vgpu_channel_header *header = channel->header;
	uint32_t command_offset = HEADER_BYTES;
	uint32_t reply_offset = command_offset + VGPU_COMMAND_RING_BYTES;
	uint32_t function_offset =
		(reply_offset + VGPU_REPLY_RING_BYTES + WINDOW_ALIGNMENT - 1) & ~(WINDOW_ALIGNMENT - 1);
	uint32_t windows = function_offset + FUNCTION_BYTES;
	uint32_t area_bytes = has_area ? area_bytes_of(channel->bytes) : 0;
	uint32_t area_offset = (uint32_t)(channel->bytes - area_bytes);
	uint32_t window_bytes = (area_offset - windows) / 2 & ~(WINDOW_ALIGNMENT - 1);

	if (!is_far && window_bytes > WINDOW_BYTES_NEAR)
		window_bytes = WINDOW_BYTES_NEAR;
	memset(header, 0, sizeof(*header));
	header->version = VGPU_PROTOCOL_VERSION;
	header->channel_bytes = channel->bytes;
	header->command_ring_offset = command_offset;
	header->command_ring_bytes = VGPU_COMMAND_RING_BYTES;
	header->reply_ring_offset = reply_offset;
	header->reply_ring_bytes = VGPU_REPLY_RING_BYTES;
	header->upload_offset = windows;
	header->upload_bytes = window_bytes;
	header->download_offset = windows + window_bytes;
	header->download_bytes = window_bytes;
	header->area_offset = area_offset;
	header->area_bytes = area_bytes;
	header->function_offset = function_offset;
	header->function_bytes = FUNCTION_BYTES;
	__atomic_store_n(&header->magic, VGPU_CHANNEL_MAGIC, __ATOMIC_RELEASE);

	ring_attach(&channel->commands, &header->command, channel->memory + command_offset, VGPU_COMMAND_RING_BYTES);
	ring_attach(&channel->replies, &header->reply, channel->memory + reply_offset, VGPU_REPLY_RING_BYTES);
	channel->upload = channel->memory + windows;
	channel->upload_bytes = window_bytes;
	channel->download = channel->upload + window_bytes;
	channel->download_bytes = window_bytes;
	channel->area = channel->memory + area_offset;
	channel->area_bytes = area_bytes;
	channel->function = channel->memory + function_offset;
	channel->function_bytes = FUNCTION_BYTES;
}

struct channel_memory channel_memory_of(const struct vgpu_control_executor_start *start, int file)
{
	return (struct channel_memory){
		.file = file,
		.offset = start->channel_offset,
		.bytes = start->channel_bytes,
		.xen_domain = start->xen_domain,
		.xen_frame = start->xen_frame,
		.xen_grants = start->xen_grants,
		.has_area = start->has_area,
		.is_far = start->is_far,
	};
}

/* 0, or -errno. */
static int file_map(const struct channel_memory *memory, uint8_t **ret_mapping)
{
	struct stat file;
	void *mapping;

	if (memory->offset % HEADER_BYTES)
		return -EINVAL;
	if (fstat(memory->file, &file) < 0)
		return -errno;
	if (file.st_size < 0 || memory->offset > (uint64_t)file.st_size ||
	    memory->bytes > (uint64_t)file.st_size - memory->offset)
		return -EFBIG;
	mapping = mmap(NULL, memory->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory->file, (off_t)memory->offset);
	if (mapping == MAP_FAILED)
		return -errno;
	*ret_mapping = mapping;
	return 0;
}

int channel_open(struct channel *channel, const struct channel_memory *memory, int doorbell, int interrupt)
{
	uint64_t bytes = memory->bytes;
	uint8_t *mapping;
	int error;

	if (bytes < VGPU_CHANNEL_BYTES_MIN || bytes > CHANNEL_BYTES_MAX || bytes % HEADER_BYTES)
		return -EINVAL;
	error = memory->xen_domain ? channel_xen_map(memory, &mapping) : file_map(memory, &mapping);
	if (error)
		return error;
	*channel = (struct channel){
		.memory = mapping,
		.bytes = bytes,
		.header = (struct vgpu_channel_header *)mapping,
		.doorbell = doorbell,
		.interrupt = interrupt,
	};
	layout_write(channel, memory->has_area, memory->is_far);
	return 0;
}

void channel_close(struct channel *channel)
{
	if (!channel->memory)
		return;
	munmap(channel->memory, channel->bytes);
	close(channel->doorbell);
	close(channel->interrupt);
	channel->memory = NULL;
}

void channel_notify(const struct channel *channel)
{
	uint64_t one = 1;
	ssize_t written;

	do
		written = write(channel->interrupt, &one, sizeof(one));
	while (written < 0 && errno == EINTR);
	/* EAGAIN: the counter is full, so the guest has its wake-up already. */
}

void channel_doorbell_clear(const struct channel *channel)
{
	uint64_t count;
	ssize_t got;

	do
		got = read(channel->doorbell, &count, sizeof(count));
	while (got < 0 && errno == EINTR);
}

void channel_error_defer(const struct channel *channel, uint32_t context, CUresult result)
{
	uint64_t none = 0;
	uint64_t value = (uint64_t)context << 32 | (uint32_t)result;

	__atomic_compare_exchange_n(&channel->header->deferred_error, &none, value, false, __ATOMIC_ACQ_REL,
				    __ATOMIC_RELAXED);
}

void channel_function_call(const struct channel *channel, const struct channel_call *call, uint32_t called)
{
	struct vgpu_channel_header *header = channel->header;

	__atomic_store_n(&header->function, call->function, __ATOMIC_RELAXED);
	__atomic_store_n(&header->function_status, (uint32_t)call->status, __ATOMIC_RELAXED);
	__atomic_store_n(&header->function_use, (uint32_t)call->use, __ATOMIC_RELAXED);
	__atomic_store_n(&header->function_piece_bytes, call->piece_bytes, __ATOMIC_RELAXED);
	__atomic_store_n(&header->function_piece_offset, call->piece_offset, __ATOMIC_RELAXED);
	__atomic_store_n(&header->functions_called, called, __ATOMIC_RELEASE);
	channel_notify(channel);
}

uint32_t channel_functions_returned(const struct channel *channel)
{
	return __atomic_load_n(&channel->header->functions_returned, __ATOMIC_ACQUIRE);
}

void channel_upload_release(const struct channel *channel, uint64_t position)
{
	uint32_t *waits = &channel->header->upload_waits;

	__atomic_store_n(&channel->header->upload_released, position, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(waits, __ATOMIC_RELAXED) && __atomic_exchange_n(waits, 0, __ATOMIC_RELAXED))
		channel_notify(channel);
}
