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
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	if (result)
		return result;
	owner = owner_find(handle, VGPU_KIND_MODULE);
	if (!owner)
		return CUDA_ERROR_INVALID_HANDLE;
	if (!ret_handle || !name)
		return CUDA_ERROR_INVALID_VALUE;
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

static CUresult reference_begin(const void *handle, enum vgpu_kind kind, enum call_needs needs, uint32_t *ret_context,
				uint32_t *ret_id)
{
	CUresult result = call_begin(needs, ret_context);

	return result ? result : object_id(handle, kind, ret_id);
}

static CUresult texture_begin(CUtexref handle, uint32_t *ret_context, uint32_t *ret_id)
{
	return reference_begin(handle, VGPU_KIND_TEXTURE_REFERENCE, CALL_NEEDS_INIT, ret_context, ret_id);
}

static CUresult surface_begin(CUsurfref handle, uint32_t *ret_context, uint32_t *ret_id)
{
	return reference_begin(handle, VGPU_KIND_SURFACE_REFERENCE, CALL_NEEDS_INIT, ret_context, ret_id);
}

/* Those of a module have their function's place as their detail, and end with it. */
static bool is_of_module(const struct object *object)
{
	return object->detail;
}

/* NVIDIA's driver takes a module's, too; what that does to it is not documented. It stays. */
API(cuTexRefDestroy, CUtexref reference)
{
	uint32_t context, id;
	CUresult result = reference_begin(reference, VGPU_KIND_TEXTURE_REFERENCE, CALL_NEEDS_CONTEXT, &context, &id);

	if (result || is_of_module((struct object *)reference))
		return result;
	result = host_cuTexRefDestroy(context, id);
	if (!result)
		object_release((struct object *)reference);
	return result;
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
	CUresult result = surface_begin(reference, &context, &id);

	if (!result)
		result = array_id(array, VGPU_KIND_ARRAY, &bound);
	return result ? result : host_cuSurfRefSetArray(context, id, bound, flags);
}

/* What is bound, by its id; what has ended is not. */
static CUresult bound_tell(uint32_t id, void **ret_handle)
{
	struct object *object = object_by_id(id);

	if (!object)
		return CUDA_ERROR_INVALID_VALUE;
	*ret_handle = object;
	return CUDA_SUCCESS;
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
	return result ? result : bound_tell(bound, (void **)array);
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
	return result ? result : bound_tell(bound, (void **)mipmap);
}

API(cuSurfRefGetArray, CUarray *array, CUsurfref reference)
{
	uint32_t context, id, bound;
	CUresult result = surface_begin(reference, &context, &id);

	if (result)
		return result;
	if (!array)
		return CUDA_ERROR_INVALID_VALUE;
	result = host_cuSurfRefGetArray(context, &bound, id);
	return result ? result : bound_tell(bound, (void **)array);
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

/*
 * Of before CUDA 2.2, when a launch named its textures; kernels do that themselves since then. The driver takes a
 * reference that is of no module, for any unit, and does nothing with it.
 */
API(cuParamSetTexRef, CUfunction function, int unit, CUtexref reference)
{
	uint32_t context, id;
	CUresult result = reference_begin(reference, VGPU_KIND_TEXTURE_REFERENCE, CALL_NEEDS_CONTEXT, &context, &id);

	(void)unit;
	if (!result)
		result = function_id(function, &id);
	return !result && is_of_module((struct object *)reference) ? CUDA_ERROR_INVALID_VALUE : result;
}

static bool own_visit(struct object *object, void *argument)
{
	if (object->context == *(const uint32_t *)argument && !is_of_module(object))
		object_release(object);
	return true;
}

void references_forget_context(uint32_t context)
{
	object_each(VGPU_KIND_TEXTURE_REFERENCE, own_visit, &context);
}
