/* SPDX-License-Identifier: Apache-2.0 */
/* Copies between an array and host memory whose rows follow each other closely. */
#ifndef TEST_ARRAY_COPIES_H
#define TEST_ARRAY_COPIES_H

#include <stdbool.h>
#include <stddef.h>

#include "cuda_abi.h"

/* From the array's beginning; 'is_up': to it. */
static inline CUDA_MEMCPY2D array_copy_of(CUarray array, void *bytes, size_t row_bytes, size_t rows, bool is_up)
{
	CUDA_MEMCPY2D copy = {.WidthInBytes = row_bytes, .Height = rows};

	if (is_up) {
		copy.srcMemoryType = CU_MEMORYTYPE_HOST;
		copy.srcHost = bytes;
		copy.srcPitch = row_bytes;
		copy.dstMemoryType = CU_MEMORYTYPE_ARRAY;
		copy.dstArray = array;
	} else {
		copy.srcMemoryType = CU_MEMORYTYPE_ARRAY;
		copy.srcArray = array;
		copy.dstMemoryType = CU_MEMORYTYPE_HOST;
		copy.dstHost = bytes;
		copy.dstPitch = row_bytes;
	}
	return copy;
}

#endif
