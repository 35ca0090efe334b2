/* SPDX-License-Identifier: Apache-2.0 */
/* Tensor maps: the driver's own computation, from numbers to 128 bytes that the guest's kernels are given. */
#include <string.h>

#include "executor.h"
#include "executor_calls.h"

/* The shape, if it is one whose arrays are as long as its rank says, and the driver has the function for it. */
static CUresult shape_take(bool has_function, const void *tail, uint32_t bytes, struct vgpu_tensor_map *ret_shape)
{
	if (bytes != sizeof(*ret_shape))
		return EXECUTE_PROTOCOL;
	memcpy(ret_shape, tail, sizeof(*ret_shape));
	if (ret_shape->rank > VGPU_TENSOR_RANK_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	return has_function ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED;
}

static CUresult map_give(CUresult result, const CUtensorMap *map, void *reply, size_t capacity, uint32_t *ret_bytes)
{
	if (result)
		return result;
	if (capacity < sizeof(*map))
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(reply, map, sizeof(*map));
	*ret_bytes = sizeof(*map);
	return CUDA_SUCCESS;
}

CUresult execute_cuTensorMapEncodeTiled(struct executor *executor, const struct request *request,
					const struct wire_cuTensorMapEncodeTiled *arguments, const void *tail,
					struct wire_cuTensorMapEncodeTiled_reply *reply, void *reply_map,
					size_t map_capacity)
{
	const struct driver *driver = &executor->driver;
	struct vgpu_tensor_map shape;
	CUtensorMap map = {0};
	CUresult result = shape_take(driver->cuTensorMapEncodeTiled, tail, arguments->shape_bytes, &shape);

	(void)request;
	if (result)
		return result;
	result = driver->cuTensorMapEncodeTiled(
		&map, (CUtensorMapDataType)shape.data_type, shape.rank, (void *)(uintptr_t)shape.address,
		(const cuuint64_t *)shape.dimensions, (const cuuint64_t *)shape.strides, shape.box,
		shape.element_strides, (CUtensorMapInterleave)shape.interleave, (CUtensorMapSwizzle)shape.swizzle,
		(CUtensorMapL2promotion)shape.promotion, (CUtensorMapFloatOOBfill)shape.fill);
	return map_give(result, &map, reply_map, map_capacity, &reply->map_bytes);
}

CUresult execute_cuTensorMapEncodeIm2col(struct executor *executor, const struct request *request,
					 const struct wire_cuTensorMapEncodeIm2col *arguments, const void *tail,
					 struct wire_cuTensorMapEncodeIm2col_reply *reply, void *reply_map,
					 size_t map_capacity)
{
	const struct driver *driver = &executor->driver;
	struct vgpu_tensor_map shape;
	CUtensorMap map = {0};
	CUresult result = shape_take(driver->cuTensorMapEncodeIm2col, tail, arguments->shape_bytes, &shape);

	(void)request;
	if (result)
		return result;
	result = driver->cuTensorMapEncodeIm2col(
		&map, (CUtensorMapDataType)shape.data_type, shape.rank, (void *)(uintptr_t)shape.address,
		(const cuuint64_t *)shape.dimensions, (const cuuint64_t *)shape.strides, shape.lower, shape.upper,
		shape.channels, shape.pixels, shape.element_strides, (CUtensorMapInterleave)shape.interleave,
		(CUtensorMapSwizzle)shape.swizzle, (CUtensorMapL2promotion)shape.promotion,
		(CUtensorMapFloatOOBfill)shape.fill);
	return map_give(result, &map, reply_map, map_capacity, &reply->map_bytes);
}

CUresult execute_cuTensorMapEncodeIm2colWide(struct executor *executor, const struct request *request,
					     const struct wire_cuTensorMapEncodeIm2colWide *arguments, const void *tail,
					     struct wire_cuTensorMapEncodeIm2colWide_reply *reply, void *reply_map,
					     size_t map_capacity)
{
	const struct driver *driver = &executor->driver;
	struct vgpu_tensor_map shape;
	CUtensorMap map = {0};
	CUresult result = shape_take(driver->cuTensorMapEncodeIm2colWide, tail, arguments->shape_bytes, &shape);

	(void)request;
	if (result)
		return result;
	result = driver->cuTensorMapEncodeIm2colWide(
		&map, (CUtensorMapDataType)shape.data_type, shape.rank, (void *)(uintptr_t)shape.address,
		(const cuuint64_t *)shape.dimensions, (const cuuint64_t *)shape.strides, shape.lower[0], shape.upper[0],
		shape.channels, shape.pixels, shape.element_strides, (CUtensorMapInterleave)shape.interleave,
		(CUtensorMapIm2ColWideMode)shape.mode, (CUtensorMapSwizzle)shape.swizzle,
		(CUtensorMapL2promotion)shape.promotion, (CUtensorMapFloatOOBfill)shape.fill);
	return map_give(result, &map, reply_map, map_capacity, &reply->map_bytes);
}

CUresult execute_cuTensorMapReplaceAddress(struct executor *executor, const struct request *request,
					   const struct wire_cuTensorMapReplaceAddress *arguments, const void *former,
					   struct wire_cuTensorMapReplaceAddress_reply *reply, void *reply_map,
					   size_t map_capacity)
{
	const struct driver *driver = &executor->driver;
	CUtensorMap map;
	CUresult result;

	(void)request;
	if (arguments->former_bytes != sizeof(map))
		return EXECUTE_PROTOCOL;
	if (!driver->cuTensorMapReplaceAddress)
		return CUDA_ERROR_NOT_SUPPORTED;
	memcpy(&map, former, sizeof(map));
	result = driver->cuTensorMapReplaceAddress(&map, (void *)(uintptr_t)arguments->globalAddress);
	return map_give(result, &map, reply_map, map_capacity, &reply->map_bytes);
}
