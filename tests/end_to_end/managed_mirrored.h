/* SPDX-License-Identifier: Apache-2.0 */
/* What managed_mirrored.c shares with the cases about who waits for whom. */
#ifndef TEST_MANAGED_MIRRORED_H
#define TEST_MANAGED_MIRRORED_H

#include <stddef.h>
#include <stdint.h>

#include "stream_calls.h"

CUresult cuStreamWaitValue32_v2(CUstream stream, CUdeviceptr address, cuuint32_t value, unsigned int flags);
CUresult cuStreamWriteValue32_v2(CUstream stream, CUdeviceptr address, cuuint32_t value, unsigned int flags);

#define WORDS	(1u << 18)
#define BYTES	(WORDS * 4u)
#define LATE_US 100000

#define WORKS(call) assert_int_equal(call, CUDA_SUCCESS)

uint32_t *mirrored_allocate(size_t bytes);
void mirrored_release(const uint32_t *words);

/* Adds one to each word. */
void mirrored_launch(const uint32_t *words, uint32_t count, CUstream stream);

/* Numbers that follow each other. */
void words_fill(uint32_t *words, uint32_t count, uint32_t first);
void words_check(const uint32_t *words, uint32_t count, uint32_t first);

void test_held_touch(void **state);
void test_function_meanwhile(void **state);
void test_held_copies(void **state);
void test_waited_for(void **state);
void test_prefetch_other(void **state);
void test_image(void **state);

#endif
