/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is mapped into arrays: for honest guests, by what is charged, and for others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "peer.h"

#define ARRAY(index)  VGPU_ID(VGPU_KIND_ARRAY, index)
#define MIPMAP(index) VGPU_ID(VGPU_KIND_MIPMAPPED_ARRAY, index)
#define HANDLE(index) VGPU_ID(VGPU_KIND_MEMORY_HANDLE, index)

/* Of the array: four tiles by two. */
enum { WIDTH = 512, HEIGHT = 256, TILE = 128 };

#define MEMORY	(1u << 20)
#define NOTHING 4096u /* what an array takes that no memory is mapped to */

static struct peer peer;
static uint32_t context;

static int setup(void **state)
{
	(void)state;
	peer_open(&peer);
	context = peer_context_make(&peer, 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_false(peer_close(&peer).by_signal);
	return 0;
}

#define CALL(name, request) peer_call(&peer, VGPU_CALL_##name, context, &(request), sizeof(request))

static uint32_t array_make(uint32_t id, unsigned int flags)
{
	struct wire_cuArray3DCreate_v2 request = {.array = id,
						  .descriptor = {WIDTH, HEIGHT, 0, CU_AD_FORMAT_FLOAT, 1, flags}};

	return CALL(cuArray3DCreate_v2, request);
}

static uint32_t mipmap_make(uint32_t id)
{
	struct wire_cuMipmappedArrayCreate request = {
		.mipmap = id,
		.descriptor = {WIDTH, HEIGHT, 0, CU_AD_FORMAT_FLOAT, 1, CUDA_ARRAY3D_SPARSE},
		.levels = 3,
	};

	return CALL(cuMipmappedArrayCreate, request);
}

static uint32_t array_destroy(uint32_t id)
{
	struct wire_cuArrayDestroy request = {.array = id};

	return CALL(cuArrayDestroy, request);
}

static void memory_make(uint32_t id)
{
	struct wire_cuMemCreate request = {
		.handle = id, .size = MEMORY, .compression = CU_MEM_CREATE_USAGE_TILE_POOL << 16};

	assert_int_equal(CALL(cuMemCreate, request), CUDA_SUCCESS);
}

static void memory_release(uint32_t id)
{
	struct wire_cuMemRelease request = {.handle = id};

	assert_int_equal(CALL(cuMemRelease, request), CUDA_SUCCESS);
}

static uint32_t map_many(const struct vgpu_array_map *maps, size_t count)
{
	struct {
		struct wire_cuMemMapArrayAsync head;
		struct vgpu_array_map maps[4];
	} request = {.head.maps_bytes = (uint32_t)(count * sizeof(*maps))};

	memcpy(request.maps, maps, count * sizeof(*maps));
	return peer_call(&peer, VGPU_CALL_cuMemMapArrayAsync, context, &request,
			 sizeof(request.head) + count * sizeof(*maps));
}

/* Tiles in a row; no memory unmaps them. */
static struct vgpu_array_map row(uint32_t array, uint32_t tile, uint32_t count, uint32_t memory)
{
	return (struct vgpu_array_map){
		.resource = array,
		.at = {tile * TILE, 0, 0},
		.extent = {count * TILE, TILE, 1},
		.operation = memory ? CU_MEM_OPERATION_TYPE_MAP : CU_MEM_OPERATION_TYPE_UNMAP,
		.memory = memory,
		.device_mask = 1,
	};
}

static uint32_t map(struct vgpu_array_map operation)
{
	return map_many(&operation, 1);
}

/* What has been unmapped is noticed at the next call that could need it. */
static void charged(uint64_t bytes)
{
	struct wire_cuMemMapArrayAsync nothing = {.maps_bytes = sizeof(struct vgpu_array_map)};
	struct {
		struct wire_cuMemMapArrayAsync head;
		struct vgpu_array_map wrong;
	} request = {.head = nothing};

	assert_int_equal(CALL(cuMemMapArrayAsync, request), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(peer.counters->memory_bytes, bytes);
}

/* As long as one tile is mapped to it, in whatever array. */
static void memory_is_charged_while_mapped(void **state)
{
	(void)state;
	assert_int_equal(array_make(ARRAY(1), CUDA_ARRAY3D_SPARSE), CUDA_SUCCESS);
	assert_int_equal(array_make(ARRAY(2), CUDA_ARRAY3D_SPARSE), CUDA_SUCCESS);
	charged(2 * NOTHING);
	memory_make(HANDLE(1));
	memory_make(HANDLE(2));
	assert_int_equal(map(row(ARRAY(1), 0, 4, HANDLE(1))), CUDA_SUCCESS);
	assert_int_equal(map(row(ARRAY(2), 1, 1, HANDLE(1))), CUDA_SUCCESS);
	memory_release(HANDLE(1));
	charged(2 * MEMORY + 2 * NOTHING);
	assert_int_equal(map(row(ARRAY(1), 0, 3, 0)), CUDA_SUCCESS);
	assert_int_equal(map(row(ARRAY(2), 0, 4, 0)), CUDA_SUCCESS);
	charged(2 * MEMORY + 2 * NOTHING);
	/* The last tile of the first memory is mapped over. */
	assert_int_equal(map(row(ARRAY(1), 3, 1, HANDLE(2))), CUDA_SUCCESS);
	charged(MEMORY + 2 * NOTHING);
	memory_release(HANDLE(2));
	charged(MEMORY + 2 * NOTHING);
	assert_int_equal(array_destroy(ARRAY(1)), CUDA_SUCCESS);
	charged(NOTHING);
	assert_int_equal(array_destroy(ARRAY(2)), CUDA_SUCCESS);
	charged(0);
}

/* Both of a list, in its order. */
static void lists_are_done_in_order(void **state)
{
	struct vgpu_array_map maps[2];

	(void)state;
	assert_int_equal(array_make(ARRAY(1), CUDA_ARRAY3D_SPARSE), CUDA_SUCCESS);
	memory_make(HANDLE(1));
	maps[0] = row(ARRAY(1), 0, 1, HANDLE(1));
	maps[1] = row(ARRAY(1), 0, 1, 0);
	assert_int_equal(map_many(maps, 2), CUDA_SUCCESS);
	memory_release(HANDLE(1));
	charged(NOTHING);
	/* One that is wrong: nothing is done. */
	memory_make(HANDLE(1));
	maps[1].at[0] = WIDTH;
	assert_int_equal(map_many(maps, 2), CUDA_ERROR_INVALID_VALUE);
	memory_release(HANDLE(1));
	charged(NOTHING);
}

static void tails_and_whole_arrays(void **state)
{
	struct vgpu_array_map tail = row(MIPMAP(1), 0, 1, HANDLE(1));
	struct wire_cuMipmappedArrayDestroy destroy = {.mipmap = MIPMAP(1)};

	(void)state;
	assert_int_equal(mipmap_make(MIPMAP(1)), CUDA_SUCCESS);
	assert_int_equal(array_make(ARRAY(1), CUDA_ARRAY3D_DEFERRED_MAPPING), CUDA_SUCCESS);
	memory_make(HANDLE(1));
	tail.is_tail = 1;
	tail.tail_bytes = 65536;
	tail.tail_offset = 65536;
	assert_int_equal(map(tail), CUDA_SUCCESS);
	tail.tail_offset = 2 * 65536;
	assert_int_equal(map(tail), CUDA_ERROR_INVALID_VALUE);
	tail.tail_offset = UINT64_MAX - 65535;
	assert_int_equal(map(tail), CUDA_ERROR_INVALID_VALUE);
	tail.tail_offset = 0;
	tail.layer = 1;
	assert_int_equal(map(tail), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(map(row(ARRAY(1), 1000, 1, HANDLE(1))), CUDA_SUCCESS);
	memory_release(HANDLE(1));
	charged(MEMORY + 2 * NOTHING);
	assert_int_equal(CALL(cuMipmappedArrayDestroy, destroy), CUDA_SUCCESS);
	charged(MEMORY + NOTHING);
	assert_int_equal(map(row(ARRAY(1), 0, 1, 0)), CUDA_SUCCESS);
	charged(NOTHING);
}

static void operations_are_checked(void **state)
{
	struct vgpu_array_map good, bad;
	const struct wire_cuMemMapArrayAsync none = {.maps_bytes = 0};
	struct {
		struct wire_cuMemMapArrayAsync head;
		uint8_t bytes[72];
	} half = {.head.maps_bytes = 72};

	(void)state;
	assert_int_equal(array_make(ARRAY(1), CUDA_ARRAY3D_SPARSE), CUDA_SUCCESS);
	assert_int_equal(array_make(ARRAY(2), 0), CUDA_SUCCESS);
	assert_int_equal(mipmap_make(MIPMAP(1)), CUDA_SUCCESS);
	memory_make(HANDLE(1));
	good = row(ARRAY(1), 0, 4, HANDLE(1));
	assert_int_equal(map(good), CUDA_SUCCESS);
#define BAD(member, value)                                            \
	do {                                                          \
		bad = good;                                           \
		bad.member = (value);                                 \
		assert_int_equal(map(bad), CUDA_ERROR_INVALID_VALUE); \
	} while (0)
	BAD(resource, ARRAY(2));
	BAD(resource, ARRAY(3));
	BAD(resource, HANDLE(1));
	BAD(memory, HANDLE(2));
	BAD(memory, 0);
	BAD(memory, ARRAY(1));
	BAD(operation, 0);
	BAD(operation, 3);
	BAD(level, 1);
	BAD(level, UINT32_MAX);
	BAD(layer, 1);
	BAD(at[0], 1);
	BAD(at[0], UINT32_MAX - TILE + 1);
	BAD(at[1], HEIGHT);
	BAD(at[2], 1);
	BAD(extent[0], WIDTH + TILE);
	BAD(extent[0], 0);
	BAD(extent[1], UINT32_MAX);
	BAD(extent[2], UINT32_MAX);
	/* What the driver refuses leaves nothing behind. */
	BAD(offset, 1);
	BAD(device_mask, 3);
	assert_int_equal(CALL(cuMemMapArrayAsync, none), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(CALL(cuMemMapArrayAsync, half), CUDA_ERROR_INVALID_VALUE);
	memory_release(HANDLE(1));
	assert_int_equal(map(row(ARRAY(1), 0, 4, 0)), CUDA_SUCCESS);
	assert_int_equal(array_destroy(ARRAY(2)), CUDA_SUCCESS);
	charged(2 * NOTHING);
}

static void contexts_end_what_is_mapped(void **state)
{
	struct wire_cuCtxDestroy_v2 destroy = {.ctx = context};

	(void)state;
	assert_int_equal(array_make(ARRAY(1), CUDA_ARRAY3D_SPARSE), CUDA_SUCCESS);
	memory_make(HANDLE(1));
	assert_int_equal(map(row(ARRAY(1), 0, 4, HANDLE(1))), CUDA_SUCCESS);
	memory_release(HANDLE(1));
	assert_int_equal(CALL(cuCtxDestroy_v2, destroy), CUDA_SUCCESS);
	context = peer_context_make(&peer, 2);
	assert_int_equal(peer.counters->memory_bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(memory_is_charged_while_mapped, setup, teardown),
		cmocka_unit_test_setup_teardown(lists_are_done_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(tails_and_whole_arrays, setup, teardown),
		cmocka_unit_test_setup_teardown(operations_are_checked, setup, teardown),
		cmocka_unit_test_setup_teardown(contexts_end_what_is_mapped, setup, teardown),
	};

	return cmocka_run_group_tests_name("executor sparse", tests, NULL, NULL);
}
