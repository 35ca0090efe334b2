/* SPDX-License-Identifier: Apache-2.0 */
/* Texture and surface references where a call is more than its arguments: whose one is, what is bound, the colour. */
#include "executor.h"
#include "executor_calls.h"

/* The id of an object of the driver's; 0: none that the guest has. */
static uint32_t id_of(const struct executor *executor, enum vgpu_kind kind, const void *object)
{
	uint32_t index = 0;
	const struct handle *handle;

	while (object && (handle = handles_next(&executor->handles, kind, &index))) {
		if (handle->object == object)
			return VGPU_ID(kind, index - 1);
	}
	return 0;
}

CUresult execute_cuTexRefGetArray(struct executor *executor, const struct request *request,
				  const struct wire_cuTexRefGetArray *arguments,
				  struct wire_cuTexRefGetArray_reply *reply)
{
	CUarray array = NULL;
	void *reference;
	CUresult result = execute_find(executor, VGPU_KIND_TEXTURE_REFERENCE, arguments->reference, &reference);

	(void)request;
	if (!result && !executor->driver.cuTexRefGetArray)
		result = CUDA_ERROR_NOT_SUPPORTED;
	if (!result)
		result = executor->driver.cuTexRefGetArray(&array, reference);
	reply->array = id_of(executor, VGPU_KIND_ARRAY, array);
	return result;
}

CUresult execute_cuTexRefGetMipmappedArray(struct executor *executor, const struct request *request,
					   const struct wire_cuTexRefGetMipmappedArray *arguments,
					   struct wire_cuTexRefGetMipmappedArray_reply *reply)
{
	CUmipmappedArray mipmap = NULL;
	void *reference;
	CUresult result = execute_find(executor, VGPU_KIND_TEXTURE_REFERENCE, arguments->reference, &reference);

	(void)request;
	if (!result && !executor->driver.cuTexRefGetMipmappedArray)
		result = CUDA_ERROR_NOT_SUPPORTED;
	if (!result)
		result = executor->driver.cuTexRefGetMipmappedArray(&mipmap, reference);
	reply->mipmap = id_of(executor, VGPU_KIND_MIPMAPPED_ARRAY, mipmap);
	return result;
}

CUresult execute_cuSurfRefGetArray(struct executor *executor, const struct request *request,
				   const struct wire_cuSurfRefGetArray *arguments,
				   struct wire_cuSurfRefGetArray_reply *reply)
{
	CUarray array = NULL;
	void *reference;
	CUresult result = execute_find(executor, VGPU_KIND_SURFACE_REFERENCE, arguments->reference, &reference);

	(void)request;
	if (!result && !executor->driver.cuSurfRefGetArray)
		result = CUDA_ERROR_NOT_SUPPORTED;
	if (!result)
		result = executor->driver.cuSurfRefGetArray(&array, reference);
	reply->array = id_of(executor, VGPU_KIND_ARRAY, array);
	return result;
}

CUresult execute_cuTexRefDestroy(struct executor *executor, const struct request *request,
				 const struct wire_cuTexRefDestroy *arguments)
{
	const struct handle *handle =
		handles_find(&executor->handles, VGPU_KIND_TEXTURE_REFERENCE, arguments->reference);
	CUresult result;

	(void)request;
	/* One of a module ends with it: what the driver would do to the module is not documented. */
	if (!handle || handle->owner)
		return CUDA_ERROR_INVALID_HANDLE;
	if (!executor->driver.cuTexRefDestroy)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = executor->driver.cuTexRefDestroy(handle->object);
	if (!result)
		execute_forget(executor, arguments->reference);
	return result;
}

/* Of an array that may be none. */
static CUresult array_find(struct executor *executor, enum vgpu_kind kind, uint32_t id, void **ret_array)
{
	*ret_array = NULL;
	return id ? execute_find(executor, kind, id, ret_array) : CUDA_SUCCESS;
}

CUresult execute_cuTexRefSetArray(struct executor *executor, const struct request *request,
				  const struct wire_cuTexRefSetArray *arguments)
{
	void *reference, *array;
	CUresult result = execute_find(executor, VGPU_KIND_TEXTURE_REFERENCE, arguments->reference, &reference);

	(void)request;
	if (!result)
		result = array_find(executor, VGPU_KIND_ARRAY, arguments->array, &array);
	if (!result && !executor->driver.cuTexRefSetArray)
		result = CUDA_ERROR_NOT_SUPPORTED;
	return result ? result : executor->driver.cuTexRefSetArray(reference, array, arguments->flags);
}

CUresult execute_cuTexRefSetMipmappedArray(struct executor *executor, const struct request *request,
					   const struct wire_cuTexRefSetMipmappedArray *arguments)
{
	void *reference, *mipmap;
	CUresult result = execute_find(executor, VGPU_KIND_TEXTURE_REFERENCE, arguments->reference, &reference);

	(void)request;
	if (!result)
		result = array_find(executor, VGPU_KIND_MIPMAPPED_ARRAY, arguments->mipmap, &mipmap);
	if (!result && !executor->driver.cuTexRefSetMipmappedArray)
		result = CUDA_ERROR_NOT_SUPPORTED;
	return result ? result : executor->driver.cuTexRefSetMipmappedArray(reference, mipmap, arguments->flags);
}

CUresult execute_cuSurfRefSetArray(struct executor *executor, const struct request *request,
				   const struct wire_cuSurfRefSetArray *arguments)
{
	void *reference, *array;
	CUresult result = execute_find(executor, VGPU_KIND_SURFACE_REFERENCE, arguments->reference, &reference);

	(void)request;
	if (!result)
		result = array_find(executor, VGPU_KIND_ARRAY, arguments->array, &array);
	if (!result && !executor->driver.cuSurfRefSetArray)
		result = CUDA_ERROR_NOT_SUPPORTED;
	return result ? result : executor->driver.cuSurfRefSetArray(reference, array, arguments->flags);
}

CUresult execute_cuTexRefSetAddress_v2(struct executor *executor, const struct request *request,
				       const struct wire_cuTexRefSetAddress_v2 *arguments,
				       struct wire_cuTexRefSetAddress_v2_reply *reply)
{
	size_t offset = 0;
	void *reference;
	CUresult result = execute_find(executor, VGPU_KIND_TEXTURE_REFERENCE, arguments->reference, &reference);

	(void)request;
	if (!result && !executor->driver.cuTexRefSetAddress_v2)
		result = CUDA_ERROR_NOT_SUPPORTED;
	if (!result)
		result = executor->driver.cuTexRefSetAddress_v2(arguments->wants_offset ? &offset : NULL, reference,
								arguments->address, arguments->bytes);
	reply->offset = offset;
	return result;
}

CUresult execute_cuTexRefSetBorderColor(struct executor *executor, const struct request *request,
					const struct wire_cuTexRefSetBorderColor *arguments)
{
	float color[4] = {arguments->red, arguments->green, arguments->blue, arguments->alpha};
	void *reference;
	CUresult result = execute_find(executor, VGPU_KIND_TEXTURE_REFERENCE, arguments->reference, &reference);

	(void)request;
	if (!result && !executor->driver.cuTexRefSetBorderColor)
		result = CUDA_ERROR_NOT_SUPPORTED;
	return result ? result : executor->driver.cuTexRefSetBorderColor(reference, color);
}

CUresult execute_cuTexRefGetBorderColor(struct executor *executor, const struct request *request,
					const struct wire_cuTexRefGetBorderColor *arguments,
					struct wire_cuTexRefGetBorderColor_reply *reply)
{
	float color[4] = {0};
	void *reference;
	CUresult result = execute_find(executor, VGPU_KIND_TEXTURE_REFERENCE, arguments->reference, &reference);

	(void)request;
	if (!result && !executor->driver.cuTexRefGetBorderColor)
		result = CUDA_ERROR_NOT_SUPPORTED;
	if (!result)
		result = executor->driver.cuTexRefGetBorderColor(color, reference);
	reply->red = color[0];
	reply->green = color[1];
	reply->blue = color[2];
	reply->alpha = color[3];
	return result;
}
