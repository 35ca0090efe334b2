/* SPDX-License-Identifier: Apache-2.0 */
/* cuStreamWaitValue, cuStreamWriteValue: streams that wait for, and write, words of memory. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "driver.h"
#include "entry.h"
#include "memory.h"
#include "stream.h"

/* A waiting stream looks this often: soon at first, rarely in the long run. */
#define POLL_NS_FIRST 2000
#define POLL_NS_LAST  500000

#define BATCH_OPERATIONS_MAXIMUM 256 /* CUDA driver API */

/* What an operation waits for or writes. */
struct value {
	CUdeviceptr address;
	uint64_t value;
	unsigned bytes; /* 4 or 8; 0: the operation has nothing to do */
	unsigned flags;
	bool waits;
};

/* As many operations as there are, one after the other. */
struct batch_work {
	struct work work;
	unsigned count;
	CUstreamBatchMemOpParams operations[];
};

static CUresult value_write(const struct value *write)
{
	CUresult result = CUDA_ERROR_ILLEGAL_ADDRESS;
	enum memory_class class;

	memory_lock();
	class = memory_classify(write->address, write->bytes);
	if (class == MEMORY_CLASS_DEVICE || class == MEMORY_CLASS_HOST) {
		/* After all that the stream did before, for whoever sees the value. */
		if (write->bytes == 8)
			__atomic_store_n((uint64_t *)write->address, write->value, __ATOMIC_SEQ_CST);
		else
			__atomic_store_n((uint32_t *)write->address, (uint32_t)write->value, __ATOMIC_SEQ_CST);
		result = CUDA_SUCCESS;
	}
	memory_unlock();
	return result;
}

/* False: the memory is gone. */
static bool value_read(const struct value *wait, uint64_t *ret_value)
{
	enum memory_class class;

	memory_lock();
	class = memory_classify(wait->address, wait->bytes);
	if (class != MEMORY_CLASS_DEVICE && class != MEMORY_CLASS_HOST) {
		memory_unlock();
		return false;
	}
	*ret_value = wait->bytes == 8 ? __atomic_load_n((uint64_t *)wait->address, __ATOMIC_SEQ_CST)
				      : __atomic_load_n((uint32_t *)wait->address, __ATOMIC_SEQ_CST);
	memory_unlock();
	return true;
}

static bool value_matches(const struct value *wait, uint64_t value)
{
	switch (wait->flags & 3) {
	case CU_STREAM_WAIT_VALUE_GEQ: /* cyclically: as a signed difference */
		return wait->bytes == 8 ? (int64_t)(value - wait->value) >= 0
					: (int32_t)((uint32_t)value - (uint32_t)wait->value) >= 0;
	case CU_STREAM_WAIT_VALUE_EQ:
		return value == wait->value;
	case CU_STREAM_WAIT_VALUE_AND:
		return value & wait->value;
	default: /* NOR */
		return ~(value | wait->value) & (wait->bytes == 8 ? UINT64_MAX : UINT32_MAX);
	}
}

static CUresult value_wait(const struct value *wait, const struct stream *stream)
{
	struct timespec pause = {.tv_nsec = POLL_NS_FIRST};
	uint64_t value;

	for (;;) {
		if (!value_read(wait, &value))
			return CUDA_ERROR_ILLEGAL_ADDRESS;
		if (value_matches(wait, value) || stream->context->error || stream->context->cancelled)
			return CUDA_SUCCESS;
		nanosleep(&pause, NULL);
		if (pause.tv_nsec < POLL_NS_LAST)
			pause.tv_nsec *= 2;
	}
}

static struct value value_of(const CUstreamBatchMemOpParams *operation)
{
	switch (operation->operation) {
	case CU_STREAM_MEM_OP_WAIT_VALUE_32:
	case CU_STREAM_MEM_OP_WAIT_VALUE_64:
		return (struct value){
			.address = operation->waitValue.address,
			.value = operation->waitValue.value64,
			.bytes = operation->operation == CU_STREAM_MEM_OP_WAIT_VALUE_64 ? 8 : 4,
			.flags = operation->waitValue.flags,
			.waits = true,
		};
	case CU_STREAM_MEM_OP_WRITE_VALUE_32:
	case CU_STREAM_MEM_OP_WRITE_VALUE_64:
		return (struct value){
			.address = operation->writeValue.address,
			.value = operation->writeValue.value64,
			.bytes = operation->operation == CU_STREAM_MEM_OP_WRITE_VALUE_64 ? 8 : 4,
			.flags = operation->writeValue.flags,
		};
	default:
		return (struct value){0};
	}
}

static CUresult batch_run(struct work *work, struct stream *stream)
{
	const struct batch_work *batch = (const struct batch_work *)work;
	CUresult result = CUDA_SUCCESS;

	for (unsigned index = 0; !result && index < batch->count; index++) {
		struct value value = value_of(&batch->operations[index]);

		/* Of 32 bits the rest is anything. */
		if (value.bytes == 4)
			value.value = (uint32_t)value.value;
		if (value.waits)
			result = value_wait(&value, stream);
		else if (value.bytes)
			result = value_write(&value);
	}
	return result;
}

static void batch_free(struct work *work)
{
	free(work);
}

static CUresult flags_check(const CUstreamBatchMemOpParams *operation)
{
	switch (operation->operation) {
	case CU_STREAM_MEM_OP_WAIT_VALUE_32:
	case CU_STREAM_MEM_OP_WAIT_VALUE_64:
		/* FLUSH asks for remote writes to be made visible; there are none. */
		if (operation->waitValue.flags & ~3u & ~(unsigned)CU_STREAM_WAIT_VALUE_FLUSH)
			return CUDA_ERROR_INVALID_VALUE;
		return operation->waitValue.flags & CU_STREAM_WAIT_VALUE_FLUSH ? CUDA_ERROR_NOT_SUPPORTED
									       : CUDA_SUCCESS;
	case CU_STREAM_MEM_OP_WRITE_VALUE_32:
	case CU_STREAM_MEM_OP_WRITE_VALUE_64:
		return operation->writeValue.flags & ~(unsigned)CU_STREAM_WRITE_VALUE_NO_MEMORY_BARRIER
			       ? CUDA_ERROR_INVALID_VALUE
			       : CUDA_SUCCESS;
	case CU_STREAM_MEM_OP_BARRIER: /* every operation of a stream is one */
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_NOT_SUPPORTED;
	}
}

static CUresult operation_check(const CUstreamBatchMemOpParams *operation)
{
	struct value value = value_of(operation);
	enum memory_class class;
	CUresult result = flags_check(operation);

	if (result || !value.bytes)
		return result;
	if (value.address % value.bytes)
		return CUDA_ERROR_INVALID_VALUE;
	memory_lock();
	class = memory_classify(value.address, value.bytes);
	memory_unlock();
	return class == MEMORY_CLASS_DEVICE || class == MEMORY_CLASS_HOST ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult batch_work_make(const CUDA_BATCH_MEM_OP_NODE_PARAMS *parameters, struct work **ret_work)
{
	struct batch_work *batch;

	if (!parameters->count || parameters->count > BATCH_OPERATIONS_MAXIMUM || !parameters->paramArray ||
	    parameters->flags)
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned index = 0; index < parameters->count; index++) {
		CUresult result = operation_check(&parameters->paramArray[index]);

		if (result)
			return result;
	}
	batch = calloc(1, sizeof(*batch) + parameters->count * sizeof(batch->operations[0]));
	if (!batch)
		return CUDA_ERROR_OUT_OF_MEMORY;
	batch->work = (struct work){.run = batch_run, .free = batch_free, .node_type = CU_GRAPH_NODE_TYPE_BATCH_MEM_OP};
	batch->count = parameters->count;
	memcpy(batch->operations, parameters->paramArray, batch->count * sizeof(batch->operations[0]));
	*ret_work = &batch->work;
	return CUDA_SUCCESS;
}

bool batch_work_read(struct work *work, CUDA_BATCH_MEM_OP_NODE_PARAMS *ret_parameters)
{
	struct batch_work *batch = (struct batch_work *)work;

	if (work->run != batch_run)
		return false;
	*ret_parameters = (CUDA_BATCH_MEM_OP_NODE_PARAMS){.count = batch->count, .paramArray = batch->operations};
	return true;
}

static CUresult batch_submit(CUstream handle, unsigned count, CUstreamBatchMemOpParams *operations, unsigned flags)
{
	const CUDA_BATCH_MEM_OP_NODE_PARAMS parameters = {.count = count, .paramArray = operations, .flags = flags};
	struct context *context;
	struct stream *stream;
	struct work *work;
	CUresult result = context_current(&context);

	if (!result)
		result = batch_work_make(&parameters, &work);
	if (result)
		return result;
	result = stream_acquire(context, handle, &stream);
	if (result) {
		work_discard(work);
		return result;
	}
	result = stream_submit(stream, work, NULL);
	stream_release(stream);
	return result;
}

static CUresult wait_submit(CUstream stream, CUstreamBatchMemOpType type, CUdeviceptr address, uint64_t value,
			    unsigned flags)
{
	CUstreamBatchMemOpParams operation = {
		.waitValue = {.operation = type, .address = address, .value64 = value, .flags = flags}};

	return batch_submit(stream, 1, &operation, 0);
}

static CUresult write_submit(CUstream stream, CUstreamBatchMemOpType type, CUdeviceptr address, uint64_t value,
			     unsigned flags)
{
	CUstreamBatchMemOpParams operation = {
		.writeValue = {.operation = type, .address = address, .value64 = value, .flags = flags}};

	return batch_submit(stream, 1, &operation, 0);
}

ENTRY_STREAM(cuStreamWaitValue32_v2, (CUstream stream, CUdeviceptr address, cuuint32_t value, unsigned int flags),
	     (stream, address, value, flags))
{
	return wait_submit(stream, CU_STREAM_MEM_OP_WAIT_VALUE_32, address, value, flags);
}

ENTRY_STREAM(cuStreamWaitValue64_v2, (CUstream stream, CUdeviceptr address, cuuint64_t value, unsigned int flags),
	     (stream, address, value, flags))
{
	return wait_submit(stream, CU_STREAM_MEM_OP_WAIT_VALUE_64, address, value, flags);
}

ENTRY_STREAM(cuStreamWriteValue32_v2, (CUstream stream, CUdeviceptr address, cuuint32_t value, unsigned int flags),
	     (stream, address, value, flags))
{
	return write_submit(stream, CU_STREAM_MEM_OP_WRITE_VALUE_32, address, value, flags);
}

ENTRY_STREAM(cuStreamWriteValue64_v2, (CUstream stream, CUdeviceptr address, cuuint64_t value, unsigned int flags),
	     (stream, address, value, flags))
{
	return write_submit(stream, CU_STREAM_MEM_OP_WRITE_VALUE_64, address, value, flags);
}

/* The whole batch is checked before any of it is submitted. */
ENTRY_STREAM(cuStreamBatchMemOp_v2,
	     (CUstream stream, unsigned int count, CUstreamBatchMemOpParams *operations, unsigned int flags),
	     (stream, count, operations, flags))
{
	return batch_submit(stream, count, operations, flags);
}
