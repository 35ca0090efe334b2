/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of textures and surfaces.  A handle is a slot and the number of
 * times that the slot was used, so that a stale one is noticed; or it is the
 * address of a reference, which is far above the handles that slots ever get.
 */
#include "texture.h"
#include "engine_private.h"

#include <stdlib.h>

enum {
	TEXTURES_MAX = ENGINE_TEXTURE_SLOTS,
	TEXTURES_FIRST = 64,
	SLOT_BITS = 20,
	REFERENCE_BUCKETS = 64,
};

struct texture_slot {
	struct texture *texture; /* NULL: free */
	uint32_t uses;
	uint32_t next_free; /* slot + 1 */
};

struct reference {
	struct reference *next; /* in the bucket */
	uint64_t address;
	struct texture texture;
};

struct texture_table {
	pthread_rwlock_t lock;
	struct reference *references[REFERENCE_BUCKETS];
	struct texture_slot *slots;
	uint32_t count, capacity;
	uint32_t first_free; /* slot + 1 */
};

struct texture_table *texture_table_create(void)
{
	struct texture_table *table = calloc(1, sizeof(*table));

	if (table && pthread_rwlock_init(&table->lock, NULL) != 0) {
		free(table);
		table = NULL;
	}
	return table;
}

void texture_table_destroy(struct texture_table *table)
{
	if (!table)
		return;
	for (uint32_t i = 0; i < table->count; i++)
		free(table->slots[i].texture);
	for (uint32_t i = 0; i < REFERENCE_BUCKETS; i++) {
		while (table->references[i]) {
			struct reference *reference = table->references[i];

			table->references[i] = reference->next;
			free(reference);
		}
	}
	free(table->slots);
	pthread_rwlock_destroy(&table->lock);
	free(table);
}

/* Under the lock, for writing.  False: out of memory. */
static bool slot_take(struct texture_table *table, uint32_t *ret_slot)
{
	if (table->first_free) {
		*ret_slot = table->first_free - 1;
		table->first_free = table->slots[*ret_slot].next_free;
		return true;
	}
	if (table->count == table->capacity) {
		uint32_t capacity = table->capacity ? 2 * table->capacity : TEXTURES_FIRST;
		struct texture_slot *grown;

		if (capacity > TEXTURES_MAX)
			return false;
		grown = realloc(table->slots, capacity * sizeof(*grown));
		if (!grown)
			return false;
		table->slots = grown;
		table->capacity = capacity;
	}
	*ret_slot = table->count++;
	table->slots[*ret_slot] = (struct texture_slot){0};
	return true;
}

uint64_t engine_texture_create(struct engine *engine, const struct engine_image *image,
			       const struct engine_sampler *sampler)
{
	struct texture_table *table = engine->textures;
	struct texture *texture = malloc(sizeof(*texture));
	uint64_t handle = 0;
	uint32_t slot;

	if (!texture)
		return 0;
	*texture = (struct texture){.image = *image, .is_surface = !sampler};
	if (sampler)
		texture->sampler = *sampler;
	pthread_rwlock_wrlock(&table->lock);
	if (slot_take(table, &slot)) {
		struct texture_slot *taken = &table->slots[slot];

		taken->texture = texture;
		taken->uses++;
		handle = (uint64_t)taken->uses << SLOT_BITS | slot;
	}
	pthread_rwlock_unlock(&table->lock);
	if (!handle)
		free(texture);
	return handle;
}

/* Under the lock. */
static struct texture_slot *slot_find(const struct texture_table *table, uint64_t handle, bool surface)
{
	uint64_t number = handle & (TEXTURES_MAX - 1);
	struct texture_slot *slot;

	if (number >= table->count)
		return NULL;
	slot = &table->slots[number];
	return slot->texture && handle >> SLOT_BITS == slot->uses && slot->texture->is_surface == surface ? slot : NULL;
}

bool engine_texture_destroy(struct engine *engine, uint64_t handle, bool surface)
{
	struct texture_table *table = engine->textures;
	struct texture_slot *slot;

	pthread_rwlock_wrlock(&table->lock);
	slot = slot_find(table, handle, surface);
	if (slot) {
		free(slot->texture);
		slot->texture = NULL;
		slot->next_free = table->first_free;
		table->first_free = (uint32_t)(slot - table->slots) + 1;
	}
	pthread_rwlock_unlock(&table->lock);
	return slot;
}

/* Under the lock: where the reference stands, or would. References are variables of 8 bytes. */
static struct reference **reference_place(struct texture_table *table, uint64_t address)
{
	struct reference **place = &table->references[address / 8 % REFERENCE_BUCKETS];

	while (*place && (*place)->address != address)
		place = &(*place)->next;
	return place;
}

bool texture_reference_add(struct texture_table *table, uint64_t address, bool is_surface)
{
	struct reference *reference = malloc(sizeof(*reference));
	struct reference **place;

	if (!reference)
		return false;
	*reference = (struct reference){.address = address, .texture.is_surface = is_surface};
	pthread_rwlock_wrlock(&table->lock);
	place = reference_place(table, address);
	reference->next = *place;
	*place = reference;
	pthread_rwlock_unlock(&table->lock);
	return true;
}

void texture_reference_remove(struct texture_table *table, uint64_t address)
{
	struct reference **place, *reference;

	pthread_rwlock_wrlock(&table->lock);
	place = reference_place(table, address);
	reference = *place;
	if (reference)
		*place = reference->next;
	pthread_rwlock_unlock(&table->lock);
	free(reference);
}

void engine_texture_bind(struct engine *engine, uint64_t address, const struct engine_image *image,
			 const struct engine_sampler *sampler)
{
	struct texture_table *table = engine->textures;
	struct reference *reference;

	pthread_rwlock_wrlock(&table->lock);
	reference = *reference_place(table, address);
	if (reference) {
		reference->texture.image = image ? *image : (struct engine_image){.level_count = 0};
		if (sampler)
			reference->texture.sampler = *sampler;
	}
	pthread_rwlock_unlock(&table->lock);
}

bool texture_find(struct texture_table *table, uint64_t handle, bool surface, struct texture *ret_texture)
{
	const struct texture_slot *slot;
	const struct texture *found = NULL;

	pthread_rwlock_rdlock(&table->lock);
	slot = slot_find(table, handle, surface);
	if (slot) {
		found = slot->texture;
	} else {
		const struct reference *reference = *reference_place(table, handle);

		if (reference && reference->texture.is_surface == surface)
			found = &reference->texture;
	}
	if (found)
		*ret_texture = *found;
	pthread_rwlock_unlock(&table->lock);
	return found;
}
