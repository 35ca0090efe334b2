/* SPDX-License-Identifier: Apache-2.0 */
/* What a pointer points to, answered from the map of memory. */
#include "address_space.h"
#include "context.h"
#include "host_calls.h"
#include "memory.h"
#include "session.h"

/* What is known of a pointer; kind MEMORY_NONE: it is none of ours. */
static void pointer_examine(CUdeviceptr pointer, struct memory_range *ret_range)
{
	const struct object *current = context_current();
	uint64_t base, bytes;

	if (memory_lookup(pointer, ret_range))
		return;
	*ret_range = (struct memory_range){.address = pointer, .kind = MEMORY_NONE};
	/* Device memory that was not allocated through us, if it is any. */
	if (address_is_device(pointer) && current &&
	    !host_cuMemGetAddressRange_v2(current->id, &base, &bytes, pointer)) {
		ret_range->kind = MEMORY_GLOBAL;
		ret_range->address = base;
		ret_range->bytes = bytes;
		ret_range->context = current->id;
		ret_range->device = (CUdevice)current->words[CONTEXT_DEVICE];
	}
}

static bool is_mapped(const struct memory_range *range)
{
	return memory_kind_is_device(range->kind) || memory_kind_is_shared(range->kind);
}

static CUresult address_answer(const struct memory_range *range, CUdeviceptr pointer, CUpointer_attribute attribute,
			       void *answer)
{
	bool is_device = memory_kind_is_device(range->kind) && !memory_kind_is_managed(range->kind);

	switch (attribute) {
	case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
		if (!is_mapped(range))
			return CUDA_ERROR_INVALID_VALUE;
		*(CUdeviceptr *)answer = pointer;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_HOST_POINTER:
		*(void **)answer = is_device ? NULL : (void *)(uintptr_t)pointer;
		return is_device ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
	case CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR:
		*(CUdeviceptr *)answer = range->address;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
	case CU_POINTER_ATTRIBUTE_MAPPING_SIZE:
		*(size_t *)answer = (size_t)range->bytes;
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_NOT_SUPPORTED;
	}
}

/* A pool's memory has no context of its own; the real driver answers with the primary one, but not for a managed
 * variable (580.159.04). */
static CUcontext context_answer(const struct memory_range *range)
{
	if (!range->context && memory_kind_is_managed(range->kind))
		return NULL;
	if (!range->context)
		return (CUcontext)context_primary(range->device);
	return (CUcontext)context_by_id(range->context);
}

static CUresult attribute_answer(const struct memory_range *range, CUdeviceptr pointer, CUpointer_attribute attribute,
				 void *answer)
{
	bool is_device = memory_kind_is_device(range->kind) && !memory_kind_is_managed(range->kind);

	switch (attribute) {
	case CU_POINTER_ATTRIBUTE_CONTEXT:
		*(CUcontext *)answer = context_answer(range);
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
		*(unsigned int *)answer =
			is_device || memory_kind_is_managed(range->kind) ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_BUFFER_ID:
	case CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID:
		*(unsigned long long *)answer = range->id;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
		*(int *)answer = range->device;
		return CUDA_SUCCESS;
	/* Flags have four bytes (measured on driver 580). */
	case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
		*(unsigned int *)answer =
			range->synchrony == SYNCHRONY_USUAL ? is_device : range->synchrony == SYNCHRONY_ON;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_IS_MANAGED:
		*(unsigned int *)answer = memory_kind_is_managed(range->kind);
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
	case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
	case CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE:
		*(unsigned int *)answer = 0;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_MAPPED:
		*(unsigned int *)answer = is_mapped(range);
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
		*(unsigned long long *)answer = 0;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
		*(unsigned int *)answer = is_mapped(range) ? CU_POINTER_ATTRIBUTE_ACCESS_FLAG_READWRITE
							   : CU_POINTER_ATTRIBUTE_ACCESS_FLAG_NONE;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
		*(CUmemoryPool *)answer = NULL;
		return CUDA_SUCCESS;
	default:
		return address_answer(range, pointer, attribute, answer);
	}
}

/* What there is to say of a pointer that is not ours, as measured on driver 580. */
static CUresult foreign_answer(CUdeviceptr pointer, CUpointer_attribute attribute, void *answer)
{
	switch (attribute) {
	case CU_POINTER_ATTRIBUTE_HOST_POINTER:
		*(CUdeviceptr *)answer = pointer;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
		*(int *)answer = CU_DEVICE_INVALID;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
	case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
	case CU_POINTER_ATTRIBUTE_IS_MANAGED:
	case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
	case CU_POINTER_ATTRIBUTE_MAPPED:
	case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
	case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
	case CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE:
		*(unsigned int *)answer = 0;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
	case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_P2P_TOKENS:
		return CUDA_ERROR_INVALID_VALUE;
	default:
		*(uint64_t *)answer = 0;
		return CUDA_SUCCESS;
	}
}

static bool is_attribute(CUpointer_attribute attribute)
{
	return (int)attribute >= CU_POINTER_ATTRIBUTE_CONTEXT &&
	       attribute <= CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE;
}

API(cuPointerGetAttribute, void *data, CUpointer_attribute attribute, CUdeviceptr pointer)
{
	struct memory_range range;

	if (!session_ready())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!data || !is_attribute(attribute))
		return CUDA_ERROR_INVALID_VALUE;
	pointer_examine(pointer, &range);
	if (range.kind == MEMORY_NONE)
		return CUDA_ERROR_INVALID_VALUE;
	return attribute_answer(&range, pointer, attribute, data);
}

/*
 * Unlike the call for one attribute this one answers for any pointer, and does not fail for attributes
 * that do not apply (API reference, cuPointerGetAttributes).
 */
API(cuPointerGetAttributes, unsigned int count, CUpointer_attribute *attributes, void **data, CUdeviceptr pointer)
{
	struct memory_range range;

	if (!session_ready())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!count || !attributes || !data)
		return CUDA_ERROR_INVALID_VALUE;
	pointer_examine(pointer, &range);
	for (unsigned int i = 0; i < count; i++) {
		CUresult result;

		if (!is_attribute(attributes[i]))
			return CUDA_ERROR_INVALID_VALUE;
		if (range.kind == MEMORY_NONE)
			result = foreign_answer(pointer, attributes[i], data[i]);
		else
			result = attribute_answer(&range, pointer, attributes[i], data[i]);
		if (result == CUDA_ERROR_INVALID_VALUE && attributes[i] != CU_POINTER_ATTRIBUTE_P2P_TOKENS)
			result = foreign_answer(0, attributes[i], data[i]);
		if (result)
			return result;
	}
	return CUDA_SUCCESS;
}

/* Of managed memory there is nothing to tell the host: operations on it wait anyway. */
API(cuPointerSetAttribute, const void *value, CUpointer_attribute attribute, CUdeviceptr ptr)
{
	struct memory_range range;
	uint32_t context, flag;
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	if (result)
		return result;
	if (!value || attribute != CU_POINTER_ATTRIBUTE_SYNC_MEMOPS || !memory_lookup(ptr, &range) ||
	    (!memory_kind_is_device(range.kind) && !memory_kind_is_managed(range.kind)))
		return CUDA_ERROR_INVALID_VALUE;
	flag = *(const unsigned int *)value != 0;
	if (!memory_kind_is_managed(range.kind))
		result = host_cuPointerSetAttribute(context, ptr, (uint32_t)attribute, flag);
	if (!result)
		(void)memory_set_synchrony(ptr, flag ? SYNCHRONY_ON : SYNCHRONY_OFF);
	return result;
}
