/* SPDX-License-Identifier: Apache-2.0 */
/* The table of live objects: open addressing with linear probing and backward-shift deletion. */
#include "object.h"

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static struct object **table;
static size_t table_capacity; /* a power of two, or 0 */
static size_t table_used;

static size_t slot_of(const void *handle)
{
	uint64_t hash = (uint64_t)(uintptr_t)handle * 0x9E3779B97F4A7C15u;

	return (size_t)(hash >> 32) & (table_capacity - 1);
}

static struct object **slot_find(const void *handle)
{
	if (!table_capacity)
		return NULL;
	for (size_t slot = slot_of(handle); table[slot]; slot = (slot + 1) & (table_capacity - 1))
		if (table[slot] == handle)
			return &table[slot];
	return NULL;
}

static void slot_insert(struct object *object)
{
	size_t slot = slot_of(object);

	while (table[slot])
		slot = (slot + 1) & (table_capacity - 1);
	table[slot] = object;
}

static void slot_remove(struct object **found)
{
	size_t hole = (size_t)(found - table);

	for (size_t next = (hole + 1) & (table_capacity - 1); table[next]; next = (next + 1) & (table_capacity - 1)) {
		size_t home = slot_of(table[next]);

		/* Leave it when its home lies cyclically after the hole: it is still reachable from there. */
		if (((next - home) & (table_capacity - 1)) < ((next - hole) & (table_capacity - 1)))
			continue;
		table[hole] = table[next];
		hole = next;
	}
	table[hole] = NULL;
	table_used--;
}

static bool table_grow(void)
{
	struct object **old = table;
	size_t old_capacity = table_capacity;
	size_t capacity = old_capacity ? old_capacity * 2 : 256;
	struct object **fresh = calloc(capacity, sizeof(*fresh));

	if (!fresh)
		return false;
	table = fresh;
	table_capacity = capacity;
	for (size_t slot = 0; slot < old_capacity; slot++)
		if (old[slot])
			slot_insert(old[slot]);
	free(old);
	return true;
}

void object_prepare(struct object *object, enum object_kind kind, const void *owner,
		    void (*destroy)(struct object *object))
{
	object->kind = kind;
	object->references = 1;
	object->owner = owner;
	object->destroy = destroy;
	object->retire = NULL;
}

bool object_publish(struct object *object)
{
	bool published = false;

	pthread_mutex_lock(&table_lock);
	if ((table_used + 1) * 2 <= table_capacity || table_grow()) {
		slot_insert(object);
		table_used++;
		published = true;
	}
	pthread_mutex_unlock(&table_lock);
	return published;
}

void *object_acquire(const void *handle, enum object_kind kind)
{
	struct object **found;
	struct object *object = NULL;

	pthread_mutex_lock(&table_lock);
	found = slot_find(handle);
	if (found && (*found)->kind == kind) {
		object = *found;
		object_retain(object);
	}
	pthread_mutex_unlock(&table_lock);
	return object;
}

void object_retain(struct object *object)
{
	object->references++;
}

void object_release(struct object *object)
{
	if (object && --object->references == 0)
		object->destroy(object);
}

void *object_retire(const void *handle, enum object_kind kind)
{
	struct object **found;
	struct object *object = NULL;

	pthread_mutex_lock(&table_lock);
	found = slot_find(handle);
	if (found && (*found)->kind == kind) {
		object = *found;
		slot_remove(found);
	}
	pthread_mutex_unlock(&table_lock);
	if (object && object->retire)
		object->retire(object);
	return object;
}

static struct object *retire_one_owned(const void *owner, enum object_kind kind)
{
	struct object *object = NULL;

	pthread_mutex_lock(&table_lock);
	for (size_t slot = 0; slot < table_capacity && !object; slot++) {
		if (table[slot] && table[slot]->owner == owner && table[slot]->kind == kind) {
			object = table[slot];
			slot_remove(&table[slot]);
		}
	}
	pthread_mutex_unlock(&table_lock);
	return object;
}

void object_retire_owned(const void *owner, enum object_kind kind)
{
	struct object *object;

	/* One at a time: destroying an object may retire others. */
	while ((object = retire_one_owned(owner, kind))) {
		if (object->retire)
			object->retire(object);
		object_release(object);
	}
}
