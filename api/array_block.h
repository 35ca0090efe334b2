/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VGPU_ARRAY_BLOCK_H
#define VGPU_ARRAY_BLOCK_H

#include "cuda_abi.h"

/* How many texels a block of a compressed format is wide, and high. An array's extents are texels, a copy's are blocks.
 */
#define ARRAY_BLOCK_SIDE 4u

/* Bytes of a block; 0: the format is not compressed (CUDA driver API, CUarray_format). */
static inline unsigned int array_block_bytes(CUarray_format format)
{
	switch (format) {
	case CU_AD_FORMAT_BC1_UNORM:
	case CU_AD_FORMAT_BC1_UNORM_SRGB:
	case CU_AD_FORMAT_BC4_UNORM:
	case CU_AD_FORMAT_BC4_SNORM:
		return 8;
	case CU_AD_FORMAT_BC2_UNORM:
	case CU_AD_FORMAT_BC2_UNORM_SRGB:
	case CU_AD_FORMAT_BC3_UNORM:
	case CU_AD_FORMAT_BC3_UNORM_SRGB:
	case CU_AD_FORMAT_BC5_UNORM:
	case CU_AD_FORMAT_BC5_SNORM:
	case CU_AD_FORMAT_BC6H_UF16:
	case CU_AD_FORMAT_BC6H_SF16:
	case CU_AD_FORMAT_BC7_UNORM:
	case CU_AD_FORMAT_BC7_UNORM_SRGB:
		return 16;
	default:
		return 0;
	}
}

/* The side of an element in texels. */
static inline unsigned int array_element_side(CUarray_format format)
{
	return array_block_bytes(format) ? ARRAY_BLOCK_SIDE : 1;
}

#endif
