/* SPDX-License-Identifier: Apache-2.0 */
/* cuSurfRef*, cuModuleGetSurfRef: arrays that kernels read and write by a variable's name. */
#include "array.h"
#include "driver.h"
#include "entry.h"
#include "reference.h"

ENTRY(cuModuleGetSurfRef, (CUsurfref * ret_handle, CUmodule handle, const char *name))
{
	struct reference *reference;
	CUresult result = reference_of_module(handle, ret_handle ? name : NULL, OBJECT_SURFACE_REFERENCE, &reference);

	if (ret_handle && !result)
		*ret_handle = (CUsurfref)reference;
	return result;
}

/* Whether a surface can be of the array. */
static CUresult array_check(CUarray handle)
{
	struct array *array = object_acquire(handle, OBJECT_ARRAY);
	CUresult result;

	if (!array)
		return CUDA_ERROR_INVALID_HANDLE;
	result = array->descriptor.Flags & CUDA_ARRAY3D_SURFACE_LDST ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
	object_release(&array->object);
	return result;
}

ENTRY(cuSurfRefSetArray, (CUsurfref handle, CUarray array, unsigned int flags))
{
	struct reference *reference;
	CUresult result = reference_begin(handle, OBJECT_SURFACE_REFERENCE, &reference);

	if (result)
		return result;
	result = flags ? CUDA_ERROR_INVALID_VALUE : array_check(array);
	if (!result) {
		reference->resource =
			(CUDA_RESOURCE_DESC){.resType = CU_RESOURCE_TYPE_ARRAY, .res.array.hArray = array};
		reference->is_bound = true;
		reference_apply(reference);
	}
	reference_end(reference);
	return result;
}

ENTRY(cuSurfRefGetArray, (CUarray * ret_array, CUsurfref handle))
{
	struct reference *reference;
	CUresult result = reference_begin(handle, OBJECT_SURFACE_REFERENCE, &reference);

	if (result)
		return result;
	if (ret_array && reference->is_bound)
		*ret_array = reference->resource.res.array.hArray;
	else
		result = CUDA_ERROR_INVALID_VALUE;
	reference_end(reference);
	return result;
}
