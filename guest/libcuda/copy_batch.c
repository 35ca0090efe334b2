/* SPDX-License-Identifier: Apache-2.0 */
/* Batches of copies: each is made by itself, which is one of the orders that a batch allows. */
#include "copy_batch.h"

#include "context.h"
#include "copy.h"
#include "host_calls.h"

CUresult cuMemcpyAsync(CUdeviceptr dst, CUdeviceptr src, size_t bytes, CUstream stream);
CUresult cuMemcpyAsync_ptsz(CUdeviceptr dst, CUdeviceptr src, size_t bytes, CUstream stream);

struct batch {
	const CUdeviceptr *dsts;
	const CUdeviceptr *srcs;
	const size_t *sizes;
	size_t count;
	const CUmemcpyAttributes *attributes;
	const size_t *indices; /* of the first copy that each attribute is for */
	size_t attribute_count;
};

bool copy_order_valid(CUmemcpySrcAccessOrder order)
{
	return order >= CU_MEMCPY_SRC_ACCESS_ORDER_STREAM && order <= CU_MEMCPY_SRC_ACCESS_ORDER_ANY;
}

bool copy_batch_stream_valid(CUstream stream, bool per_thread_default)
{
	return stream != CU_STREAM_LEGACY && (stream || per_thread_default);
}

CUresult copy_batch_wait(CUstream stream, bool per_thread_default)
{
	uint32_t context, stream_number;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (!result)
		result = stream_id(stream, per_thread_default, &stream_number);
	return result ? result : host_cuStreamSynchronize(context, stream_number);
}

static bool attributes_valid(const struct batch *batch)
{
	if (!batch->attribute_count || batch->attribute_count > batch->count || batch->indices[0] != 0)
		return false;
	for (size_t i = 0; i < batch->attribute_count; i++) {
		if (!copy_order_valid(batch->attributes[i].srcAccessOrder) || batch->indices[i] >= batch->count ||
		    (i && batch->indices[i] <= batch->indices[i - 1]))
			return false;
	}
	return true;
}

/* Makes the copies; *ret_failed: which one failed. */
static CUresult batch_copy(const struct batch *batch, CUstream stream, bool per_thread_default, size_t *ret_failed)
{
	bool must_wait = false;
	size_t attribute = 0;

	for (size_t i = 0; i < batch->count; i++) {
		CUresult result;

		if (attribute + 1 < batch->attribute_count && batch->indices[attribute + 1] == i)
			attribute++;
		result = (per_thread_default ? cuMemcpyAsync_ptsz : cuMemcpyAsync)(batch->dsts[i], batch->srcs[i],
										   batch->sizes[i], stream);
		if (result) {
			*ret_failed = i;
			return result;
		}
		/* Other memory of the program has been read by now. */
		if (batch->attributes[attribute].srcAccessOrder == CU_MEMCPY_SRC_ACCESS_ORDER_DURING_API_CALL &&
		    copy_host_is_shared((const void *)(uintptr_t)batch->srcs[i], batch->sizes[i]))
			must_wait = true;
	}
	return must_wait ? copy_batch_wait(stream, per_thread_default) : CUDA_SUCCESS;
}

static CUresult batch_start(const struct batch *batch, CUstream stream, bool per_thread_default, size_t *ret_failed)
{
	uint32_t context;
	size_t failed = SIZE_MAX;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	if (!batch->dsts || !batch->srcs || !batch->sizes || !batch->count || !batch->attributes || !batch->indices ||
	    !copy_batch_stream_valid(stream, per_thread_default) || !attributes_valid(batch))
		result = CUDA_ERROR_INVALID_VALUE;
	else
		result = batch_copy(batch, stream, per_thread_default, &failed);
	if (result && ret_failed)
		*ret_failed = failed;
	return result;
}

#define BATCH_PARAMETERS                                                                                   \
	CUdeviceptr *dsts, CUdeviceptr *srcs, size_t *sizes, size_t count, CUmemcpyAttributes *attributes, \
		size_t *indices, size_t attribute_count
#define BATCH                                                                  \
	&(const struct batch)                                                  \
	{                                                                      \
		dsts, srcs, sizes, count, attributes, indices, attribute_count \
	}

API(cuMemcpyBatchAsync, BATCH_PARAMETERS, size_t *failed, CUstream stream)
{
	return batch_start(BATCH, stream, false, failed);
}

API(cuMemcpyBatchAsync_ptsz, BATCH_PARAMETERS, size_t *failed, CUstream stream)
{
	return batch_start(BATCH, stream, true, failed);
}

API(cuMemcpyBatchAsync_v2, BATCH_PARAMETERS, CUstream stream)
{
	return batch_start(BATCH, stream, false, NULL);
}

API(cuMemcpyBatchAsync_v2_ptsz, BATCH_PARAMETERS, CUstream stream)
{
	return batch_start(BATCH, stream, true, NULL);
}
