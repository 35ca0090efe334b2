/* SPDX-License-Identifier: Apache-2.0 */
/* The executor's arrays, textures and surfaces, for honest guests and others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "peer.h"

#define ARRAY(index)   VGPU_ID(VGPU_KIND_ARRAY, index)
#define MIPMAP(index)  VGPU_ID(VGPU_KIND_MIPMAPPED_ARRAY, index)
#define TEXTURE(index) VGPU_ID(VGPU_KIND_TEXTURE, index)
#define SURFACE(index) VGPU_ID(VGPU_KIND_SURFACE, index)

enum { WIDTH = 20, HEIGHT = 10 };

static struct peer peer;
static uint32_t context;

static const CUDA_ARRAY3D_DESCRIPTOR plane = {
	.Width = WIDTH,
	.Height = HEIGHT,
	.Format = CU_AD_FORMAT_FLOAT,
	.NumChannels = 1,
	.Flags = CUDA_ARRAY3D_SURFACE_LDST,
};

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
	if (peer.process)
		assert_false(peer_close(&peer).by_signal);
	return 0;
}

#define CALL(name, request) peer_call(&peer, VGPU_CALL_##name, context, &(request), sizeof(request))

static uint32_t array_create(uint32_t id, const CUDA_ARRAY3D_DESCRIPTOR *descriptor)
{
	struct wire_cuArray3DCreate_v2 request = {.array = id, .descriptor = *descriptor};

	return CALL(cuArray3DCreate_v2, request);
}

static uint32_t array_destroy(uint32_t id)
{
	struct wire_cuArrayDestroy request = {.array = id};

	return CALL(cuArrayDestroy, request);
}

static void handles_are_checked(void **state)
{
	CUDA_ARRAY3D_DESCRIPTOR huge = plane;
	struct wire_cuArray3DCreate_v2_reply reply;

	(void)state;
	assert_int_equal(array_create(ARRAY(1), &plane), CUDA_SUCCESS);
	memcpy(&reply, peer.reply, sizeof(reply));
	assert_int_equal(reply.Width, WIDTH);
	assert_int_equal(reply.Flags, CUDA_ARRAY3D_SURFACE_LDST);
	/* 80 bytes by 10 rows, in whole blocks. */
	assert_int_equal(peer.counters->memory_bytes, 128 * 16);
	/* Minted twice, of another kind, beyond the cap. */
	assert_int_equal(array_create(ARRAY(1), &plane), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(array_create(MIPMAP(1), &plane), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(array_create(ARRAY(VGPU_ID_INDEX_MAX), &plane), CUDA_ERROR_OUT_OF_MEMORY);
	/* Extents whose product wraps around. */
	huge.Width = huge.Height = huge.Depth = 1ull << 22;
	assert_int_not_equal(array_create(ARRAY(2), &huge), CUDA_SUCCESS);
	huge.Width = UINT64_MAX;
	assert_int_equal(array_create(ARRAY(2), &huge), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(array_destroy(ARRAY(2)), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(array_destroy(ARRAY(1)), CUDA_SUCCESS);
	assert_int_equal(array_destroy(ARRAY(1)), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(peer.counters->memory_bytes, 0);
}

/* A level ends with its mipmapped array, and by nothing else. */
static void levels_end_with_their_mipmap(void **state)
{
	struct wire_cuMipmappedArrayCreate create = {.mipmap = MIPMAP(1), .descriptor = plane, .levels = 3};
	struct wire_cuMipmappedArrayGetLevel level = {.array = ARRAY(1), .mipmap = MIPMAP(1), .level = 1};
	struct wire_cuMipmappedArrayDestroy destroy = {.mipmap = MIPMAP(1)};
	struct wire_cuMipmappedArrayGetLevel_reply reply;

	(void)state;
	assert_int_equal(CALL(cuMipmappedArrayGetLevel, level), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(CALL(cuMipmappedArrayCreate, create), CUDA_SUCCESS);
	assert_int_equal(CALL(cuMipmappedArrayGetLevel, level), CUDA_SUCCESS);
	memcpy(&reply, peer.reply, sizeof(reply));
	assert_int_equal(reply.Width, WIDTH / 2);
	assert_int_equal(reply.Height, HEIGHT / 2);
	assert_int_equal(array_destroy(ARRAY(1)), CUDA_ERROR_INVALID_HANDLE);
	level.array = ARRAY(2);
	level.level = 1u << 31;
	assert_int_equal(CALL(cuMipmappedArrayGetLevel, level), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(CALL(cuMipmappedArrayDestroy, destroy), CUDA_SUCCESS);
	assert_int_equal(CALL(cuMipmappedArrayDestroy, destroy), CUDA_ERROR_INVALID_HANDLE);
	/* The level's id is free: what it named is gone. */
	assert_int_equal(array_create(ARRAY(1), &plane), CUDA_SUCCESS);
}

static void textures_name_what_there_is(void **state)
{
	struct wire_cuTexObjectCreate create = {
		.texture = TEXTURE(1), .resource_type = CU_RESOURCE_TYPE_ARRAY, .resource = ARRAY(1)};
	struct wire_cuSurfObjectCreate surface = {.surface = SURFACE(1), .array = ARRAY(1)};
	struct wire_cuTexObjectDestroy destroy = {.texture = TEXTURE(1)};
	struct wire_cuSurfObjectDestroy destroy_surface = {.surface = SURFACE(1)};

	(void)state;
	memset(create.description.reserved, 0x55, sizeof(create.description.reserved));
	assert_int_equal(CALL(cuTexObjectCreate, create), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(CALL(cuSurfObjectCreate, surface), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(array_create(ARRAY(1), &plane), CUDA_SUCCESS);
	/* An array's id does not stand for a mipmapped array. */
	create.resource_type = CU_RESOURCE_TYPE_MIPMAPPED_ARRAY;
	assert_int_equal(CALL(cuTexObjectCreate, create), CUDA_ERROR_INVALID_HANDLE);
	create.resource_type = 77;
	assert_int_equal(CALL(cuTexObjectCreate, create), CUDA_ERROR_INVALID_VALUE);
	create.resource_type = CU_RESOURCE_TYPE_ARRAY;
	assert_int_equal(CALL(cuTexObjectCreate, create), CUDA_SUCCESS);
	assert_int_equal(CALL(cuTexObjectCreate, create), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(CALL(cuSurfObjectCreate, surface), CUDA_SUCCESS);
	assert_int_equal(CALL(cuTexObjectDestroy, destroy), CUDA_SUCCESS);
	assert_int_equal(CALL(cuTexObjectDestroy, destroy), CUDA_ERROR_INVALID_HANDLE);
	destroy.texture = SURFACE(1);
	assert_int_equal(CALL(cuTexObjectDestroy, destroy), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(CALL(cuSurfObjectDestroy, destroy_surface), CUDA_SUCCESS);
	assert_int_equal(array_destroy(ARRAY(1)), CUDA_SUCCESS);
	assert_int_equal(CALL(cuTexObjectCreate, create), CUDA_ERROR_INVALID_HANDLE);
}

/* Addresses of this side mean nothing there, unless they are mapped; extents wrap around. */
static void boxes_are_checked(void **state)
{
	struct wire_cuMemcpy3DAsync_v2 request = {.dstArray = ARRAY(1)};
	CUDA_MEMCPY3D *copy = &request.copy;
	char local[64];

	(void)state;
	assert_int_equal(array_create(ARRAY(1), &plane), CUDA_SUCCESS);
	copy->dstMemoryType = CU_MEMORYTYPE_ARRAY;
	copy->srcMemoryType = CU_MEMORYTYPE_HOST;
	copy->srcHost = local;
	copy->srcPitch = copy->WidthInBytes = 16;
	copy->srcHeight = copy->Height = copy->Depth = 1;
	assert_int_equal(CALL(cuMemcpy3DAsync_v2, request), CUDA_ERROR_INVALID_VALUE);
	copy->srcZ = UINT64_MAX;
	assert_int_equal(CALL(cuMemcpy3DAsync_v2, request), CUDA_ERROR_INVALID_VALUE);
	copy->srcZ = 0;
	copy->srcPitch = UINT64_MAX;
	copy->Height = 3;
	assert_int_equal(CALL(cuMemcpy3DAsync_v2, request), CUDA_ERROR_INVALID_VALUE);
	copy->srcMemoryType = CU_MEMORYTYPE_UNIFIED;
	copy->srcDevice = (uintptr_t)local;
	assert_int_equal(CALL(cuMemcpy3DAsync_v2, request), CUDA_ERROR_INVALID_VALUE);
	copy->srcMemoryType = CU_MEMORYTYPE_ARRAY;
	copy->srcArray = (CUarray)(uintptr_t)0x1234;
	assert_int_equal(CALL(cuMemcpy3DAsync_v2, request), CUDA_ERROR_INVALID_HANDLE);
	/* Within itself, but over its edge. */
	request.srcArray = ARRAY(1);
	copy->srcPitch = 0;
	copy->dstY = HEIGHT - 1;
	assert_int_equal(CALL(cuMemcpy3DAsync_v2, request), CUDA_ERROR_INVALID_VALUE);
	copy->dstY = UINT64_MAX - 1;
	assert_int_equal(CALL(cuMemcpy3DAsync_v2, request), CUDA_ERROR_INVALID_VALUE);
	copy->dstY = 4;
	copy->Height = 2;
	assert_int_equal(CALL(cuMemcpy3DAsync_v2, request), CUDA_SUCCESS);
}

static void texels_go_through_the_windows(void **state)
{
	struct vgpu_array_upload up = {.rows = {.array = ARRAY(1), .x_bytes = 8, .width_bytes = 32, .y = 3, .rows = 5}};
	struct vgpu_array_download down = {.rows = up.rows, .window_offset = 4096};

	(void)state;
	assert_int_equal(array_create(ARRAY(1), &plane), CUDA_SUCCESS);
	for (size_t i = 0; i < 160; i++)
		peer.channel[peer.header->upload_offset + i] = (uint8_t)(i + 1);
	assert_int_equal(peer_call(&peer, VGPU_OPCODE_ARRAY_UPLOAD, context, &up, sizeof(up)), CUDA_SUCCESS);
	assert_int_equal(peer_call(&peer, VGPU_OPCODE_ARRAY_DOWNLOAD, context, &down, sizeof(down)), CUDA_SUCCESS);
	for (size_t i = 0; i < 160; i++)
		assert_int_equal(peer.channel[peer.header->download_offset + 4096 + i], (uint8_t)(i + 1));
	/* Over the array's edge, or of none: an error, and the window goes on. */
	up.window_position = 160;
	up.rows.rows = HEIGHT;
	assert_int_equal(peer_call(&peer, VGPU_OPCODE_ARRAY_UPLOAD, context, &up, sizeof(up)),
			 CUDA_ERROR_INVALID_VALUE);
	up.window_position = 480;
	up.rows.array = MIPMAP(1);
	assert_int_equal(peer_call(&peer, VGPU_OPCODE_ARRAY_UPLOAD, context, &up, sizeof(up)),
			 CUDA_ERROR_INVALID_HANDLE);
	up.window_position = 800;
	up.rows = down.rows;
	assert_int_equal(peer_call(&peer, VGPU_OPCODE_ARRAY_UPLOAD, context, &up, sizeof(up)), CUDA_SUCCESS);
	down.rows.z = UINT32_MAX;
	assert_int_equal(peer_call(&peer, VGPU_OPCODE_ARRAY_DOWNLOAD, context, &down, sizeof(down)),
			 CUDA_ERROR_INVALID_VALUE);
}

static void protocol_end_check(const char *what)
{
	struct peer_end end = peer_wait(&peer);

	if (end.by_signal || end.message != VGPU_CONTROL_EXECUTOR_FAULT || end.error != VGPU_ERROR_PROTOCOL)
		fail_msg("%s: the executor ended with %s %d (%s)", what, end.by_signal ? "signal" : "status",
			 end.status, end.text);
}

static void windows_out_of_range(void **state)
{
	static const struct vgpu_array_upload uploads[] = {
		{.rows = {.array = ARRAY(1), .width_bytes = 1ull << 40, .rows = 1}},
		{.rows = {.array = ARRAY(1), .width_bytes = 1ull << 60, .rows = 1u << 31}},
		{.rows = {.array = ARRAY(1), .width_bytes = 4, .rows = 1}, .window_position = UINT64_MAX - 1},
		{.rows = {.array = ARRAY(1), .rows = 1}},
	};
	static const struct vgpu_array_download downloads[] = {
		{.rows = {.array = ARRAY(1), .width_bytes = 4, .rows = 1}, .window_offset = UINT64_MAX - 1},
		{.rows = {.array = ARRAY(1), .width_bytes = 1ull << 60, .rows = 1u << 31}},
		{.rows = {.array = ARRAY(1), .width_bytes = 1ull << 40, .rows = 1}},
	};

	(void)state;
	peer_close(&peer);
	for (size_t i = 0; i < sizeof(uploads) / sizeof(uploads[0]); i++) {
		setup(NULL);
		assert_int_equal(array_create(ARRAY(1), &plane), CUDA_SUCCESS);
		assert_true(peer_post(&peer, VGPU_OPCODE_ARRAY_UPLOAD, 0, context, &uploads[i], sizeof(uploads[i])));
		protocol_end_check("upload");
	}
	for (size_t i = 0; i < sizeof(downloads) / sizeof(downloads[0]); i++) {
		setup(NULL);
		assert_int_equal(array_create(ARRAY(1), &plane), CUDA_SUCCESS);
		assert_true(peer_post(&peer, VGPU_OPCODE_ARRAY_DOWNLOAD, VGPU_FLAG_REPLY, context, &downloads[i],
				      sizeof(downloads[i])));
		protocol_end_check("download");
	}
	setup(NULL);
	assert_true(peer_post(&peer, VGPU_OPCODE_ARRAY_UPLOAD, 0, context, &uploads[0], sizeof(uploads[0]) - 8));
	protocol_end_check("half an upload");
}

/* With a context ends what was made in it. */
static void contexts_end_their_arrays(void **state)
{
	struct wire_cuTexObjectCreate create = {
		.texture = TEXTURE(1), .resource_type = CU_RESOURCE_TYPE_ARRAY, .resource = ARRAY(1)};
	struct wire_cuCtxDestroy_v2 destroy = {.ctx = context};
	struct wire_cuTexObjectDestroy destroy_texture = {.texture = TEXTURE(1)};

	(void)state;
	assert_int_equal(array_create(ARRAY(1), &plane), CUDA_SUCCESS);
	assert_int_equal(CALL(cuTexObjectCreate, create), CUDA_SUCCESS);
	assert_int_equal(CALL(cuCtxDestroy_v2, destroy), CUDA_SUCCESS);
	context = peer_context_make(&peer, 2);
	assert_int_equal(array_destroy(ARRAY(1)), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(CALL(cuTexObjectDestroy, destroy_texture), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(peer.counters->memory_bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(handles_are_checked, setup, teardown),
		cmocka_unit_test_setup_teardown(levels_end_with_their_mipmap, setup, teardown),
		cmocka_unit_test_setup_teardown(textures_name_what_there_is, setup, teardown),
		cmocka_unit_test_setup_teardown(boxes_are_checked, setup, teardown),
		cmocka_unit_test_setup_teardown(texels_go_through_the_windows, setup, teardown),
		cmocka_unit_test_setup_teardown(windows_out_of_range, setup, teardown),
		cmocka_unit_test_setup_teardown(contexts_end_their_arrays, setup, teardown),
	};

	return cmocka_run_group_tests_name("executor arrays", tests, NULL, NULL);
}
