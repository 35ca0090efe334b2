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
	/* 257 by 65 blocks, of 8 bytes each. */
	WORKS(cuArray3DCreate_v2, .array = VGPU_ID(VGPU_KIND_ARRAY, 1),
	      .descriptor = {.Width = 1025, .Height = 257, .Format = CU_AD_FORMAT_BC1_UNORM, .NumChannels = 4});
	assert_int_equal(peer.tenant->memory_bytes, before + 33 * 64 * 72);
	WORKS(cuArrayDestroy, .array = VGPU_ID(VGPU_KIND_ARRAY, 1));
	assert_int_equal(peer.tenant->memory_bytes, before);
}

static uint32_t allocate_async(uint32_t pool, uint32_t stream, uint64_t bytes, uint64_t *ret_address)
{
	uint32_t result = CALL(cuMemAllocFromPoolAsync, .bytesize = bytes, .pool = pool, .hStream = stream);

	if (!result)
		memcpy(ret_address, peer.reply, sizeof(*ret_address));
	return result;
}

static uint32_t stream_make(uint32_t index)
{
	WORKS(cuStreamCreateWithPriority, .phStream = VGPU_ID(VGPU_KIND_STREAM, index),
	      .flags = CU_STREAM_NON_BLOCKING);
	return VGPU_ID(VGPU_KIND_STREAM, index);
}

static uint64_t flag_make(void)
{
	uint64_t flag;

	WORKS(cuMemAlloc_v2, .bytesize = 4096);
	memcpy(&flag, peer.reply, sizeof(flag));
	WORKS(cuMemsetD32Async, .dstDevice = flag, .N = 1);
	WORKS(cuStreamSynchronize, .hStream = 0);
	return flag;
}

/* The stream comes no further before the flag is 1. */
static void stream_stop(uint32_t stream, uint64_t flag)
{
	WORKS(cuStreamWaitValue32_v2, .hStream = stream, .addr = flag, .value = 1, .flags = CU_STREAM_WAIT_VALUE_EQ);
}

static void flag_raise(uint64_t flag)
{
	WORKS(cuMemsetD32Async, .dstDevice = flag, .ui = 1, .N = 1, .hStream = stream_make(99));
}

/* It is there until its stream comes to the free, whatever pool it is from, and the pool's end ends nothing. */
static void memory_counts_until_its_stream_frees_it(void **state)
{
	const uint64_t before = peer.tenant->memory_bytes;
	uint64_t flag = flag_make(), address = 0, other = 0;
	uint32_t stream = stream_make(1), pool = VGPU_ID(VGPU_KIND_MEMORY_POOL, 1);
	const struct wire_cuMemAllocFromPoolAsync waiting = {.bytesize = 40 * MIB, .hStream = stream};
	struct vgpu_record header;

	(void)state;
	WORKS(cuMemPoolCreate, .pool = pool);
	assert_int_equal(allocate_async(pool, stream, 40 * MIB, &address), CUDA_SUCCESS);
	stream_stop(stream, flag);
	WORKS(cuMemFreeAsync, .dptr = address, .hStream = stream);
	assert_int_equal(peer.tenant->memory_bytes, before + 4096 + 40 * MIB);
	WORKS(cuMemPoolDestroy, .pool = pool);
	assert_int_equal(peer.tenant->memory_bytes, before + 4096 + 40 * MIB);
	/* It waits for what the stream is to free. */
	assert_true(peer_post(&peer, VGPU_CALL_cuMemAllocFromPoolAsync, VGPU_FLAG_REPLY, context, &waiting,
			      sizeof(waiting)));
	assert_int_equal(allocate_async(0, 0, 4 * MIB, &other), CUDA_SUCCESS);
	assert_int_equal(peer.tenant->memory_bytes, before + 4096 + 44 * MIB);
	flag_raise(flag);
	assert_true(peer_take(&peer, &header));
	assert_int_equal(header.opcode, VGPU_CALL_cuMemAllocFromPoolAsync);
	assert_int_equal(header.context_or_result, CUDA_SUCCESS);
	assert_int_equal(peer.tenant->memory_bytes, before + 4096 + 44 * MIB);
	memcpy(&address, peer.reply, sizeof(address));
	WORKS(cuMemFreeAsync, .dptr = address, .hStream = stream);
	WORKS(cuMemFreeAsync, .dptr = other);
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuCtxSynchronize, context, NULL, 0), CUDA_SUCCESS);
	assert_int_equal(peer.tenant->memory_bytes, before + 4096);
	assert_int_equal(peer.counters->memory_bytes, 4096);
}

/* One stream may use again what it has freed, as often as it likes. */
static void a_stream_has_what_it_has_freed(void **state)
{
	uint32_t stream = stream_make(1);
	uint64_t address = 0;

	(void)state;
	for (int i = 0; i < 200; i++) {
		assert_int_equal(allocate_async(0, stream, 40 * MIB, &address), CUDA_SUCCESS);
		assert_true(peer.tenant->memory_bytes <= peer.permit->limits.memory_bytes);
		WORKS(cuMemsetD8Async, .dstDevice = address, .N = 65536, .hStream = stream);
		WORKS(cuMemFreeAsync, .dptr = address, .hStream = stream);
	}
	assert_int_equal(allocate_async(0, stream, 65 * MIB, &address), CUDA_ERROR_OUT_OF_MEMORY);
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
		cmocka_unit_test_setup_teardown(memory_counts_until_its_stream_frees_it, setup, peer_teardown),
		cmocka_unit_test_setup_teardown(a_stream_has_what_it_has_freed, setup, peer_teardown),
		cmocka_unit_test_setup_teardown(no_context_writes_dumps, setup, peer_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
