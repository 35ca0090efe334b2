/* SPDX-License-Identifier: Apache-2.0 */
#include "reference.h"

#include <pthread.h>
#include <stdlib.h>

#include "driver.h"
#include "stream.h"
#include "texture_object.h"

/* Of all references' states, and of the modules' lists. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void reference_destroy(struct object *object)
{
	free(object);
}

static void reference_retire(struct object *object)
{
	const struct reference *reference = (const struct reference *)object;

	if (reference->address)
		engine_texture_bind(driver_engine(), reference->address, NULL, NULL);
}

static struct reference *reference_new(struct context *context, const void *owner, enum object_kind kind,
				       uint64_t address)
{
	struct reference *reference = calloc(1, sizeof(*reference));

	if (!reference)
		return NULL;
	object_prepare(&reference->object, kind, owner, reference_destroy);
	reference->object.retire = reference_retire;
	reference->context = context;
	reference->address = address;
	reference->format = CU_AD_FORMAT_FLOAT;
	reference->channels = 1;
	for (int i = 0; i < 3; i++)
		reference->texture.addressMode[i] = CU_TR_ADDRESS_MODE_CLAMP;
	if (object_publish(&reference->object))
		return reference;
	free(reference);
	return NULL;
}

/* Locked. */
static struct reference *module_reference(const struct module *module, uint64_t address)
{
	struct reference *found = module->first_reference;

	while (found && found->address != address)
		found = found->next;
	return found;
}

CUresult reference_of_module(struct module *module, const char *name, enum object_kind kind,
			     struct reference **ret_reference)
{
	struct reference *reference;
	uint64_t address;

	if (engine_module_find_reference(module->code, name, kind == OBJECT_SURFACE_REFERENCE, &address))
		return CUDA_ERROR_NOT_FOUND;
	pthread_mutex_lock(&lock);
	reference = module_reference(module, address);
	if (!reference) {
		reference = reference_new(module->context, module, kind, address);
		if (reference) {
			reference->next = module->first_reference;
			module->first_reference = reference;
		}
	}
	pthread_mutex_unlock(&lock);
	*ret_reference = reference;
	return reference ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult reference_create(struct context *context, struct reference **ret_reference)
{
	*ret_reference = reference_new(context, context, OBJECT_TEXTURE_REFERENCE, 0);
	return *ret_reference ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult reference_begin(const void *handle, enum object_kind kind, struct reference **ret_reference)
{
	struct context *context;
	CUresult result = context_current(&context);

	if (result)
		return result;
	*ret_reference = object_acquire(handle, kind);
	if (!*ret_reference)
		return CUDA_ERROR_INVALID_HANDLE;
	pthread_mutex_lock(&lock);
	return CUDA_SUCCESS;
}

void reference_end(struct reference *reference)
{
	pthread_mutex_unlock(&lock);
	object_release(&reference->object);
}

static CUresult surface_image(const CUDA_RESOURCE_DESC *resource, struct engine_image *ret_image)
{
	unsigned flags;
	CUresult result = resource_image(resource, ret_image, &flags);

	return !result && !(flags & CUDA_ARRAY3D_SURFACE_LDST) ? CUDA_ERROR_INVALID_VALUE : result;
}

CUresult reference_apply(struct reference *reference)
{
	const bool is_texture = reference->object.kind == OBJECT_TEXTURE_REFERENCE;
	struct engine_sampler sampler;
	struct engine_image image = {0};
	bool is_there = reference->is_bound;

	if (!reference->address)
		return CUDA_SUCCESS;
	stream_wait_context(reference->context);
	if (is_there)
		is_there = !(is_texture ? texture_describe(&reference->resource, &reference->texture, &image, &sampler)
					: surface_image(&reference->resource, &image));
	return engine_texture_bind(driver_engine(), reference->address, is_there ? &image : NULL,
				   is_texture ? &sampler : NULL)
		       ? CUDA_SUCCESS
		       : CUDA_ERROR_OUT_OF_MEMORY;
}
