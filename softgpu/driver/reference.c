/* SPDX-License-Identifier: Apache-2.0 */
#include "reference.h"

#include <pthread.h>
#include <stdlib.h>

#include "array.h"
#include "driver.h"
#include "stream.h"
#include "texture_object.h"

/* Of all references' states, and of the list of them. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct reference *all;

static void reference_destroy(struct object *object)
{
	free(object);
}

static void reference_retire(struct object *object)
{
	struct reference *reference = (struct reference *)object;
	struct reference **place = &all;

	pthread_mutex_lock(&lock);
	while (*place != reference)
		place = &(*place)->next;
	*place = reference->next;
	if (reference->address)
		engine_texture_bind(driver_engine(), reference->address, NULL, NULL);
	pthread_mutex_unlock(&lock);
}

/* Locked. */
static CUresult reference_new(struct context *context, const void *owner, enum object_kind kind, uint64_t address,
			      struct reference **ret_reference)
{
	struct reference *reference = calloc(1, sizeof(*reference));

	if (!reference)
		return CUDA_ERROR_OUT_OF_MEMORY;
	object_prepare(&reference->object, kind, owner, reference_destroy);
	reference->object.retire = reference_retire;
	reference->context = context;
	reference->address = address;
	reference->format = CU_AD_FORMAT_FLOAT;
	reference->channels = 1;
	for (int i = 0; i < 3; i++)
		reference->texture.addressMode[i] = CU_TR_ADDRESS_MODE_CLAMP;
	if (!object_publish(&reference->object)) {
		free(reference);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	reference->next = all;
	all = reference;
	*ret_reference = reference;
	return CUDA_SUCCESS;
}

static CUresult module_reference_find(struct module *module, const char *name, enum object_kind kind,
				      struct reference **ret_reference)
{
	CUresult result = CUDA_SUCCESS;
	struct reference *found;
	uint64_t address;

	if (engine_module_find_reference(module->code, name, kind == OBJECT_SURFACE_REFERENCE, &address))
		return CUDA_ERROR_NOT_FOUND;
	pthread_mutex_lock(&lock);
	for (found = all; found && found->address != address;)
		found = found->next;
	if (!found)
		result = reference_new(module->context, module, kind, address, &found);
	pthread_mutex_unlock(&lock);
	*ret_reference = found;
	return result;
}

CUresult reference_of_module(CUmodule handle, const char *name, enum object_kind kind, struct reference **ret_reference)
{
	struct module *module;
	CUresult result = driver_check();

	if (result)
		return result;
	if (!name)
		return CUDA_ERROR_INVALID_VALUE;
	module = object_acquire(handle, OBJECT_MODULE);
	if (!module)
		return CUDA_ERROR_INVALID_HANDLE;
	result = module_reference_find(module, name, kind, ret_reference);
	object_release(&module->object);
	return result;
}

CUresult reference_create(struct context *context, struct reference **ret_reference)
{
	CUresult result;

	pthread_mutex_lock(&lock);
	result = reference_new(context, context, OBJECT_TEXTURE_REFERENCE, 0, ret_reference);
	pthread_mutex_unlock(&lock);
	return result;
}

CUresult reference_begin(const void *handle, enum object_kind kind, struct reference **ret_reference)
{
	CUresult result = driver_check();

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

void reference_apply(struct reference *reference)
{
	const bool is_texture = reference->object.kind == OBJECT_TEXTURE_REFERENCE;
	struct engine_sampler sampler;
	struct engine_image image = {0};
	bool is_there = reference->is_bound;

	if (!reference->address)
		return;
	stream_wait_context(reference->context);
	if (is_there)
		is_there = !(is_texture ? texture_describe(&reference->resource, &reference->texture, &image, &sampler)
					: surface_image(&reference->resource, &image));
	engine_texture_bind(driver_engine(), reference->address, is_there ? &image : NULL,
			    is_there && is_texture ? &sampler : NULL);
}

/* Of memory it is not asked whether it is there. */
static bool resource_is_there(const CUDA_RESOURCE_DESC *resource)
{
	struct object *object;

	if (resource->resType == CU_RESOURCE_TYPE_ARRAY)
		object = object_acquire(resource->res.array.hArray, OBJECT_ARRAY);
	else if (resource->resType == CU_RESOURCE_TYPE_MIPMAPPED_ARRAY)
		object = object_acquire(resource->res.mipmap.hMipmappedArray, OBJECT_MIPMAP);
	else
		return true;
	object_release(object);
	return object;
}

void references_settle(void)
{
	pthread_mutex_lock(&lock);
	for (struct reference *reference = all; reference; reference = reference->next) {
		if (!reference->is_bound || resource_is_there(&reference->resource))
			continue;
		reference->is_bound = false;
		reference_apply(reference);
	}
	pthread_mutex_unlock(&lock);
}
