/* SPDX-License-Identifier: Apache-2.0 */
/* Pinned memory of a virtual machine, parts of the channel's area, and memory that the guest has already. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "peer.h"
#include "vgpu_api_wire.h"

#define AREA_BYTES (4u << 20)
#define ADDRESS	   0x300000000000ull

static struct peer peer;
static uint32_t context;

static int setup(void **state)
{
	(void)state;
	peer_open_machine(&peer, VGPU_CHANNEL_BYTES_WINDOWS + AREA_BYTES);
	context = peer_context_make(&peer, 1);
	return 0;
}

static int teardown(void **state)
{
	struct peer_end end;

	(void)state;
	if (!peer.process)
		return 0;
	end = peer_close(&peer);
	return end.by_signal || end.status != 0;
}

static uint32_t area_call(uint64_t address)
{
	struct vgpu_host_area request = {.address = address};

	return peer_call(&peer, VGPU_OPCODE_HOST_AREA, context, &request, sizeof(request));
}

static uint32_t map_call(uint64_t address, uint64_t bytes)
{
	struct vgpu_host_map request = {.address = address, .bytes = bytes};

	return peer_call(&peer, VGPU_OPCODE_HOST_MAP, context, &request, sizeof(request));
}

static uint32_t unmap_call(uint64_t address)
{
	struct vgpu_host_unmap request = {.address = address};

	return peer_call(&peer, VGPU_OPCODE_HOST_UNMAP, context, &request, sizeof(request));
}

static uint64_t allocate(uint64_t bytes)
{
	struct wire_cuMemAlloc_v2 request = {.bytesize = bytes};
	struct wire_cuMemAlloc_v2_reply reply;

	assert_int_equal(peer_call(&peer, VGPU_CALL_cuMemAlloc_v2, context, &request, sizeof(request)), CUDA_SUCCESS);
	memcpy(&reply, peer.reply, sizeof(reply));
	return reply.dptr;
}

static uint32_t copy_up(uint64_t device, uint64_t host, uint64_t bytes)
{
	struct wire_cuMemcpyHtoDAsync_v2 request = {.dstDevice = device, .srcHost = host, .ByteCount = bytes};

	return peer_call(&peer, VGPU_CALL_cuMemcpyHtoDAsync_v2, context, &request, sizeof(request));
}

static void test_copies(void **state)
{
	struct vgpu_download_inline down = {.bytes = 100};
	uint8_t *area = peer.channel + peer.header->area_offset;
	uint64_t device = allocate(8192);

	(void)state;
	assert_int_equal(peer.header->area_bytes, AREA_BYTES);
	assert_int_equal(area_call(ADDRESS), CUDA_SUCCESS);
	assert_int_equal(map_call(ADDRESS + 4096, 8192), CUDA_SUCCESS);
	assert_int_equal(peer.counters->pinned_bytes, 8192);
	memset(area + 4096, 'x', 8192);
	assert_int_equal(copy_up(device, ADDRESS + 5000, 100), CUDA_SUCCESS);
	down.source = device;
	assert_int_equal(peer_call(&peer, VGPU_OPCODE_DOWNLOAD_INLINE, context, &down, sizeof(down)), CUDA_SUCCESS);
	assert_memory_equal(peer.reply, area + 4096, 100);
	assert_int_equal(unmap_call(ADDRESS + 4096), CUDA_SUCCESS);
	assert_int_equal(peer.counters->pinned_bytes, 0);
	/* It can be pinned again, in other pieces. */
	assert_int_equal(map_call(ADDRESS, AREA_BYTES), CUDA_SUCCESS);
	assert_int_equal(copy_up(device, ADDRESS + AREA_BYTES - 8192, 8192), CUDA_SUCCESS);
}

/* Where something of the executor's own lies. */
static uint64_t executor_address(void)
{
	unsigned long long address = 0;
	char path[32];
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)peer.process);
	maps = fopen(path, "r");
	assert_non_null(maps);
	assert_int_equal(fscanf(maps, "%llx", &address), 1);
	fclose(maps);
	return address;
}

static void test_refused(void **state)
{
	uint64_t device = allocate(8192);

	(void)state;
	/* Before there is an address nothing can be pinned. */
	assert_int_equal(map_call(ADDRESS, 4096), CUDA_ERROR_NOT_SUPPORTED);
	assert_int_equal(area_call(ADDRESS + 1), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(area_call(0), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(area_call(UINT64_MAX & ~4095ull), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(area_call(executor_address()), CUDA_ERROR_ALREADY_MAPPED);
	assert_int_equal(area_call(ADDRESS), CUDA_SUCCESS);
	assert_int_equal(area_call(ADDRESS + (1ull << 30)), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(map_call(ADDRESS - 4096, 4096), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(map_call(ADDRESS, AREA_BYTES + 4096), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(map_call(ADDRESS + AREA_BYTES, 4096), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(map_call(ADDRESS + 8192, UINT64_MAX & ~4095ull), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(map_call(ADDRESS + 8192, 8192), CUDA_SUCCESS);
	/* Not twice, nor overlapping. */
	assert_int_equal(map_call(ADDRESS + 8192, 8192), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(map_call(ADDRESS + 4096, 8192), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(map_call(ADDRESS + 12288, 4096), CUDA_ERROR_INVALID_VALUE);
	/* Only what is pinned is named by address. */
	assert_int_equal(copy_up(device, ADDRESS + 4096, 8192), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(unmap_call(ADDRESS), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
}

static uint32_t place_call(uint64_t address, uint64_t bytes, uint64_t offset)
{
	struct vgpu_host_place request = {.address = address, .bytes = bytes, .area_offset = offset};

	return peer_call(&peer, VGPU_OPCODE_HOST_PLACE, context, &request, sizeof(request));
}

static uint32_t pin_call(uint64_t address)
{
	struct vgpu_host_pin request = {.address = address};

	return peer_call(&peer, VGPU_OPCODE_HOST_PIN, context, &request, sizeof(request));
}

/* Parts of the area at addresses where the guest has memory already. */
static void test_placed(void **state)
{
	struct vgpu_download_inline down = {.bytes = 100};
	uint8_t *area = peer.channel + peer.header->area_offset;
	uint64_t device = allocate(8192);
	uint64_t place = ADDRESS + (1ull << 32);

	(void)state;
	assert_int_equal(pin_call(place), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
	assert_int_equal(place_call(place, 8192, 4096), CUDA_SUCCESS);
	assert_int_equal(peer.counters->pinned_bytes, 8192);
	memset(area + 4096, 'x', 8192);
	assert_int_equal(pin_call(place + 4096), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
	assert_int_equal(pin_call(place), CUDA_SUCCESS);
	assert_int_equal(pin_call(place), CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
	memset(area + 8192, 'y', 50);
	assert_int_equal(copy_up(device, place + 4096 - 50, 100), CUDA_SUCCESS);
	down.source = device;
	assert_int_equal(peer_call(&peer, VGPU_OPCODE_DOWNLOAD_INLINE, context, &down, sizeof(down)), CUDA_SUCCESS);
	assert_memory_equal(peer.reply, area + 8192 - 50, 100);
	/* The area itself is at another address. */
	assert_int_equal(area_call(ADDRESS), CUDA_SUCCESS);
	assert_int_equal(map_call(ADDRESS + 16384, 8192), CUDA_SUCCESS);
	assert_int_equal(unmap_call(place), CUDA_SUCCESS);
	assert_int_equal(peer.counters->pinned_bytes, 8192);
	assert_int_equal(copy_up(device, place, 100), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(unmap_call(place), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
	/* What was never pinned is given back as well. */
	assert_int_equal(place_call(place, 4096, 0), CUDA_SUCCESS);
	assert_int_equal(unmap_call(place), CUDA_SUCCESS);
	assert_int_equal(place_call(place, 4096, 0), CUDA_SUCCESS);
}

static void test_placed_refused(void **state)
{
	uint64_t place = ADDRESS + (1ull << 32);

	(void)state;
	assert_int_equal(place_call(place, AREA_BYTES + 4096, 0), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(place_call(place, 4096, AREA_BYTES), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(place_call(place, 4096, UINT64_MAX & ~4095ull), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(place_call(place, 4096, 5), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(place_call(place, 0, 0), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(place_call(place + 1, 4096, 0), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(place_call(UINT64_MAX & ~4095ull, 4096, 0), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(place_call(executor_address(), 4096, 0), CUDA_ERROR_ALREADY_MAPPED);
	assert_int_equal(place_call(place, 8192, 0), CUDA_SUCCESS);
	assert_int_equal(place_call(place + 4096, 8192, 8192), CUDA_ERROR_ALREADY_MAPPED);
	peer.permit->limits.pinned_bytes = 12288;
	assert_int_equal(place_call(place + 8192, 8192, 0), CUDA_ERROR_OUT_OF_MEMORY);
	assert_int_equal(peer.counters->pinned_bytes, 8192);
	assert_int_equal(place_call(place + 8192, 4096, 0), CUDA_SUCCESS);
}

/* The same from a local process, which brings a file. */
static void test_placed_file(void **state)
{
	struct peer local;
	struct vgpu_host_place place = {.address = 0x300000000000, .bytes = 8192};
	struct vgpu_host_pin pin = {.address = place.address};
	struct vgpu_host_unmap unmap = {.address = place.address};
	struct wire_cuMemcpyHtoDAsync_v2 copy = {.srcHost = place.address, .ByteCount = 100};
	struct vgpu_download_inline down = {.bytes = 100};
	struct wire_cuMemAlloc_v2 allocation = {.bytesize = 8192};
	int file = memfd_create("pinned", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char bytes[100];

	(void)state;
	peer_open(&local);
	context = peer_context_make(&local, 1);
	assert_int_equal(peer_call(&local, VGPU_CALL_cuMemAlloc_v2, context, &allocation, sizeof(allocation)),
			 CUDA_SUCCESS);
	copy.dstDevice = down.source = ((struct wire_cuMemAlloc_v2_reply *)(void *)local.reply)->dptr;
	memset(bytes, 'x', sizeof(bytes));
	assert_int_equal(ftruncate(file, 8192), 0);
	assert_true(peer_descriptor_pass(&local, file));
	assert_int_equal(peer_call(&local, VGPU_OPCODE_HOST_PLACE, context, &place, sizeof(place)),
			 CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	assert_true(peer_descriptor_pass(&local, file));
	assert_int_equal(peer_call(&local, VGPU_OPCODE_HOST_PLACE, context, &place, sizeof(place)), CUDA_SUCCESS);
	assert_int_equal(local.counters->pinned_bytes, 8192);
	assert_int_equal(pwrite(file, bytes, sizeof(bytes), 0), sizeof(bytes));
	pin.register_flags = 0x100;
	assert_int_equal(peer_call(&local, VGPU_OPCODE_HOST_PIN, context, &pin, sizeof(pin)), CUDA_ERROR_INVALID_VALUE);
	pin.register_flags = CU_MEMHOSTREGISTER_DEVICEMAP;
	assert_int_equal(peer_call(&local, VGPU_OPCODE_HOST_PIN, context, &pin, sizeof(pin)), CUDA_SUCCESS);
	assert_true(peer_post(&local, VGPU_CALL_cuMemcpyHtoDAsync_v2, 0, context, &copy, sizeof(copy)));
	assert_int_equal(peer_call(&local, VGPU_OPCODE_DOWNLOAD_INLINE, context, &down, sizeof(down)), CUDA_SUCCESS);
	assert_memory_equal(local.reply, bytes, sizeof(bytes));
	assert_int_equal(peer_call(&local, VGPU_OPCODE_HOST_UNMAP, context, &unmap, sizeof(unmap)), CUDA_SUCCESS);
	assert_int_equal(local.counters->pinned_bytes, 0);
	close(file);
	assert_int_equal(peer_close(&local).status, 0);
}

static void test_quota(void **state)
{
	(void)state;
	peer.permit->limits.pinned_bytes = 8192;
	assert_int_equal(area_call(ADDRESS), CUDA_SUCCESS);
	assert_int_equal(map_call(ADDRESS, 12288), CUDA_ERROR_OUT_OF_MEMORY);
	assert_int_equal(map_call(ADDRESS, 8192), CUDA_SUCCESS);
}

static void test_small_channel(void **state)
{
	struct peer small;
	struct vgpu_host_area request = {.address = ADDRESS};

	(void)state;
	peer_open_machine(&small, VGPU_CHANNEL_BYTES_WINDOWS);
	assert_int_equal(small.header->area_bytes, 0);
	assert_int_equal(peer_call(&small, VGPU_OPCODE_HOST_AREA, 0, &request, sizeof(request)),
			 CUDA_ERROR_NOT_SUPPORTED);
	assert_int_equal(peer_close(&small).status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_copies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_placed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_placed_refused, setup, teardown),
		cmocka_unit_test(test_placed_file),
		cmocka_unit_test_setup_teardown(test_quota, setup, teardown),
		cmocka_unit_test(test_small_channel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
