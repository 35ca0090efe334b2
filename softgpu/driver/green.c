/* SPDX-License-Identifier: Apache-2.0 */
#include "green.h"

#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "device_table.h"
#include "entry.h"
#include "stream.h"

#define RESOURCE_MAGIC 0x6d732d74666f7331ull
/* A CUgreenCtx is the context's address and so much, so that neither kind of handle is taken for the other. */
#define HANDLE_OFFSET 8

CUresult cuDevicePrimaryCtxRetain(CUcontext *ret_context, CUdevice device);
CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device);
CUresult cuCtxRecordEvent(CUcontext context, CUevent event);
CUresult cuCtxWaitEvent(CUcontext context, CUevent event);

/* What is in a CUdevResource's padding: some of the device's multiprocessors. */
struct resource {
	uint64_t magic;
	int32_t device;
	uint32_t count;
	uint64_t split; /* that gave it; 0: none */
};
_Static_assert(sizeof(struct resource) <= sizeof(((CUdevResource *)0)->_internal_padding), "it fits");

/* Never freed: there is no call for it. */
struct CUdevResourceDesc_st {
	struct CUdevResourceDesc_st *next;
	CUdevice device;
	uint32_t count;
};

static _Atomic uint64_t last_split;
static struct CUdevResourceDesc_st *_Atomic descriptions;

CUgreenCtx green_handle(struct context *context)
{
	return context ? (CUgreenCtx)((char *)context + HANDLE_OFFSET) : NULL;
}

/* With a reference for the caller. */
static struct context *green_acquire(CUgreenCtx handle)
{
	struct context *context = NULL;

	if ((uintptr_t)handle > HANDLE_OFFSET)
		context = object_acquire((const char *)handle - HANDLE_OFFSET, OBJECT_CONTEXT);
	if (context && !context->base) {
		object_release(&context->object);
		return NULL;
	}
	return context;
}

static void resource_write(CUdevResource *resource, CUdevice device, uint32_t count, uint64_t split)
{
	struct resource inner = {.magic = RESOURCE_MAGIC, .device = device, .count = count, .split = split};

	memset(resource, 0, sizeof(*resource));
	resource->type = CU_DEV_RESOURCE_TYPE_SM;
	resource->sm = (CUdevSmResource){.smCount = count, .minSmPartitionSize = 1, .smCoscheduledAlignment = 1};
	memcpy(resource->_internal_padding, &inner, sizeof(inner));
}

static CUresult resource_read(const CUdevResource *resource, struct resource *ret_inner)
{
	if (resource->type != CU_DEV_RESOURCE_TYPE_SM)
		return CUDA_ERROR_INVALID_RESOURCE_TYPE;
	memcpy(ret_inner, resource->_internal_padding, sizeof(*ret_inner));
	if (ret_inner->magic != RESOURCE_MAGIC || !device_exists(ret_inner->device) || !ret_inner->count ||
	    ret_inner->count > (uint32_t)device_multiprocessor_count())
		return CUDA_ERROR_INVALID_RESOURCE_TYPE;
	return CUDA_SUCCESS;
}

static CUresult resource_give(CUdevResource *ret_resource, CUdevResourceType type, CUdevice device, uint32_t count)
{
	if (!ret_resource)
		return CUDA_ERROR_INVALID_VALUE;
	if (type != CU_DEV_RESOURCE_TYPE_SM)
		return CUDA_ERROR_INVALID_RESOURCE_TYPE;
	resource_write(ret_resource, device, count, 0);
	return CUDA_SUCCESS;
}

ENTRY(cuDeviceGetDevResource, (CUdevice device, CUdevResource *ret_resource, CUdevResourceType type))
{
	CUresult result = device_check(device);

	return result ? result : resource_give(ret_resource, type, device, (uint32_t)device_multiprocessor_count());
}

ENTRY(cuCtxGetDevResource, (CUcontext handle, CUdevResource *ret_resource, CUdevResourceType type))
{
	struct context *context;
	CUresult result = context_acquire_green(handle, &context);

	if (result)
		return result;
	result = resource_give(ret_resource, type, context->device,
			       context->base ? context->multiprocessors : (uint32_t)device_multiprocessor_count());
	object_release(&context->object);
	return result;
}

ENTRY(cuGreenCtxGetDevResource, (CUgreenCtx handle, CUdevResource *ret_resource, CUdevResourceType type))
{
	struct context *context = green_acquire(handle);
	CUresult result;

	if (!context)
		return CUDA_ERROR_INVALID_CONTEXT;
	result = resource_give(ret_resource, type, context->device, context->multiprocessors);
	object_release(&context->object);
	return result;
}

/* Groups of exactly as many as are asked for: there is no granularity here. */
ENTRY(cuDevSmResourceSplitByCount, (CUdevResource * results, unsigned int *group_count, const CUdevResource *input,
				    CUdevResource *remaining, unsigned int flags, unsigned int minimum))
{
	struct resource inner;
	uint32_t size = minimum ? minimum : 1, groups;
	uint64_t split;
	CUresult result;

	if (!group_count || !input || (results && !*group_count) ||
	    flags & ~(unsigned)(CU_DEV_SM_RESOURCE_SPLIT_IGNORE_SM_COSCHEDULING |
				CU_DEV_SM_RESOURCE_SPLIT_MAX_POTENTIAL_CLUSTER_SIZE))
		return CUDA_ERROR_INVALID_VALUE;
	result = resource_read(input, &inner);
	if (result)
		return result;
	if (inner.split || size > inner.count)
		return CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION;
	groups = inner.count / size;
	if (results && groups > *group_count)
		groups = *group_count;
	*group_count = groups;
	if (!results)
		return CUDA_SUCCESS;
	split = ++last_split;
	for (uint32_t group = 0; group < groups; group++)
		resource_write(&results[group], inner.device, size, split);
	if (remaining)
		resource_write(remaining, inner.device, inner.count - groups * size, split);
	return CUDA_SUCCESS;
}

ENTRY(cuDevResourceGenerateDesc, (CUdevResourceDesc * ret_description, CUdevResource *resources, unsigned int count))
{
	struct CUdevResourceDesc_st *description;
	struct resource first, inner;
	uint32_t sum = 0;
	CUresult result;

	if (!ret_description || !resources || !count)
		return CUDA_ERROR_INVALID_VALUE;
	result = resource_read(&resources[0], &first);
	for (unsigned index = 0; !result && index < count; index++) {
		result = resource_read(&resources[index], &inner);
		if (!result && (inner.device != first.device || inner.split != first.split || (index && !inner.split)))
			result = CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION;
		sum += inner.count;
	}
	if (!result && sum > (uint32_t)device_multiprocessor_count())
		result = CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION;
	if (result)
		return result;
	description = calloc(1, sizeof(*description));
	if (!description)
		return CUDA_ERROR_OUT_OF_MEMORY;
	description->device = first.device;
	description->count = sum;
	description->next = descriptions;
	while (!__atomic_compare_exchange_n((struct CUdevResourceDesc_st **)&descriptions, &description->next,
					    description, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
	*ret_description = description;
	return CUDA_SUCCESS;
}

static bool description_exists(CUdevResourceDesc description)
{
	const struct CUdevResourceDesc_st *known = descriptions;

	while (known && known != description)
		known = known->next;
	return known;
}

ENTRY(cuGreenCtxCreate, (CUgreenCtx * ret_context, CUdevResourceDesc description, CUdevice device, unsigned int flags))
{
	struct context *context;
	CUcontext primary;
	CUresult result = device_check(device);

	if (result)
		return result;
	if (!ret_context || !description_exists(description) || description->device != device ||
	    flags != CU_GREEN_CTX_DEFAULT_STREAM)
		return CUDA_ERROR_INVALID_VALUE;
	result = cuDevicePrimaryCtxRetain(&primary, device);
	if (result)
		return result;
	result = context_create_green((struct context *)primary, description->count, &context);
	if (result)
		cuDevicePrimaryCtxRelease_v2(device);
	else
		*ret_context = green_handle(context);
	return result;
}

ENTRY(cuGreenCtxDestroy, (CUgreenCtx handle))
{
	struct context *context = green_acquire(handle);
	CUdevice device;

	if (!context)
		return CUDA_ERROR_INVALID_CONTEXT;
	device = context->device;
	if (!object_retire(context, OBJECT_CONTEXT)) {
		object_release(&context->object);
		return CUDA_ERROR_INVALID_CONTEXT;
	}
	context_destroy_green(context);
	object_release(&context->object);
	return cuDevicePrimaryCtxRelease_v2(device);
}

ENTRY(cuGreenCtxGetId, (CUgreenCtx handle, unsigned long long *ret_id))
{
	struct context *context = green_acquire(handle);

	if (!context)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (ret_id)
		*ret_id = context->id;
	object_release(&context->object);
	return ret_id ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

ENTRY(cuCtxFromGreenCtx, (CUcontext * ret_context, CUgreenCtx handle))
{
	struct context *context;

	if (!ret_context)
		return CUDA_ERROR_INVALID_VALUE;
	context = green_acquire(handle);
	if (!context)
		return CUDA_ERROR_INVALID_CONTEXT;
	*ret_context = (CUcontext)context;
	object_release(&context->object);
	return CUDA_SUCCESS;
}

static CUresult event_call(CUgreenCtx handle, CUevent event, CUresult (*call)(CUcontext context, CUevent event))
{
	struct context *context = green_acquire(handle);
	CUresult result;

	if (!context)
		return CUDA_ERROR_INVALID_CONTEXT;
	result = call((CUcontext)context, event);
	object_release(&context->object);
	return result;
}

ENTRY(cuGreenCtxRecordEvent, (CUgreenCtx handle, CUevent event))
{
	return event_call(handle, event, cuCtxRecordEvent);
}

ENTRY(cuGreenCtxWaitEvent, (CUgreenCtx handle, CUevent event))
{
	return event_call(handle, event, cuCtxWaitEvent);
}

ENTRY(cuGreenCtxStreamCreate, (CUstream * ret_stream, CUgreenCtx handle, unsigned int flags, int priority))
{
	struct context *context = green_acquire(handle);
	struct stream *stream;
	CUresult result;

	(void)priority; /* clamped to the range, which is a single value */
	if (!context)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (!ret_stream || flags != CU_STREAM_NON_BLOCKING)
		result = CUDA_ERROR_INVALID_VALUE;
	else
		result = stream_create(context, flags, 0, &stream);
	if (!result)
		result = stream_publish(stream, ret_stream);
	object_release(&context->object);
	return result;
}
