/* SPDX-License-Identifier: Apache-2.0 */
/* Handlers of the instructions on textures and surfaces, a lane at a time. */
#include "control.h"
#include "engine_private.h"
#include "texture.h"

#include <string.h>

/* The texture that a lane names.  Lanes mostly name the same one, which is looked up once. */
struct lookup {
	struct texture texture;
	uint64_t handle;
	bool found;
};

static const struct texture *lane_texture(struct warp *warp, const struct texture_site *site, unsigned lane,
					  bool surface, struct lookup *lookup)
{
	uint64_t handle = lanes64(warp, site->handle)[lane];

	if (!lookup->found || lookup->handle != handle) {
		lookup->found = texture_find(warp->block->launch->engine->textures, handle, surface, &lookup->texture);
		lookup->handle = handle;
	}
	if (!lookup->found)
		exec_fault(warp, ENGINE_FAULT_ILLEGAL_ADDRESS, handle);
	return &lookup->texture;
}

static float lane_float(struct warp *warp, uint32_t offset, unsigned lane)
{
	float value = 0.0f;

	if (offset)
		memcpy(&value, &lanes32(warp, offset)[lane], sizeof(value));
	return value;
}

static struct texture_place lane_place(struct warp *warp, const struct texture_site *site, unsigned lane)
{
	struct texture_place place = {
		.mode = site->mode,
		.shape = site->shape,
		.component = site->component,
		.layer = site->layer ? lanes32(warp, site->layer)[lane] : 0,
	};

	for (unsigned i = 0; i < site->dimensions; i++) {
		if (site->mode == TEXTURE_FETCH)
			place.index[i] = (int32_t)lanes32(warp, site->at[i])[lane];
		else
			place.at[i] = lane_float(warp, site->at[i], lane);
		place.dx[i] = lane_float(warp, site->dx[i], lane);
		place.dy[i] = lane_float(warp, site->dy[i], lane);
	}
	if (site->level)
		place.level = site->level_is_float ? lane_float(warp, site->level, lane)
						   : (float)(int32_t)lanes32(warp, site->level)[lane];
	return place;
}

const struct instruction *texture_sample(struct warp *warp, const struct instruction *ins)
{
	const struct texture_site *site = ins->extra;
	struct lookup lookup = {.found = false};

	LANES_OF(warp->mask, lane)
	{
		const struct texture *texture = lane_texture(warp, site, lane, false, &lookup);
		struct texture_place place = lane_place(warp, site, lane);
		struct texel texel = {0};

		if (!texture_is_nothing(texture))
			texel = texture_sample_at(warp, texture, &place);
		for (unsigned i = 0; i < site->data_count; i++)
			lanes32(warp, site->data[i])[lane] = texel.channels[i].u;
	}
	/* All of a texture's memory is there. */
	if (site->resident)
		predicate_write(warp, site->resident, warp->mask, WARP_FULL_MASK);
	return ins + 1;
}

const struct instruction *texture_query(struct warp *warp, const struct instruction *ins)
{
	const struct texture_site *site = ins->extra;
	struct lookup lookup = {.found = false};

	LANES_OF(warp->mask, lane)
	{
		const struct texture *texture = lane_texture(warp, site, lane, ins->flags, &lookup);
		const struct engine_image *image = &texture->image;
		int32_t number = site->level ? (int32_t)lanes32(warp, site->level)[lane] : 0;
		const struct engine_level *level;
		uint32_t value = 0;

		if (number < 0 || (uint32_t)number >= image->level_count)
			number = 0;
		level = &image->levels[number];
		switch (site->query) {
		case QUERY_WIDTH:
			value = level->width;
			break;
		case QUERY_HEIGHT:
			value = level->height;
			break;
		case QUERY_DEPTH:
			value = image->shape == ENGINE_SHAPE_3D || texture_is_nothing(texture) ? level->depth : 1;
			break;
		case QUERY_LAYERS:
			value = image->layered ? level->depth / (image->shape == ENGINE_SHAPE_CUBE ? 6 : 1) : 0;
			break;
		default:
			value = image->level_count;
		}
		lanes32(warp, site->data[0])[lane] = value;
	}
	return ins + 1;
}

/* Within [0, count) after the boundary's rule; false: the access has no effect. */
static bool boundary_apply(struct warp *warp, unsigned boundary, int64_t *at, int64_t count)
{
	if (*at >= 0 && *at < count)
		return true;
	if (boundary == SURFACE_TRAP)
		exec_fault(warp, ENGINE_FAULT_TRAP, 0);
	*at = *at < 0 ? 0 : count - 1;
	return boundary == SURFACE_CLAMP;
}

/* Where a lane's access lies; NULL: out of range, and ignored.  The x coordinate counts bytes. */
static void *surface_pointer(struct warp *warp, const struct texture_site *site, unsigned lane, uint32_t bytes,
			     struct lookup *lookup)
{
	const struct texture *texture = lane_texture(warp, site, lane, true, lookup);
	const struct engine_image *image = &texture->image;
	const struct engine_level *level = &image->levels[0];
	/* A layer's index is unsigned (PTX ISA, suld). */
	int64_t at[3] = {0, 0, site->layer ? lanes32(warp, site->layer)[lane] : 0};
	int64_t row = (int64_t)level->width * image->texel_bytes, column;

	for (unsigned i = 0; i < site->dimensions; i++)
		at[i] = (int32_t)lanes32(warp, site->at[i])[lane];
	if (texture_is_nothing(texture))
		return NULL;
	if (at[0] & (bytes - 1))
		exec_fault(warp, ENGINE_FAULT_MISALIGNED_ADDRESS, (uint64_t)at[0]);
	/* Clamping leaves room for the whole access. */
	column = at[0] / bytes;
	if (row < bytes || !boundary_apply(warp, site->boundary, &column, row / bytes) ||
	    !boundary_apply(warp, site->boundary, &at[1], level->height) ||
	    !boundary_apply(warp, site->boundary, &at[2], level->depth))
		return NULL;
	return memory_lane_pointer(warp, lane, SPACE_GLOBAL,
				   level->address + (uint64_t)at[2] * level->slice_bytes +
					   (uint64_t)at[1] * level->row_bytes + (uint64_t)column * bytes,
				   bytes, 1);
}

const struct instruction *surface_load(struct warp *warp, const struct instruction *ins)
{
	const struct texture_site *site = ins->extra;
	struct lookup lookup = {.found = false};

	LANES_OF(warp->mask, lane)
	{
		const uint8_t *from = surface_pointer(warp, site, lane, site->bytes * site->data_count, &lookup);

		for (unsigned i = 0; i < site->data_count; i++) {
			uint64_t value = 0;

			if (from)
				memcpy(&value, from + (size_t)i * site->bytes, site->bytes);
			lane_write(warp, site->data[i], lane, site->data_wide, value);
		}
	}
	return ins + 1;
}

const struct instruction *surface_store(struct warp *warp, const struct instruction *ins)
{
	const struct texture_site *site = ins->extra;
	struct lookup lookup = {.found = false};

	LANES_OF(warp->mask, lane)
	{
		uint8_t *to = surface_pointer(warp, site, lane, site->bytes * site->data_count, &lookup);

		for (unsigned i = 0; i < site->data_count && to; i++) {
			uint64_t value = lane_read(warp, site->data[i], lane, site->data_wide);

			memcpy(to + (size_t)i * site->bytes, &value, site->bytes);
		}
	}
	return ins + 1;
}

static uint64_t reduce_step(const struct texture_site *site, uint64_t old, uint64_t value)
{
	bool less = site->type == PTX_S32   ? (int32_t)old < (int32_t)value
		    : site->type == PTX_S64 ? (int64_t)old < (int64_t)value
					    : old < value;

	switch (site->operation) {
	case SURFACE_ADD:
		return old + value;
	case SURFACE_MIN:
		return less ? old : value;
	case SURFACE_MAX:
		return less ? value : old;
	case SURFACE_AND:
		return old & value;
	default:
		return old | value;
	}
}

static void reduce_wide(const struct texture_site *site, uint64_t *at, uint64_t value)
{
	uint64_t old = __atomic_load_n(at, __ATOMIC_RELAXED);

	while (!__atomic_compare_exchange_n(at, &old, reduce_step(site, old, value), false, __ATOMIC_SEQ_CST,
					    __ATOMIC_SEQ_CST)) {
	}
}

static void reduce_narrow(const struct texture_site *site, uint32_t *at, uint32_t value)
{
	uint32_t old = __atomic_load_n(at, __ATOMIC_RELAXED);

	while (!__atomic_compare_exchange_n(at, &old, (uint32_t)reduce_step(site, old, value), false, __ATOMIC_SEQ_CST,
					    __ATOMIC_SEQ_CST)) {
	}
}

const struct instruction *surface_reduce(struct warp *warp, const struct instruction *ins)
{
	const struct texture_site *site = ins->extra;
	struct lookup lookup = {.found = false};

	LANES_OF(warp->mask, lane)
	{
		void *at = surface_pointer(warp, site, lane, site->bytes, &lookup);
		uint64_t value = lane_read(warp, site->data[0], lane, site->data_wide);

		if (!at)
			continue;
		if (site->bytes == 8)
			reduce_wide(site, at, value);
		else
			reduce_narrow(site, at, (uint32_t)value);
	}
	return ins + 1;
}
