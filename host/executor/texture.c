/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Textures and surfaces. A kernel is given the driver's own value, which the
 * guest is told; here it is kept beside the wire id, so that only what was made
 * here is ever given back to the driver.
 */
#include <string.h>

#include "executor.h"
#include "executor_calls.h"

/* The table wants an object; the value stands in the handle's cache. */
static char present;

static void value_mint(struct executor *executor, enum vgpu_kind kind, uint32_t id, uint32_t context, uint64_t value)
{
	execute_mint(executor, id, context, &present);
	handles_find(&executor->handles, kind, id)->cache = value;
}

static CUresult resource_describe(struct executor *executor, const struct wire_cuTexObjectCreate *arguments,
				  CUDA_RESOURCE_DESC *ret_resource)
{
	CUDA_RESOURCE_DESC resource = {.resType = (CUresourcetype)arguments->resource_type};
	void *object = NULL;
	CUresult result;

	switch (arguments->resource_type) {
	case CU_RESOURCE_TYPE_ARRAY:
		result = execute_find(executor, VGPU_KIND_ARRAY, arguments->resource, &object);
		if (result)
			return result;
		resource.res.array.hArray = object;
		break;
	case CU_RESOURCE_TYPE_MIPMAPPED_ARRAY:
		result = execute_find(executor, VGPU_KIND_MIPMAPPED_ARRAY, arguments->resource, &object);
		if (result)
			return result;
		resource.res.mipmap.hMipmappedArray = object;
		break;
	case CU_RESOURCE_TYPE_LINEAR:
		resource.res.linear.devPtr = arguments->address;
		resource.res.linear.format = (CUarray_format)arguments->format;
		resource.res.linear.numChannels = arguments->channels;
		resource.res.linear.sizeInBytes = arguments->width;
		break;
	case CU_RESOURCE_TYPE_PITCH2D:
		resource.res.pitch2D.devPtr = arguments->address;
		resource.res.pitch2D.format = (CUarray_format)arguments->format;
		resource.res.pitch2D.numChannels = arguments->channels;
		resource.res.pitch2D.width = arguments->width;
		resource.res.pitch2D.height = arguments->height;
		resource.res.pitch2D.pitchInBytes = arguments->pitch;
		break;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
	*ret_resource = resource;
	return CUDA_SUCCESS;
}

CUresult execute_cuTexObjectCreate(struct executor *executor, const struct request *request,
				   const struct wire_cuTexObjectCreate *arguments,
				   struct wire_cuTexObjectCreate_reply *reply)
{
	CUDA_TEXTURE_DESC description = arguments->description;
	CUDA_RESOURCE_VIEW_DESC view = arguments->view;
	CUDA_RESOURCE_DESC resource;
	CUtexObject texture = 0;
	CUresult result = resource_describe(executor, arguments, &resource);

	if (!result && (!executor->driver.cuTexObjectCreate || !executor->driver.cuTexObjectDestroy))
		result = CUDA_ERROR_NOT_SUPPORTED;
	if (!result)
		result = execute_check_mint(executor, VGPU_KIND_TEXTURE, arguments->texture);
	if (result)
		return result;
	memset(description.reserved, 0, sizeof(description.reserved));
	memset(view.reserved, 0, sizeof(view.reserved));
	result = executor->driver.cuTexObjectCreate(&texture, &resource, &description,
						    arguments->has_view ? &view : NULL);
	if (result)
		return result;
	value_mint(executor, VGPU_KIND_TEXTURE, arguments->texture, request->context, texture);
	reply->value = texture;
	return CUDA_SUCCESS;
}

CUresult execute_cuTexObjectDestroy(struct executor *executor, const struct request *request,
				    const struct wire_cuTexObjectDestroy *arguments)
{
	struct handle *handle = handles_find(&executor->handles, VGPU_KIND_TEXTURE, arguments->texture);
	CUresult result;

	(void)request;
	if (!handle)
		return CUDA_ERROR_INVALID_HANDLE;
	result = executor->driver.cuTexObjectDestroy(handle->cache);
	if (!result)
		execute_forget(executor, arguments->texture);
	return result;
}

CUresult execute_cuSurfObjectCreate(struct executor *executor, const struct request *request,
				    const struct wire_cuSurfObjectCreate *arguments,
				    struct wire_cuSurfObjectCreate_reply *reply)
{
	CUDA_RESOURCE_DESC resource = {.resType = CU_RESOURCE_TYPE_ARRAY};
	CUsurfObject surface = 0;
	void *array;
	CUresult result = execute_find(executor, VGPU_KIND_ARRAY, arguments->array, &array);

	if (!result && (!executor->driver.cuSurfObjectCreate || !executor->driver.cuSurfObjectDestroy))
		result = CUDA_ERROR_NOT_SUPPORTED;
	if (!result)
		result = execute_check_mint(executor, VGPU_KIND_SURFACE, arguments->surface);
	if (result)
		return result;
	resource.res.array.hArray = array;
	result = executor->driver.cuSurfObjectCreate(&surface, &resource);
	if (result)
		return result;
	value_mint(executor, VGPU_KIND_SURFACE, arguments->surface, request->context, surface);
	reply->value = surface;
	return CUDA_SUCCESS;
}

CUresult execute_cuSurfObjectDestroy(struct executor *executor, const struct request *request,
				     const struct wire_cuSurfObjectDestroy *arguments)
{
	struct handle *handle = handles_find(&executor->handles, VGPU_KIND_SURFACE, arguments->surface);
	CUresult result;

	(void)request;
	if (!handle)
		return CUDA_ERROR_INVALID_HANDLE;
	result = executor->driver.cuSurfObjectDestroy(handle->cache);
	if (!result)
		execute_forget(executor, arguments->surface);
	return result;
}
