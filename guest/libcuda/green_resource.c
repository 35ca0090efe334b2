/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resources of devices, for green contexts.  What the program has of one is what the
 * API documents, and in the part that it leaves to the driver the host's token.
 */
#include <string.h>

#include "context.h"
#include "host_calls.h"
#include "vgpu_green.h"

#define RESOURCE_MAGIC 0x6372736572757067ull

/* What is in the padding of a CUdevResource. */
struct padding {
	uint64_t magic;
	uint64_t token;
};

static void resource_write(const struct vgpu_dev_resource *told, CUdevResource *resource)
{
	const struct padding padding = {.magic = RESOURCE_MAGIC, .token = told->token};

	memset(resource, 0, sizeof(*resource));
	resource->type = (CUdevResourceType)told->type;
	resource->sm.smCount = told->sm_count;
	resource->sm.minSmPartitionSize = told->sm_partition_min;
	resource->sm.smCoscheduledAlignment = told->sm_alignment;
	memcpy(resource->_internal_padding, &padding, sizeof(padding));
}

static CUresult resource_read(const CUdevResource *resource, uint64_t *ret_token)
{
	struct padding padding;

	memcpy(&padding, resource->_internal_padding, sizeof(padding));
	if (resource->type != CU_DEV_RESOURCE_TYPE_SM || padding.magic != RESOURCE_MAGIC)
		return CUDA_ERROR_INVALID_RESOURCE_TYPE;
	*ret_token = padding.token;
	return CUDA_SUCCESS;
}

static CUresult resource_take(CUresult result, const struct vgpu_dev_resource *told, uint32_t bytes,
			      CUdevResource *resource)
{
	if (result)
		return result;
	if (bytes != sizeof(*told))
		return CUDA_ERROR_UNKNOWN;
	resource_write(told, resource);
	return CUDA_SUCCESS;
}

API(cuDeviceGetDevResource, CUdevice device, CUdevResource *resource, CUdevResourceType type)
{
	struct vgpu_dev_resource told;
	uint32_t context, bytes = 0;
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	if (result)
		return result;
	if (!resource)
		return CUDA_ERROR_INVALID_VALUE;
	if (!context_primary(device))
		return CUDA_ERROR_INVALID_DEVICE;
	result = host_cuDeviceGetDevResource(context, device, (uint32_t)type, &told, sizeof(told), &bytes);
	return resource_take(result, &told, bytes, resource);
}

static CUresult context_resource(const struct object *object, CUdevResource *resource, CUdevResourceType type)
{
	struct vgpu_dev_resource told;
	uint32_t bytes = 0;
	CUresult result;

	if (!object->words[CONTEXT_ACTIVE])
		return CUDA_ERROR_CONTEXT_IS_DESTROYED;
	result = host_cuCtxGetDevResource(0, object->id, (uint32_t)type, &told, sizeof(told), &bytes);
	return resource_take(result, &told, bytes, resource);
}

API(cuCtxGetDevResource, CUcontext ctx, CUdevResource *resource, CUdevResourceType type)
{
	struct object *object;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	if (!result && !resource)
		result = CUDA_ERROR_INVALID_VALUE;
	if (!result)
		result = context_of(ctx, &object);
	return result ? result : context_resource(object, resource, type);
}

API(cuGreenCtxGetDevResource, CUgreenCtx ctx, CUdevResource *resource, CUdevResourceType type)
{
	const struct object *object;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	if (result)
		return result;
	object = context_find_green(ctx);
	if (!object)
		return CUDA_ERROR_INVALID_CONTEXT;
	return resource ? context_resource(object, resource, type) : CUDA_ERROR_INVALID_VALUE;
}

API(cuDevSmResourceSplitByCount, CUdevResource *results, unsigned int *count, const CUdevResource *input,
    CUdevResource *remaining, unsigned int flags, unsigned int minimum)
{
	struct vgpu_dev_resource told[VGPU_RESOURCE_GROUPS_MAX + 1];
	uint32_t context, groups, given = 0, bytes = 0;
	uint64_t token;
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	if (result)
		return result;
	if (!count || !input || (results && !*count))
		return CUDA_ERROR_INVALID_VALUE;
	result = resource_read(input, &token);
	if (result)
		return result;
	groups = !results ? 0 : *count < VGPU_RESOURCE_GROUPS_MAX ? *count : VGPU_RESOURCE_GROUPS_MAX;
	result = host_cuDevSmResourceSplitByCount(context, token, groups, results && remaining, flags, minimum, &given,
						  told, sizeof(told), &bytes);
	if (result)
		return result;
	*count = given;
	if (!results)
		return CUDA_SUCCESS;
	if (given > groups || bytes != (given + (remaining != NULL)) * sizeof(told[0]))
		return CUDA_ERROR_UNKNOWN;
	for (uint32_t i = 0; i < given; i++)
		resource_write(&told[i], &results[i]);
	if (remaining)
		resource_write(&told[given], remaining);
	return CUDA_SUCCESS;
}

API(cuDevResourceGenerateDesc, CUdevResourceDesc *description, CUdevResource *resources, unsigned int count)
{
	uint64_t tokens[VGPU_RESOURCES_MAX], number = 0;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	if (result)
		return result;
	if (!description || !resources || !count || count > VGPU_RESOURCES_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned int i = 0; i < count && !result; i++)
		result = resource_read(&resources[i], &tokens[i]);
	if (!result)
		result = host_cuDevResourceGenerateDesc(context, tokens, count * (uint32_t)sizeof(tokens[0]), &number);
	/* The program only hands it on. */
	if (!result)
		*description = (CUdevResourceDesc)(uintptr_t)number;
	return result;
}
