/* SPDX-License-Identifier: Apache-2.0 */
/* Batches of copies of boxes: each is made by itself, which is one of the orders that a batch allows. */
#include "array.h"
#include "copy.h"
#include "copy_batch.h"

struct boxes {
	const CUDA_MEMCPY3D_BATCH_OP *operations;
	size_t count;
};

/* Extents and offsets are in elements: an array's, or bytes where there is no array (API reference). */
static CUresult element_bytes(const CUDA_MEMCPY3D_BATCH_OP *operation, size_t *ret_bytes)
{
	const CUmemcpy3DOperand *sides[] = {&operation->src, &operation->dst};
	size_t bytes = 0;

	for (size_t i = 0; i < 2; i++) {
		const struct array *array;
		uint32_t id;

		if (sides[i]->type == CU_MEMCPY_OPERAND_TYPE_POINTER)
			continue;
		if (sides[i]->type != CU_MEMCPY_OPERAND_TYPE_ARRAY)
			return CUDA_ERROR_INVALID_VALUE;
		array = array_find(sides[i]->op.array.array, &id);
		if (!array)
			return CUDA_ERROR_INVALID_HANDLE;
		if (bytes && bytes != array->element_bytes)
			return CUDA_ERROR_INVALID_VALUE;
		bytes = array->element_bytes;
	}
	*ret_bytes = bytes ? bytes : 1;
	return CUDA_SUCCESS;
}

/* One side as cuMemcpy3D describes it. */
struct box_side {
	CUmemorytype type;
	CUdeviceptr address;
	CUarray array;
	size_t x_bytes, y, z, pitch, height;
};

static CUresult side_describe(const CUmemcpy3DOperand *operand, const CUextent3D *extent, size_t bytes,
			      struct box_side *ret_side)
{
	*ret_side = (struct box_side){0};
	if (operand->type == CU_MEMCPY_OPERAND_TYPE_ARRAY) {
		ret_side->type = CU_MEMORYTYPE_ARRAY;
		ret_side->array = operand->op.array.array;
		ret_side->y = operand->op.array.offset.y;
		ret_side->z = operand->op.array.offset.z;
		return __builtin_mul_overflow(operand->op.array.offset.x, bytes, &ret_side->x_bytes)
			       ? CUDA_ERROR_INVALID_VALUE
			       : CUDA_SUCCESS;
	}
	if ((operand->op.ptr.rowLength && operand->op.ptr.rowLength < extent->width) ||
	    (operand->op.ptr.layerHeight && operand->op.ptr.layerHeight < extent->height) ||
	    __builtin_mul_overflow(operand->op.ptr.rowLength, bytes, &ret_side->pitch))
		return CUDA_ERROR_INVALID_VALUE;
	ret_side->type = CU_MEMORYTYPE_UNIFIED;
	ret_side->address = operand->op.ptr.ptr;
	ret_side->height = operand->op.ptr.layerHeight;
	return CUDA_SUCCESS;
}

static CUresult box_describe(const CUDA_MEMCPY3D_BATCH_OP *operation, CUDA_MEMCPY3D *ret_copy)
{
	const CUextent3D *extent = &operation->extent;
	struct box_side from, to;
	size_t bytes;
	CUresult result;

	if (!extent->width || !extent->height || !extent->depth || !copy_order_valid(operation->srcAccessOrder) ||
	    operation->flags & ~(unsigned int)CU_MEMCPY_FLAG_PREFER_OVERLAP_WITH_COMPUTE)
		return CUDA_ERROR_INVALID_VALUE;
	result = element_bytes(operation, &bytes);
	if (!result)
		result = side_describe(&operation->src, extent, bytes, &from);
	if (!result)
		result = side_describe(&operation->dst, extent, bytes, &to);
	if (result)
		return result;
	*ret_copy = (CUDA_MEMCPY3D){
		.srcXInBytes = from.x_bytes,
		.srcY = from.y,
		.srcZ = from.z,
		.srcMemoryType = from.type,
		.srcDevice = from.address,
		.srcArray = from.array,
		.srcPitch = from.pitch,
		.srcHeight = from.height,
		.dstXInBytes = to.x_bytes,
		.dstY = to.y,
		.dstZ = to.z,
		.dstMemoryType = to.type,
		.dstDevice = to.address,
		.dstArray = to.array,
		.dstPitch = to.pitch,
		.dstHeight = to.height,
		.Height = extent->height,
		.Depth = extent->depth,
	};
	return __builtin_mul_overflow(extent->width, bytes, &ret_copy->WidthInBytes) ? CUDA_ERROR_INVALID_VALUE
										     : CUDA_SUCCESS;
}

/* Must the call wait until the source has been read? Other memory of the program has been read by then in any case. */
static bool box_must_wait(const CUDA_MEMCPY3D_BATCH_OP *operation)
{
	return operation->srcAccessOrder == CU_MEMCPY_SRC_ACCESS_ORDER_DURING_API_CALL &&
	       operation->src.type == CU_MEMCPY_OPERAND_TYPE_POINTER &&
	       copy_host_is_shared((const void *)(uintptr_t)operation->src.op.ptr.ptr, 1);
}

static CUresult boxes_copy(const struct boxes *boxes, CUstream stream, bool per_thread_default, size_t *ret_failed)
{
	bool must_wait = false;

	for (size_t i = 0; i < boxes->count; i++) {
		CUDA_MEMCPY3D copy;
		CUresult result = box_describe(&boxes->operations[i], &copy);

		if (!result)
			result = copy_shape(&copy, stream, per_thread_default, false);
		if (result) {
			*ret_failed = i;
			return result;
		}
		must_wait |= box_must_wait(&boxes->operations[i]);
	}
	return must_wait ? copy_batch_wait(stream, per_thread_default) : CUDA_SUCCESS;
}

static CUresult boxes_start(const struct boxes *boxes, unsigned long long flags, CUstream stream,
			    bool per_thread_default, size_t *ret_failed)
{
	uint32_t context;
	size_t failed = SIZE_MAX;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	if (!boxes->operations || !boxes->count || flags || !copy_batch_stream_valid(stream, per_thread_default))
		result = CUDA_ERROR_INVALID_VALUE;
	else
		result = boxes_copy(boxes, stream, per_thread_default, &failed);
	if (result && ret_failed)
		*ret_failed = failed;
	return result;
}

API(cuMemcpy3DBatchAsync, size_t count, CUDA_MEMCPY3D_BATCH_OP *operations, size_t *failed, unsigned long long flags,
    CUstream stream)
{
	return boxes_start(&(const struct boxes){operations, count}, flags, stream, false, failed);
}

API(cuMemcpy3DBatchAsync_ptsz, size_t count, CUDA_MEMCPY3D_BATCH_OP *operations, size_t *failed,
    unsigned long long flags, CUstream stream)
{
	return boxes_start(&(const struct boxes){operations, count}, flags, stream, true, failed);
}

API(cuMemcpy3DBatchAsync_v2, size_t count, CUDA_MEMCPY3D_BATCH_OP *operations, unsigned long long flags,
    CUstream stream)
{
	return boxes_start(&(const struct boxes){operations, count}, flags, stream, false, NULL);
}

API(cuMemcpy3DBatchAsync_v2_ptsz, size_t count, CUDA_MEMCPY3D_BATCH_OP *operations, unsigned long long flags,
    CUstream stream)
{
	return boxes_start(&(const struct boxes){operations, count}, flags, stream, true, NULL);
}
