/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of rows with gaps between them. */
#include "copy.h"

static CUresult copy_2d(const CUDA_MEMCPY2D *copy, CUstream stream, bool per_thread_default, bool waits)
{
	CUDA_MEMCPY3D shape;

	if (!copy)
		return copy_shape(NULL, stream, per_thread_default, waits);
	shape = (CUDA_MEMCPY3D){
		.srcXInBytes = copy->srcXInBytes,
		.srcY = copy->srcY,
		.srcMemoryType = copy->srcMemoryType,
		.srcHost = copy->srcHost,
		.srcDevice = copy->srcDevice,
		.srcArray = copy->srcArray,
		.srcPitch = copy->srcPitch,
		.dstXInBytes = copy->dstXInBytes,
		.dstY = copy->dstY,
		.dstMemoryType = copy->dstMemoryType,
		.dstHost = copy->dstHost,
		.dstDevice = copy->dstDevice,
		.dstArray = copy->dstArray,
		.dstPitch = copy->dstPitch,
		.WidthInBytes = copy->WidthInBytes,
		.Height = copy->Height,
		.Depth = 1,
	};
	return copy_shape(&shape, stream, per_thread_default, waits);
}

API(cuMemcpy2D_v2, const CUDA_MEMCPY2D *copy)
{
	return copy_2d(copy, NULL, false, true);
}

API(cuMemcpy2D_v2_ptds, const CUDA_MEMCPY2D *copy)
{
	return copy_2d(copy, NULL, true, true);
}

API(cuMemcpy2DUnaligned_v2, const CUDA_MEMCPY2D *copy)
{
	return copy_2d(copy, NULL, false, true);
}

API(cuMemcpy2DUnaligned_v2_ptds, const CUDA_MEMCPY2D *copy)
{
	return copy_2d(copy, NULL, true, true);
}

API(cuMemcpy2DAsync_v2, const CUDA_MEMCPY2D *copy, CUstream stream)
{
	return copy_2d(copy, stream, false, false);
}

API(cuMemcpy2DAsync_v2_ptsz, const CUDA_MEMCPY2D *copy, CUstream stream)
{
	return copy_2d(copy, stream, true, false);
}
