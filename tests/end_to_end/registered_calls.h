/* SPDX-License-Identifier: Apache-2.0 */
/* What the programs that register memory share: a context with a kernel that adds one to each word, and words to look
 * at. */
#ifndef TEST_REGISTERED_CALLS_H
#define TEST_REGISTERED_CALLS_H

#include "cuda_abi.h"
#include "increment.h"

CUresult cuMemHostRegister_v2(void *address, size_t bytes, unsigned int flags);
CUresult cuMemHostUnregister(void *address);

#define PAGE  4096u
#define WORDS (1u << 16)
#define BYTES (WORDS * 4u)

#define WORKS(call) assert_int_equal(call, CUDA_SUCCESS)

static inline int setup(void **state)
{
	(void)state;
	return increment_load();
}

static inline void kernel_run(CUdeviceptr to, uint32_t words)
{
	void *parameters[] = {&to};

	WORKS(cuLaunchKernel(increment, words / 256, 1, 1, 256, 1, 1, 0, NULL, parameters, NULL));
	WORKS(cuCtxSynchronize());
}

static inline CUdeviceptr device_pointer(void *host)
{
	CUdeviceptr device = 0;

	WORKS(cuMemHostGetDevicePointer_v2(&device, host, 0));
	return device;
}

/* Pages that hold nothing else, so that they can be shared with the device. */
static inline void *block_make(size_t bytes)
{
	void *block = aligned_alloc(PAGE, (bytes + PAGE - 1) / PAGE * PAGE);

	assert_non_null(block);
	return block;
}

static inline void words_set(uint32_t *words, uint32_t value)
{
	for (uint32_t i = 0; i < WORDS; i++)
		words[i] = i * 3 + value;
}

static inline void words_expect(const uint32_t *words, uint32_t value)
{
	for (uint32_t i = 0; i < WORDS; i++)
		if (words[i] != i * 3 + value)
			fail_msg("word %u is %u", i, words[i]);
}

#endif
