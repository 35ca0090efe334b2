/* SPDX-License-Identifier: Apache-2.0 */
/* The waiting calls on streams and events, batches of operations on memory, attributes. */
#include <string.h>

#include "executor.h"
#include "executor_calls.h"

CUresult execute_cuStreamSynchronize(struct executor *executor, const struct request *request,
				     const struct wire_cuStreamSynchronize *arguments)
{
	CUresult result = pending_add_stream(executor, request, arguments->hStream);

	/* Our question was none of the program's, whose wait makes the capture invalid that excludes it. */
	if (result == CUDA_ERROR_STREAM_CAPTURE_IMPLICIT && executor->driver.cuStreamQuery)
		(void)executor->driver.cuStreamQuery(NULL);
	return result;
}

CUresult execute_cuEventSynchronize(struct executor *executor, const struct request *request,
				    const struct wire_cuEventSynchronize *arguments)
{
	return pending_add_event(executor, request, arguments->hEvent);
}

static CUresult recording_find(struct executor *executor, uint32_t event_id, uint32_t stream_id, void **ret_event,
			       CUstream *ret_stream)
{
	CUresult result = execute_find(executor, VGPU_KIND_EVENT, event_id, ret_event);

	return result ? result : execute_find_stream(executor, stream_id, ret_stream);
}

CUresult execute_cuEventRecord(struct executor *executor, const struct request *request,
			       const struct wire_cuEventRecord *arguments)
{
	CUstream stream;
	void *event;
	CUresult result = recording_find(executor, arguments->hEvent, arguments->hStream, &event, &stream);

	(void)request;
	if (result)
		return result;
	pending_settle_event(executor, arguments->hEvent);
	return executor->driver.cuEventRecord(event, stream);
}

CUresult execute_cuCtxRecordEvent(struct executor *executor, const struct request *request,
				  const struct wire_cuCtxRecordEvent *arguments)
{
	void *context, *event;
	CUresult result = execute_find(executor, VGPU_KIND_CONTEXT, arguments->hCtx, &context);

	(void)request;
	if (!result)
		result = execute_find(executor, VGPU_KIND_EVENT, arguments->hEvent, &event);
	if (result)
		return result;
	if (!executor->driver.cuCtxRecordEvent)
		return CUDA_ERROR_NOT_SUPPORTED;
	pending_settle_event(executor, arguments->hEvent);
	return executor->driver.cuCtxRecordEvent(context, event);
}

CUresult execute_cuEventRecordWithFlags(struct executor *executor, const struct request *request,
					const struct wire_cuEventRecordWithFlags *arguments)
{
	CUstream stream;
	void *event;
	CUresult result = recording_find(executor, arguments->hEvent, arguments->hStream, &event, &stream);

	(void)request;
	/* In a capture it is a node then. */
	if (!result && arguments->flags & CU_EVENT_RECORD_EXTERNAL)
		result = graph_hold_captured(executor, stream, arguments->hEvent);
	if (result)
		return result;
	if (!executor->driver.cuEventRecordWithFlags)
		return CUDA_ERROR_NOT_SUPPORTED;
	pending_settle_event(executor, arguments->hEvent);
	return executor->driver.cuEventRecordWithFlags(event, stream, arguments->flags);
}

CUresult execute_cuEventDestroy_v2(struct executor *executor, const struct request *request,
				   const struct wire_cuEventDestroy_v2 *arguments)
{
	void *event;
	CUresult result = execute_find(executor, VGPU_KIND_EVENT, arguments->hEvent, &event);

	(void)request;
	if (result)
		return result;
	if (graph_hold_end(executor, arguments->hEvent))
		return CUDA_SUCCESS;
	result = executor->driver.cuEventDestroy_v2(event);
	if (!result)
		execute_forget(executor, arguments->hEvent);
	return result;
}

typedef CUresult batch_call(CUstream stream, unsigned int count, CUstreamBatchMemOpParams *operations,
			    unsigned int flags);

/* Documented for cuStreamBatchMemOp. */
#define OPERATIONS_MAX 256

static CUresult batch_execute(struct executor *executor, batch_call *call, uint32_t stream_id, uint32_t flags,
			      const void *tail, uint32_t bytes)
{
	CUstreamBatchMemOpParams operations[OPERATIONS_MAX];
	CUstream stream;
	CUresult result;

	if (bytes % sizeof(operations[0]) || bytes > sizeof(operations))
		return EXECUTE_PROTOCOL;
	result = execute_find_stream(executor, stream_id, &stream);
	if (result)
		return result;
	if (!call)
		return CUDA_ERROR_NOT_SUPPORTED;
	memcpy(operations, tail, bytes);
	return call(stream, bytes / (uint32_t)sizeof(operations[0]), operations, flags);
}

CUresult execute_cuStreamBatchMemOp(struct executor *executor, const struct request *request,
				    const struct wire_cuStreamBatchMemOp *arguments, const void *operations)
{
	(void)request;
	return batch_execute(executor, executor->driver.cuStreamBatchMemOp, arguments->hStream, arguments->flags,
			     operations, arguments->operations_bytes);
}

CUresult execute_cuStreamBatchMemOp_v2(struct executor *executor, const struct request *request,
				       const struct wire_cuStreamBatchMemOp_v2 *arguments, const void *operations)
{
	(void)request;
	return batch_execute(executor, executor->driver.cuStreamBatchMemOp_v2, arguments->hStream, arguments->flags,
			     operations, arguments->operations_bytes);
}

/* Attributes that are numbers and device addresses. */
static bool attribute_is_plain(uint32_t attribute)
{
	switch (attribute) {
	case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW:
	case CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY:
	case CU_LAUNCH_ATTRIBUTE_PRIORITY:
	case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP:
	case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN:
		return true;
	default:
		return false;
	}
}

CUresult execute_cuStreamSetAttribute(struct executor *executor, const struct request *request,
				      const struct wire_cuStreamSetAttribute *arguments)
{
	CUstreamAttrValue value = arguments->value;
	CUstream stream;
	CUresult result = execute_find_stream(executor, arguments->hStream, &stream);

	(void)request;
	if (result)
		return result;
	if (!executor->driver.cuStreamSetAttribute)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!attribute_is_plain(arguments->attribute))
		return CUDA_ERROR_INVALID_VALUE;
	return executor->driver.cuStreamSetAttribute(stream, (CUstreamAttrID)arguments->attribute, &value);
}

CUresult execute_cuStreamGetAttribute(struct executor *executor, const struct request *request,
				      const struct wire_cuStreamGetAttribute *arguments,
				      struct wire_cuStreamGetAttribute_reply *reply, void *reply_value, size_t capacity)
{
	CUstreamAttrValue value = {0};
	CUstream stream;
	CUresult result = execute_find_stream(executor, arguments->hStream, &stream);

	(void)request;
	if (result)
		return result;
	if (!executor->driver.cuStreamGetAttribute)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!attribute_is_plain(arguments->attribute) || capacity < sizeof(value))
		return CUDA_ERROR_INVALID_VALUE;
	result = executor->driver.cuStreamGetAttribute(stream, (CUstreamAttrID)arguments->attribute, &value);
	if (result)
		return result;
	memcpy(reply_value, &value, sizeof(value));
	reply->value_bytes = sizeof(value);
	return CUDA_SUCCESS;
}
