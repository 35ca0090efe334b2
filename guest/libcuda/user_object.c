/* SPDX-License-Identifier: Apache-2.0 */
/*
 * User objects.  Their references are the host's to count; the last one's end comes
 * back as a call of the program's destructor, with which the handle ends.
 */
#include <limits.h>

#include "call.h"
#include "host_calls.h"
#include "host_function.h"

API(cuUserObjectCreate, CUuserObject *ret_object, void *data, CUhostFn destroy, unsigned int count, unsigned int flags)
{
	struct object *object;
	uint32_t context;
	uint64_t name;
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	if (result)
		return result;
	/* The one flag has to be there (API reference). */
	if (!ret_object || !destroy || !count || count > INT_MAX || flags != CU_USER_OBJECT_NO_DESTRUCTOR_SYNC)
		return CUDA_ERROR_INVALID_VALUE;
	object = object_mint(VGPU_KIND_USER_OBJECT, 0);
	if (!object)
		return CUDA_ERROR_OUT_OF_MEMORY;
	result = host_function_keep_object(object, destroy, data, &name);
	if (!result) {
		result = host_cuUserObjectCreate(context, object->id, name, count, flags);
		if (result)
			host_function_drop(name);
	}
	if (result)
		object_release(object);
	else
		*ret_object = (CUuserObject)object;
	return result;
}
