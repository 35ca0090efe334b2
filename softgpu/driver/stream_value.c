/* SPDX-License-Identifier: Apache-2.0 */
/* cuStreamWaitValue, cuStreamWriteValue: streams that wait for, and write, words of memory. */
#include <stdlib.h>
#include <time.h>

#include "driver.h"
#include "entry.h"
#include "memory.h"
#include "stream.h"

/* A waiting stream looks this often: soon at first, rarely in the long run. */
#define POLL_NS_FIRST 2000
#define POLL_NS_LAST  500000

struct value_work {
	struct work work;
	CUdeviceptr address;
	uint64_t value;
	unsigned bytes; /* 4 or 8 */
	unsigned flags;
};

static void value_free(struct work *work)
{
	free(work);
}

static CUresult write_run(struct work *work, struct stream *stream)
{
	const struct value_work *write = (const struct value_work *)work;
	CUresult result = CUDA_ERROR_ILLEGAL_ADDRESS;
	enum memory_class class;

	(void)stream;
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
static bool value_read(const struct value_work *wait, uint64_t *ret_value)
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

static bool value_matches(const struct value_work *wait, uint64_t value)
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

static CUresult wait_run(struct work *work, struct stream *stream)
{
	const struct value_work *wait = (const struct value_work *)work;
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

static CUresult value_submit(CUstream handle, const struct value_work *prototype)
{
	struct context *context;
	struct value_work *work;
	struct stream *stream;
	enum memory_class class;
	CUresult result = context_current(&context);

	if (result)
		return result;
	if (prototype->address % prototype->bytes)
		return CUDA_ERROR_INVALID_VALUE;
	memory_lock();
	class = memory_classify(prototype->address, prototype->bytes);
	memory_unlock();
	if (class != MEMORY_CLASS_DEVICE && class != MEMORY_CLASS_HOST)
		return CUDA_ERROR_INVALID_VALUE;
	result = stream_acquire(context, handle, &stream);
	if (result)
		return result;
	work = malloc(sizeof(*work));
	if (work) {
		*work = *prototype;
		result = stream_submit(stream, &work->work, NULL);
	} else {
		result = CUDA_ERROR_OUT_OF_MEMORY;
	}
	stream_release(stream);
	return result;
}

static CUresult value_wait(CUstream stream, CUdeviceptr address, uint64_t value, unsigned bytes, unsigned flags)
{
	const struct value_work wait = {
		.work = {.run = wait_run, .free = value_free, .node_type = CU_GRAPH_NODE_TYPE_BATCH_MEM_OP},
		.address = address,
		.value = value,
		.bytes = bytes,
		.flags = flags,
	};

	/* FLUSH asks for remote writes to be made visible; there are none. */
	if (flags & ~3u & ~(unsigned)CU_STREAM_WAIT_VALUE_FLUSH)
		return CUDA_ERROR_INVALID_VALUE;
	if (flags & CU_STREAM_WAIT_VALUE_FLUSH)
		return CUDA_ERROR_NOT_SUPPORTED;
	return value_submit(stream, &wait);
}

static CUresult value_write(CUstream stream, CUdeviceptr address, uint64_t value, unsigned bytes, unsigned flags)
{
	const struct value_work write = {
		.work = {.run = write_run, .free = value_free, .node_type = CU_GRAPH_NODE_TYPE_BATCH_MEM_OP},
		.address = address,
		.value = value,
		.bytes = bytes,
		.flags = flags,
	};

	if (flags & ~(unsigned)CU_STREAM_WRITE_VALUE_NO_MEMORY_BARRIER)
		return CUDA_ERROR_INVALID_VALUE;
	return value_submit(stream, &write);
}

ENTRY_STREAM(cuStreamWaitValue32_v2, (CUstream stream, CUdeviceptr address, cuuint32_t value, unsigned int flags),
	     (stream, address, value, flags))
{
	return value_wait(stream, address, value, 4, flags);
}

ENTRY_STREAM(cuStreamWaitValue64_v2, (CUstream stream, CUdeviceptr address, cuuint64_t value, unsigned int flags),
	     (stream, address, value, flags))
{
	return value_wait(stream, address, value, 8, flags);
}

ENTRY_STREAM(cuStreamWriteValue32_v2, (CUstream stream, CUdeviceptr address, cuuint32_t value, unsigned int flags),
	     (stream, address, value, flags))
{
	return value_write(stream, address, value, 4, flags);
}

ENTRY_STREAM(cuStreamWriteValue64_v2, (CUstream stream, CUdeviceptr address, cuuint64_t value, unsigned int flags),
	     (stream, address, value, flags))
{
	return value_write(stream, address, value, 8, flags);
}

/* One operation of a batch; the whole batch is checked before any of it is submitted. */
static CUresult operation_check(const CUstreamBatchMemOpParams *operation)
{
	switch (operation->operation) {
	case CU_STREAM_MEM_OP_WAIT_VALUE_32:
	case CU_STREAM_MEM_OP_WAIT_VALUE_64:
		if (operation->waitValue.flags & CU_STREAM_WAIT_VALUE_FLUSH)
			return CUDA_ERROR_NOT_SUPPORTED;
		return operation->waitValue.flags & ~3u ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
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

static CUresult operation_submit(CUstream stream, const CUstreamBatchMemOpParams *operation)
{
	switch (operation->operation) {
	case CU_STREAM_MEM_OP_WAIT_VALUE_32:
		return value_wait(stream, operation->waitValue.address, operation->waitValue.value, 4,
				  operation->waitValue.flags);
	case CU_STREAM_MEM_OP_WAIT_VALUE_64:
		return value_wait(stream, operation->waitValue.address, operation->waitValue.value64, 8,
				  operation->waitValue.flags);
	case CU_STREAM_MEM_OP_WRITE_VALUE_32:
		return value_write(stream, operation->writeValue.address, operation->writeValue.value, 4,
				   operation->writeValue.flags);
	case CU_STREAM_MEM_OP_WRITE_VALUE_64:
		return value_write(stream, operation->writeValue.address, operation->writeValue.value64, 8,
				   operation->writeValue.flags);
	default:
		return CUDA_SUCCESS;
	}
}

#define BATCH_OPERATIONS_MAXIMUM 256 /* CUDA driver API */

ENTRY_STREAM(cuStreamBatchMemOp_v2,
	     (CUstream stream, unsigned int count, CUstreamBatchMemOpParams *operations, unsigned int flags),
	     (stream, count, operations, flags))
{
	CUresult result = CUDA_SUCCESS;

	if (!count || count > BATCH_OPERATIONS_MAXIMUM || !operations || flags)
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned index = 0; !result && index < count; index++)
		result = operation_check(&operations[index]);
	for (unsigned index = 0; !result && index < count; index++)
		result = operation_submit(stream, &operations[index]);
	return result;
}
