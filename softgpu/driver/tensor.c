/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tensor maps: arguments are checked as the API reference says (cuTensorMapEncodeTiled
 * and its relatives).  The engine has no instruction that reads a map, so what is in
 * it is our own.
 */
#include <stdint.h>
#include <string.h>

#include "context.h"
#include "entry.h"

#define RANK_MAXIMUM	       5
#define DIMENSION_MAXIMUM      ((cuuint64_t)1 << 32)
#define STRIDE_LIMIT	       ((cuuint64_t)1 << 40)
#define BOX_MAXIMUM	       256
#define PIXELS_MAXIMUM	       1024
#define ELEMENT_STRIDE_MAXIMUM 8
#define MAP_MAGIC	       0x70616d5f74666f73ull /* "soft_map" */

struct tensor {
	CUtensorMapDataType type;
	cuuint32_t rank;
	uintptr_t address;
	const cuuint64_t *dimensions;
	const cuuint64_t *strides;
	const cuuint32_t *element_strides;
	CUtensorMapInterleave interleave;
	CUtensorMapSwizzle swizzle;
	CUtensorMapL2promotion promotion;
	CUtensorMapFloatOOBfill fill;
};

/* What a map holds. */
struct map_content {
	cuuint64_t magic;
	cuuint64_t address;
	cuuint32_t dimensions[RANK_MAXIMUM]; /* less one */
	cuuint32_t rank;
	cuuint64_t strides[RANK_MAXIMUM - 1];
	unsigned char element_strides[RANK_MAXIMUM];
	unsigned char box[RANK_MAXIMUM]; /* less one */
	unsigned char kinds[6];
};
_Static_assert(sizeof(struct map_content) <= sizeof(CUtensorMap), "it fits");

static bool type_is_packed(CUtensorMapDataType type)
{
	return type == CU_TENSOR_MAP_DATA_TYPE_16U4_ALIGN16B || type == CU_TENSOR_MAP_DATA_TYPE_16U6_ALIGN16B;
}

/* 0: the type is not known. */
static unsigned type_bits(CUtensorMapDataType type)
{
	switch (type) {
	case CU_TENSOR_MAP_DATA_TYPE_UINT8:
		return 8;
	case CU_TENSOR_MAP_DATA_TYPE_UINT16:
	case CU_TENSOR_MAP_DATA_TYPE_FLOAT16:
	case CU_TENSOR_MAP_DATA_TYPE_BFLOAT16:
		return 16;
	case CU_TENSOR_MAP_DATA_TYPE_UINT32:
	case CU_TENSOR_MAP_DATA_TYPE_INT32:
	case CU_TENSOR_MAP_DATA_TYPE_FLOAT32:
	case CU_TENSOR_MAP_DATA_TYPE_FLOAT32_FTZ:
	case CU_TENSOR_MAP_DATA_TYPE_TFLOAT32:
	case CU_TENSOR_MAP_DATA_TYPE_TFLOAT32_FTZ:
		return 32;
	case CU_TENSOR_MAP_DATA_TYPE_UINT64:
	case CU_TENSOR_MAP_DATA_TYPE_INT64:
	case CU_TENSOR_MAP_DATA_TYPE_FLOAT64:
		return 64;
	case CU_TENSOR_MAP_DATA_TYPE_16U4_ALIGN8B:
	case CU_TENSOR_MAP_DATA_TYPE_16U4_ALIGN16B:
		return 4;
	case CU_TENSOR_MAP_DATA_TYPE_16U6_ALIGN16B:
		return 6;
	}
	return 0;
}

static bool type_is_float(CUtensorMapDataType type)
{
	return (type >= CU_TENSOR_MAP_DATA_TYPE_FLOAT16 && type <= CU_TENSOR_MAP_DATA_TYPE_TFLOAT32_FTZ);
}

static unsigned swizzle_bytes(CUtensorMapSwizzle swizzle)
{
	switch (swizzle) {
	case CU_TENSOR_MAP_SWIZZLE_NONE:
		return UINT32_MAX;
	case CU_TENSOR_MAP_SWIZZLE_32B:
		return 32;
	case CU_TENSOR_MAP_SWIZZLE_64B:
		return 64;
	default:
		return 128;
	}
}

static bool kinds_fit(const struct tensor *tensor)
{
	return type_bits(tensor->type) && tensor->interleave <= CU_TENSOR_MAP_INTERLEAVE_32B &&
	       tensor->swizzle <= CU_TENSOR_MAP_SWIZZLE_128B_ATOM_64B &&
	       tensor->promotion <= CU_TENSOR_MAP_L2_PROMOTION_L2_256B &&
	       tensor->fill <= CU_TENSOR_MAP_FLOAT_OOB_FILL_NAN_REQUEST_ZERO_FMA &&
	       (tensor->fill == CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE || type_is_float(tensor->type)) &&
	       (tensor->interleave != CU_TENSOR_MAP_INTERLEAVE_32B || tensor->swizzle == CU_TENSOR_MAP_SWIZZLE_32B) &&
	       (tensor->type != CU_TENSOR_MAP_DATA_TYPE_16U6_ALIGN16B ||
		tensor->interleave == CU_TENSOR_MAP_INTERLEAVE_NONE);
}

static bool packed_swizzle_fits(const struct tensor *tensor)
{
	switch (tensor->swizzle) {
	case CU_TENSOR_MAP_SWIZZLE_NONE:
	case CU_TENSOR_MAP_SWIZZLE_128B:
	case CU_TENSOR_MAP_SWIZZLE_128B_ATOM_32B:
		return true;
	case CU_TENSOR_MAP_SWIZZLE_128B_ATOM_64B:
		return tensor->type == CU_TENSOR_MAP_DATA_TYPE_16U6_ALIGN16B;
	default:
		return !type_is_packed(tensor->type);
	}
}

static unsigned alignment_of(CUtensorMapDataType type, CUtensorMapInterleave interleave)
{
	return interleave == CU_TENSOR_MAP_INTERLEAVE_32B || type_is_packed(type) ? 32 : 16;
}

/* The dimension with number 'index', its stride and its element stride. */
static bool dimension_fits(const struct tensor *tensor, cuuint32_t index)
{
	cuuint64_t size = tensor->dimensions[index];

	if (size == 0 || size > DIMENSION_MAXIMUM)
		return false;
	/* The first element stride counts only where rows are interleaved. */
	if ((index > 0 || tensor->interleave != CU_TENSOR_MAP_INTERLEAVE_NONE) &&
	    (tensor->element_strides[index] == 0 || tensor->element_strides[index] > ELEMENT_STRIDE_MAXIMUM))
		return false;
	if (index + 1 < tensor->rank && (tensor->strides[index] % alignment_of(tensor->type, tensor->interleave) ||
					 tensor->strides[index] >= STRIDE_LIMIT))
		return false;
	if (index == 0 && type_is_packed(tensor->type))
		return size % 128 == 0;
	return index > 0 || tensor->type != CU_TENSOR_MAP_DATA_TYPE_16U4_ALIGN8B || size % 2 == 0;
}

/* What all forms ask for. 'inner' are the elements of a box along the first dimension. */
static bool tensor_fits(const struct tensor *tensor, cuuint32_t rank_minimum, cuuint32_t inner)
{
	if (!kinds_fit(tensor) || !packed_swizzle_fits(tensor))
		return false;
	if (tensor->rank < rank_minimum || tensor->rank > RANK_MAXIMUM || !tensor->dimensions ||
	    !tensor->element_strides || (tensor->rank > 1 && !tensor->strides) ||
	    (tensor->interleave != CU_TENSOR_MAP_INTERLEAVE_NONE && tensor->rank < 3))
		return false;
	if (!tensor->address || tensor->address % alignment_of(tensor->type, tensor->interleave))
		return false;
	for (cuuint32_t i = 0; i < tensor->rank; i++)
		if (!dimension_fits(tensor, i))
			return false;
	if (inner == 0 || inner > BOX_MAXIMUM || (type_is_packed(tensor->type) && inner != 128))
		return false;
	return tensor->interleave != CU_TENSOR_MAP_INTERLEAVE_NONE ||
	       inner * type_bits(tensor->type) / 8 <= swizzle_bytes(tensor->swizzle);
}

static CUresult map_begin(const CUtensorMap *map)
{
	struct context *context;
	CUresult result = context_current(&context);

	if (result)
		return result;
	return map && (uintptr_t)map % 64 == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static void map_write(const struct tensor *tensor, const cuuint32_t *box, CUtensorMap *map)
{
	struct map_content content = {
		.magic = MAP_MAGIC,
		.address = tensor->address,
		.rank = tensor->rank,
		.kinds = {(unsigned char)tensor->type, (unsigned char)tensor->interleave,
			  (unsigned char)tensor->swizzle, (unsigned char)tensor->promotion,
			  (unsigned char)tensor->fill},
	};

	for (cuuint32_t i = 0; i < tensor->rank; i++) {
		content.dimensions[i] = (cuuint32_t)(tensor->dimensions[i] - 1);
		content.element_strides[i] = (unsigned char)tensor->element_strides[i];
		if (i + 1 < tensor->rank)
			content.strides[i] = tensor->strides[i];
		if (box)
			content.box[i] = (unsigned char)(box[i] - 1);
	}
	memset(map, 0, sizeof(*map));
	memcpy(map, &content, sizeof(content));
}

ENTRY(cuTensorMapEncodeTiled,
      (CUtensorMap * map, CUtensorMapDataType type, cuuint32_t rank, void *address, const cuuint64_t *dimensions,
       const cuuint64_t *strides, const cuuint32_t *box, const cuuint32_t *element_strides,
       CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle, CUtensorMapL2promotion promotion,
       CUtensorMapFloatOOBfill fill))
{
	const struct tensor tensor = {
		type,	    rank,    (uintptr_t)address, dimensions, strides, element_strides,
		interleave, swizzle, promotion,		 fill,
	};
	CUresult result = map_begin(map);

	if (result)
		return result;
	if (!box || !tensor_fits(&tensor, 1, box[0]))
		return CUDA_ERROR_INVALID_VALUE;
	for (cuuint32_t i = 0; i < rank; i++)
		if (box[i] == 0 || box[i] > BOX_MAXIMUM)
			return CUDA_ERROR_INVALID_VALUE;
	if (interleave == CU_TENSOR_MAP_INTERLEAVE_NONE && !type_is_packed(type) && box[0] * type_bits(type) / 8 % 16)
		return CUDA_ERROR_INVALID_VALUE;
	map_write(&tensor, box, map);
	return CUDA_SUCCESS;
}

ENTRY(cuTensorMapEncodeIm2col,
      (CUtensorMap * map, CUtensorMapDataType type, cuuint32_t rank, void *address, const cuuint64_t *dimensions,
       const cuuint64_t *strides, const int *lower, const int *upper, cuuint32_t channels, cuuint32_t pixels,
       const cuuint32_t *element_strides, CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
       CUtensorMapL2promotion promotion, CUtensorMapFloatOOBfill fill))
{
	/* Offsets of a box, by the number of dimensions that have one. */
	static const int offset_limits[] = {0, 32768, 128, 16};
	const struct tensor tensor = {
		type,	    rank,    (uintptr_t)address, dimensions, strides, element_strides,
		interleave, swizzle, promotion,		 fill,
	};
	CUresult result = map_begin(map);

	if (result)
		return result;
	if (!lower || !upper || !tensor_fits(&tensor, 3, channels) || pixels == 0 || pixels > PIXELS_MAXIMUM)
		return CUDA_ERROR_INVALID_VALUE;
	for (cuuint32_t i = 0; i < rank - 2; i++) {
		int limit = offset_limits[rank - 2];

		if (lower[i] < -limit || lower[i] >= limit || upper[i] < -limit || upper[i] >= limit)
			return CUDA_ERROR_INVALID_VALUE;
	}
	map_write(&tensor, NULL, map);
	return CUDA_SUCCESS;
}

ENTRY(cuTensorMapEncodeIm2colWide,
      (CUtensorMap * map, CUtensorMapDataType type, cuuint32_t rank, void *address, const cuuint64_t *dimensions,
       const cuuint64_t *strides, int lower, int upper, cuuint32_t channels, cuuint32_t pixels,
       const cuuint32_t *element_strides, CUtensorMapInterleave interleave, CUtensorMapIm2ColWideMode mode,
       CUtensorMapSwizzle swizzle, CUtensorMapL2promotion promotion, CUtensorMapFloatOOBfill fill))
{
	CUresult result = map_begin(map);

	(void)type, (void)rank, (void)address, (void)dimensions, (void)strides, (void)lower, (void)upper;
	(void)channels, (void)pixels, (void)element_strides, (void)interleave, (void)mode, (void)swizzle;
	(void)promotion, (void)fill;
	/* From compute capability 10.0 on (API reference). */
	return result ? result : CUDA_ERROR_NOT_SUPPORTED;
}

ENTRY(cuTensorMapReplaceAddress, (CUtensorMap * map, void *address))
{
	struct map_content content;
	CUresult result = map_begin(map);

	if (result)
		return result;
	memcpy(&content, map, sizeof(content));
	if (content.magic != MAP_MAGIC || !address ||
	    (uintptr_t)address %
		    alignment_of((CUtensorMapDataType)content.kinds[0], (CUtensorMapInterleave)content.kinds[1]))
		return CUDA_ERROR_INVALID_VALUE;
	content.address = (uintptr_t)address;
	memcpy(map, &content, sizeof(content));
	return CUDA_SUCCESS;
}
