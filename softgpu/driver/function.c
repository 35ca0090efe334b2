/* SPDX-License-Identifier: Apache-2.0 */
/* cuFunc*, and the attributes that functions and kernels share. */
#include "device.h"
#include "driver.h"
#include "entry.h"
#include "library.h"
#include "module.h"

void function_settings_reset(struct function_settings *settings)
{
	settings->dynamic_shared_bytes = -1;
	settings->carveout = CU_SHAREDMEM_CARVEOUT_DEFAULT;
	settings->cache_config = CU_FUNC_CACHE_PREFER_NONE;
}

unsigned function_dynamic_shared_maximum(const struct engine_function_info *info,
					 const struct function_settings *settings)
{
	if (settings->dynamic_shared_bytes >= 0)
		return (unsigned)settings->dynamic_shared_bytes;
	return info->static_shared_bytes < DEVICE_SHARED_BYTES_DEFAULT
		       ? DEVICE_SHARED_BYTES_DEFAULT - info->static_shared_bytes
		       : 0;
}

CUresult function_attribute(const struct engine_function_info *info, const struct function_settings *settings,
			    CUfunction_attribute name, int *ret_value)
{
	switch (name) {
	case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
		*ret_value = (int)info->max_threads_per_block;
		break;
	case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:
		*ret_value = (int)info->static_shared_bytes;
		break;
	case CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES:
		*ret_value = (int)info->constant_bytes;
		break;
	case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES:
		*ret_value = (int)info->local_bytes;
		break;
	case CU_FUNC_ATTRIBUTE_NUM_REGS:
		*ret_value = (int)info->register_count;
		break;
	case CU_FUNC_ATTRIBUTE_PTX_VERSION: /* of the target, in these two: major * 10 + minor */
	case CU_FUNC_ATTRIBUTE_BINARY_VERSION:
		*ret_value = name == CU_FUNC_ATTRIBUTE_PTX_VERSION
				     ? (int)info->target_sm
				     : DEVICE_CAPABILITY_MAJOR * 10 + DEVICE_CAPABILITY_MINOR;
		break;
	case CU_FUNC_ATTRIBUTE_CACHE_MODE_CA:
	case CU_FUNC_ATTRIBUTE_CLUSTER_SIZE_MUST_BE_SET:
	case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH:
	case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT:
	case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH:
	case CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED:
	case CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
		*ret_value = 0;
		break;
	case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
		*ret_value = (int)function_dynamic_shared_maximum(info, settings);
		break;
	case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
		*ret_value = settings->carveout;
		break;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
	return CUDA_SUCCESS;
}

CUresult function_set_attribute(const struct engine_function_info *info, struct function_settings *settings,
				CUfunction_attribute name, int value)
{
	switch (name) {
	case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
		if (value < 0 || (unsigned)value + info->static_shared_bytes > DEVICE_SHARED_BYTES_OPTIN)
			return CUDA_ERROR_INVALID_VALUE;
		settings->dynamic_shared_bytes = value;
		return CUDA_SUCCESS;
	case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
		if (value < -1 || value > 100)
			return CUDA_ERROR_INVALID_VALUE;
		settings->carveout = value; /* a preference: there is nothing to divide here */
		return CUDA_SUCCESS;
	case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH:
	case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT:
	case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH:
	case CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED:
	case CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
		return value ? CUDA_ERROR_NOT_SUPPORTED : CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

CUresult function_parameter(const struct engine_function_info *info, size_t index, size_t *ret_offset,
			    size_t *ret_bytes)
{
	if (!ret_offset || index >= info->parameter_count)
		return CUDA_ERROR_INVALID_VALUE;
	*ret_offset = info->parameters[index].offset;
	if (ret_bytes)
		*ret_bytes = info->parameters[index].bytes;
	return CUDA_SUCCESS;
}

CUresult function_acquire(const void *handle, struct context *context, struct function **ret_function)
{
	struct function *function = object_acquire(handle, OBJECT_FUNCTION);

	if (function) {
		*ret_function = function;
		return CUDA_SUCCESS;
	}
	return kernel_function(handle, context, ret_function);
}

/* In a healthy current context.  The runtime passes kernels where functions are expected. */
static CUresult function_get(CUfunction handle, struct function **ret_function)
{
	struct context *context;
	CUresult result = context_current(&context);

	return result ? result : function_acquire(handle, context, ret_function);
}

ENTRY(cuFuncGetAttribute, (int *ret_value, CUfunction_attribute name, CUfunction handle))
{
	struct function *function;
	CUresult result = function_get(handle, &function);

	if (result)
		return result;
	result = ret_value ? function_attribute(&function->info, function->settings, name, ret_value)
			   : CUDA_ERROR_INVALID_VALUE;
	object_release(&function->object);
	return result;
}

ENTRY(cuFuncSetAttribute, (CUfunction handle, CUfunction_attribute name, int value))
{
	struct function *function;
	CUresult result = function_get(handle, &function);

	if (result)
		return result;
	result = function_set_attribute(&function->info, function->settings, name, value);
	object_release(&function->object);
	return result;
}

ENTRY(cuFuncSetCacheConfig, (CUfunction handle, CUfunc_cache config))
{
	struct function *function;
	CUresult result = function_get(handle, &function);

	if (result)
		return result;
	if ((unsigned)config > CU_FUNC_CACHE_PREFER_EQUAL)
		result = CUDA_ERROR_INVALID_VALUE;
	else
		function->settings->cache_config = config;
	object_release(&function->object);
	return result;
}

ENTRY(cuFuncSetSharedMemConfig, (CUfunction handle, CUsharedconfig config))
{
	struct function *function;
	CUresult result = function_get(handle, &function);

	if (result)
		return result;
	object_release(&function->object);
	return (unsigned)config > CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

ENTRY(cuFuncGetModule, (CUmodule * ret_module, CUfunction handle))
{
	struct function *function;
	CUresult result = function_get(handle, &function);

	if (result)
		return result;
	if (ret_module)
		*ret_module = (CUmodule)function->module;
	else
		result = CUDA_ERROR_INVALID_VALUE;
	object_release(&function->object);
	return result;
}

ENTRY(cuFuncGetName, (const char **ret_name, CUfunction handle))
{
	struct function *function;
	CUresult result = function_get(handle, &function);

	if (result)
		return result;
	if (ret_name)
		*ret_name = function->info.name;
	else
		result = CUDA_ERROR_INVALID_VALUE;
	object_release(&function->object);
	return result;
}

ENTRY(cuFuncGetParamInfo, (CUfunction handle, size_t index, size_t *ret_offset, size_t *ret_bytes))
{
	struct function *function;
	CUresult result = function_get(handle, &function);

	if (result)
		return result;
	result = function_parameter(&function->info, index, ret_offset, ret_bytes);
	object_release(&function->object);
	return result;
}

ENTRY(cuFuncIsLoaded, (CUfunctionLoadingState * ret_state, CUfunction handle))
{
	struct function *function;
	CUresult result = function_get(handle, &function);

	if (result)
		return result;
	if (ret_state)
		*ret_state = CU_FUNCTION_LOADING_STATE_LOADED;
	else
		result = CUDA_ERROR_INVALID_VALUE;
	object_release(&function->object);
	return result;
}

ENTRY(cuFuncLoad, (CUfunction handle))
{
	struct function *function;
	CUresult result = function_get(handle, &function);

	if (!result)
		object_release(&function->object);
	return result;
}
