/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "executor.h"
#include "launch.h"

/* Kernels take at most 32,764 bytes of parameters (CUDA programming guide), each at least one. */
#define PARAMETERS_MAX 4096

static CUresult attributes_read(const struct driver *driver, bool is_kernel, CUfunction object, CUdevice device,
				struct vgpu_function_info_reply *info)
{
	_Static_assert(CU_FUNC_ATTRIBUTE_MAX <= VGPU_FUNCTION_ATTRIBUTES_MAX, "all attributes have a place");
	if (is_kernel ? !driver->cuKernelGetAttribute : !driver->cuFuncGetAttribute)
		return CUDA_ERROR_NOT_SUPPORTED;
	for (int i = 0; i < VGPU_FUNCTION_ATTRIBUTES_MAX; i++) {
		CUfunction_attribute attribute = (CUfunction_attribute)i;
		int value = 0;
		CUresult result = CUDA_ERROR_INVALID_VALUE;

		if (i < CU_FUNC_ATTRIBUTE_MAX)
			result = is_kernel ? driver->cuKernelGetAttribute(&value, attribute, (CUkernel)object, device)
					   : driver->cuFuncGetAttribute(&value, attribute, object);
		info->attribute_values[i] = value;
		info->attribute_results[i] = (uint16_t)result;
	}
	return CUDA_SUCCESS;
}

static CUresult parameters_read(const struct driver *driver, bool is_kernel, CUfunction object,
				struct vgpu_function_info_reply *info, struct vgpu_function_parameter *parameters)
{
	if (is_kernel ? !driver->cuKernelGetParamInfo : !driver->cuFuncGetParamInfo)
		return CUDA_ERROR_NOT_SUPPORTED;
	for (uint32_t i = 0; i < PARAMETERS_MAX; i++) {
		size_t offset = 0;
		size_t bytes = 0;
		CUresult result = is_kernel ? driver->cuKernelGetParamInfo((CUkernel)object, i, &offset, &bytes)
					    : driver->cuFuncGetParamInfo(object, i, &offset, &bytes);

		/* The way to learn how many there are. */
		if (result == CUDA_ERROR_INVALID_VALUE)
			return CUDA_SUCCESS;
		if (result)
			return result;
		parameters[i] = (struct vgpu_function_parameter){.offset = (uint32_t)offset, .bytes = (uint32_t)bytes};
		info->parameter_count = i + 1;
		if (offset + bytes > info->parameter_bytes)
			info->parameter_bytes = (uint32_t)(offset + bytes);
	}
	return CUDA_ERROR_NOT_SUPPORTED;
}

CUresult function_info_execute(struct executor *executor, const struct request *request, struct reply *reply)
{
	const struct vgpu_function_info_request *arguments = request->payload;
	struct vgpu_function_info_reply *info = (void *)reply->payload;
	struct vgpu_function_parameter *parameters = (void *)(info + 1);
	bool is_kernel;
	CUfunction object;
	CUresult result;

	_Static_assert(sizeof(*info) + PARAMETERS_MAX * sizeof(*parameters) <=
			       VGPU_RECORD_BYTES_MAX - sizeof(struct vgpu_record),
		       "every reply fits");
	if (request->payload_bytes < sizeof(*arguments))
		return EXECUTE_PROTOCOL;
	result = execute_find_function(executor, arguments->function, &object);
	if (result)
		return result;
	is_kernel = VGPU_ID_KIND(arguments->function) == VGPU_KIND_KERNEL;
	memset(info, 0, sizeof(*info));
	result = attributes_read(&executor->driver, is_kernel, object, (CUdevice)arguments->device, info);
	if (!result)
		result = parameters_read(&executor->driver, is_kernel, object, info, parameters);
	if (!result)
		reply->bytes = sizeof(*info) + info->parameter_count * sizeof(*parameters);
	return result;
}
