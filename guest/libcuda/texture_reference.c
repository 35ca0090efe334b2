/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texture and surface references: objects whose state the host's driver has. Those of a module are kept with its
 * functions, for they end with it and the same name gives the same handle.
 */
#include "array.h"
#include "host_calls.h"
#include "module.h"
#include "object_table.h"

static CUresult reference_get(void **ret_handle, CUmodule handle, const char *name, enum vgpu_kind kind, owner_ask ask)
{
	struct object *object;
	struct owner *owner;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	if (!ret_handle || !name)
		return CUDA_ERROR_INVALID_VALUE;
	owner = owner_find(handle, VGPU_KIND_MODULE);
	if (!owner)
		return CUDA_ERROR_INVALID_HANDLE;
	result = owner_function(owner, kind, context, name, ask, &object);
	if (!result)
		*ret_handle = object;
	return result;
}

API(cuModuleGetTexRef, CUtexref *reference, CUmodule module, const char *name)
{
	return reference_get((void **)reference, module, name, VGPU_KIND_TEXTURE_REFERENCE, host_cuModuleGetTexRef);
}

API(cuModuleGetSurfRef, CUsurfref *reference, CUmodule module, const char *name)
{
	return reference_get((void **)reference, module, name, VGPU_KIND_SURFACE_REFERENCE, host_cuModuleGetSurfRef);
}

static CUresult reference_begin(const void *handle, enum vgpu_kind kind, uint32_t *ret_context, uint32_t *ret_id)
{
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, ret_context);

	return result ? result : object_id(handle, kind, ret_id);
}

static CUresult texture_begin(CUtexref handle, uint32_t *ret_context, uint32_t *ret_id)
{
	return reference_begin(handle, VGPU_KIND_TEXTURE_REFERENCE, ret_context, ret_id);
}

/* An array that may be NULL, which the host's driver has to judge. */
static CUresult array_id(const void *handle, enum vgpu_kind kind, uint32_t *ret_id)
{
	*ret_id = 0;
	return handle ? object_id(handle, kind, ret_id) : CUDA_SUCCESS;
}

API(cuTexRefSetArray, CUtexref reference, CUarray array, unsigned int flags)
{
	uint32_t context, id, bound;
	CUresult result = texture_begin(reference, &context, &id);

	if (!result)
		result = array_id(array, VGPU_KIND_ARRAY, &bound);
	return result ? result : host_cuTexRefSetArray(context, id, bound, flags);
}

API(cuTexRefSetMipmappedArray, CUtexref reference, CUmipmappedArray mipmap, unsigned int flags)
{
	uint32_t context, id, bound;
	CUresult result = texture_begin(reference, &context, &id);

	if (!result)
		result = array_id(mipmap, VGPU_KIND_MIPMAPPED_ARRAY, &bound);
	return result ? result : host_cuTexRefSetMipmappedArray(context, id, bound, flags);
}

API(cuSurfRefSetArray, CUsurfref reference, CUarray array, unsigned int flags)
{
	uint32_t context, id, bound;
	CUresult result = reference_begin(reference, VGPU_KIND_SURFACE_REFERENCE, &context, &id);

	if (!result)
		result = array_id(array, VGPU_KIND_ARRAY, &bound);
	return result ? result : host_cuSurfRefSetArray(context, id, bound, flags);
}

API(cuTexRefGetArray, CUarray *array, CUtexref reference)
{
	uint32_t context, id, bound;
	CUresult result = texture_begin(reference, &context, &id);

	if (result)
		return result;
	if (!array)
		return CUDA_ERROR_INVALID_VALUE;
	result = host_cuTexRefGetArray(context, &bound, id);
	if (!result)
		*array = (CUarray)object_by_id(bound);
	return result;
}

API(cuTexRefGetMipmappedArray, CUmipmappedArray *mipmap, CUtexref reference)
{
	uint32_t context, id, bound;
	CUresult result = texture_begin(reference, &context, &id);

	if (result)
		return result;
	if (!mipmap)
		return CUDA_ERROR_INVALID_VALUE;
	result = host_cuTexRefGetMipmappedArray(context, &bound, id);
	if (!result)
		*mipmap = (CUmipmappedArray)object_by_id(bound);
	return result;
}

API(cuSurfRefGetArray, CUarray *array, CUsurfref reference)
{
	uint32_t context, id, bound;
	CUresult result = reference_begin(reference, VGPU_KIND_SURFACE_REFERENCE, &context, &id);

	if (result)
		return result;
	if (!array)
		return CUDA_ERROR_INVALID_VALUE;
	result = host_cuSurfRefGetArray(context, &bound, id);
	if (!result)
		*array = (CUarray)object_by_id(bound);
	return result;
}

API(cuTexRefSetAddress_v2, size_t *offset, CUtexref reference, CUdeviceptr address, size_t bytes)
{
	uint64_t found;
	uint32_t context, id;
	CUresult result = texture_begin(reference, &context, &id);

	if (!result)
		result = host_cuTexRefSetAddress_v2(context, &found, offset != NULL, id, address, bytes);
	if (!result && offset)
		*offset = (size_t)found;
	return result;
}

API(cuTexRefSetBorderColor, CUtexref reference, float *color)
{
	uint32_t context, id;
	CUresult result = texture_begin(reference, &context, &id);

	if (!result && !color)
		result = CUDA_ERROR_INVALID_VALUE;
	return result ? result : host_cuTexRefSetBorderColor(context, id, color[0], color[1], color[2], color[3]);
}

API(cuTexRefGetBorderColor, float *color, CUtexref reference)
{
	uint32_t context, id;
	CUresult result = texture_begin(reference, &context, &id);

	if (!result && !color)
		result = CUDA_ERROR_INVALID_VALUE;
	return result ? result : host_cuTexRefGetBorderColor(context, &color[0], &color[1], &color[2], &color[3], id);
}

API(cuTexRefGetFormat, CUarray_format *format, int *channels, CUtexref reference)
{
	uint32_t context, id, found_format;
	int32_t found_channels;
	CUresult result = texture_begin(reference, &context, &id);

	if (!result)
		result = host_cuTexRefGetFormat(context, &found_format, &found_channels, id);
	if (!result && format)
		*format = (CUarray_format)found_format;
	if (!result && channels)
		*channels = found_channels;
	return result;
}

API(cuTexRefGetMipmapLevelClamp, float *least, float *greatest, CUtexref reference)
{
	uint32_t context, id;
	float found_least, found_greatest;
	CUresult result = texture_begin(reference, &context, &id);

	if (!result)
		result = host_cuTexRefGetMipmapLevelClamp(context, &found_least, &found_greatest, id);
	if (!result && least)
		*least = found_least;
	if (!result && greatest)
		*greatest = found_greatest;
	return result;
}

/* Of before CUDA 4, where a launch's textures were parameters; kernels name them by themselves since CUDA 2.2. */
API(cuParamSetTexRef, CUfunction function, int unit, CUtexref reference)
{
	uint32_t context, id;
	CUresult result = texture_begin(reference, &context, &id);

	if (!result)
		result = function_id(function, &id);
	/* CU_PARAM_TR_DEFAULT is all that the API reference allows. */
	return !result && unit != -1 ? CUDA_ERROR_INVALID_VALUE : result;
}

/* Those of a module have their function's place as their detail, and end with it. */
static bool own_visit(struct object *object, void *argument)
{
	if (object->context == *(const uint32_t *)argument && !object->detail)
		object_release(object);
	return true;
}

void references_forget_context(uint32_t context)
{
	object_each(VGPU_KIND_TEXTURE_REFERENCE, own_visit, &context);
}
