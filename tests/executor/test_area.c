/* SPDX-License-Identifier: Apache-2.0 */
/* Pinned memory of a virtual machine: parts of the channel's area. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

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
		cmocka_unit_test_setup_teardown(test_quota, setup, teardown),
		cmocka_unit_test(test_small_channel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
