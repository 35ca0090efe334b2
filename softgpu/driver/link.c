/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cuLink*: PTX texts and fatbins become one image.  Compiling happens when the
 * image is loaded; completing a link compiles once to find errors and managed variables.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "cubin.h"
#include "driver.h"
#include "entry.h"
#include "file.h"
#include "image.h"
#include "jit.h"
#include "object.h"
#include "softgpu/engine/engine.h"

struct link {
	struct object object;
	pthread_mutex_t lock;
	struct jit jit; /* its buffers are the program's until the link is destroyed */
	struct image image;
	void *output;
	size_t output_bytes;
};

static void link_destroy(struct object *object)
{
	struct link *link = (struct link *)object;

	image_free(&link->image);
	free(link->output);
	pthread_mutex_destroy(&link->lock);
	free(link);
}

ENTRY(cuLinkCreate_v2, (unsigned int option_count, CUjit_option *options, void **values, CUlinkState *ret_link))
{
	struct context *context;
	struct link *link;
	struct jit jit;
	CUresult result = context_current(&context);

	if (result)
		return result;
	if (!ret_link)
		return CUDA_ERROR_INVALID_VALUE;
	result = jit_read(option_count, options, values, &jit);
	if (result)
		return result;
	link = calloc(1, sizeof(*link));
	if (!link)
		return CUDA_ERROR_OUT_OF_MEMORY;
	object_prepare(&link->object, OBJECT_LINK, context, link_destroy);
	pthread_mutex_init(&link->lock, NULL);
	link->jit = jit;
	if (!object_publish(&link->object)) {
		object_release(&link->object);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	*ret_link = (CUlinkState)link;
	return CUDA_SUCCESS;
}

static CUresult link_acquire(CUlinkState handle, struct link **ret_link)
{
	struct context *context;
	CUresult result = context_current(&context);

	if (result)
		return result;
	*ret_link = object_acquire(handle, OBJECT_LINK);
	return *ret_link ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

/* 'data' has 'bytes' bytes.  Machine code of any kind cannot run here. */
static CUresult input_add(struct image *image, CUjitInputType type, const void *data, size_t bytes)
{
	switch (type) {
	case CU_JIT_INPUT_PTX:
		return image_add(image, data, bytes);
	case CU_JIT_INPUT_FATBINARY:
		return fatbin_read(data, bytes, image);
	case CU_JIT_INPUT_CUBIN:
	case CU_JIT_INPUT_OBJECT:
	case CU_JIT_INPUT_LIBRARY:
		return CUDA_ERROR_NO_BINARY_FOR_GPU;
	case CU_JIT_INPUT_NVVM:
		return CUDA_ERROR_NOT_SUPPORTED;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

static CUresult link_add(CUlinkState handle, CUjitInputType type, const void *data, size_t bytes, unsigned option_count,
			 CUjit_option *options, void **values)
{
	struct link *link;
	struct jit ignored; /* options of one input do not concern us, but must exist */
	CUresult result = link_acquire(handle, &link);

	if (result)
		return result;
	result = data && bytes ? jit_read(option_count, options, values, &ignored) : CUDA_ERROR_INVALID_VALUE;
	if (!result) {
		pthread_mutex_lock(&link->lock);
		result = link->output ? CUDA_ERROR_INVALID_VALUE : input_add(&link->image, type, data, bytes);
		pthread_mutex_unlock(&link->lock);
	}
	object_release(&link->object);
	return result;
}

ENTRY(cuLinkAddData_v2, (CUlinkState link, CUjitInputType type, void *data, size_t bytes, const char *name,
			 unsigned int option_count, CUjit_option *options, void **values))
{
	(void)name;
	return link_add(link, type, data, bytes, option_count, options, values);
}

ENTRY(cuLinkAddFile_v2, (CUlinkState link, CUjitInputType type, const char *path, unsigned int option_count,
			 CUjit_option *options, void **values))
{
	size_t bytes;
	void *data;
	CUresult result = driver_check();

	if (result)
		return result;
	result = file_read(path, &data, &bytes);
	if (result)
		return result;
	result = link_add(link, type, data, bytes, option_count, options, values);
	free(data);
	return result;
}

/*
 * Managed variables make it a file that says where they are. Else one text is its own image, and several travel in a
 * fatbin.  Under the lock.
 */
static CUresult output_make(struct link *link, const struct engine_module *module)
{
	const struct engine_ptx *text = &link->image.texts[0];
	struct engine_managed managed;
	char *copy;

	if (engine_module_managed_at(module, 0, &managed))
		return cubin_write(&link->image, module, &link->output, &link->output_bytes);
	if (link->image.count > 1)
		return fatbin_write(&link->image, &link->output, &link->output_bytes);
	copy = malloc(text->bytes + 1);
	if (!copy)
		return CUDA_ERROR_OUT_OF_MEMORY;
	memcpy(copy, text->text, text->bytes);
	copy[text->bytes] = 0;
	link->output = copy;
	link->output_bytes = text->bytes + 1;
	return CUDA_SUCCESS;
}

ENTRY(cuLinkComplete, (CUlinkState handle, void **ret_data, size_t *ret_bytes))
{
	struct engine_module *module;
	struct link *link;
	CUresult result = link_acquire(handle, &link);

	if (result)
		return result;
	pthread_mutex_lock(&link->lock);
	if (!ret_data || !link->image.count) {
		result = CUDA_ERROR_INVALID_VALUE;
	} else if (!link->output) {
		result = jit_load(0, &link->image, &link->jit, &module);
		if (!result) {
			result = output_make(link, module);
			engine_module_unload(module);
		}
	}
	if (!result) {
		*ret_data = link->output;
		if (ret_bytes)
			*ret_bytes = link->output_bytes;
	}
	pthread_mutex_unlock(&link->lock);
	object_release(&link->object);
	return result;
}

ENTRY(cuLinkDestroy, (CUlinkState handle))
{
	struct link *link;
	CUresult result = driver_check();

	if (result)
		return result;
	link = object_retire(handle, OBJECT_LINK);
	if (!link)
		return CUDA_ERROR_INVALID_HANDLE;
	object_release(&link->object);
	return CUDA_SUCCESS;
}
