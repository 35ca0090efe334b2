/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of registered memory to look at, and copies of them. */
#ifndef TEST_REGISTERED_BYTES_H
#define TEST_REGISTERED_BYTES_H

#include "registered_calls.h"

static inline void bytes_set(uint8_t *bytes, size_t count, unsigned int seed)
{
	for (size_t i = 0; i < count; i++)
		bytes[i] = (uint8_t)(i * 7 + i / PAGE + seed);
}

static inline void bytes_expect(const uint8_t *bytes, size_t count, unsigned int seed)
{
	for (size_t i = 0; i < count; i++)
		if (bytes[i] != (uint8_t)(i * 7 + i / PAGE + seed))
			fail_msg("byte %zu is %u", i, bytes[i]);
}

static inline void copies_work(uint8_t *bytes, size_t count)
{
	uint8_t *back = malloc(count);
	CUdeviceptr device;

	assert_non_null(back);
	WORKS(cuMemAlloc_v2(&device, count));
	WORKS(cuMemcpyHtoDAsync_v2(device, bytes, count, NULL));
	WORKS(cuMemcpyDtoH_v2(back, device, count));
	bytes_expect(back, count, 4);
	WORKS(cuMemFree_v2(device));
	free(back);
}

#endif
