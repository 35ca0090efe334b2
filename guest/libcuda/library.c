/* SPDX-License-Identifier: Apache-2.0 */
/* Libraries: modules that are loaded once for all contexts, and their kernels. */
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "host_calls.h"
#include "image_file.h"
#include "image_load.h"
#include "managed_variables.h"
#include "memory.h"
#include "module.h"
#include "session.h"

static CUresult library_request(uint32_t context, uint32_t id, const struct image *image,
				const struct jit_options *options, struct load_answer *answer)
{
	return host_cuLibraryLoadData(context, id, image->kind, options->count, options->information.capacity,
				      options->error.capacity, options->wire,
				      (uint32_t)(options->count * sizeof(options->wire[0])), &answer->information_bytes,
				      &answer->error_bytes, answer->logs, LOAD_LOGS_BYTES, &answer->logs_bytes);
}

/*
 * 'preserved' is where the program keeps the image, NULL: nowhere. The runtime keeps all its images, and asks for
 * managed variables next if there are any: only then need they be looked for.
 */
static CUresult library_load(CUlibrary *ret_library, uint32_t context, struct image *image,
			     const struct jit_options *options, const void *preserved)
{
	bool moves_later = preserved && options->count == 0;
	struct object *object;
	CUresult result =
		image_load(VGPU_KIND_LIBRARY, 0, context, image, options, moves_later, library_request, &object);

	if (result)
		return result;
	if (moves_later)
		((struct owner *)object->detail)->preserved = preserved;
	*ret_library = (CUlibrary)object;
	return CUDA_SUCCESS;
}

/*
 * The image is copied to the host at once; whether the program preserves it matters to managed variables only. A
 * table of host functions would have to be shared with the host.
 */
static CUresult library_options_check(unsigned int count, const CUlibraryOption *ids, void *const *values)
{
	if (count && !ids)
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned int i = 0; i < count; i++) {
		if (ids[i] == CU_LIBRARY_BINARY_IS_PRESERVED)
			continue;
		if (ids[i] != CU_LIBRARY_HOST_UNIVERSAL_FUNCTION_AND_DATA_TABLE)
			return CUDA_ERROR_INVALID_VALUE;
		if (values && values[i])
			return CUDA_ERROR_NOT_SUPPORTED;
	}
	return CUDA_SUCCESS;
}

static bool image_is_preserved(unsigned int count, const CUlibraryOption *ids, void *const *values)
{
	for (unsigned int i = 0; i < count; i++) {
		if (ids[i] == CU_LIBRARY_BINARY_IS_PRESERVED)
			return values && values[i];
	}
	return false;
}

static CUresult load_begin(bool has_arguments, unsigned int library_count, const CUlibraryOption *library_ids,
			   void *const *library_values, uint32_t *ret_context)
{
	CUresult result = call_begin(CALL_NEEDS_INIT, ret_context);

	if (result)
		return result;
	if (!has_arguments)
		return CUDA_ERROR_INVALID_VALUE;
	return library_options_check(library_count, library_ids, library_values);
}

API(cuLibraryLoadData, CUlibrary *library, const void *code, CUjit_option *ids, void **values, unsigned int count,
    CUlibraryOption *library_ids, void **library_values, unsigned int library_count)
{
	struct jit_options options;
	struct image image;
	uint32_t context;
	CUresult result = load_begin(library && code, library_count, library_ids, library_values, &context);

	if (!result)
		result = jit_options_read(count, ids, values, &options);
	if (!result)
		result = image_examine(code, &image);
	if (result)
		return result;
	result = library_load(library, context, &image, &options,
			      image_is_preserved(library_count, library_ids, library_values) ? code : NULL);
	image_release(&image);
	return result;
}

API(cuLibraryLoadFromFile, CUlibrary *library, const char *path, CUjit_option *ids, void **values, unsigned int count,
    CUlibraryOption *library_ids, void **library_values, unsigned int library_count)
{
	struct jit_options options;
	struct image_file file;
	uint32_t context;
	CUresult result = load_begin(library && path, library_count, library_ids, library_values, &context);

	if (!result)
		result = jit_options_read(count, ids, values, &options);
	if (!result)
		result = image_file_open(path, &file);
	if (result)
		return result;
	result = library_load(library, context, &file.image, &options, NULL);
	image_file_close(&file);
	return result;
}

static CUresult library_begin(CUlibrary library, enum call_needs needs, uint32_t *ret_context, struct owner **ret_owner)
{
	CUresult result = call_begin(needs, ret_context);

	if (result)
		return result;
	*ret_owner = owner_find(library, VGPU_KIND_LIBRARY);
	return *ret_owner ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

API(cuLibraryUnload, CUlibrary library)
{
	struct owner *owner;
	uint32_t context;
	CUresult result = library_begin(library, CALL_NEEDS_INIT, &context, &owner);

	if (!result)
		result = host_cuLibraryUnload(context, owner->object->id);
	if (result)
		return result;
	result = managed_variables_end(owner, context);
	owner_free(owner);
	return result;
}

API(cuLibraryGetKernel, CUkernel *kernel, CUlibrary library, const char *name)
{
	struct object *object;
	struct owner *owner;
	uint32_t context;
	CUresult result = library_begin(library, CALL_NEEDS_INIT, &context, &owner);

	if (result)
		return result;
	if (!kernel || !name)
		return CUDA_ERROR_INVALID_VALUE;
	result = owner_function(owner, VGPU_KIND_KERNEL, context, name, host_cuLibraryGetKernel, &object);
	if (!result)
		*kernel = (CUkernel)object;
	return result;
}

API(cuLibraryGetKernelCount, unsigned int *count, CUlibrary library)
{
	struct owner *owner;
	uint32_t context;
	CUresult result = library_begin(library, CALL_NEEDS_INIT, &context, &owner);

	if (result)
		return result;
	if (!count)
		return CUDA_ERROR_INVALID_VALUE;
	return owner_enumerate(owner, VGPU_KIND_KERNEL, context, host_cuLibraryEnumerateKernels,
			       host_cuLibraryGetKernel, 0, NULL, count);
}

API(cuLibraryEnumerateKernels, CUkernel *kernels, unsigned int wanted, CUlibrary library)
{
	struct owner *owner;
	uint32_t context, count;
	CUresult result = library_begin(library, CALL_NEEDS_INIT, &context, &owner);

	if (result)
		return result;
	if (!kernels)
		return CUDA_ERROR_INVALID_VALUE;
	return owner_enumerate(owner, VGPU_KIND_KERNEL, context, host_cuLibraryEnumerateKernels,
			       host_cuLibraryGetKernel, wanted, (void **)kernels, &count);
}

/* With the library's mutex held. */
static CUresult module_make(struct owner *library, uint32_t context, struct owner **ret_module)
{
	struct owner *module = owner_new(VGPU_KIND_MODULE, context);
	CUresult result;

	if (!module)
		return CUDA_ERROR_OUT_OF_MEMORY;
	result = host_cuLibraryGetModule(context, module->object->id, library->object->id);
	if (result) {
		owner_abandon(module);
		return result;
	}
	module->library = library;
	module->next = library->modules;
	library->modules = module;
	*ret_module = module;
	return CUDA_SUCCESS;
}

CUresult library_module(struct owner *library, uint32_t context, CUmodule *ret_module)
{
	struct owner *module;
	CUresult result = CUDA_SUCCESS;

	pthread_mutex_lock(&library->mutex);
	module = library->modules;
	while (module && module->object->context != object_context_owner(context))
		module = module->next;
	if (!module)
		result = module_make(library, context, &module);
	pthread_mutex_unlock(&library->mutex);
	if (!result)
		*ret_module = (CUmodule)module->object;
	return result;
}

API(cuLibraryGetModule, CUmodule *module, CUlibrary library)
{
	struct owner *owner;
	uint32_t context;
	CUresult result = library_begin(library, CALL_NEEDS_CONTEXT, &context, &owner);

	if (result)
		return result;
	return module ? library_module(owner, context, module) : CUDA_ERROR_INVALID_VALUE;
}

API(cuLibraryGetGlobal, CUdeviceptr *dptr, size_t *bytes, CUlibrary library, const char *name)
{
	uint64_t address, size;
	struct owner *owner;
	uint32_t context;
	CUresult result = library_begin(library, CALL_NEEDS_CONTEXT, &context, &owner);

	if (result)
		return result;
	if (!name || (!dptr && !bytes))
		return CUDA_ERROR_INVALID_VALUE;
	if (strlen(name) >= NAME_BYTES_MAX)
		return CUDA_ERROR_NOT_FOUND;
	if (!managed_variables_find(owner->managed, name, &address, &size)) {
		result = host_cuLibraryGetGlobal(context, &address, &size, owner->object->id, name);
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

/* Moves what was not looked for when the library was loaded, unless it is in use already. */
static CUresult managed_move(struct owner *owner, uint32_t context)
{
	bool releases = false;
	struct image image;
	CUresult result = CUDA_SUCCESS;

	pthread_mutex_lock(&owner->mutex);
	if (owner->preserved && owner_is_unused(owner)) {
		result = image_examine(owner->preserved, &image);
		if (!result) {
			result = image_move_managed(owner, context, &image, library_request, &releases);
			image_release(&image);
		}
		owner->preserved = NULL;
	}
	pthread_mutex_unlock(&owner->mutex);
	if (releases)
		(void)context_primary_release(0);
	return result;
}

/* What could not be moved, the program could not reach. */
API(cuLibraryGetManaged, CUdeviceptr *dptr, size_t *bytes, CUlibrary library, const char *name)
{
	uint64_t address, size;
	struct owner *owner;
	uint32_t context;
	CUresult result = library_begin(library, CALL_NEEDS_INIT, &context, &owner);

	if (result)
		return result;
	if (!name || (!dptr && !bytes))
		return CUDA_ERROR_INVALID_VALUE;
	if (strlen(name) >= NAME_BYTES_MAX)
		return CUDA_ERROR_NOT_FOUND;
	result = managed_move(owner, context);
	if (result)
		return result;
	if (!managed_variables_find(owner->managed, name, &address, &size)) {
		/* The others of such a library are none. */
		if (owner->managed)
			return CUDA_ERROR_NOT_FOUND;
		result = host_cuLibraryGetManaged(context, &address, &size, owner->object->id, name);
		return result ? result : CUDA_ERROR_NOT_SUPPORTED;
	}
	if (dptr)
		*dptr = address;
	if (bytes)
		*bytes = (size_t)size;
	return CUDA_SUCCESS;
}

API(cuLibraryGetUnifiedFunction, void **pointer, CUlibrary library, const char *symbol)
{
	struct owner *owner;
	uint32_t context;
	CUresult result = library_begin(library, CALL_NEEDS_INIT, &context, &owner);

	if (result)
		return result;
	return pointer && symbol ? CUDA_ERROR_NOT_FOUND : CUDA_ERROR_INVALID_VALUE;
}

/* A kernel's function in a context, with the library's mutex held. */
static CUresult derived_make(struct function *kernel, uint32_t context, struct function **ret_function)
{
	struct object *object = object_mint(VGPU_KIND_FUNCTION, context);
	struct function *function;
	CUresult result;

	if (!object)
		return CUDA_ERROR_OUT_OF_MEMORY;
	result = host_cuKernelGetFunction(context, object->id, kernel->object->id);
	if (result) {
		object_release(object);
		return result;
	}
	function = function_new(object, kernel->owner, kernel->name);
	if (!function)
		return CUDA_ERROR_OUT_OF_MEMORY; /* the host keeps the id, as in owner.c */
	function->next = kernel->derived;
	kernel->derived = function;
	*ret_function = function;
	return CUDA_SUCCESS;
}

API(cuKernelGetFunction, CUfunction *func, CUkernel kernel)
{
	struct function *parent, *function;
	struct owner *library;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	if (!func)
		return CUDA_ERROR_INVALID_VALUE;
	parent = function_of_kind(kernel, VGPU_KIND_KERNEL);
	if (!parent)
		return CUDA_ERROR_INVALID_HANDLE;
	library = parent->owner->detail;
	pthread_mutex_lock(&library->mutex);
	function = parent->derived;
	while (function && function->object->context != object_context_owner(context))
		function = function->next;
	if (!function)
		result = derived_make(parent, context, &function);
	pthread_mutex_unlock(&library->mutex);
	if (!result)
		*func = (CUfunction)function->object;
	return result;
}

API(cuKernelGetLibrary, CUlibrary *library, CUkernel kernel)
{
	struct function *function;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	if (result)
		return result;
	if (!library)
		return CUDA_ERROR_INVALID_VALUE;
	function = function_of_kind(kernel, VGPU_KIND_KERNEL);
	if (!function)
		return CUDA_ERROR_INVALID_HANDLE;
	*library = (CUlibrary)function->owner;
	return CUDA_SUCCESS;
}
