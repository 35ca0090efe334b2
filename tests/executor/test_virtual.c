/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual memory management of the executor, for honest guests and others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "one_peer.h"

#define HANDLE(index) VGPU_ID(VGPU_KIND_MEMORY_HANDLE, index)
#define GRANULE	      (2ull << 20)

static uint64_t reserve(uint64_t bytes)
{
	uint64_t address;

	WORKS(cuMemAddressReserve, .size = bytes);
	memcpy(&address, peer.reply, sizeof(address));
	return address;
}

static void reservations_are_checked(void **state)
{
	uint64_t base = reserve(4 * GRANULE);

	(void)state;
	INVALID(cuMemAddressReserve, .size = 0);
	/* The executor's own memory, the end of all addresses, and what reaches out of a span. */
	INVALID(cuMemAddressReserve, .size = GRANULE, .hint = 0x400000);
	INVALID(cuMemAddressReserve, .size = GRANULE, .hint = 0x7ffff0000000);
	INVALID(cuMemAddressReserve, .size = GRANULE, .hint = UINT64_MAX - GRANULE + 1);
	INVALID(cuMemAddressReserve, .size = UINT64_MAX - GRANULE + 1, .hint = base);
	assert_int_not_equal(CALL(cuMemAddressReserve, .size = UINT64_MAX - GRANULE + 1), CUDA_SUCCESS);
	assert_int_not_equal(CALL(cuMemAddressReserve, .size = 1ull << 63), CUDA_SUCCESS);
	assert_int_not_equal(CALL(cuMemAddressReserve, .size = GRANULE, .alignment = 3), CUDA_SUCCESS);
	/* Parts of a reservation, more than it, none at all. */
	INVALID(cuMemAddressFree, .ptr = base, .size = GRANULE);
	INVALID(cuMemAddressFree, .ptr = base + GRANULE, .size = 3 * GRANULE);
	INVALID(cuMemAddressFree, .ptr = base, .size = 8 * GRANULE);
	INVALID(cuMemAddressFree, .ptr = base, .size = 0);
	INVALID(cuMemAddressFree, .ptr = 0x400000, .size = GRANULE);
	WORKS(cuMemAddressFree, .ptr = base, .size = 4 * GRANULE);
	INVALID(cuMemAddressFree, .ptr = base, .size = 4 * GRANULE);
}

static void handles_are_checked(void **state)
{
	(void)state;
	WORKS(cuMemCreate, .handle = HANDLE(1), .size = GRANULE);
	assert_int_equal(peer.counters->memory_bytes, GRANULE);
	/* Minted twice, of another kind, beyond the cap. */
	assert_int_equal(CALL(cuMemCreate, .handle = HANDLE(1), .size = GRANULE), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(CALL(cuMemCreate, .handle = VGPU_ID(VGPU_KIND_ARRAY, 1), .size = GRANULE),
			 CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(CALL(cuMemCreate, .handle = HANDLE(VGPU_ID_INDEX_MAX), .size = GRANULE),
			 CUDA_ERROR_OUT_OF_MEMORY);
	/* No such device, size or compression. */
	assert_int_not_equal(CALL(cuMemCreate, .handle = HANDLE(2), .size = GRANULE, .dev = 99), CUDA_SUCCESS);
	assert_int_not_equal(CALL(cuMemCreate, .handle = HANDLE(2), .size = 1ull << 60), CUDA_SUCCESS);
	assert_int_not_equal(CALL(cuMemCreate, .handle = HANDLE(2), .size = UINT64_MAX), CUDA_SUCCESS);
	INVALID(cuMemCreate, .handle = HANDLE(2), .size = GRANULE, .compression = 257);
	assert_int_equal(peer.counters->memory_bytes, GRANULE);
	assert_int_equal(CALL(cuMemRelease, .handle = HANDLE(2)), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(CALL(cuMemRelease, .handle = context), CUDA_ERROR_INVALID_HANDLE);
	WORKS(cuMemRelease, .handle = HANDLE(1));
	assert_int_equal(CALL(cuMemRelease, .handle = HANDLE(1)), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(peer.counters->memory_bytes, 0);
}

static void mappings_are_checked(void **state)
{
	uint64_t base = reserve(4 * GRANULE);
	uint64_t other = reserve(GRANULE);

	(void)state;
	WORKS(cuMemCreate, .handle = HANDLE(1), .size = 2 * GRANULE);
	/* Foreign ids; memory that is not reserved; what overflows. */
	assert_int_equal(CALL(cuMemMap, .ptr = base, .size = GRANULE, .handle = HANDLE(9)), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(CALL(cuMemMap, .ptr = base, .size = GRANULE, .handle = context), CUDA_ERROR_INVALID_HANDLE);
	INVALID(cuMemMap, .ptr = 0x400000, .size = GRANULE, .handle = HANDLE(1));
	INVALID(cuMemMap, .ptr = base + 3 * GRANULE, .size = 2 * GRANULE, .handle = HANDLE(1));
	INVALID(cuMemMap, .ptr = base, .size = 4 * GRANULE, .handle = HANDLE(1));
	INVALID(cuMemMap, .ptr = base, .size = 0, .handle = HANDLE(1));
	INVALID(cuMemMap, .ptr = base, .size = UINT64_MAX - GRANULE + 1, .offset = 2 * GRANULE, .handle = HANDLE(1));
	INVALID(cuMemMap, .ptr = base, .size = 2 * GRANULE, .offset = UINT64_MAX - GRANULE + 1, .handle = HANDLE(1));
	WORKS(cuMemMap, .ptr = base + GRANULE, .size = GRANULE, .offset = GRANULE, .handle = HANDLE(1));
	/* Over it from below, from above and around it. */
	INVALID(cuMemMap, .ptr = base, .size = 2 * GRANULE, .handle = HANDLE(1));
	INVALID(cuMemMap, .ptr = base + GRANULE, .size = 2 * GRANULE, .handle = HANDLE(1));
	INVALID(cuMemMap, .ptr = base + GRANULE, .size = GRANULE, .handle = HANDLE(1));
	INVALID(cuMemSetAccess, .ptr = base, .size = 2 * GRANULE, .flags = 3);
	INVALID(cuMemSetAccess, .ptr = base + GRANULE, .size = GRANULE, .flags = 7);
	INVALID(cuMemSetAccess, .ptr = base + GRANULE, .size = GRANULE / 2, .flags = 3);
	assert_int_not_equal(CALL(cuMemSetAccess, .ptr = base + GRANULE, .size = GRANULE, .dev = 99, .flags = 3),
			     CUDA_SUCCESS);
	INVALID(cuMemGetAccess, .ptr = base);
	INVALID(cuMemGetAccess, .ptr = 0);
	WORKS(cuMemGetAccess, .ptr = base + GRANULE);
	INVALID(cuMemAddressFree, .ptr = base, .size = 4 * GRANULE);
	INVALID(cuMemUnmap, .ptr = base, .size = 4 * GRANULE);
	INVALID(cuMemUnmap, .ptr = base + GRANULE, .size = GRANULE / 2);
	INVALID(cuMemUnmap, .ptr = base + GRANULE, .size = UINT64_MAX - base);
	INVALID(cuMemUnmap, .ptr = other, .size = GRANULE);
	/* Charged until the mapping is gone, too. */
	WORKS(cuMemRelease, .handle = HANDLE(1));
	assert_int_equal(peer.counters->memory_bytes, 2 * GRANULE);
	WORKS(cuMemUnmap, .ptr = base + GRANULE, .size = GRANULE);
	assert_int_equal(peer.counters->memory_bytes, 0);
	INVALID(cuMemUnmap, .ptr = base + GRANULE, .size = GRANULE);
	WORKS(cuMemAddressFree, .ptr = base, .size = 4 * GRANULE);
}

static void a_context_takes_none_with_it(void **state)
{
	struct wire_cuCtxDestroy_v2 destroy = {.ctx = context};

	(void)state;
	WORKS(cuMemCreate, .handle = HANDLE(1), .size = GRANULE);
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuCtxDestroy_v2, 0, &destroy, sizeof(destroy)), CUDA_SUCCESS);
	context = peer_context_make(&peer, 2);
	assert_int_equal(peer.counters->memory_bytes, GRANULE);
	WORKS(cuMemRelease, .handle = HANDLE(1));
	assert_int_equal(peer.counters->memory_bytes, 0);
}

static void the_limit_counts_it(void **state)
{
	(void)state;
	peer.permit->limits.memory_bytes = 2 * GRANULE;
	WORKS(cuMemCreate, .handle = HANDLE(1), .size = 2 * GRANULE);
	assert_int_equal(CALL(cuMemCreate, .handle = HANDLE(2), .size = GRANULE), CUDA_ERROR_OUT_OF_MEMORY);
	WORKS(cuMemRelease, .handle = HANDLE(1));
	WORKS(cuMemCreate, .handle = HANDLE(2), .size = GRANULE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(reservations_are_checked, peer_setup, peer_teardown),
		cmocka_unit_test_setup_teardown(handles_are_checked, peer_setup, peer_teardown),
		cmocka_unit_test_setup_teardown(mappings_are_checked, peer_setup, peer_teardown),
		cmocka_unit_test_setup_teardown(the_limit_counts_it, peer_setup, peer_teardown),
		cmocka_unit_test_setup_teardown(a_context_takes_none_with_it, peer_setup, peer_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
