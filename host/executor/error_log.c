/* SPDX-License-Identifier: Apache-2.0 */
/* The driver's own log, for the guest. */
#include "executor.h"
#include "executor_calls.h"

CUresult execute_cuLogsDumpToMemory(struct executor *executor, const struct request *request,
				    const struct wire_cuLogsDumpToMemory *arguments,
				    struct wire_cuLogsDumpToMemory_reply *reply, void *text, size_t capacity)
{
	CUlogIterator iterator = arguments->iterator;
	size_t size = arguments->size;
	CUresult result;

	(void)request;
	if (!executor->driver.cuLogsDumpToMemory)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (size == 0)
		return CUDA_ERROR_INVALID_VALUE;
	if (size > capacity)
		size = capacity;
	result = executor->driver.cuLogsDumpToMemory(arguments->has_iterator ? &iterator : NULL, text, &size,
						     arguments->flags);
	if (result)
		return result;
	reply->advanced = iterator;
	reply->text_bytes = size < capacity ? (uint32_t)size : (uint32_t)capacity;
	return CUDA_SUCCESS;
}
