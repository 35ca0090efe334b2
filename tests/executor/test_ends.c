/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest may not end by itself, and what ends with something else: the strict driver is given nothing of it. */
#include <stdlib.h>

#include "honest_calls.h"

#define MODULE	  VGPU_ID(VGPU_KIND_MODULE, 0)
#define REFERENCE VGPU_ID(VGPU_KIND_TEXTURE_REFERENCE, 1)

#define CALL(context, name, ...) \
	peer_call(&peer, VGPU_CALL_##name, context, &(struct wire_##name){__VA_ARGS__}, sizeof(struct wire_##name))

static uint32_t reference_get(uint32_t context)
{
	struct {
		struct wire_cuModuleGetTexRef request;
		char name[8];
	} get = {{.reference = REFERENCE, .module = MODULE, .name_bytes = 4}, "add"};

	return peer_call(&peer, VGPU_CALL_cuModuleGetTexRef, context, &get, sizeof(get));
}

/* A module's reference ends with it and not before; one of the guest's own ends once. */
static void references_of_modules(void **state)
{
	const uint32_t context = peer_context_make(&peer, 1), own = VGPU_ID(VGPU_KIND_TEXTURE_REFERENCE, 2);

	(void)state;
	function_make(context, "add");
	assert_int_equal(reference_get(context), CUDA_SUCCESS);
	assert_int_equal(CALL(context, cuTexRefCreate, .reference = own), CUDA_SUCCESS);
	assert_int_equal(CALL(context, cuTexRefDestroy, .reference = REFERENCE), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(CALL(context, cuTexRefSetFlags, .reference = REFERENCE), CUDA_SUCCESS);
	assert_int_equal(CALL(context, cuTexRefDestroy, .reference = own), CUDA_SUCCESS);
	assert_int_equal(CALL(context, cuTexRefDestroy, .reference = own), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(CALL(context, cuModuleUnload, .hmod = MODULE), CUDA_SUCCESS);
	assert_int_equal(CALL(context, cuTexRefSetFlags, .reference = REFERENCE), CUDA_ERROR_INVALID_HANDLE);
}

/* Nor is a library's module unloaded, by none of its ids. */
static void modules_of_libraries(void **state)
{
	const uint32_t context = peer_context_make(&peer, 1), library = VGPU_ID(VGPU_KIND_LIBRARY, 1);

	(void)state;
	stage(ptx, strlen(ptx));
	assert_int_equal(CALL(context, cuLibraryLoadData, .library = library, .image_kind = 1), CUDA_SUCCESS);
	for (uint32_t i = 0; i < 2; i++) {
		uint32_t module = VGPU_ID(VGPU_KIND_MODULE, i);

		assert_int_equal(CALL(context, cuLibraryGetModule, .pMod = module, .library = library), CUDA_SUCCESS);
		assert_int_equal(CALL(context, cuModuleUnload, .hmod = module), CUDA_ERROR_NOT_PERMITTED);
	}
	assert_int_equal(CALL(context, cuLibraryUnload, .library = library), CUDA_SUCCESS);
}

/* What was looked up while another context was current ends with its module's, or with its array's. */
static void looked_up_elsewhere(void **state)
{
	const uint32_t context = peer_context_make(&peer, 1), other = peer_context_make(&peer, 2);
	const uint32_t mipmap = VGPU_ID(VGPU_KIND_MIPMAPPED_ARRAY, 1), level = VGPU_ID(VGPU_KIND_ARRAY, 1);
	const CUDA_ARRAY3D_DESCRIPTOR plane = {
		.Width = 64, .Height = 64, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 1};
	struct vgpu_launch launch = {.grid = {1, 1, 1}, .block = {1, 1, 1}};

	(void)state;
	function_make(context, "add");
	launch.function = function_get(other, 1, MODULE, "add");
	assert_int_equal(reference_get(other), CUDA_SUCCESS);
	assert_int_equal(CALL(context, cuMipmappedArrayCreate, .mipmap = mipmap, .levels = 2, .descriptor = plane),
			 CUDA_SUCCESS);
	assert_int_equal(CALL(other, cuMipmappedArrayGetLevel, .array = level, .mipmap = mipmap, .level = 1),
			 CUDA_SUCCESS);
	assert_int_equal(CALL(other, cuCtxDestroy_v2, .ctx = context), CUDA_SUCCESS);
	assert_int_equal(CALL(other, cuTexRefSetFlags, .reference = REFERENCE), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(peer_call(&peer, VGPU_OPCODE_LAUNCH, other, &launch, sizeof(launch)),
			 CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(CALL(other, cuArrayGetMemoryRequirements, .array = level), CUDA_ERROR_INVALID_HANDLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(references_of_modules, setup, teardown),
		cmocka_unit_test_setup_teardown(modules_of_libraries, setup, teardown),
		cmocka_unit_test_setup_teardown(looked_up_elsewhere, setup, teardown),
	};

	return cmocka_run_group_tests_name("ends", tests, NULL, NULL);
}
