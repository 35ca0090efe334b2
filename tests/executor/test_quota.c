/* SPDX-License-Identifier: Apache-2.0 */
/* A guest that wants more of the device's memory than its tenant may have, with the software GPU. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "one_peer.h"

#define MIB	  (1ull << 20)
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_reference_of_a_primary_context, setup, peer_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
