/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Samples: from coordinates to texels and weights, as the CUDA C++ programming
 * guide's appendix on texture fetching defines them.  Weights have 8 bits of
 * fraction, as there.  What the guide leaves open is as Direct3D and OpenGL have
 * it, which GPUs are made for: cube faces, levels, gathering.
 */
#include "texture.h"

#include <math.h>
#include <string.h>

enum { PLACE_BORDER = -1 };

/* Along one axis: two neighbours, and the second one's weight. */
struct axis {
	int64_t index[2]; /* PLACE_BORDER: outside */
	float weight;
};

/* A number that is none counts as 0; the range is far beyond any extent. */
static int64_t floor_to_index(float value)
{
	const float limit = 1 << 30;

	value = floorf(value);
	if (!(value >= -limit))
		return value < 0.0f ? -(int64_t)limit : 0;
	return value < limit ? (int64_t)value : (int64_t)limit;
}

static int64_t index_clamp(int64_t index, uint32_t extent)
{
	return index < 0 ? 0 : index >= extent ? (int64_t)extent - 1 : index;
}

static int64_t index_resolve(int64_t index, uint32_t extent, enum engine_address_mode mode)
{
	int64_t period = mode == ENGINE_ADDRESS_MIRROR ? 2 * (int64_t)extent : extent;

	switch (mode) {
	case ENGINE_ADDRESS_BORDER:
		return index < 0 || index >= extent ? PLACE_BORDER : index;
	case ENGINE_ADDRESS_CLAMP:
		return index_clamp(index, extent);
	default:
		index %= period;
		if (index < 0)
			index += period;
		return index < extent ? index : period - 1 - index;
	}
}

static struct axis axis_resolve(const struct engine_sampler *sampler, unsigned number, float at, uint32_t extent,
				bool normalised, bool linear)
{
	enum engine_address_mode mode = sampler->address[number];
	struct axis axis = {0};
	int64_t first;

	/* Wrapping and mirroring are defined for normalised coordinates alone. */
	if (!normalised && mode != ENGINE_ADDRESS_BORDER)
		mode = ENGINE_ADDRESS_CLAMP;
	if (normalised) {
		/* Whole turns go first, while they are exact. */
		if (mode == ENGINE_ADDRESS_WRAP)
			at -= floorf(at);
		else if (mode == ENGINE_ADDRESS_MIRROR)
			at -= 2.0f * floorf(at * 0.5f);
		at *= (float)extent;
	}
	if (!linear) {
		axis.index[0] = index_resolve(floor_to_index(at), extent, mode);
		axis.index[1] = axis.index[0];
		return axis;
	}
	at -= 0.5f;
	first = floor_to_index(at);
	axis.weight = rintf((at - floorf(at)) * 256.0f) / 256.0f;
	if (!(axis.weight >= 0.0f))
		axis.weight = 0.0f;
	axis.index[0] = index_resolve(first, extent, mode);
	axis.index[1] = index_resolve(first + 1, extent, mode);
	return axis;
}

static struct texel place_read(struct warp *warp, const struct texture *texture, const struct engine_level *level,
			       int64_t x, int64_t y, int64_t slice)
{
	if (x < 0 || y < 0 || slice < 0)
		return texel_border(texture);
	return texel_read(warp, texture, level, (uint32_t)x, (uint32_t)y, (uint32_t)slice);
}

/* A place in one level: its axes and, where slices are no axis, the slice. */
struct spot {
	unsigned axes;
	struct axis axis[3];
	uint32_t slice;
};

static struct texel spot_read(struct warp *warp, const struct texture *texture, const struct engine_level *level,
			      const struct spot *spot, unsigned corner)
{
	int64_t place[3] = {0, 0, spot->slice};

	for (unsigned i = 0; i < spot->axes; i++)
		place[i] = spot->axis[i].index[corner >> i & 1];
	return place_read(warp, texture, level, place[0], place[1], place[2]);
}

static struct texel spot_filter(struct warp *warp, const struct texture *texture, const struct engine_level *level,
				const struct spot *spot)
{
	struct texel sum = {0};

	for (unsigned corner = 0; corner < 1u << spot->axes; corner++) {
		float weight = 1.0f;
		struct texel texel;

		for (unsigned i = 0; i < spot->axes; i++)
			weight *= corner >> i & 1 ? spot->axis[i].weight : 1.0f - spot->axis[i].weight;
		/* What has no weight is not looked at: it may be an infinity. */
		if (weight == 0.0f)
			continue;
		texel = spot_read(warp, texture, level, spot, corner);
		for (unsigned i = 0; i < texture->image.channels; i++)
			sum.channels[i].f += weight * texel.channels[i].f;
	}
	return sum;
}

/* One component of the four neighbours, counter-clockwise from the lower left. */
static struct texel spot_gather(struct warp *warp, const struct texture *texture, const struct engine_level *level,
				const struct spot *spot, unsigned component)
{
	static const unsigned corners[4] = {2, 3, 1, 0};
	struct texel gathered;

	for (unsigned i = 0; i < 4; i++)
		gathered.channels[i] = spot_read(warp, texture, level, spot, corners[i]).channels[component];
	return gathered;
}

/* The face that a direction points to, and where on it, in [0, 1]. */
static unsigned cube_face(const float *direction, float *ret_at)
{
	float x = direction[0], y = direction[1], z = direction[2];
	float ax = fabsf(x), ay = fabsf(y), az = fabsf(z), m, s, t;
	unsigned face;

	if (ax >= ay && ax >= az) {
		face = x < 0.0f ? 1 : 0;
		m = ax;
		s = x < 0.0f ? z : -z;
		t = -y;
	} else if (ay >= az) {
		face = y < 0.0f ? 3 : 2;
		m = ay;
		s = x;
		t = y < 0.0f ? -z : z;
	} else {
		face = z < 0.0f ? 5 : 4;
		m = az;
		s = z < 0.0f ? -x : x;
		t = -y;
	}
	ret_at[0] = m > 0.0f ? (s / m + 1.0f) / 2.0f : 0.5f;
	ret_at[1] = m > 0.0f ? (t / m + 1.0f) / 2.0f : 0.5f;
	return face;
}

/* An unsigned index (PTX ISA, tex). */
static uint32_t layer_clamp(uint32_t layer, uint32_t count)
{
	return layer < count ? layer : count - 1;
}

/* Two-dimensional instructions read the rows of what has one row, and so on: what is missing is 1. */
static unsigned shape_axes(enum engine_shape shape)
{
	return shape == ENGINE_SHAPE_1D ? 1 : shape == ENGINE_SHAPE_3D ? 3 : 2;
}

static struct texel level_sample(struct warp *warp, const struct texture *texture, const struct texture_place *place,
				 uint32_t number)
{
	const struct engine_level *level = &texture->image.levels[number];
	const struct engine_sampler *sampler = &texture->sampler;
	bool cube = place->shape == ENGINE_SHAPE_CUBE && texture->image.shape == ENGINE_SHAPE_CUBE;
	bool gather = place->mode == TEXTURE_GATHER;
	bool linear = gather || (sampler->linear && texel_is_float(texture));
	uint32_t extents[3] = {level->width, level->height, level->depth};
	struct engine_sampler edges = *sampler;
	struct spot spot = {.axes = shape_axes(place->shape)};
	float at[3];

	memcpy(at, place->at, sizeof(at));
	if (cube) {
		unsigned face = cube_face(place->at, at);

		spot.slice = layer_clamp(place->layer, level->depth / 6) * 6 + face;
		edges.address[0] = edges.address[1] = ENGINE_ADDRESS_CLAMP;
	} else if (texture->image.layered || texture->image.shape == ENGINE_SHAPE_CUBE) {
		spot.slice = layer_clamp(place->layer, level->depth);
		/* A volume's instruction has no third axis here. */
		if (spot.axes == 3)
			spot.axes = 2;
	}
	for (unsigned i = 0; i < spot.axes; i++)
		spot.axis[i] = axis_resolve(&edges, i, at[i], extents[i], cube || sampler->normalised, linear);
	if (gather)
		return spot_gather(warp, texture, level, &spot, place->component);
	return linear ? spot_filter(warp, texture, level, &spot) : spot_read(warp, texture, level, &spot, 0);
}

static struct texel fetch(struct warp *warp, const struct texture *texture, const struct texture_place *place,
			  uint32_t number)
{
	const struct engine_level *level = &texture->image.levels[number];
	uint32_t extents[3] = {level->width, level->height, level->depth};
	bool layered = texture->image.layered || texture->image.shape == ENGINE_SHAPE_CUBE;
	unsigned axes = shape_axes(place->shape);
	int64_t at[3] = {0, 0, layered ? layer_clamp(place->layer, level->depth) : 0};

	if (layered && axes == 3)
		axes = 2;
	for (unsigned i = 0; i < axes; i++) {
		enum engine_address_mode mode = texture->sampler.address[i];

		if (texture->image.shape == ENGINE_SHAPE_LINEAR) {
			/* No addressing mode applies to linear memory; outside of it there are zeros. */
			if (place->index[i] < 0 || (uint32_t)place->index[i] >= extents[i])
				return (struct texel){0};
			at[i] = place->index[i];
			continue;
		}
		at[i] = index_resolve(place->index[i], extents[i],
				      mode == ENGINE_ADDRESS_BORDER ? mode : ENGINE_ADDRESS_CLAMP);
	}
	return place_read(warp, texture, level, at[0], at[1], at[2]);
}

/* By the longer of the two gradients, in texels of the base level. */
static float gradient_level(const struct texture *texture, const struct texture_place *place)
{
	const struct engine_level *base = &texture->image.levels[0];
	const float extents[3] = {(float)base->width, (float)base->height, (float)base->depth};
	unsigned axes = place->shape == ENGINE_SHAPE_CUBE ? 3 : shape_axes(place->shape);
	float x = 0.0f, y = 0.0f;

	for (unsigned i = 0; i < axes; i++) {
		/* A cube's direction spans two units across a face. */
		float scale = place->shape == ENGINE_SHAPE_CUBE ? extents[0] / 2.0f
			      : texture->sampler.normalised	? extents[i]
								: 1.0f;

		x += place->dx[i] * scale * place->dx[i] * scale;
		y += place->dy[i] * scale * place->dy[i] * scale;
	}
	return 0.5f * log2f(x > y ? x : y);
}

static float level_choose(const struct texture *texture, const struct texture_place *place)
{
	const struct engine_sampler *sampler = &texture->sampler;
	float last = (float)(texture->image.level_count - 1);
	float level = place->mode == TEXTURE_GRADIENT ? gradient_level(texture, place) : place->level;

	if (texture->image.level_count == 1)
		return 0.0f;
	level += sampler->level_bias;
	if (!(level > sampler->level_min))
		level = sampler->level_min;
	if (level > sampler->level_max)
		level = sampler->level_max;
	return level > 0.0f ? (level < last ? level : last) : 0.0f;
}

struct texel texture_sample_at(struct warp *warp, const struct texture *texture, const struct texture_place *place)
{
	float level = level_choose(texture, place), weight;
	uint32_t number, last = texture->image.level_count - 1;
	struct texel first, second;

	if (place->mode == TEXTURE_FETCH)
		return fetch(warp, texture, place, (uint32_t)(level + 0.5f));
	if (!texture->sampler.level_linear || !texel_is_float(texture))
		return level_sample(warp, texture, place, (uint32_t)(level + 0.5f));
	number = (uint32_t)level;
	weight = rintf((level - (float)number) * 256.0f) / 256.0f;
	first = level_sample(warp, texture, place, number);
	if (weight == 0.0f || number == last)
		return first;
	second = level_sample(warp, texture, place, number + 1);
	for (unsigned i = 0; i < texture->image.channels; i++)
		first.channels[i].f = (1.0f - weight) * first.channels[i].f + weight * second.channels[i].f;
	return first;
}
