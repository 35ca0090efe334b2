/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cuImportExternal*: what is to be imported belongs to a graphics API or to another device that shares the GPU's
 * memory, which a guest has none of. So no descriptor of the guest's is one, and the answers are those of NVIDIA's
 * driver for descriptors of something else.
 */
#include "call.h"

/* What a type answers: descriptors that the driver opens, kinds of other systems, none. */
static CUresult answer(unsigned int type, unsigned int last, bool is_descriptor)
{
	if (!type || type > last)
		return CUDA_ERROR_INVALID_VALUE;
	return is_descriptor ? CUDA_ERROR_UNKNOWN : CUDA_ERROR_NOT_SUPPORTED;
}

API(cuImportExternalMemory, CUexternalMemory *memory, const CUDA_EXTERNAL_MEMORY_HANDLE_DESC *description)
{
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	if (!memory || !description)
		return CUDA_ERROR_INVALID_VALUE;
	/* A DMA-BUF's too is of another kind. */
	return answer(description->type, CU_EXTERNAL_MEMORY_HANDLE_TYPE_DMABUF_FD,
		      description->type == CU_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD);
}

API(cuImportExternalSemaphore, CUexternalSemaphore *semaphore, const CUDA_EXTERNAL_SEMAPHORE_HANDLE_DESC *description)
{
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	if (!semaphore || !description)
		return CUDA_ERROR_INVALID_VALUE;
	return answer(description->type, CU_EXTERNAL_SEMAPHORE_HANDLE_TYPE_TIMELINE_SEMAPHORE_WIN32,
		      description->type == CU_EXTERNAL_SEMAPHORE_HANDLE_TYPE_OPAQUE_FD ||
			      description->type == CU_EXTERNAL_SEMAPHORE_HANDLE_TYPE_TIMELINE_SEMAPHORE_FD);
}

/* Nobody has one. */
static CUresult destroy(void)
{
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	return result ? result : CUDA_ERROR_INVALID_VALUE;
}

API(cuDestroyExternalMemory, CUexternalMemory memory)
{
	(void)memory;
	return destroy();
}

API(cuDestroyExternalSemaphore, CUexternalSemaphore semaphore)
{
	(void)semaphore;
	return destroy();
}
