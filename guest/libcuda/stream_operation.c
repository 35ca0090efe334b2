/* SPDX-License-Identifier: Apache-2.0 */
/* Batches of operations on memory, and attributes of streams. */
#include <string.h>

#include "host_calls.h"
#include "object.h"

/* Documented for cuStreamBatchMemOp. */
#define OPERATIONS_MAX 256

static CUresult stream_call_begin(CUstream stream, bool per_thread_default, uint32_t *ret_context, uint32_t *ret_stream)
{
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, ret_context);

	return result ? result : stream_id(stream, per_thread_default, ret_stream);
}

static CUresult batch_begin(CUstream stream, unsigned int count, const CUstreamBatchMemOpParams *operations,
			    bool per_thread_default, uint32_t *ret_context, uint32_t *ret_stream)
{
	CUresult result = stream_call_begin(stream, per_thread_default, ret_context, ret_stream);

	if (!result && (count > OPERATIONS_MAX || (count && !operations)))
		return CUDA_ERROR_INVALID_VALUE;
	return result;
}

static CUresult batch_of_v1(CUstream stream, unsigned int count, CUstreamBatchMemOpParams *operations,
			    unsigned int flags, bool per_thread_default)
{
	uint32_t context, id;
	CUresult result = batch_begin(stream, count, operations, per_thread_default, &context, &id);

	return result ? result
		      : host_cuStreamBatchMemOp(context, id, flags, operations,
						count * (uint32_t)sizeof(operations[0]));
}

static CUresult batch_of_v2(CUstream stream, unsigned int count, CUstreamBatchMemOpParams *operations,
			    unsigned int flags, bool per_thread_default)
{
	uint32_t context, id;
	CUresult result = batch_begin(stream, count, operations, per_thread_default, &context, &id);

	return result ? result
		      : host_cuStreamBatchMemOp_v2(context, id, flags, operations,
						   count * (uint32_t)sizeof(operations[0]));
}

API(cuStreamBatchMemOp, CUstream stream, unsigned int count, CUstreamBatchMemOpParams *operations, unsigned int flags)
{
	return batch_of_v1(stream, count, operations, flags, false);
}

API(cuStreamBatchMemOp_ptsz, CUstream stream, unsigned int count, CUstreamBatchMemOpParams *operations,
    unsigned int flags)
{
	return batch_of_v1(stream, count, operations, flags, true);
}

API(cuStreamBatchMemOp_v2, CUstream stream, unsigned int count, CUstreamBatchMemOpParams *operations,
    unsigned int flags)
{
	return batch_of_v2(stream, count, operations, flags, false);
}

API(cuStreamBatchMemOp_v2_ptsz, CUstream stream, unsigned int count, CUstreamBatchMemOpParams *operations,
    unsigned int flags)
{
	return batch_of_v2(stream, count, operations, flags, true);
}

static CUresult attribute_set(CUstream stream, CUstreamAttrID attribute, const CUstreamAttrValue *value,
			      bool per_thread_default)
{
	uint32_t context, id;
	CUresult result = stream_call_begin(stream, per_thread_default, &context, &id);

	if (result)
		return result;
	return value ? host_cuStreamSetAttribute(context, id, (uint32_t)attribute, value) : CUDA_ERROR_INVALID_VALUE;
}

API(cuStreamSetAttribute, CUstream stream, CUstreamAttrID attribute, const CUstreamAttrValue *value)
{
	return attribute_set(stream, attribute, value, false);
}

API(cuStreamSetAttribute_ptsz, CUstream stream, CUstreamAttrID attribute, const CUstreamAttrValue *value)
{
	return attribute_set(stream, attribute, value, true);
}

static CUresult attribute_get(CUstream stream, CUstreamAttrID attribute, CUstreamAttrValue *ret_value,
			      bool per_thread_default)
{
	CUstreamAttrValue value;
	uint32_t context, id, bytes = 0;
	CUresult result = stream_call_begin(stream, per_thread_default, &context, &id);

	if (result)
		return result;
	if (!ret_value)
		return CUDA_ERROR_INVALID_VALUE;
	result = host_cuStreamGetAttribute(context, id, (uint32_t)attribute, &value, sizeof(value), &bytes);
	if (result)
		return result;
	if (bytes != sizeof(value))
		return CUDA_ERROR_UNKNOWN;
	memcpy(ret_value, &value, sizeof(value));
	return CUDA_SUCCESS;
}

API(cuStreamGetAttribute, CUstream stream, CUstreamAttrID attribute, CUstreamAttrValue *value)
{
	return attribute_get(stream, attribute, value, false);
}

API(cuStreamGetAttribute_ptsz, CUstream stream, CUstreamAttrID attribute, CUstreamAttrValue *value)
{
	return attribute_get(stream, attribute, value, true);
}
