/* SPDX-License-Identifier: Apache-2.0 */
#include "pinned.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "executor.h"
#include "limit.h"

#define PAGE_BYTES	4096u
#define ADDRESS_MIN	0x10000ull
#define ADDRESS_MAX	0x7fffffffe000ull
#define RANGES_FIRST	64
#define BARRED_MAX	1024
#define PASS_TIMEOUT_MS 1000 /* the guest sends the descriptor before the request */

#define REGISTER_FLAGS_ALLOWED \
	(CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP | CU_MEMHOSTREGISTER_READ_ONLY)

/* One descriptor from the pass socket, or -1. */
static int descriptor_take(int pass)
{
	union {
		struct cmsghdr header;
		unsigned char bytes[CMSG_SPACE(sizeof(int) * 4)];
	} space;
	unsigned char byte;
	struct iovec part = {.iov_base = &byte, .iov_len = sizeof(byte)};
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &space, .msg_controllen = sizeof(space)};
	struct pollfd wait = {.fd = pass, .events = POLLIN};
	int taken = -1;

	if (poll(&wait, 1, PASS_TIMEOUT_MS) <= 0 || recvmsg(pass, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) <= 0)
		return -1;
	for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
		size_t bytes = header->cmsg_len - CMSG_LEN(0);

		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0; at + sizeof(int) <= bytes; at += sizeof(int)) {
			int fd;

			memcpy(&fd, CMSG_DATA(header) + at, sizeof(fd));
			if (taken < 0)
				taken = fd;
			else
				close(fd);
		}
	}
	return taken;
}

/* The index of the first range that ends above 'address'. */
static size_t range_lower(const struct pinned *pinned, uint64_t address)
{
	size_t low = 0;
	size_t high = pinned->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (pinned->ranges[middle].address + pinned->ranges[middle].bytes > address)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static CUresult ranges_reserve(struct pinned *pinned)
{
	size_t capacity = pinned->capacity ? 2 * pinned->capacity : RANGES_FIRST;
	struct pinned_range *ranges;

	if (pinned->count < pinned->capacity)
		return CUDA_SUCCESS;
	if (pinned->count >= PINNED_RANGES_MAX)
		return CUDA_ERROR_OUT_OF_MEMORY;
	ranges = realloc(pinned->ranges, capacity * sizeof(*ranges));
	if (!ranges)
		return CUDA_ERROR_OUT_OF_MEMORY;
	pinned->ranges = ranges;
	pinned->capacity = capacity;
	return CUDA_SUCCESS;
}

/* What graphs that are gone named may be used for something else. */
static void barred_release(struct executor *executor)
{
	struct pinned *pinned = &executor->pinned;
	const struct handles *handles = &executor->handles;

	if (executor->captures.count || handles->tables[VGPU_KIND_GRAPH].count ||
	    handles->tables[VGPU_KIND_GRAPH_EXEC].count)
		return;
	for (size_t i = 0; i < pinned->barred_count; i++)
		munmap((void *)(uintptr_t)pinned->barred[i].address, pinned->barred[i].bytes);
	pinned->barred_count = 0;
}

/* In the place of the mapping; false: no more can be remembered. */
static bool range_bar(struct pinned *pinned, const struct pinned_range *range)
{
	if (!pinned->barred)
		pinned->barred = calloc(BARRED_MAX, sizeof(*pinned->barred));
	if (!pinned->barred || pinned->barred_count == BARRED_MAX ||
	    mmap((void *)(uintptr_t)range->address, range->bytes, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
		return false;
	pinned->barred[pinned->barred_count++] = *range;
	return true;
}

static void bytes_note(struct executor *executor, uint64_t bytes)
{
	executor->pinned.bytes += bytes;
	__atomic_store_n(&executor->counters->pinned_bytes, executor->pinned.bytes, __ATOMIC_RELAXED);
}

CUresult pinned_own_charge(struct executor *executor, uint64_t bytes)
{
	CUresult result = bytes > PINNED_BYTES_MAX - executor->pinned.bytes ? CUDA_ERROR_OUT_OF_MEMORY
									    : pinned_charge(executor, bytes);

	if (!result)
		bytes_note(executor, bytes);
	return result;
}

void pinned_own_release(struct executor *executor, uint64_t bytes)
{
	pinned_release(executor, bytes);
	bytes_note(executor, -bytes);
}

static bool file_is_usable(int file, uint64_t bytes)
{
	int seals = fcntl(file, F_GET_SEALS);
	struct stat status;

	return seals >= 0 && (seals & F_SEAL_SHRINK) && fstat(file, &status) == 0 && status.st_size >= 0 &&
	       bytes <= (uint64_t)status.st_size;
}

/* Maps something where nothing is. */
static CUresult place_take(uint64_t address, uint64_t bytes, int protection, int flags, int file)
{
	void *wanted = (void *)(uintptr_t)address;
	void *mapping = mmap(wanted, bytes, protection, flags | MAP_FIXED_NOREPLACE, file, 0);

	if (mapping == MAP_FAILED)
		/* The guest can choose another address. */
		return errno == EEXIST ? CUDA_ERROR_ALREADY_MAPPED : CUDA_ERROR_MAP_FAILED;
	if (mapping != wanted) {
		/* Linux before 4.17 takes the address for a hint. */
		munmap(mapping, bytes);
		return CUDA_ERROR_ALREADY_MAPPED;
	}
	return CUDA_SUCCESS;
}

static bool address_is_usable(uint64_t address, uint64_t bytes)
{
	return address % PAGE_BYTES == 0 && bytes % PAGE_BYTES == 0 && bytes && address >= ADDRESS_MIN &&
	       address <= ADDRESS_MAX && bytes <= ADDRESS_MAX - address;
}

/* Maps a part of the channel's area once more, where nothing is. */
static CUresult area_map(const struct channel *channel, uint64_t offset, uint64_t address, uint64_t bytes)
{
	void *wanted = (void *)(uintptr_t)address;
	CUresult result = place_take(address, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);

	if (result)
		return result;
	/* Of a shared mapping this makes another one of the same pages (mremap(2), old_size 0). */
	if (mremap(channel->area + offset, 0, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, wanted) == MAP_FAILED) {
		munmap(wanted, bytes);
		return CUDA_ERROR_MAP_FAILED;
	}
	return CUDA_SUCCESS;
}

CUresult pinned_area_execute(struct executor *executor, const struct request *request)
{
	const struct vgpu_host_area *arguments = request->payload;
	const struct channel *channel = &executor->channel;
	struct pinned *pinned = &executor->pinned;
	CUresult result;

	if (request->payload_bytes < sizeof(*arguments))
		return EXECUTE_PROTOCOL;
	if (!channel->area_bytes)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (pinned->area || !address_is_usable(arguments->address, channel->area_bytes))
		return CUDA_ERROR_INVALID_VALUE;
	result = area_map(channel, 0, arguments->address, channel->area_bytes);
	if (result)
		return result;
	pinned->area = arguments->address;
	return CUDA_SUCCESS;
}

/* Is it a part of the area that is not pinned yet? */
static bool area_part_is_free(const struct executor *executor, uint64_t address, uint64_t bytes)
{
	const struct pinned *pinned = &executor->pinned;
	size_t index = range_lower(pinned, address);

	return address >= pinned->area && address - pinned->area <= executor->channel.area_bytes &&
	       bytes <= executor->channel.area_bytes - (address - pinned->area) &&
	       (index == pinned->count || pinned->ranges[index].address >= address + bytes);
}

static CUresult file_map(int file, uint64_t address, uint64_t bytes)
{
	if (!file_is_usable(file, bytes))
		return CUDA_ERROR_INVALID_VALUE;
	return place_take(address, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file);
}

static void range_leave(const struct pinned_range *range)
{
	/* The area stays: what lies there is the guest's, whatever a graph does to it. */
	if (!range->is_of_area)
		munmap((void *)(uintptr_t)range->address, range->bytes);
}

/* Charges the range, whose pages are there, and remembers it; else they are left again. */
static CUresult range_enter(struct executor *executor, const struct pinned_range *range)
{
	struct pinned *pinned = &executor->pinned;
	CUresult result = ranges_reserve(pinned);
	size_t index;

	if (!result)
		result = pinned_own_charge(executor, range->bytes);
	if (result) {
		range_leave(range);
		return result;
	}
	index = range_lower(pinned, range->address);
	memmove(&pinned->ranges[index + 1], &pinned->ranges[index],
		(pinned->count - index) * sizeof(pinned->ranges[0]));
	pinned->ranges[index] = *range;
	pinned->count++;
	return CUDA_SUCCESS;
}

/* The pages have been left. */
static void range_delete(struct executor *executor, size_t index)
{
	struct pinned *pinned = &executor->pinned;

	pinned_own_release(executor, pinned->ranges[index].bytes);
	pinned->count--;
	memmove(&pinned->ranges[index], &pinned->ranges[index + 1],
		(pinned->count - index) * sizeof(pinned->ranges[0]));
}

/* The index of the range that begins there, or the count. */
static size_t range_find(const struct pinned *pinned, uint64_t address)
{
	size_t index = range_lower(pinned, address);

	return index < pinned->count && pinned->ranges[index].address == address ? index : pinned->count;
}

static CUresult range_register(struct executor *executor, size_t index, uint32_t flags)
{
	struct pinned_range *range = &executor->pinned.ranges[index];
	CUresult result = executor->driver.cuMemHostRegister_v2((void *)(uintptr_t)range->address, range->bytes, flags);

	if (!result)
		range->registered_in = context_owner(executor, executor->contexts.current);
	return result;
}

/*
 * With executors of local programs always, so that descriptors and requests stay in step; else *ret_file is -1, and the
 * memory is of the area, if there is one.
 */
static CUresult request_file_take(const struct executor *executor, bool has_area, int *ret_file)
{
	*ret_file = -1;
	if (executor->pass < 0)
		return has_area ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED;
	*ret_file = descriptor_take(executor->pass);
	return *ret_file < 0 ? CUDA_ERROR_INVALID_HANDLE : CUDA_SUCCESS;
}

static CUresult range_map(struct executor *executor, const struct vgpu_host_map *arguments, int file)
{
	struct pinned_range range = {
		.address = arguments->address,
		.bytes = arguments->bytes,
		.is_of_area = file < 0,
	};
	CUresult result = CUDA_SUCCESS;
	size_t index;

	barred_release(executor);
	if (file >= 0)
		result = file_map(file, range.address, range.bytes);
	else if (!area_part_is_free(executor, range.address, range.bytes))
		result = CUDA_ERROR_INVALID_VALUE;
	if (!result)
		result = range_enter(executor, &range);
	if (result)
		return result;
	index = range_find(&executor->pinned, range.address);
	result = range_register(executor, index, arguments->register_flags);
	if (result) {
		range_leave(&range);
		range_delete(executor, index);
	}
	return result;
}

CUresult pinned_map_execute(struct executor *executor, const struct request *request)
{
	const struct vgpu_host_map *arguments = request->payload;
	CUresult result;
	int file;

	if (request->payload_bytes < sizeof(*arguments))
		return EXECUTE_PROTOCOL;
	result = request_file_take(executor, executor->pinned.area, &file);
	if (result)
		return result;
	if (!address_is_usable(arguments->address, arguments->bytes) ||
	    (arguments->register_flags & ~(uint32_t)REGISTER_FLAGS_ALLOWED))
		result = CUDA_ERROR_INVALID_VALUE;
	else if (!executor->contexts.current)
		result = CUDA_ERROR_INVALID_CONTEXT;
	else
		result = range_map(executor, arguments, file);
	if (file >= 0)
		close(file);
	return result;
}

static CUresult range_place(struct executor *executor, const struct vgpu_host_place *arguments, int file)
{
	struct pinned_range range = {.address = arguments->address, .bytes = arguments->bytes};
	CUresult result;

	barred_release(executor);
	if (file >= 0)
		result = file_map(file, range.address, range.bytes);
	else
		result = area_map(&executor->channel, arguments->area_offset, range.address, range.bytes);
	return result ? result : range_enter(executor, &range);
}

static bool area_holds(const struct channel *channel, uint64_t offset, uint64_t bytes)
{
	return offset % PAGE_BYTES == 0 && offset <= channel->area_bytes && bytes <= channel->area_bytes - offset;
}

CUresult pinned_place_execute(struct executor *executor, const struct request *request)
{
	const struct vgpu_host_place *arguments = request->payload;
	CUresult result;
	int file;

	if (request->payload_bytes < sizeof(*arguments))
		return EXECUTE_PROTOCOL;
	result = request_file_take(executor, executor->channel.area_bytes, &file);
	if (result)
		return result;
	if (!address_is_usable(arguments->address, arguments->bytes) ||
	    (file < 0 && !area_holds(&executor->channel, arguments->area_offset, arguments->bytes)))
		result = CUDA_ERROR_INVALID_VALUE;
	else
		result = range_place(executor, arguments, file);
	if (file >= 0)
		close(file);
	return result;
}

CUresult pinned_pin_execute(struct executor *executor, const struct request *request)
{
	const struct vgpu_host_pin *arguments = request->payload;
	struct pinned *pinned = &executor->pinned;
	size_t index;

	if (request->payload_bytes < sizeof(*arguments))
		return EXECUTE_PROTOCOL;
	index = range_find(pinned, arguments->address);
	if (index == pinned->count)
		return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
	if (pinned->ranges[index].registered_in)
		return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
	if (arguments->register_flags & ~(uint32_t)REGISTER_FLAGS_ALLOWED)
		return CUDA_ERROR_INVALID_VALUE;
	if (!executor->contexts.current)
		return CUDA_ERROR_INVALID_CONTEXT;
	return range_register(executor, index, arguments->register_flags);
}

static CUresult range_unmap(struct executor *executor, uint64_t address)
{
	struct pinned *pinned = &executor->pinned;
	size_t index = range_find(pinned, address);
	struct pinned_range range;

	if (index == pinned->count)
		return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
	range = pinned->ranges[index];
	if (range.registered_in) {
		CUresult result;

		context_enter(executor, range.registered_in->id);
		result = executor->driver.cuMemHostUnregister((void *)(uintptr_t)range.address);
		if (result)
			return result;
	}
	barred_release(executor);
	pinned->ranges[index].registered_in = NULL;
	if (!range.is_named || range.is_of_area)
		range_leave(&range);
	else if (!range_bar(pinned, &range))
		return CUDA_ERROR_OUT_OF_MEMORY;
	range_delete(executor, index);
	return CUDA_SUCCESS;
}

CUresult pinned_unmap_execute(struct executor *executor, const struct request *request)
{
	const struct vgpu_host_unmap *arguments = request->payload;
	struct pinned *pinned = &executor->pinned;
	size_t index;

	if (request->payload_bytes < sizeof(*arguments))
		return EXECUTE_PROTOCOL;
	index = range_find(pinned, arguments->address);
	/* The driver waits for the device before it gives memory up. */
	if (index < pinned->count && pinned->ranges[index].registered_in)
		return pending_add_end(executor, request, pinned->ranges[index].registered_in, range_unmap,
				       arguments->address);
	return range_unmap(executor, arguments->address);
}

void pinned_forget_context(struct executor *executor, struct context *context)
{
	struct pinned *pinned = &executor->pinned;

	for (size_t i = 0; i < pinned->count; i++) {
		struct pinned_range *range = &pinned->ranges[i];

		if (range->registered_in != context)
			continue;
		context_enter(executor, context->id);
		executor->driver.cuMemHostUnregister((void *)(uintptr_t)range->address);
		range->registered_in = NULL;
	}
}

void pinned_name(struct pinned *pinned, uint64_t address)
{
	size_t index = range_lower(pinned, address);

	if (index < pinned->count && pinned->ranges[index].address <= address)
		pinned->ranges[index].is_named = true;
}

bool pinned_holds(const struct pinned *pinned, uint64_t address, uint64_t bytes)
{
	size_t index = range_lower(pinned, address);
	const struct pinned_range *range;

	if (index == pinned->count)
		return false;
	range = &pinned->ranges[index];
	return address >= range->address && address - range->address <= range->bytes &&
	       bytes <= range->bytes - (address - range->address);
}
