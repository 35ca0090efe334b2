/* SPDX-License-Identifier: Apache-2.0 */
/* cuSurfObject*: arrays that kernels read and write by bytes. */
#include "array.h"
#include "entry.h"
#include "texture_object.h"

ENTRY(cuSurfObjectCreate, (CUsurfObject * ret_surface, const CUDA_RESOURCE_DESC *resource))
{
	struct texture_object model = {0};
	struct engine_image image;
	struct context *context;
	unsigned flags;
	uint64_t handle;
	CUresult result = context_current(&context);

	if (result)
		return result;
	if (!ret_surface || !resource || resource->resType != CU_RESOURCE_TYPE_ARRAY || resource->flags)
		return CUDA_ERROR_INVALID_VALUE;
	result = resource_image(resource, &image, &flags);
	if (!result && !(flags & CUDA_ARRAY3D_SURFACE_LDST))
		result = CUDA_ERROR_INVALID_VALUE;
	if (result)
		return result;
	model.resource = *resource;
	result = texture_object_create(context, &model, &image, NULL, &handle);
	if (!result)
		*ret_surface = handle;
	return result;
}

ENTRY(cuSurfObjectDestroy, (CUsurfObject handle))
{
	struct context *context;
	CUresult result = context_current(&context);

	return result ? result : texture_object_destroy(handle, OBJECT_SURFACE);
}

ENTRY(cuSurfObjectGetResourceDesc, (CUDA_RESOURCE_DESC * ret_resource, CUsurfObject handle))
{
	struct texture_object *surface;
	struct context *context;
	CUresult result = context_current(&context);

	if (result)
		return result;
	if (!ret_resource)
		return CUDA_ERROR_INVALID_VALUE;
	surface = texture_object_acquire(handle, OBJECT_SURFACE);
	if (!surface)
		return CUDA_ERROR_INVALID_VALUE;
	*ret_resource = surface->resource;
	object_release(&surface->object);
	return CUDA_SUCCESS;
}
