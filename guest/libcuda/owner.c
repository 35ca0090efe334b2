/* SPDX-License-Identifier: Apache-2.0 */
/* What modules and libraries have in common. */
#include <stdlib.h>
#include <string.h>

#include "managed_variables.h"
#include "memory.h"
#include "module.h"
#include "object_table.h"

#define NAMES_BYTES (48u << 10)

/*
 * The end of a context looks at the modules and kernels of all, while other threads unload theirs. Taken
 * before a library's mutex.
 */
static pthread_mutex_t ends_mutex = PTHREAD_MUTEX_INITIALIZER;

struct owner *owner_new(enum vgpu_kind kind, uint32_t context)
{
	struct object *object = object_mint(kind, context);
	struct owner *owner;

	if (!object)
		return NULL;
	owner = calloc(1, sizeof(*owner));
	if (!owner) {
		object_release(object);
		return NULL;
	}
	pthread_mutex_init(&owner->mutex, NULL);
	owner->object = object;
	__atomic_store_n(&object->detail, owner, __ATOMIC_RELEASE);
	return owner;
}

void owner_abandon(struct owner *owner)
{
	memory_forget_owner(owner->object->id);
	while (owner->modules) {
		struct owner *module = owner->modules;

		owner->modules = module->next;
		owner_abandon(module);
	}
	for (size_t i = 0; i < OWNER_BUCKETS; i++) {
		while (owner->buckets[i]) {
			struct function *function = owner->buckets[i];

			owner->buckets[i] = function->next;
			function_free(function);
		}
	}
	managed_variables_free(owner->managed);
	pthread_mutex_destroy(&owner->mutex);
	object_release(owner->object);
	free(owner);
}

void owner_free(struct owner *owner)
{
	pthread_mutex_lock(&ends_mutex);
	owner_abandon(owner);
	pthread_mutex_unlock(&ends_mutex);
}

bool owner_is_unused(const struct owner *owner)
{
	for (size_t i = 0; i < OWNER_BUCKETS; i++) {
		if (owner->buckets[i])
			return false;
	}
	return !owner->modules;
}

struct owner *owner_find(const void *handle, enum vgpu_kind kind)
{
	struct object *object = object_find(handle, kind);

	return object ? __atomic_load_n((struct owner **)&object->detail, __ATOMIC_ACQUIRE) : NULL;
}

/* FNV-1a: names differ in their ends as often as in their beginnings. */
static size_t bucket_of(const char *name)
{
	uint32_t hash = 2166136261u;

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 16777619u;
	return (hash ^ hash >> 16) % OWNER_BUCKETS;
}

/* With the owner's mutex held. */
static CUresult function_make(struct owner *owner, enum vgpu_kind kind, uint32_t context, const char *name,
			      owner_ask ask, struct function **ret_function)
{
	struct object *object = object_mint(kind, kind == VGPU_KIND_KERNEL ? 0 : context);
	struct function *function;
	CUresult result;

	if (!object)
		return CUDA_ERROR_OUT_OF_MEMORY;
	result = ask(context, object->id, owner->object->id, name);
	if (result) {
		object_release(object);
		return result;
	}
	function = function_new(object, owner->object, name);
	if (!function) {
		/* The host keeps the id until the owner ends, so it cannot be given back. */
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	*ret_function = function;
	return CUDA_SUCCESS;
}

CUresult owner_function(struct owner *owner, enum vgpu_kind kind, uint32_t context, const char *name, owner_ask ask,
			struct object **ret_object)
{
	struct function **bucket = &owner->buckets[bucket_of(name)];
	struct function *function;
	CUresult result = CUDA_SUCCESS;

	if (strlen(name) >= NAME_BYTES_MAX)
		return CUDA_ERROR_NOT_FOUND;
	pthread_mutex_lock(&owner->mutex);
	function = *bucket;
	while (function && (VGPU_ID_KIND(function->object->id) != kind || strcmp(function->name, name) != 0))
		function = function->next;
	if (!function) {
		result = function_make(owner, kind, context, name, ask, &function);
		if (!result) {
			function->next = *bucket;
			*bucket = function;
		}
	}
	pthread_mutex_unlock(&owner->mutex);
	if (!result)
		*ret_object = function->object;
	return result;
}

/* Handles for the names that one answer of the host brought; *done counts on. */
static CUresult names_take(struct owner *owner, enum vgpu_kind kind, uint32_t context, owner_ask ask, const char *names,
			   uint32_t names_bytes, uint32_t wanted, void **handles, uint32_t *done)
{
	const char *end = names + names_bytes;

	while (names < end && *done < wanted) {
		const char *stop = memchr(names, '\0', (size_t)(end - names));
		struct object *object;
		CUresult result;

		if (!stop)
			return CUDA_ERROR_UNKNOWN;
		result = owner_function(owner, kind, context, names, ask, &object);
		if (result)
			return result;
		handles[(*done)++] = object;
		names = stop + 1;
	}
	return CUDA_SUCCESS;
}

CUresult owner_enumerate(struct owner *owner, enum vgpu_kind kind, uint32_t context, owner_list list, owner_ask ask,
			 uint32_t wanted, void **handles, uint32_t *ret_count)
{
	char *names = malloc(NAMES_BYTES);
	uint32_t done = 0;
	CUresult result;

	if (!names)
		return CUDA_ERROR_OUT_OF_MEMORY;
	do {
		uint32_t names_bytes = 0;
		uint32_t before = done;

		result = list(context, owner->object->id, done, ret_count, names, NAMES_BYTES, &names_bytes);
		if (!result && wanted > *ret_count)
			wanted = *ret_count;
		if (!result && done < wanted)
			result = names_take(owner, kind, context, ask, names, names_bytes, wanted, handles, &done);
		if (!result && done < wanted && done == before)
			result = CUDA_ERROR_UNKNOWN;
	} while (!result && done < wanted);
	free(names);
	return result;
}

static bool module_visit(struct object *object, void *argument)
{
	struct owner *owner = object->detail;

	if (object->context != *(const uint32_t *)argument || !owner)
		return true;
	if (owner->library) {
		struct owner **place = &owner->library->modules;

		pthread_mutex_lock(&owner->library->mutex);
		while (*place && *place != owner)
			place = &(*place)->next;
		if (*place)
			*place = owner->next;
		pthread_mutex_unlock(&owner->library->mutex);
	}
	owner_abandon(owner);
	return true;
}

/* A kernel outlives the context, but not what was made of it there. */
static bool kernel_visit(struct object *object, void *argument)
{
	struct function *kernel = object->detail;
	struct function **place;
	struct owner *library;

	if (!kernel)
		return true;
	library = kernel->owner->detail;
	pthread_mutex_lock(&library->mutex);
	for (place = &kernel->derived; *place;) {
		struct function *derived = *place;

		if (derived->object->context != *(const uint32_t *)argument) {
			place = &derived->next;
			continue;
		}
		*place = derived->next;
		function_free(derived);
	}
	pthread_mutex_unlock(&library->mutex);
	return true;
}

void modules_forget_context(uint32_t context)
{
	pthread_mutex_lock(&ends_mutex);
	object_each(VGPU_KIND_MODULE, module_visit, &context);
	object_each(VGPU_KIND_KERNEL, kernel_visit, &context);
	pthread_mutex_unlock(&ends_mutex);
}
