/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A list hangs on the context's object.  Readers walk it without a lock; writers
 * take one, and only ever add entries: a removed entry keeps its place and is
 * used again for the next new key, so no reader meets freed memory before the
 * context itself is destroyed.  Lists are short: one entry for each runtime in
 * the process.
 */
#include "context_storage.h"

#include <stdlib.h>

#include "lock.h"

struct storage_entry {
	struct storage_entry *next;
	void *key; /* NULL: empty */
	void *value;
	context_storage_destructor destructor;
};

static struct lock storage_lock;

static struct storage_entry *storage_first(const struct object *context)
{
	return __atomic_load_n((struct storage_entry *const *)&context->detail, __ATOMIC_ACQUIRE);
}

static struct storage_entry *entry_find(const struct object *context, const void *key)
{
	struct storage_entry *entry = storage_first(context);

	while (entry && __atomic_load_n(&entry->key, __ATOMIC_ACQUIRE) != key)
		entry = entry->next;
	return entry;
}

CUresult context_storage_put(struct object *context, void *key, void *value, context_storage_destructor destructor)
{
	struct storage_entry *entry;
	bool fresh = false;

	if (!key)
		return CUDA_ERROR_INVALID_VALUE;
	lock_take(&storage_lock);
	entry = entry_find(context, key);
	if (!entry)
		entry = entry_find(context, NULL);
	if (!entry) {
		entry = calloc(1, sizeof(*entry));
		if (!entry) {
			lock_release(&storage_lock);
			return CUDA_ERROR_OUT_OF_MEMORY;
		}
		fresh = true;
	}
	entry->destructor = destructor;
	__atomic_store_n(&entry->value, value, __ATOMIC_RELEASE);
	__atomic_store_n(&entry->key, key, __ATOMIC_RELEASE);
	if (fresh) {
		entry->next = storage_first(context);
		__atomic_store_n((struct storage_entry **)&context->detail, entry, __ATOMIC_RELEASE);
	}
	lock_release(&storage_lock);
	return CUDA_SUCCESS;
}

CUresult context_storage_delete(struct object *context, void *key)
{
	struct storage_entry *entry;

	if (!key)
		return CUDA_ERROR_INVALID_VALUE;
	lock_take(&storage_lock);
	entry = entry_find(context, key);
	if (entry)
		__atomic_store_n(&entry->key, NULL, __ATOMIC_RELEASE);
	lock_release(&storage_lock);
	return entry ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult context_storage_get(const struct object *context, void *key, void **ret_value)
{
	const struct storage_entry *entry = key ? entry_find(context, key) : NULL;

	if (!entry)
		return CUDA_ERROR_INVALID_HANDLE;
	*ret_value = __atomic_load_n(&entry->value, __ATOMIC_ACQUIRE);
	return CUDA_SUCCESS;
}

void context_storage_clear(struct object *context)
{
	struct storage_entry *entry;

	/* A destructor may come back here, so no lock is held while it runs. */
	for (entry = storage_first(context); entry; entry = entry->next) {
		context_storage_destructor destructor = NULL;
		void *key, *value;

		lock_take(&storage_lock);
		key = entry->key;
		value = entry->value;
		if (key)
			destructor = entry->destructor;
		__atomic_store_n(&entry->key, NULL, __ATOMIC_RELEASE);
		lock_release(&storage_lock);
		if (destructor)
			destructor((CUcontext)context, key, value);
	}
}

void context_storage_end(struct object *context)
{
	struct storage_entry *entry = storage_first(context);

	context_storage_clear(context);
	__atomic_store_n((struct storage_entry **)&context->detail, NULL, __ATOMIC_RELEASE);
	while (entry) {
		struct storage_entry *next = entry->next;

		free(entry);
		entry = next;
	}
}
