/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "entry.h"
#include "file.h"
#include "library_private.h"

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct library *libraries;

static void library_destroy(struct object *object)
{
	struct library *library = (struct library *)object;

	engine_module_unload(library->unused);
	free(library->instances);
	free(library->kernels);
	image_free(&library->image);
	pthread_mutex_destroy(&library->lock);
	free(library);
}

/* Unloading: kernels and modules lose their handles; running launches keep what they use. */
static void library_retire(struct object *object)
{
	struct library *library = (struct library *)object;

	pthread_mutex_lock(&list_lock);
	for (struct library **link = &libraries; *link; link = &(*link)->next) {
		if (*link == library) {
			*link = library->next;
			break;
		}
	}
	pthread_mutex_unlock(&list_lock);
	object_retire_owned(library, OBJECT_KERNEL);
	object_retire_owned(library, OBJECT_MODULE);
}

/* Under the library's lock. */
static CUresult instance_create(struct library *library, struct context *context, struct module **ret_module)
{
	struct engine_module *code = context->device == 0 ? library->unused : NULL;
	const struct jit no_logs = {0};
	struct instance *grown;
	struct module *module;
	CUresult result;

	grown = realloc(library->instances, (library->instance_count + 1) * sizeof(*grown));
	if (!grown)
		return CUDA_ERROR_OUT_OF_MEMORY;
	library->instances = grown;
	if (!code) {
		result = jit_load(context->device, &library->image, &no_logs, &code);
		if (result)
			return result;
	} else {
		library->unused = NULL;
	}
	result = module_create(context, library, code, &module);
	if (result)
		return result;
	for (size_t index = 0; index < module->function_count && index < library->kernel_count; index++) {
		module->functions[index]->settings = &library->kernels[index]->settings;
		module->functions[index]->settings_owner = &library->kernels[index]->object;
		object_retain(&library->kernels[index]->object);
	}
	grown[library->instance_count++] = (struct instance){context, module};
	*ret_module = module;
	return CUDA_SUCCESS;
}

CUresult library_module(struct library *library, struct context *context, struct module **ret_module)
{
	struct module *module = NULL;
	CUresult result = CUDA_SUCCESS;

	pthread_mutex_lock(&library->lock);
	for (size_t index = 0; index < library->instance_count && !module; index++)
		if (library->instances[index].context == context)
			module = library->instances[index].module;
	if (!module)
		result = instance_create(library, context, &module);
	if (!result) {
		object_retain(&module->object);
		*ret_module = module;
	}
	pthread_mutex_unlock(&library->lock);
	return result;
}

/* Under the library's lock. */
static void instance_drop(struct library *library, struct context *context)
{
	for (size_t index = 0; index < library->instance_count; index++) {
		struct module *module = library->instances[index].module;

		if (library->instances[index].context != context)
			continue;
		library->instances[index] = library->instances[--library->instance_count];
		if (object_retire(module, OBJECT_MODULE))
			object_release(&module->object);
		return;
	}
}

void context_release_images(struct context *context)
{
	pthread_mutex_lock(&list_lock);
	for (struct library *library = libraries; library; library = library->next) {
		pthread_mutex_lock(&library->lock);
		instance_drop(library, context);
		pthread_mutex_unlock(&library->lock);
	}
	pthread_mutex_unlock(&list_lock);
}

static CUresult library_create(const void *data, const struct jit *jit, struct library **ret_library)
{
	struct library *library = calloc(1, sizeof(*library));
	CUresult result;

	if (!library)
		return CUDA_ERROR_OUT_OF_MEMORY;
	object_prepare(&library->object, OBJECT_LIBRARY, NULL, library_destroy);
	pthread_mutex_init(&library->lock, NULL);
	result = jit_read_image(data, jit, &library->image);
	if (!result)
		result = jit_load(0, &library->image, jit, &library->unused);
	if (!result)
		result = kernels_create(library);
	if (result)
		goto fail;
	result = CUDA_ERROR_OUT_OF_MEMORY;
	library->object.retire = library_retire;
	if (!object_publish(&library->object))
		goto fail;
	pthread_mutex_lock(&list_lock);
	library->next = libraries;
	libraries = library;
	pthread_mutex_unlock(&list_lock);
	*ret_library = library;
	return CUDA_SUCCESS;
fail:
	object_retire_owned(library, OBJECT_KERNEL);
	object_release(&library->object);
	return result;
}

/* Options of libraries; the host table of managed variables is for tools that we are not. */
static CUresult options_check(unsigned count, const CUlibraryOption *options)
{
	if (count && !options)
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned index = 0; index < count; index++) {
		if (options[index] == CU_LIBRARY_HOST_UNIVERSAL_FUNCTION_AND_DATA_TABLE)
			return CUDA_ERROR_NOT_SUPPORTED;
		/* We always copy the image, so a promise to preserve it is welcome and unused. */
		if (options[index] != CU_LIBRARY_BINARY_IS_PRESERVED)
			return CUDA_ERROR_INVALID_VALUE;
	}
	return CUDA_SUCCESS;
}

ENTRY(cuLibraryLoadData,
      (CUlibrary * ret_library, const void *image, CUjit_option *options, void **values, unsigned int option_count,
       CUlibraryOption *library_options, void **library_values, unsigned int library_option_count))
{
	struct library *library;
	struct jit jit;
	CUresult result = driver_check();

	(void)library_values;
	if (result)
		return result;
	if (!ret_library || !image)
		return CUDA_ERROR_INVALID_VALUE;
	result = jit_read(option_count, options, values, &jit);
	if (!result)
		result = options_check(library_option_count, library_options);
	if (!result)
		result = library_create(image, &jit, &library);
	if (!result)
		*ret_library = (CUlibrary)library;
	return result;
}

ENTRY(cuLibraryLoadFromFile,
      (CUlibrary * ret_library, const char *path, CUjit_option *options, void **values, unsigned int option_count,
       CUlibraryOption *library_options, void **library_values, unsigned int library_option_count))
{
	CUresult result = driver_check();
	void *data;

	if (result)
		return result;
	result = file_read_image(path, &data);
	if (result)
		return result;
	result = cuLibraryLoadData(ret_library, data, options, values, option_count, library_options, library_values,
				   library_option_count);
	free(data);
	return result;
}

ENTRY(cuLibraryUnload, (CUlibrary handle))
{
	struct library *library;
	CUresult result = driver_check();

	if (result)
		return result;
	library = object_retire(handle, OBJECT_LIBRARY);
	if (!library)
		return CUDA_ERROR_INVALID_HANDLE;
	object_release(&library->object);
	return CUDA_SUCCESS;
}

static CUresult library_acquire(CUlibrary handle, struct library **ret_library)
{
	CUresult result = driver_check();

	if (result)
		return result;
	*ret_library = object_acquire(handle, OBJECT_LIBRARY);
	return *ret_library ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

ENTRY(cuLibraryGetKernel, (CUkernel * ret_kernel, CUlibrary handle, const char *name))
{
	struct library *library;
	CUresult result = library_acquire(handle, &library);

	if (result)
		return result;
	result = ret_kernel && name ? CUDA_ERROR_NOT_FOUND : CUDA_ERROR_INVALID_VALUE;
	for (size_t index = 0; result == CUDA_ERROR_NOT_FOUND && index < library->kernel_count; index++) {
		if (!strcmp(library->kernels[index]->name, name)) {
			*ret_kernel = (CUkernel)library->kernels[index];
			result = CUDA_SUCCESS;
		}
	}
	object_release(&library->object);
	return result;
}

ENTRY(cuLibraryGetKernelCount, (unsigned int *ret_count, CUlibrary handle))
{
	struct library *library;
	CUresult result = library_acquire(handle, &library);

	if (result)
		return result;
	if (ret_count)
		*ret_count = (unsigned)library->kernel_count;
	else
		result = CUDA_ERROR_INVALID_VALUE;
	object_release(&library->object);
	return result;
}

ENTRY(cuLibraryEnumerateKernels, (CUkernel * ret_kernels, unsigned int count, CUlibrary handle))
{
	struct library *library;
	CUresult result = library_acquire(handle, &library);

	if (result)
		return result;
	if (!ret_kernels)
		result = CUDA_ERROR_INVALID_VALUE;
	for (size_t index = 0; !result && index < count && index < library->kernel_count; index++)
		ret_kernels[index] = (CUkernel)library->kernels[index];
	object_release(&library->object);
	return result;
}

/* The library's module in the current context. */
static CUresult current_module(CUlibrary handle, struct module **ret_module)
{
	struct context *context;
	struct library *library;
	CUresult result = context_current(&context);

	if (!result)
		result = library_acquire(handle, &library);
	if (result)
		return result;
	result = library_module(library, context, ret_module);
	object_release(&library->object);
	return result;
}

ENTRY(cuLibraryGetModule, (CUmodule * ret_module, CUlibrary handle))
{
	struct module *module;
	CUresult result = current_module(handle, &module);

	if (result)
		return result;
	if (ret_module)
		*ret_module = (CUmodule)module;
	else
		result = CUDA_ERROR_INVALID_VALUE;
	object_release(&module->object);
	return result;
}

ENTRY(cuLibraryGetGlobal, (CUdeviceptr * ret_address, size_t *ret_bytes, CUlibrary handle, const char *name))
{
	struct module *module;
	CUresult result = current_module(handle, &module);

	if (result)
		return result;
	if (!name || (!ret_address && !ret_bytes))
		result = CUDA_ERROR_INVALID_VALUE;
	else
		result = module_global(module, name, ret_address, ret_bytes);
	object_release(&module->object);
	return result;
}

/* PTX does not say which variables are managed, and all memory of a device can be reached from both sides. */
ENTRY(cuLibraryGetManaged, (CUdeviceptr * ret_address, size_t *ret_bytes, CUlibrary handle, const char *name))
{
	return cuLibraryGetGlobal(ret_address, ret_bytes, handle, name);
}
