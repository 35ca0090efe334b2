/* SPDX-License-Identifier: Apache-2.0 */
#include "victim.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "call_list.h"

#define SHARED_BYTES (64u << 10)

#define CALL_SHAPE(name, opcode, bytes, waits) {#name, opcode, bytes, false},
#define CALL_ONE(name, opcode, bytes, waits)   +1

const struct victim_shape victim_shapes[] = {
	{"HELLO", VGPU_OPCODE_HELLO, sizeof(struct vgpu_hello), false},
	{"SNAPSHOT", VGPU_OPCODE_SNAPSHOT, sizeof(struct vgpu_snapshot_request), false},
	{"UPLOAD", VGPU_OPCODE_UPLOAD, sizeof(struct vgpu_upload), false},
	{"UPLOAD_INLINE", VGPU_OPCODE_UPLOAD_INLINE, sizeof(struct vgpu_upload_inline), false},
	{"DOWNLOAD", VGPU_OPCODE_DOWNLOAD, sizeof(struct vgpu_download), false},
	{"DOWNLOAD_INLINE", VGPU_OPCODE_DOWNLOAD_INLINE, sizeof(struct vgpu_download_inline), false},
	{"STAGE", VGPU_OPCODE_STAGE, sizeof(struct vgpu_stage), false},
	{"LAUNCH", VGPU_OPCODE_LAUNCH, sizeof(struct vgpu_launch), false},
	{"HOST_MAP", VGPU_OPCODE_HOST_MAP, sizeof(struct vgpu_host_map), true},
	{"HOST_AREA", VGPU_OPCODE_HOST_AREA, sizeof(struct vgpu_host_area), false},
	{"HOST_PLACE", VGPU_OPCODE_HOST_PLACE, sizeof(struct vgpu_host_place), true},
	{"HOST_UNMAP", VGPU_OPCODE_HOST_UNMAP, sizeof(struct vgpu_host_unmap), false},
	{"HOST_PIN", VGPU_OPCODE_HOST_PIN, sizeof(struct vgpu_host_pin), false},
	{"FUNCTION_INFO", VGPU_OPCODE_FUNCTION_INFO, sizeof(struct vgpu_function_info_request), false},
	{"WINDOW_RELEASE", VGPU_OPCODE_UPLOAD_WINDOW_RELEASE, sizeof(struct vgpu_upload_window_release), false},
	{"ARRAY_UPLOAD", VGPU_OPCODE_ARRAY_UPLOAD, sizeof(struct vgpu_array_upload), false},
	{"ARRAY_DOWNLOAD", VGPU_OPCODE_ARRAY_DOWNLOAD, sizeof(struct vgpu_array_download), false},
	VGPU_CALL_LIST(CALL_SHAPE)};

const size_t victim_shape_count = sizeof(victim_shapes) / sizeof(victim_shapes[0]);
const size_t victim_own_shape_count = sizeof(victim_shapes) / sizeof(victim_shapes[0]) - (VGPU_CALL_LIST(CALL_ONE));

void victim_make(struct peer *peer, struct victim *ret_victim)
{
	static const char ptx[] = ".version 7.0\n.target sm_70\n.address_size 64\n"
				  ".visible .entry add(.param .u64 a, .param .u64 b, .param .u64 c) { ret; }\n";
	struct {
		struct vgpu_stage stage;
		uint64_t piece_bytes;
		char text[248];
	} image = {.stage = {.total_bytes = 256, .bytes = 256}, .piece_bytes = sizeof(ptx) - 1};
	struct wire_cuModuleLoadDataEx load = {.module = VGPU_ID(VGPU_KIND_MODULE, 1), .image_kind = 1};
	struct {
		struct wire_cuModuleGetFunction request;
		char name[8];
	} function = {{VGPU_ID(VGPU_KIND_FUNCTION, 1), VGPU_ID(VGPU_KIND_MODULE, 1), 4}, "add"};
	struct wire_cuStreamCreate stream = {.phStream = VGPU_ID(VGPU_KIND_STREAM, 1)};
	struct wire_cuEventCreate event = {.phEvent = VGPU_ID(VGPU_KIND_EVENT, 1)};
	struct wire_cuMemAlloc_v2 allocation = {.bytesize = 65536};
	struct wire_cuArray3DCreate_v2 array = {
		.array = VGPU_ID(VGPU_KIND_ARRAY, 1),
		.descriptor = {.Width = 64, .Height = 64, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 1}};
	uint32_t context;

	snprintf(image.text, sizeof(image.text), "%s", ptx);
	peer_open(peer);
	context = peer_context_make(peer, 1);
	ret_victim->context = context;
	assert_true(peer_post(peer, VGPU_OPCODE_STAGE, 0, context, &image, sizeof(image)));
	assert_int_equal(peer_call(peer, VGPU_CALL_cuModuleLoadDataEx, context, &load, sizeof(load)), CUDA_SUCCESS);
	assert_int_equal(peer_call(peer, VGPU_CALL_cuModuleGetFunction, context, &function, sizeof(function)),
			 CUDA_SUCCESS);
	assert_int_equal(peer_call(peer, VGPU_CALL_cuStreamCreate, context, &stream, sizeof(stream)), CUDA_SUCCESS);
	assert_int_equal(peer_call(peer, VGPU_CALL_cuEventCreate, context, &event, sizeof(event)), CUDA_SUCCESS);
	assert_int_equal(peer_call(peer, VGPU_CALL_cuMemAlloc_v2, context, &allocation, sizeof(allocation)),
			 CUDA_SUCCESS);
	memcpy(&ret_victim->device_address, peer->reply, sizeof(ret_victim->device_address));
	assert_int_equal(peer_call(peer, VGPU_CALL_cuArray3DCreate_v2, context, &array, sizeof(array)), CUDA_SUCCESS);
}

/* As the guest library makes it. */
static int shared_file_make(void)
{
	int file = memfd_create("pinned", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(file >= 0);
	assert_int_equal(ftruncate(file, SHARED_BYTES), 0);
	assert_int_equal(fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	return file;
}

bool victim_descriptor_pass(struct peer *peer, const struct victim_shape *shape)
{
	static int file = -1;

	if (!shape->takes_descriptor)
		return true;
	if (file < 0)
		file = shared_file_make();
	return peer_descriptor_pass(peer, file);
}
