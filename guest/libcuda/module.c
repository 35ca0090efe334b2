/* SPDX-License-Identifier: Apache-2.0 */
#include "module.h"

#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "host_calls.h"
#include "image_file.h"
#include "image_load.h"
#include "managed_variables.h"
#include "memory.h"
#include "session.h"

static CUresult module_request(uint32_t context, uint32_t id, const struct image *image,
			       const struct jit_options *options, struct load_answer *answer)
{
	return host_cuModuleLoadDataEx(
		context, id, image->kind, options->count, options->information.capacity, options->error.capacity,
		options->wire, (uint32_t)(options->count * sizeof(options->wire[0])), &answer->information_bytes,
		&answer->error_bytes, &answer->microseconds, answer->logs, LOAD_LOGS_BYTES, &answer->logs_bytes);
}

static CUresult module_load(CUmodule *ret_module, uint32_t context, struct image *image,
			    const struct jit_options *options)
{
	struct object *object;
	CUresult result =
		image_load(VGPU_KIND_MODULE, context, context, image, options, false, module_request, &object);

	if (!result)
		*ret_module = (CUmodule)object;
	return result;
}

API(cuModuleLoadDataEx, CUmodule *module, const void *data, unsigned int count, CUjit_option *ids, void **values)
{
	struct jit_options options;
	struct image image;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	if (!module || !data)
		return CUDA_ERROR_INVALID_VALUE;
	result = jit_options_read(count, ids, values, &options);
	if (result)
		return result;
	result = image_examine(data, &image);
	if (result)
		return result;
	result = module_load(module, context, &image, &options);
	image_release(&image);
	return result;
}

API(cuModuleLoadData, CUmodule *module, const void *data)
{
	return cuModuleLoadDataEx(module, data, 0, NULL, NULL);
}

API(cuModuleLoadFatBinary, CUmodule *module, const void *data)
{
	return cuModuleLoadDataEx(module, data, 0, NULL, NULL);
}

API(cuModuleLoad, CUmodule *module, const char *path)
{
	const struct jit_options options = {0};
	struct image_file file;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	if (!module || !path)
		return CUDA_ERROR_INVALID_VALUE;
	result = image_file_open(path, &file);
	if (result)
		return result;
	result = module_load(module, context, &file.image, &options);
	image_file_close(&file);
	return result;
}

static CUresult module_begin(CUmodule hmod, uint32_t *ret_context, struct owner **ret_owner)
{
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, ret_context);

	if (result)
		return result;
	*ret_owner = owner_find(hmod, VGPU_KIND_MODULE);
	return *ret_owner ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

API(cuModuleUnload, CUmodule hmod)
{
	struct owner *owner;
	uint32_t context;
	CUresult result = module_begin(hmod, &context, &owner);

	if (result)
		return result;
	/* A library's module ends with the library. */
	if (owner->library)
		return CUDA_ERROR_NOT_PERMITTED;
	result = host_cuModuleUnload(context, owner->object->id);
	if (result)
		return result;
	result = managed_variables_end(owner, context);
	owner_free(owner);
	return result;
}

API(cuModuleGetFunction, CUfunction *hfunc, CUmodule hmod, const char *name)
{
	struct object *object;
	struct owner *owner;
	uint32_t context;
	CUresult result = module_begin(hmod, &context, &owner);

	if (result)
		return result;
	if (!hfunc || !name)
		return CUDA_ERROR_INVALID_VALUE;
	result = owner_function(owner, VGPU_KIND_FUNCTION, context, name, host_cuModuleGetFunction, &object);
	if (!result)
		*hfunc = (CUfunction)object;
	return result;
}

API(cuModuleGetFunctionCount, unsigned int *count, CUmodule hmod)
{
	struct owner *owner;
	uint32_t context;
	CUresult result = module_begin(hmod, &context, &owner);

	if (result)
		return result;
	if (!count)
		return CUDA_ERROR_INVALID_VALUE;
	return owner_enumerate(owner, VGPU_KIND_FUNCTION, context, host_cuModuleEnumerateFunctions,
			       host_cuModuleGetFunction, 0, NULL, count);
}

API(cuModuleEnumerateFunctions, CUfunction *functions, unsigned int wanted, CUmodule hmod)
{
	struct owner *owner;
	uint32_t context, count;
	CUresult result = module_begin(hmod, &context, &owner);

	if (result)
		return result;
	if (!functions)
		return CUDA_ERROR_INVALID_VALUE;
	return owner_enumerate(owner, VGPU_KIND_FUNCTION, context, host_cuModuleEnumerateFunctions,
			       host_cuModuleGetFunction, wanted, (void **)functions, &count);
}

API(cuModuleGetGlobal_v2, CUdeviceptr *dptr, size_t *bytes, CUmodule hmod, const char *name)
{
	uint64_t address, size;
	struct owner *owner;
	uint32_t context;
	CUresult result = module_begin(hmod, &context, &owner);

	if (result)
		return result;
	if (!name || (!dptr && !bytes))
		return CUDA_ERROR_INVALID_VALUE;
	if (strlen(name) >= NAME_BYTES_MAX)
		return CUDA_ERROR_NOT_FOUND;
	if (!managed_variables_find(owner->library ? owner->library->managed : owner->managed, name, &address, &size)) {
		result = host_cuModuleGetGlobal_v2(context, &address, &size, owner->object->id, name);
		if (!result)
			result =
				memory_note_global(address, size, (CUdevice)thread_state.current->words[CONTEXT_DEVICE],
						   context, owner->object->id);
	}
	if (result)
		return result;
	if (dptr)
		*dptr = address;
	if (bytes)
		*bytes = (size_t)size;
	return CUDA_SUCCESS;
}

API(cuFuncGetModule, CUmodule *module, CUfunction hfunc)
{
	struct function *function;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	if (!module)
		return CUDA_ERROR_INVALID_VALUE;
	function = function_of_kind(hfunc, VGPU_KIND_FUNCTION);
	if (!function)
		return CUDA_ERROR_INVALID_HANDLE;
	if (VGPU_ID_KIND(function->owner->id) != VGPU_KIND_MODULE)
		return library_module(function->owner->detail, context, module);
	*module = (CUmodule)function->owner;
	return CUDA_SUCCESS;
}

/* As the real driver: kernels are loaded when they are first used, unless the environment says otherwise. */
API(cuModuleGetLoadingMode, CUmoduleLoadingMode *mode)
{
	const char *wish = getenv("CUDA_MODULE_LOADING");

	if (!session_ready())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!mode)
		return CUDA_ERROR_INVALID_VALUE;
	*mode = wish && strcmp(wish, "EAGER") == 0 ? CU_MODULE_EAGER_LOADING : CU_MODULE_LAZY_LOADING;
	return CUDA_SUCCESS;
}
