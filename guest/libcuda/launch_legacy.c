/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Launches as before CUDA 4: a function has a block, shared memory and parameters, which are set one by one. One
 * launch of a function at a time, so what is set needs no lock but where it comes into being.
 */
#include "launch_legacy.h"

#include <stdlib.h>
#include <string.h>

#include "call.h"
#include "function.h"

/* Of a kernel's parameters, when there was no other way to launch one. */
#define PARAMETER_BYTES_MAX 4096u

struct launch_legacy {
	uint32_t block[3];
	uint32_t shared_bytes;
	size_t parameter_bytes;
	uint8_t parameters[PARAMETER_BYTES_MAX];
};

CUresult cuLaunchKernel(CUfunction f, unsigned int grid_x, unsigned int grid_y, unsigned int grid_z,
			unsigned int block_x, unsigned int block_y, unsigned int block_z, unsigned int shared_bytes,
			CUstream stream, void **parameters, void **extra);

void launch_legacy_free(struct launch_legacy *legacy)
{
	free(legacy);
}

static CUresult legacy_of(CUfunction handle, struct launch_legacy **ret_legacy)
{
	struct launch_legacy *made, *found = NULL;
	struct function *function;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	function = function_find(handle);
	if (!function)
		return CUDA_ERROR_INVALID_HANDLE;
	*ret_legacy = __atomic_load_n(&function->legacy, __ATOMIC_ACQUIRE);
	if (*ret_legacy)
		return CUDA_SUCCESS;
	made = calloc(1, sizeof(*made));
	if (!made)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (__atomic_compare_exchange_n(&function->legacy, &found, made, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
		*ret_legacy = made;
	} else {
		free(made);
		*ret_legacy = found;
	}
	return CUDA_SUCCESS;
}

API(cuFuncSetBlockShape, CUfunction function, int x, int y, int z)
{
	struct launch_legacy *legacy;
	CUresult result = legacy_of(function, &legacy);

	if (result)
		return result;
	if (x <= 0 || y <= 0 || z <= 0)
		return CUDA_ERROR_INVALID_VALUE;
	legacy->block[0] = (uint32_t)x;
	legacy->block[1] = (uint32_t)y;
	legacy->block[2] = (uint32_t)z;
	return CUDA_SUCCESS;
}

API(cuFuncSetSharedSize, CUfunction function, unsigned int bytes)
{
	struct launch_legacy *legacy;
	CUresult result = legacy_of(function, &legacy);

	if (!result)
		legacy->shared_bytes = bytes;
	return result;
}

API(cuParamSetSize, CUfunction function, unsigned int bytes)
{
	struct launch_legacy *legacy;
	CUresult result = legacy_of(function, &legacy);

	if (result)
		return result;
	if (bytes > PARAMETER_BYTES_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	legacy->parameter_bytes = bytes;
	return CUDA_SUCCESS;
}

static CUresult parameter_set(CUfunction function, int offset, const void *value, size_t bytes)
{
	struct launch_legacy *legacy;
	CUresult result = legacy_of(function, &legacy);

	if (result)
		return result;
	if (!value || offset < 0 || (size_t)offset > PARAMETER_BYTES_MAX ||
	    bytes > PARAMETER_BYTES_MAX - (size_t)offset)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(legacy->parameters + offset, value, bytes);
	return CUDA_SUCCESS;
}

API(cuParamSeti, CUfunction function, int offset, unsigned int value)
{
	return parameter_set(function, offset, &value, sizeof(value));
}

API(cuParamSetf, CUfunction function, int offset, float value)
{
	return parameter_set(function, offset, &value, sizeof(value));
}

API(cuParamSetv, CUfunction function, int offset, void *value, unsigned int bytes)
{
	return parameter_set(function, offset, value, bytes);
}

static CUresult launch(CUfunction function, int width, int height, CUstream stream)
{
	struct launch_legacy *legacy;
	CUresult result = legacy_of(function, &legacy);

	if (result)
		return result;
	if (width <= 0 || height <= 0)
		return CUDA_ERROR_INVALID_VALUE;
	return cuLaunchKernel(function, (unsigned int)width, (unsigned int)height, 1, legacy->block[0],
			      legacy->block[1], legacy->block[2], legacy->shared_bytes, stream, NULL,
			      (void *[]){CU_LAUNCH_PARAM_BUFFER_POINTER, legacy->parameters,
					 CU_LAUNCH_PARAM_BUFFER_SIZE, &legacy->parameter_bytes, CU_LAUNCH_PARAM_END});
}

API(cuLaunch, CUfunction function)
{
	return launch(function, 1, 1, NULL);
}

API(cuLaunchGrid, CUfunction function, int width, int height)
{
	return launch(function, width, height, NULL);
}

API(cuLaunchGridAsync, CUfunction function, int width, int height, CUstream stream)
{
	return launch(function, width, height, stream);
}
