/* SPDX-License-Identifier: Apache-2.0 */
#include "function.h"

#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "host_calls.h"
#include "launch_legacy.h"
#include "lock.h"
#include "module.h"
#include "session.h"

/* Guards the lists of infos against two threads that ask for the first time. */
static struct lock infos_lock;

struct function *function_new(struct object *object, struct object *owner, const char *name)
{
	size_t name_bytes = strlen(name) + 1;
	struct function *function = calloc(1, sizeof(*function) + name_bytes);

	if (!function)
		return NULL;
	function->object = object;
	function->owner = owner;
	memcpy(function->name, name, name_bytes);
	__atomic_store_n(&object->detail, function, __ATOMIC_RELEASE);
	return function;
}

void function_free(struct function *function)
{
	while (function->infos) {
		struct function_info *next = function->infos->next;

		free(function->infos);
		function->infos = next;
	}
	while (function->derived) {
		struct function *next = function->derived->next;

		function_free(function->derived);
		function->derived = next;
	}
	launch_legacy_free(function->legacy);
	object_release(function->object);
	free(function);
}

struct function *function_of_kind(const void *handle, enum vgpu_kind kind)
{
	struct object *object = object_find(handle, kind);

	return object ? __atomic_load_n((struct function **)&object->detail, __ATOMIC_ACQUIRE) : NULL;
}

struct function *function_find(const void *handle)
{
	struct function *function = function_of_kind(handle, VGPU_KIND_FUNCTION);

	return function ? function : function_of_kind(handle, VGPU_KIND_KERNEL);
}

CUresult function_id(CUfunction handle, uint32_t *ret_id)
{
	struct function *function = function_find(handle);

	if (!function)
		return CUDA_ERROR_INVALID_HANDLE;
	*ret_id = function->object->id;
	return CUDA_SUCCESS;
}

static bool parameters_valid(const struct vgpu_function_info_reply *reply, size_t received)
{
	const struct vgpu_function_parameter *parameters = (const void *)(reply + 1);

	if (received < sizeof(*reply) ||
	    reply->parameter_count > (received - sizeof(*reply)) / sizeof(struct vgpu_function_parameter) ||
	    reply->parameter_bytes > FUNCTION_PARAMETER_BYTES_MAX)
		return false;
	for (uint32_t i = 0; i < reply->parameter_count; i++) {
		if (parameters[i].offset > reply->parameter_bytes ||
		    parameters[i].bytes > reply->parameter_bytes - parameters[i].offset)
			return false;
	}
	return true;
}

static CUresult info_fetch(const struct function *function, uint32_t context, CUdevice device,
			   struct function_info **ret_info)
{
	struct vgpu_function_info_request request = {.function = function->object->id, .device = (uint32_t)device};
	const struct call_piece pieces[] = {{&request, sizeof(request)}};
	/* Too much for the stack of a small thread. */
	struct vgpu_function_info_reply *reply = malloc(VGPU_RECORD_BYTES_MAX);
	struct function_info *info;
	size_t received = 0;
	size_t parameters_bytes;
	CUresult result;

	if (!reply)
		return CUDA_ERROR_OUT_OF_MEMORY;
	result = call_wait(VGPU_OPCODE_FUNCTION_INFO, context, pieces, 1, reply, VGPU_RECORD_BYTES_MAX, &received);
	if (!result && !parameters_valid(reply, received))
		result = CUDA_ERROR_UNKNOWN;
	if (result)
		goto cleanup;
	parameters_bytes = reply->parameter_count * sizeof(struct vgpu_function_parameter);
	info = calloc(1, sizeof(*info) + parameters_bytes);
	if (!info) {
		result = CUDA_ERROR_OUT_OF_MEMORY;
		goto cleanup;
	}
	info->device = device;
	info->parameter_count = reply->parameter_count;
	info->parameter_bytes = reply->parameter_bytes;
	memcpy(info->values, reply->attribute_values, sizeof(info->values));
	memcpy(info->results, reply->attribute_results, sizeof(info->results));
	memcpy(info->parameters, reply + 1, parameters_bytes);
	*ret_info = info;
cleanup:
	free(reply);
	return result;
}

static struct function_info *info_find(struct function *function, CUdevice device)
{
	struct function_info *info = __atomic_load_n(&function->infos, __ATOMIC_ACQUIRE);

	while (info && info->device != device)
		info = info->next;
	return info;
}

CUresult function_info_get(struct function *function, uint32_t context, CUdevice device,
			   const struct function_info **ret_info)
{
	struct function_info *info = info_find(function, device);
	struct function_info *fetched;
	CUresult result;

	if (__builtin_expect(info != NULL, 1)) {
		*ret_info = info;
		return CUDA_SUCCESS;
	}
	result = info_fetch(function, context, device, &fetched);
	if (result)
		return result;
	lock_take(&infos_lock);
	info = info_find(function, device);
	if (!info) {
		info = fetched;
		info->next = function->infos;
		__atomic_store_n(&function->infos, info, __ATOMIC_RELEASE);
		fetched = NULL;
	}
	lock_release(&infos_lock);
	free(fetched);
	*ret_info = info;
	return CUDA_SUCCESS;
}

/* The entry points' common beginning: a function or kernel, and its info on the device of the context. */
static CUresult query_begin(const void *handle, struct function **ret_function, uint32_t *ret_context,
			    CUdevice *ret_device)
{
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, ret_context);

	if (result)
		return result;
	*ret_function = function_find(handle);
	*ret_device = (CUdevice)context_current()->words[CONTEXT_DEVICE];
	return *ret_function ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

static CUresult attribute_read(struct function *function, uint32_t context, CUdevice device,
			       CUfunction_attribute attribute, int *ret_value)
{
	const struct function_info *info;
	CUresult result;

	if (!ret_value || (int)attribute < 0 || (int)attribute >= VGPU_FUNCTION_ATTRIBUTES_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	result = function_info_get(function, context, device, &info);
	if (!result)
		result = (CUresult)info->results[attribute];
	if (!result)
		*ret_value = __atomic_load_n(&info->values[attribute], __ATOMIC_RELAXED);
	return result;
}

static CUresult parameter_read(struct function *function, uint32_t context, CUdevice device, size_t index,
			       size_t *ret_offset, size_t *ret_bytes)
{
	const struct function_info *info;
	CUresult result;

	if (!ret_offset)
		return CUDA_ERROR_INVALID_VALUE;
	result = function_info_get(function, context, device, &info);
	if (result)
		return result;
	if (index >= info->parameter_count)
		return CUDA_ERROR_INVALID_VALUE;
	*ret_offset = info->parameters[index].offset;
	if (ret_bytes)
		*ret_bytes = info->parameters[index].bytes;
	return CUDA_SUCCESS;
}

/* Keeps what is known in step with what the host has been told. */
static void attribute_note(struct function *function, CUdevice device, int attribute, int value)
{
	struct function_info *info = info_find(function, device);

	if (info && attribute >= 0 && attribute < VGPU_FUNCTION_ATTRIBUTES_MAX)
		__atomic_store_n(&info->values[attribute], value, __ATOMIC_RELAXED);
}

/* A kernel's functions are the kernel, each in its context (seen with driver 580). */
static void derived_note(struct function *kernel, CUdevice device, int attribute, int value)
{
	struct owner *library = kernel->owner->detail;

	pthread_mutex_lock(&library->mutex);
	for (struct function *function = kernel->derived; function; function = function->next)
		attribute_note(function, device, attribute, value);
	pthread_mutex_unlock(&library->mutex);
}

API(cuFuncGetAttribute, int *value, CUfunction_attribute attribute, CUfunction hfunc)
{
	struct function *function;
	uint32_t context;
	CUdevice device;
	CUresult result = query_begin(hfunc, &function, &context, &device);

	return result ? result : attribute_read(function, context, device, attribute, value);
}

API(cuFuncSetAttribute, CUfunction hfunc, CUfunction_attribute attribute, int value)
{
	struct function *function;
	uint32_t context;
	CUdevice device;
	CUresult result = query_begin(hfunc, &function, &context, &device);

	if (!result)
		result = host_cuFuncSetAttribute(context, function->object->id, (int32_t)attribute, value);
	if (!result)
		attribute_note(function, device, (int)attribute, value);
	return result;
}

API(cuFuncGetName, const char **name, CUfunction hfunc)
{
	struct function *function = function_find(hfunc);

	if (!session_ready())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!name || !hfunc)
		return CUDA_ERROR_INVALID_VALUE;
	if (!function)
		return CUDA_ERROR_INVALID_HANDLE;
	*name = function->name;
	return CUDA_SUCCESS;
}

API(cuFuncGetParamInfo, CUfunction func, size_t index, size_t *offset, size_t *bytes)
{
	struct function *function;
	uint32_t context;
	CUdevice device;
	CUresult result = query_begin(func, &function, &context, &device);

	return result ? result : parameter_read(function, context, device, index, offset, bytes);
}

API(cuFuncSetCacheConfig, CUfunction hfunc, CUfunc_cache config)
{
	struct function *function;
	uint32_t context;
	CUdevice device;
	CUresult result = query_begin(hfunc, &function, &context, &device);

	return result ? result : host_cuFuncSetCacheConfig(context, function->object->id, (uint32_t)config);
}

API(cuFuncSetSharedMemConfig, CUfunction hfunc, CUsharedconfig config)
{
	struct function *function;
	uint32_t context;
	CUdevice device;
	CUresult result = query_begin(hfunc, &function, &context, &device);

	return result ? result : host_cuFuncSetSharedMemConfig(context, function->object->id, (uint32_t)config);
}

API(cuFuncIsLoaded, CUfunctionLoadingState *state, CUfunction func)
{
	struct function *function;
	uint32_t context;
	CUdevice device;
	CUresult result = query_begin(func, &function, &context, &device);

	if (result)
		return result;
	if (!state)
		return CUDA_ERROR_INVALID_VALUE;
	*state = info_find(function, device) ? CU_FUNCTION_LOADING_STATE_LOADED : CU_FUNCTION_LOADING_STATE_UNLOADED;
	return CUDA_SUCCESS;
}

API(cuFuncLoad, CUfunction func)
{
	const struct function_info *info;
	struct function *function;
	uint32_t context;
	CUdevice device;
	CUresult result = query_begin(func, &function, &context, &device);

	return result ? result : function_info_get(function, context, device, &info);
}

/* Kernels name their device themselves and need no current context. */
static CUresult kernel_begin(CUkernel kernel, uint32_t *ret_context, struct function **ret_function)
{
	CUresult result = call_begin(CALL_NEEDS_INIT, ret_context);

	if (result)
		return result;
	*ret_function = function_of_kind(kernel, VGPU_KIND_KERNEL);
	return *ret_function ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

API(cuKernelGetAttribute, int *value, CUfunction_attribute attribute, CUkernel kernel, CUdevice dev)
{
	struct function *function;
	uint32_t context;
	CUresult result = kernel_begin(kernel, &context, &function);

	if (!result && !context_primary(dev))
		result = CUDA_ERROR_INVALID_DEVICE;
	return result ? result : attribute_read(function, context, dev, attribute, value);
}

API(cuKernelSetAttribute, CUfunction_attribute attribute, int value, CUkernel kernel, CUdevice dev)
{
	struct function *function;
	uint32_t context;
	CUresult result = kernel_begin(kernel, &context, &function);

	if (!result && !context_primary(dev))
		result = CUDA_ERROR_INVALID_DEVICE;
	if (!result)
		result = host_cuKernelSetAttribute(context, (int32_t)attribute, value, function->object->id, dev);
	if (result)
		return result;
	attribute_note(function, dev, (int)attribute, value);
	derived_note(function, dev, (int)attribute, value);
	return CUDA_SUCCESS;
}

API(cuKernelSetCacheConfig, CUkernel kernel, CUfunc_cache config, CUdevice dev)
{
	struct function *function;
	uint32_t context;
	CUresult result = kernel_begin(kernel, &context, &function);

	return result ? result : host_cuKernelSetCacheConfig(context, function->object->id, (uint32_t)config, dev);
}

API(cuKernelGetName, const char **name, CUkernel kernel)
{
	struct function *function;
	uint32_t context;
	CUresult result = kernel_begin(kernel, &context, &function);

	if (result)
		return result;
	if (!name)
		return CUDA_ERROR_INVALID_VALUE;
	*name = function->name;
	return CUDA_SUCCESS;
}

API(cuKernelGetParamInfo, CUkernel kernel, size_t index, size_t *offset, size_t *bytes)
{
	struct object *current;
	struct function *function;
	uint32_t context;
	CUresult result = kernel_begin(kernel, &context, &function);

	if (result)
		return result;
	/* The layout is the same on every device. */
	current = context_current();
	return parameter_read(function, context, current ? (CUdevice)current->words[CONTEXT_DEVICE] : 0, index, offset,
			      bytes);
}
