/* SPDX-License-Identifier: Apache-2.0 */
#include "module.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "entry.h"
#include "file.h"
#include "stream.h"

static void function_destroy(struct object *object)
{
	struct function *function = (struct function *)object;

	object_release(function->settings_owner);
	object_release(&function->module->object);
	free(function);
}

static void module_destroy(struct object *object)
{
	struct module *module = (struct module *)object;

	engine_module_unload(module->code);
	free(module->functions);
	free(module);
}

static void module_retire(struct object *object)
{
	object_retire_owned(object, OBJECT_FUNCTION);
	object_retire_owned(object, OBJECT_TEXTURE_REFERENCE);
	object_retire_owned(object, OBJECT_SURFACE_REFERENCE);
}

static CUresult function_create(struct module *module, const struct engine_function *code)
{
	struct function *function = calloc(1, sizeof(*function));

	if (!function)
		return CUDA_ERROR_OUT_OF_MEMORY;
	object_prepare(&function->object, OBJECT_FUNCTION, module, function_destroy);
	function->module = module;
	object_retain(&module->object);
	function->code = code;
	function->settings = &function->own;
	function_settings_reset(&function->own);
	engine_function_get_info(code, &function->info);
	if (!object_publish(&function->object)) {
		object_release(&function->object);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	module->functions[module->function_count++] = function;
	return CUDA_SUCCESS;
}

CUresult module_create(struct context *context, const void *owner, struct engine_module *code,
		       struct module **ret_module)
{
	struct module *module = calloc(1, sizeof(*module));
	const struct engine_function *function;
	CUresult result = CUDA_ERROR_OUT_OF_MEMORY;
	size_t count = 0;

	if (!module) {
		engine_module_unload(code);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	object_prepare(&module->object, OBJECT_MODULE, owner, module_destroy);
	module->object.retire = module_retire;
	module->context = context;
	module->code = code;
	while (engine_module_function_at(code, count))
		count++;
	module->functions = calloc(count ? count : 1, sizeof(struct function *));
	if (!module->functions)
		goto fail;
	for (size_t index = 0; (function = engine_module_function_at(code, index)); index++) {
		result = function_create(module, function);
		if (result)
			goto fail;
	}
	result = CUDA_ERROR_OUT_OF_MEMORY;
	if (!object_publish(&module->object))
		goto fail;
	*ret_module = module;
	return CUDA_SUCCESS;
fail:
	object_retire_owned(module, OBJECT_FUNCTION);
	object_release(&module->object);
	return result;
}

/* Borrowed; NULL: none. */
static struct function *module_function(struct module *module, const char *name)
{
	for (size_t index = 0; index < module->function_count; index++)
		if (!strcmp(module->functions[index]->info.name, name))
			return module->functions[index];
	return NULL;
}

CUresult module_global(struct module *module, const char *name, CUdeviceptr *ret_address, size_t *ret_bytes)
{
	uint64_t address;
	size_t bytes;

	if (engine_module_find_global(module->code, name, &address, &bytes))
		return CUDA_ERROR_NOT_FOUND;
	if (ret_address)
		*ret_address = address;
	if (ret_bytes)
		*ret_bytes = bytes;
	return CUDA_SUCCESS;
}

static CUresult module_load(CUmodule *ret_handle, const void *data, unsigned option_count, CUjit_option *options,
			    void **values)
{
	struct context *context;
	struct engine_module *code;
	struct image image = {0};
	struct module *module;
	struct jit jit;
	CUresult result = context_current(&context);

	if (result)
		return result;
	if (!ret_handle || !data)
		return CUDA_ERROR_INVALID_VALUE;
	result = jit_read(option_count, options, values, &jit);
	if (!result)
		result = jit_read_image(data, &jit, &image);
	if (result)
		return result;
	result = jit_load(context->device, &image, &jit, &code);
	if (!result)
		result = module_create(context, context, code, &module);
	if (!result)
		*ret_handle = (CUmodule)module;
	image_free(&image);
	return result;
}

ENTRY(cuModuleLoadDataEx,
      (CUmodule * ret_module, const void *image, unsigned int option_count, CUjit_option *options, void **values))
{
	return module_load(ret_module, image, option_count, options, values);
}

ENTRY(cuModuleLoadData, (CUmodule * ret_module, const void *image))
{
	return module_load(ret_module, image, 0, NULL, NULL);
}

ENTRY(cuModuleLoadFatBinary, (CUmodule * ret_module, const void *image))
{
	return module_load(ret_module, image, 0, NULL, NULL);
}

ENTRY(cuModuleLoad, (CUmodule * ret_module, const char *path))
{
	CUresult result = driver_check();
	void *data;

	if (result)
		return result;
	result = file_read_image(path, &data);
	if (result)
		return result;
	result = module_load(ret_module, data, 0, NULL, NULL);
	free(data);
	return result;
}

ENTRY(cuModuleUnload, (CUmodule handle))
{
	struct context *context;
	struct module *module;
	CUresult result = context_current(&context);

	if (result)
		return result;
	module = object_acquire(handle, OBJECT_MODULE);
	if (!module)
		return CUDA_ERROR_INVALID_HANDLE;
	/* The module of a library belongs to the library. */
	if (module->object.owner != module->context)
		result = CUDA_ERROR_NOT_PERMITTED;
	else if (object_retire(handle, OBJECT_MODULE))
		object_release(&module->object);
	else
		result = CUDA_ERROR_INVALID_HANDLE;
	object_release(&module->object);
	return result;
}

/* The module of a handle, in a healthy current context. */
static CUresult module_acquire(CUmodule handle, struct module **ret_module)
{
	struct context *context;
	CUresult result = context_current(&context);

	if (result)
		return result;
	*ret_module = object_acquire(handle, OBJECT_MODULE);
	return *ret_module ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

ENTRY(cuModuleGetFunction, (CUfunction * ret_function, CUmodule handle, const char *name))
{
	struct function *function;
	struct module *module;
	CUresult result = module_acquire(handle, &module);

	if (result)
		return result;
	function = ret_function && name ? module_function(module, name) : NULL;
	if (!ret_function || !name)
		result = CUDA_ERROR_INVALID_VALUE;
	else if (!function)
		result = CUDA_ERROR_NOT_FOUND;
	else
		*ret_function = (CUfunction)function;
	object_release(&module->object);
	return result;
}

ENTRY(cuModuleGetGlobal_v2, (CUdeviceptr * ret_address, size_t *ret_bytes, CUmodule handle, const char *name))
{
	struct module *module;
	CUresult result = module_acquire(handle, &module);

	if (result)
		return result;
	result = name ? module_global(module, name, ret_address, ret_bytes) : CUDA_ERROR_INVALID_VALUE;
	object_release(&module->object);
	return result;
}

ENTRY(cuModuleGetFunctionCount, (unsigned int *ret_count, CUmodule handle))
{
	struct module *module;
	CUresult result = module_acquire(handle, &module);

	if (result)
		return result;
	if (ret_count)
		*ret_count = (unsigned)module->function_count;
	else
		result = CUDA_ERROR_INVALID_VALUE;
	object_release(&module->object);
	return result;
}

ENTRY(cuModuleEnumerateFunctions, (CUfunction * ret_functions, unsigned int count, CUmodule handle))
{
	struct module *module;
	CUresult result = module_acquire(handle, &module);

	if (result)
		return result;
	if (!ret_functions)
		result = CUDA_ERROR_INVALID_VALUE;
	for (size_t index = 0; !result && index < count && index < module->function_count; index++)
		ret_functions[index] = (CUfunction)module->functions[index];
	object_release(&module->object);
	return result;
}

ENTRY(cuModuleGetLoadingMode, (CUmoduleLoadingMode * ret_mode))
{
	CUresult result = driver_check();

	if (result)
		return result;
	if (!ret_mode)
		return CUDA_ERROR_INVALID_VALUE;
	*ret_mode = CU_MODULE_EAGER_LOADING;
	return CUDA_SUCCESS;
}
