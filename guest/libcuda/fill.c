/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The synchronous fills, and copies within device memory.  They return before they
 * are done, except where the program can look at the memory: pinned and managed
 * memory (API reference, "API synchronization behavior"); or where it has asked for
 * it (CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, CU_CTX_SYNC_MEMOPS).
 */
#include "call.h"
#include "copy.h"
#include "host_calls.h"
#include "memory.h"
#include "object.h"

static CUresult fill_begin(bool per_thread_default, uint32_t *ret_context, uint32_t *ret_stream)
{
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, ret_context);

	return result ? result : stream_id(NULL, per_thread_default, ret_stream);
}

static CUresult fill_end(CUresult result, CUdeviceptr dst, uint32_t context, uint32_t stream)
{
	return result || !copy_is_synchronous(dst) ? result : host_cuStreamSynchronize(context, stream);
}

static CUresult fill_d8(CUdeviceptr dst, unsigned char value, size_t count, bool per_thread_default)
{
	uint32_t context = 0, stream = 0;
	CUresult result = fill_begin(per_thread_default, &context, &stream);

	if (!result)
		result = host_cuMemsetD8Async(context, dst, value, count, stream);
	return fill_end(result, dst, context, stream);
}

API(cuMemsetD8_v2, CUdeviceptr dst, unsigned char value, size_t count)
{
	return fill_d8(dst, value, count, false);
}

API(cuMemsetD8_v2_ptds, CUdeviceptr dst, unsigned char value, size_t count)
{
	return fill_d8(dst, value, count, true);
}

static CUresult fill_d16(CUdeviceptr dst, unsigned short value, size_t count, bool per_thread_default)
{
	uint32_t context = 0, stream = 0;
	CUresult result = fill_begin(per_thread_default, &context, &stream);

	if (!result)
		result = host_cuMemsetD16Async(context, dst, value, count, stream);
	return fill_end(result, dst, context, stream);
}

API(cuMemsetD16_v2, CUdeviceptr dst, unsigned short value, size_t count)
{
	return fill_d16(dst, value, count, false);
}

API(cuMemsetD16_v2_ptds, CUdeviceptr dst, unsigned short value, size_t count)
{
	return fill_d16(dst, value, count, true);
}

static CUresult fill_d32(CUdeviceptr dst, unsigned int value, size_t count, bool per_thread_default)
{
	uint32_t context = 0, stream = 0;
	CUresult result = fill_begin(per_thread_default, &context, &stream);

	if (!result)
		result = host_cuMemsetD32Async(context, dst, value, count, stream);
	return fill_end(result, dst, context, stream);
}

API(cuMemsetD32_v2, CUdeviceptr dst, unsigned int value, size_t count)
{
	return fill_d32(dst, value, count, false);
}

API(cuMemsetD32_v2_ptds, CUdeviceptr dst, unsigned int value, size_t count)
{
	return fill_d32(dst, value, count, true);
}

static CUresult fill_rows_d8(CUdeviceptr dst, size_t pitch, unsigned char value, size_t width, size_t height,
			     bool per_thread_default)
{
	uint32_t context = 0, stream = 0;
	CUresult result = fill_begin(per_thread_default, &context, &stream);

	if (!result)
		result = host_cuMemsetD2D8Async(context, dst, pitch, value, width, height, stream);
	return fill_end(result, dst, context, stream);
}

API(cuMemsetD2D8_v2, CUdeviceptr dst, size_t pitch, unsigned char value, size_t width, size_t height)
{
	return fill_rows_d8(dst, pitch, value, width, height, false);
}

API(cuMemsetD2D8_v2_ptds, CUdeviceptr dst, size_t pitch, unsigned char value, size_t width, size_t height)
{
	return fill_rows_d8(dst, pitch, value, width, height, true);
}

static CUresult fill_rows_d16(CUdeviceptr dst, size_t pitch, unsigned short value, size_t width, size_t height,
			      bool per_thread_default)
{
	uint32_t context = 0, stream = 0;
	CUresult result = fill_begin(per_thread_default, &context, &stream);

	if (!result)
		result = host_cuMemsetD2D16Async(context, dst, pitch, value, width, height, stream);
	return fill_end(result, dst, context, stream);
}

API(cuMemsetD2D16_v2, CUdeviceptr dst, size_t pitch, unsigned short value, size_t width, size_t height)
{
	return fill_rows_d16(dst, pitch, value, width, height, false);
}

API(cuMemsetD2D16_v2_ptds, CUdeviceptr dst, size_t pitch, unsigned short value, size_t width, size_t height)
{
	return fill_rows_d16(dst, pitch, value, width, height, true);
}

static CUresult fill_rows_d32(CUdeviceptr dst, size_t pitch, unsigned int value, size_t width, size_t height,
			      bool per_thread_default)
{
	uint32_t context = 0, stream = 0;
	CUresult result = fill_begin(per_thread_default, &context, &stream);

	if (!result)
		result = host_cuMemsetD2D32Async(context, dst, pitch, value, width, height, stream);
	return fill_end(result, dst, context, stream);
}

API(cuMemsetD2D32_v2, CUdeviceptr dst, size_t pitch, unsigned int value, size_t width, size_t height)
{
	return fill_rows_d32(dst, pitch, value, width, height, false);
}

API(cuMemsetD2D32_v2_ptds, CUdeviceptr dst, size_t pitch, unsigned int value, size_t width, size_t height)
{
	return fill_rows_d32(dst, pitch, value, width, height, true);
}

static CUresult copy_within(CUdeviceptr dst, CUdeviceptr src, size_t bytes, bool per_thread_default)
{
	uint32_t context = 0, stream = 0;
	CUresult result = fill_begin(per_thread_default, &context, &stream);

	if (!result)
		result = host_cuMemcpyDtoDAsync_v2(context, dst, src, bytes, stream);
	return fill_end(result, memory_is_synchronous(src) ? src : dst, context, stream);
}

API(cuMemcpyDtoD_v2, CUdeviceptr dst, CUdeviceptr src, size_t bytes)
{
	return copy_within(dst, src, bytes, false);
}

API(cuMemcpyDtoD_v2_ptds, CUdeviceptr dst, CUdeviceptr src, size_t bytes)
{
	return copy_within(dst, src, bytes, true);
}
