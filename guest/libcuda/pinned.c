/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pinned host memory.  Where descriptors reach the executor it is a memory file
 * that both sides map at the same address, in a virtual machine a part of the
 * channel's area; where there is none (left), it is plain memory of the program, and
 * copies of it go through the windows.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "area.h"
#include "context.h"
#include "host_calls.h"
#include "memory.h"
#include "pinned.h"
#include "session.h"

#define PAGE_BYTES 4096u

/* Addresses that are free here may be taken in the executor. */
#define ATTEMPTS_MAX  24
#define ATTEMPTS_NEXT 8 /* so many lie next to each other, later ones ever farther off */
#define DISTANCE_MIN  ((size_t)1 << 20)

/* The executor takes the next descriptor of the pass socket for each request. */
static pthread_mutex_t pass_mutex = PTHREAD_MUTEX_INITIALIZER;

static size_t page_round(size_t bytes)
{
	return (bytes + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1);
}

int pinned_file_make(size_t bytes)
{
	int fd = memfd_create("vgpu-pinned", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -1;
	/* The executor wants to be sure that its mapping stays backed. */
	if (ftruncate(fd, (off_t)bytes) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

CUresult pinned_request(uint16_t opcode, int fd, const void *request, size_t bytes, uint32_t context)
{
	const struct call_piece pieces[] = {{request, bytes}};
	CUresult result;

	if (fd < 0)
		return call_wait(opcode, context, pieces, 1, NULL, 0, NULL);
	pthread_mutex_lock(&pass_mutex);
	if (transport_pass(session.channel->transport, fd) < 0)
		result = channel_lost(session.channel) ? channel_lost_result(session.channel)
						       : CUDA_ERROR_OPERATING_SYSTEM;
	else
		result = call_wait(opcode, context, pieces, 1, NULL, 0, NULL);
	pthread_mutex_unlock(&pass_mutex);
	return result;
}

/* Has the executor register it; 'fd' -1: a part of the area. */
static CUresult memory_share(int fd, void *address, size_t bytes, uint32_t context)
{
	struct vgpu_host_map request = {
		.address = (uintptr_t)address,
		.bytes = bytes,
		.register_flags = CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP,
	};

	return pinned_request(VGPU_OPCODE_HOST_MAP, fd, &request, sizeof(request), context);
}

/*
 * Where the next attempt is to lie, NULL: wherever. What graphs name keeps its addresses in the executor when the
 * program has freed it, and there may be any number of such ranges side by side.
 */
static void *attempt_hint(void *const *refused, int count, size_t bytes)
{
	uintptr_t below = count < ATTEMPTS_NEXT ? 0 : (uintptr_t)refused[count - 1];
	size_t distance = bytes < DISTANCE_MIN ? DISTANCE_MIN : bytes;

	if (!below || __builtin_mul_overflow(distance, (size_t)1 << (count - ATTEMPTS_NEXT), &distance) ||
	    distance >= below)
		return NULL;
	return (void *)(below - distance);
}

/* Maps the file somewhere that is free on both sides. */
static CUresult file_map(int fd, size_t bytes, uint32_t context, void **ret_address)
{
	void *refused[ATTEMPTS_MAX];
	void *address = NULL;
	int count = 0;
	CUresult result = CUDA_ERROR_OUT_OF_MEMORY;

	while (count < ATTEMPTS_MAX) {
		address = mmap(attempt_hint(refused, count, bytes), bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (address == MAP_FAILED) {
			result = CUDA_ERROR_OUT_OF_MEMORY;
			break;
		}
		result = memory_share(fd, address, bytes, context);
		if (!result)
			break;
		/* Kept for now, so that the next attempt lies elsewhere. */
		refused[count++] = address;
		if (result != CUDA_ERROR_ALREADY_MAPPED)
			break;
	}
	for (int i = 0; i < count; i++)
		munmap(refused[i], bytes);
	if (!result)
		*ret_address = address;
	return result == CUDA_ERROR_ALREADY_MAPPED ? CUDA_ERROR_OUT_OF_MEMORY : result;
}

static CUresult area_allocate(size_t bytes, uint32_t context, void **ret_address)
{
	CUresult result = area_open(context);
	void *address;

	if (result)
		return result;
	address = area_take(bytes);
	if (!address)
		return CUDA_ERROR_OUT_OF_MEMORY;
	result = memory_share(-1, address, bytes, context);
	if (result)
		area_give(address, bytes);
	else
		*ret_address = address;
	return result;
}

CUresult pinned_allocate(size_t bytes, uint32_t context, void **ret_address)
{
	size_t whole = page_round(bytes);
	CUresult result;
	int fd;

	if (!(session.features & VGPU_FEATURE_HOST_MAP))
		return area_allocate(whole, context, ret_address);
	fd = pinned_file_make(whole);
	if (fd < 0)
		return errno == EMFILE || errno == ENFILE ? CUDA_ERROR_OPERATING_SYSTEM : CUDA_ERROR_OUT_OF_MEMORY;
	result = file_map(fd, whole, context, ret_address);
	close(fd);
	return result;
}

static CUresult plain_allocate(size_t bytes, void **ret_address)
{
	void *address = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (address == MAP_FAILED)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*ret_address = address;
	return CUDA_SUCCESS;
}

CUresult pinned_free(const struct memory_range *range, uint32_t context)
{
	struct vgpu_host_unmap request = {.address = range->address};
	const struct call_piece pieces[] = {{&request, sizeof(request)}};
	bool is_shared = memory_kind_is_shared(range->kind);
	CUresult result = CUDA_SUCCESS;

	/* The driver waits for the device, and the program sees that; the next one may get the pages at once. */
	if (is_shared)
		result = call_wait(VGPU_OPCODE_HOST_UNMAP, context, pieces, 1, NULL, 0, NULL);
	if (!is_shared || session.features & VGPU_FEATURE_HOST_MAP)
		munmap((void *)(uintptr_t)range->address, page_round((size_t)range->bytes));
	else if (!result)
		area_give((void *)(uintptr_t)range->address, (size_t)range->bytes);
	return result;
}

#define ALLOCATION_FLAGS (CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_WRITECOMBINED)

/* In a virtual machine more can be had than its area holds, or the driver registers; the device just does not see it.
 */
static bool is_for_lack_of_area(CUresult result)
{
	return !(session.features & VGPU_FEATURE_HOST_MAP) &&
	       (result == CUDA_ERROR_OUT_OF_MEMORY || result == CUDA_ERROR_MAP_FAILED ||
		result == CUDA_ERROR_NOT_SUPPORTED || result == CUDA_ERROR_INVALID_VALUE);
}

API(cuMemHostAlloc, void **pointer, size_t bytes, unsigned int flags)
{
	struct memory_range range = {.bytes = bytes, .flags = flags};
	void *address = NULL;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &range.context);

	if (result)
		return result;
	if (!pointer || bytes > PINNED_BYTES_MAX || (flags & ~(unsigned int)ALLOCATION_FLAGS))
		return CUDA_ERROR_INVALID_VALUE;
	/* As the driver has it (580.159.04): there is nothing, and cuMemFreeHost() takes it. */
	if (bytes == 0) {
		*pointer = NULL;
		return CUDA_SUCCESS;
	}
	range.kind = MEMORY_PINNED;
	result = session_shares_memory() ? pinned_allocate(bytes, range.context, &address) : CUDA_ERROR_OUT_OF_MEMORY;
	if (is_for_lack_of_area(result)) {
		range.kind = MEMORY_PLAIN;
		result = plain_allocate(page_round(bytes), &address);
	}
	if (result)
		return result;
	range.address = (uintptr_t)address;
	range.device = (CUdevice)thread_state.current->words[CONTEXT_DEVICE];
	result = memory_note(&range);
	if (result) {
		(void)pinned_free(&range, range.context);
		return result;
	}
	*pointer = address;
	return CUDA_SUCCESS;
}

/* Mapped into the device's address space where that is possible, as under unified addressing. */
API(cuMemAllocHost_v2, void **pointer, size_t bytes)
{
	return cuMemHostAlloc(pointer, bytes, CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP);
}

API(cuMemAllocHost, void **pointer, unsigned int bytes)
{
	return cuMemAllocHost_v2(pointer, bytes);
}

API(cuMemFreeHost, void *pointer)
{
	struct memory_range range;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result || !pointer)
		return result;
	if (!memory_remove((uintptr_t)pointer, 1u << MEMORY_PINNED | 1u << MEMORY_PLAIN, &range))
		return CUDA_ERROR_INVALID_VALUE;
	return pinned_free(&range, context);
}

static CUresult host_range_find(const void *pointer, const void *answer, struct memory_range *ret_range)
{
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	if (!answer || !memory_lookup((uintptr_t)pointer, ret_range) || memory_kind_is_device(ret_range->kind) ||
	    ret_range->kind == MEMORY_MANAGED)
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

API(cuMemHostGetDevicePointer_v2, CUdeviceptr *device, void *pointer, unsigned int flags)
{
	struct memory_range range;
	CUresult result = host_range_find(pointer, device, &range);

	if (result)
		return result;
	if (flags)
		return CUDA_ERROR_INVALID_VALUE;
	/* The device does not see what the executor has not mapped. */
	if (!memory_kind_is_shared(range.kind))
		return CUDA_ERROR_NOT_SUPPORTED;
	*device = (uintptr_t)pointer;
	return CUDA_SUCCESS;
}

API(cuMemHostGetFlags, unsigned int *flags, void *pointer)
{
	struct memory_range range;
	CUresult result = host_range_find(pointer, flags, &range);

	if (!result)
		*flags = range.flags;
	return result;
}
