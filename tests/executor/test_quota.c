/* SPDX-License-Identifier: Apache-2.0 */
/* A guest that wants more of the device's memory than its tenant may have, with the software GPU. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "one_peer.h"

#define MIB	       (1ull << 20)
#define PRIMARY(index) VGPU_ID(VGPU_KIND_CONTEXT, 100 + (index))

static void limit_set(uint64_t bytes)
{
	peer.permit->limits.memory_bytes = bytes;
}

/* Beyond what there is with the context alone. */
static int setup(void **state)
{
	peer_setup(state);
	limit_set(peer.tenant->memory_bytes + 64 * MIB);
	return 0;
}

static void one_reference_of_a_primary_context(void **state)
{
	(void)state;
	WORKS(cuDevicePrimaryCtxRetain, .pctx = PRIMARY(1));
	assert_int_equal(CALL(cuDevicePrimaryCtxRetain, .pctx = PRIMARY(2)), CUDA_ERROR_INVALID_CONTEXT);
	context = PRIMARY(1);
	WORKS(cuMemAlloc_v2, .bytesize = 60 * MIB);
	assert_int_equal(CALL(cuDevicePrimaryCtxRelease_v2, .ctx = PRIMARY(2)), CUDA_ERROR_INVALID_CONTEXT);
	assert_int_equal(CALL(cuMemAlloc_v2, .bytesize = 60 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
	/* As our library does: a reset, and a release, and again. */
	WORKS(cuDevicePrimaryCtxReset_v2, .dev = 0);
	WORKS(cuDevicePrimaryCtxRelease_v2, .ctx = PRIMARY(1));
	WORKS(cuDevicePrimaryCtxRetain, .pctx = PRIMARY(1));
	WORKS(cuMemAlloc_v2, .bytesize = 60 * MIB);
	WORKS(cuDevicePrimaryCtxRelease_v2, .ctx = PRIMARY(1));
}

/* The driver makes each row a multiple of 512 bytes. */
static void pitches_count(void **state)
{
	const uint64_t before = peer.tenant->memory_bytes;
	uint64_t reply[2];

	(void)state;
	assert_int_equal(CALL(cuMemAllocPitch_v2, .WidthInBytes = 1, .Height = MIB, .ElementSizeBytes = 4),
			 CUDA_ERROR_OUT_OF_MEMORY);
	assert_int_equal(peer.tenant->memory_bytes, before);
	WORKS(cuMemAllocPitch_v2, .WidthInBytes = 600, .Height = 100, .ElementSizeBytes = 4);
	memcpy(reply, peer.reply, sizeof(reply));
	assert_int_equal(peer.tenant->memory_bytes, before + reply[1] * 100);
	WORKS(cuMemFree_v2, .dptr = reply[0]);
	assert_int_equal(peer.tenant->memory_bytes, before);
	INVALID(cuMemAllocPitch_v2, .WidthInBytes = UINT64_MAX, .Height = 1, .ElementSizeBytes = 4);
	INVALID(cuMemAllocPitch_v2, .WidthInBytes = 1ull << 40, .Height = 1ull << 40, .ElementSizeBytes = 4);
	assert_int_equal(peer.tenant->memory_bytes, before);
}

static void nothing_is_smaller_than_it_is_there(void **state)
{
	const uint64_t before = peer.tenant->memory_bytes;
	uint64_t address;

	(void)state;
	WORKS(cuMemAlloc_v2, .bytesize = 1);
	memcpy(&address, peer.reply, sizeof(address));
	assert_int_equal(peer.tenant->memory_bytes, before + 512);
	WORKS(cuMemFree_v2, .dptr = address);
	assert_int_not_equal(CALL(cuMemAlloc_v2, .bytesize = UINT64_MAX), CUDA_SUCCESS);
	assert_int_equal(peer.tenant->memory_bytes, before);
	/* A column of texels, of a byte each; and one with levels, of which the last have a texel. */
	WORKS(cuArray3DCreate_v2, .array = VGPU_ID(VGPU_KIND_ARRAY, 1),
	      .descriptor = {.Width = 1, .Height = 1025, .Format = CU_AD_FORMAT_UNSIGNED_INT8, .NumChannels = 1});
	assert_int_equal(peer.tenant->memory_bytes, before + 64 * 1032);
	WORKS(cuArrayDestroy, .array = VGPU_ID(VGPU_KIND_ARRAY, 1));
	WORKS(cuMipmappedArrayCreate, .mipmap = VGPU_ID(VGPU_KIND_MIPMAPPED_ARRAY, 1),
	      .descriptor = {.Width = 1, .Height = 16, .Format = CU_AD_FORMAT_UNSIGNED_INT8, .NumChannels = 1},
	      .levels = 5);
	assert_int_equal(peer.tenant->memory_bytes, before + 64 * (16 + 8 + 8 + 8 + 8));
	WORKS(cuMipmappedArrayDestroy, .mipmap = VGPU_ID(VGPU_KIND_MIPMAPPED_ARRAY, 1));
	assert_int_equal(peer.tenant->memory_bytes, before);
}

/* Dumps are files of the host. */
static void no_context_writes_dumps(void **state)
{
	const uint32_t dumps[] = {CU_CTX_COREDUMP_ENABLE, CU_CTX_USER_COREDUMP_ENABLE, 0x100};
	const uint32_t known = CU_CTX_SCHED_SPIN | CU_CTX_MAP_HOST | CU_CTX_LMEM_RESIZE_TO_MAX | CU_CTX_SYNC_MEMOPS;

	(void)state;
	for (size_t i = 0; i < sizeof(dumps) / sizeof(dumps[0]); i++) {
		INVALID(cuCtxCreate_v2, .pctx = VGPU_ID(VGPU_KIND_CONTEXT, 2), .flags = dumps[i]);
		INVALID(cuDevicePrimaryCtxRetain, .pctx = PRIMARY(1), .flags = dumps[i]);
		INVALID(cuDevicePrimaryCtxSetFlags_v2, .flags = dumps[i]);
		INVALID(cuCtxSetFlags, .flags = dumps[i]);
	}
	WORKS(cuCtxCreate_v2, .pctx = VGPU_ID(VGPU_KIND_CONTEXT, 2), .flags = known);
	WORKS(cuDevicePrimaryCtxRetain, .pctx = PRIMARY(1), .flags = known);
	WORKS(cuDevicePrimaryCtxSetFlags_v2, .flags = known);
	WORKS(cuCtxSetFlags, .flags = known);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_reference_of_a_primary_context, setup, peer_teardown),
		cmocka_unit_test_setup_teardown(pitches_count, setup, peer_teardown),
		cmocka_unit_test_setup_teardown(nothing_is_smaller_than_it_is_there, setup, peer_teardown),
		cmocka_unit_test_setup_teardown(no_context_writes_dumps, setup, peer_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
