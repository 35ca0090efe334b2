/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of one_peer.h that launch: modules of the strict driver, which knows a function by its name. */
#ifndef TEST_ONE_MODULE_H
#define TEST_ONE_MODULE_H

#include <stdio.h>

#include "one_peer.h"

#define MODULE(index)	VGPU_ID(VGPU_KIND_MODULE, index)
#define FUNCTION(index) VGPU_ID(VGPU_KIND_FUNCTION, index)

/* A module with its function of the same index. */
static void module_load(uint32_t index)
{
	static const char ptx[] = ".version 8.0\n.target sm_90\n.address_size 64\n";
	struct {
		struct vgpu_stage stage;
		uint64_t piece_bytes;
		char text[248];
	} image = {.stage = {.total_bytes = 256, .bytes = 256}, .piece_bytes = sizeof(ptx) - 1};
	struct {
		struct wire_cuModuleGetFunction request;
		char name[8];
	} function = {{FUNCTION(index), MODULE(index), 4}, "add"};

	snprintf(image.text, sizeof(image.text), "%s", ptx);
	assert_true(peer_post(&peer, VGPU_OPCODE_STAGE, 0, context, &image, sizeof(image)));
	WORKS(cuModuleLoadDataEx, .module = MODULE(index), .image_kind = 1);
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuModuleGetFunction, context, &function, sizeof(function)),
			 CUDA_SUCCESS);
}

#endif
