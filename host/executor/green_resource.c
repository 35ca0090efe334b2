/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "executor.h"
#include "executor_calls.h"
#include "green.h"
#include "vgpu_green.h"

/* The token of what the driver gave; the same bytes keep theirs. 0: out of memory. */
static uint64_t resource_keep(struct executor *executor, const CUdevResource *resource)
{
	struct green_resources *kept = &executor->green_resources;
	uint8_t bytes[sizeof(*resource)];
	struct green_resource *place;

	memcpy(bytes, resource, sizeof(bytes));
	if (!kept->resources)
		kept->resources = calloc(GREEN_RESOURCES_MAX, sizeof(*kept->resources));
	if (!kept->resources)
		return 0;
	for (size_t i = 0; i < GREEN_RESOURCES_MAX && kept->resources[i].token; i++) {
		if (memcmp(kept->resources[i].bytes, bytes, sizeof(bytes)) == 0)
			return kept->resources[i].token;
	}
	/* Tokens go round from 1, so that the places fill up from the first. */
	place = &kept->resources[kept->resource_last % GREEN_RESOURCES_MAX];
	place->token = ++kept->resource_last;
	memcpy(place->bytes, bytes, sizeof(bytes));
	return place->token;
}

static CUresult resource_find(const struct executor *executor, uint64_t token, CUdevResource *ret_resource)
{
	const struct green_resources *kept = &executor->green_resources;
	const struct green_resource *place;

	if (!kept->resources || !token)
		return CUDA_ERROR_INVALID_RESOURCE_TYPE;
	place = &kept->resources[(token - 1) % GREEN_RESOURCES_MAX];
	if (place->token != token)
		return CUDA_ERROR_INVALID_RESOURCE_TYPE;
	memcpy(ret_resource, place->bytes, sizeof(*ret_resource));
	return CUDA_SUCCESS;
}

static CUresult resource_tell(struct executor *executor, const CUdevResource *resource,
			      struct vgpu_dev_resource *ret_told)
{
	*ret_told = (struct vgpu_dev_resource){.type = (uint32_t)resource->type};
	if (resource->type != CU_DEV_RESOURCE_TYPE_SM)
		return CUDA_SUCCESS;
	ret_told->token = resource_keep(executor, resource);
	ret_told->sm_count = resource->sm.smCount;
	ret_told->sm_partition_min = resource->sm.minSmPartitionSize;
	ret_told->sm_alignment = resource->sm.smCoscheduledAlignment;
	return ret_told->token ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

/* Resources of other types are not built. */
static CUresult type_check(uint32_t type)
{
	return type == CU_DEV_RESOURCE_TYPE_SM ? CUDA_SUCCESS : CUDA_ERROR_INVALID_RESOURCE_TYPE;
}

static CUresult resource_reply(struct executor *executor, const CUdevResource *resource, void *reply, size_t capacity,
			       uint32_t *ret_bytes)
{
	struct vgpu_dev_resource told;
	CUresult result = resource_tell(executor, resource, &told);

	if (result || capacity < sizeof(told))
		return result ? result : CUDA_ERROR_UNKNOWN;
	memcpy(reply, &told, sizeof(told));
	*ret_bytes = sizeof(told);
	return CUDA_SUCCESS;
}

CUresult execute_cuDeviceGetDevResource(struct executor *executor, const struct request *request,
					const struct wire_cuDeviceGetDevResource *arguments,
					struct wire_cuDeviceGetDevResource_reply *reply, void *reply_resource,
					size_t capacity)
{
	CUdevResource resource;
	CUresult result = type_check(arguments->type);

	(void)request;
	memset(&resource, 0, sizeof(resource));
	if (!result)
		result = executor->driver.cuDeviceGetDevResource
				 ? executor->driver.cuDeviceGetDevResource(arguments->dev, &resource,
									   CU_DEV_RESOURCE_TYPE_SM)
				 : CUDA_ERROR_NOT_SUPPORTED;
	return result ? result : resource_reply(executor, &resource, reply_resource, capacity, &reply->resource_bytes);
}

CUresult execute_cuCtxGetDevResource(struct executor *executor, const struct request *request,
				     const struct wire_cuCtxGetDevResource *arguments,
				     struct wire_cuCtxGetDevResource_reply *reply, void *reply_resource,
				     size_t capacity)
{
	const struct driver *driver = &executor->driver;
	const struct context *context = context_find(executor, arguments->hCtx);
	CUdevResource resource;
	CUresult result = type_check(arguments->type);

	(void)request;
	if (!context)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (!driver->cuCtxGetDevResource || !driver->cuGreenCtxGetDevResource)
		return CUDA_ERROR_NOT_SUPPORTED;
	memset(&resource, 0, sizeof(resource));
	if (!result)
		result = context->green
				 ? driver->cuGreenCtxGetDevResource(context->green, &resource, CU_DEV_RESOURCE_TYPE_SM)
				 : driver->cuCtxGetDevResource(context->object, &resource, CU_DEV_RESOURCE_TYPE_SM);
	return result ? result : resource_reply(executor, &resource, reply_resource, capacity, &reply->resource_bytes);
}

CUresult execute_cuDevSmResourceSplitByCount(struct executor *executor, const struct request *request,
					     const struct wire_cuDevSmResourceSplitByCount *arguments,
					     struct wire_cuDevSmResourceSplitByCount_reply *reply,
					     void *reply_resources, size_t capacity)
{
	CUdevResource groups[VGPU_RESOURCE_GROUPS_MAX + 1], input;
	CUdevResource *remaining = &groups[VGPU_RESOURCE_GROUPS_MAX];
	struct vgpu_dev_resource told;
	unsigned int count = arguments->groups;
	CUresult result = resource_find(executor, arguments->resource, &input);

	(void)request;
	if (result)
		return result;
	if (!executor->driver.cuDevSmResourceSplitByCount)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (count > VGPU_RESOURCE_GROUPS_MAX || (count + (arguments->wants_remaining != 0)) * sizeof(told) > capacity)
		return CUDA_ERROR_INVALID_VALUE;
	memset(groups, 0, sizeof(groups));
	result = executor->driver.cuDevSmResourceSplitByCount(count ? groups : NULL, &count, &input,
							      arguments->wants_remaining ? remaining : NULL,
							      arguments->flags, arguments->min_count);
	if (result)
		return result;
	reply->count = count;
	/* A driver that says more than it was asked for wrote no more. */
	if (arguments->groups && count > arguments->groups)
		return CUDA_ERROR_UNKNOWN;
	for (unsigned int i = 0; arguments->groups && i < count && !result; i++) {
		result = resource_tell(executor, &groups[i], &told);
		memcpy((uint8_t *)reply_resources + i * sizeof(told), &told, sizeof(told));
		reply->resources_bytes += sizeof(told);
	}
	if (result || !arguments->wants_remaining)
		return result;
	result = resource_tell(executor, remaining, &told);
	memcpy((uint8_t *)reply_resources + reply->resources_bytes, &told, sizeof(told));
	reply->resources_bytes += sizeof(told);
	return result;
}

/* FNV-1a; a guest that finds two sets of resources with one hash has the descriptor of one of them. */
static uint64_t tokens_hash(const uint64_t *tokens, size_t count)
{
	uint64_t hash = 14695981039346656037u;

	for (size_t i = 0; i < count * sizeof(*tokens); i++)
		hash = (hash ^ ((const uint8_t *)tokens)[i]) * 1099511628211u;
	return hash;
}

/* The driver keeps a descriptor for good: the same resources have the same one. */
static uint64_t description_known(const struct green_resources *kept, uint64_t hash)
{
	for (size_t i = 0; i < GREEN_DESCRIPTIONS_MAX && kept->descriptions[i].token; i++) {
		if (kept->descriptions[i].hash == hash)
			return kept->descriptions[i].token;
	}
	return 0;
}

CUresult execute_cuDevResourceGenerateDesc(struct executor *executor, const struct request *request,
					   const struct wire_cuDevResourceGenerateDesc *arguments,
					   const void *resources, struct wire_cuDevResourceGenerateDesc_reply *reply)
{
	struct green_resources *kept = &executor->green_resources;
	CUdevResource given[VGPU_RESOURCES_MAX];
	uint64_t tokens[VGPU_RESOURCES_MAX], hash;
	struct green_description *place;
	CUdevResourceDesc description = NULL;
	size_t count = arguments->resources_bytes / sizeof(tokens[0]);
	CUresult result = CUDA_SUCCESS;

	(void)request;
	if (!executor->driver.cuDevResourceGenerateDesc)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (arguments->resources_bytes % sizeof(tokens[0]) || count > VGPU_RESOURCES_MAX)
		return EXECUTE_PROTOCOL;
	if (!kept->descriptions)
		kept->descriptions = calloc(GREEN_DESCRIPTIONS_MAX, sizeof(*kept->descriptions));
	if (!kept->descriptions)
		return CUDA_ERROR_OUT_OF_MEMORY;
	memcpy(tokens, resources, count * sizeof(tokens[0]));
	for (size_t i = 0; i < count && !result; i++)
		result = resource_find(executor, tokens[i], &given[i]);
	if (result)
		return result;
	hash = tokens_hash(tokens, count);
	reply->description = description_known(kept, hash);
	if (reply->description)
		return CUDA_SUCCESS;
	/* The driver keeps each for good. */
	if (kept->description_last == GREEN_DESCRIPTIONS_MAX)
		return CUDA_ERROR_OUT_OF_MEMORY;
	result = executor->driver.cuDevResourceGenerateDesc(&description, given, (unsigned int)count);
	if (result)
		return result;
	place = &kept->descriptions[kept->description_last];
	*place =
		(struct green_description){.token = ++kept->description_last, .hash = hash, .description = description};
	reply->description = place->token;
	return CUDA_SUCCESS;
}

CUresult green_description_find(const struct executor *executor, uint64_t token, CUdevResourceDesc *ret_description)
{
	const struct green_resources *kept = &executor->green_resources;
	const struct green_description *place;

	if (!token || token > kept->description_last)
		return CUDA_ERROR_INVALID_VALUE;
	place = &kept->descriptions[token - 1];
	*ret_description = place->description;
	return CUDA_SUCCESS;
}
