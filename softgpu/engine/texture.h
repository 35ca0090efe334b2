/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Textures and surfaces: the table of those that exist, and reading them as the
 * CUDA C++ programming guide's appendix on texture fetching says.
 */
#ifndef SOFTGPU_TEXTURE_H
#define SOFTGPU_TEXTURE_H

#include "exec.h"
#include "ptx.h"

struct texture {
	struct engine_image image;
	struct engine_sampler sampler;
	bool is_surface;
};

struct texture_table;

struct texture_table *texture_table_create(void);	 /* NULL: out of memory */
void texture_table_destroy(struct texture_table *table); /* accepts NULL */

/* A module's reference, with nothing bound; false: out of memory.  It is there until it is removed. */
bool texture_reference_add(struct texture_table *table, uint64_t address, bool is_surface);
void texture_reference_remove(struct texture_table *table, uint64_t address);

/* Is there nothing to read or write, as of a reference that nothing is bound to? */
static inline bool texture_is_nothing(const struct texture *texture)
{
	return !texture->image.level_count;
}

/* A copy, so that it may be destroyed meanwhile.  False: there is none. */
bool texture_find(struct texture_table *table, uint64_t handle, bool surface, struct texture *ret_texture);

/* What a fetch gives: four channels, of which those that the texels lack are 0. */
union texel_channel {
	float f;
	uint32_t u;
};
struct texel {
	union texel_channel channels[4];
};

/* texel.c: are the texels floats when read through the sampler? */
bool texel_is_float(const struct texture *texture);
/* One texel, whose place is within the level. */
struct texel texel_read(struct warp *warp, const struct texture *texture, const struct engine_level *level, uint32_t x,
			uint32_t y, uint32_t slice);
struct texel texel_border(const struct texture *texture);

enum texture_mode {
	TEXTURE_BASE,
	TEXTURE_LEVEL,
	TEXTURE_GRADIENT,
	TEXTURE_GATHER,
	TEXTURE_FETCH, /* integer coordinates */
};

/* Where a sample is taken; unused coordinates are 0. */
struct texture_place {
	enum texture_mode mode;
	enum engine_shape shape; /* that the instruction reads; never linear */
	float at[3];
	int32_t index[3]; /* TEXTURE_FETCH */
	uint32_t layer;
	float level;
	float dx[3], dy[3];
	unsigned component; /* TEXTURE_GATHER */
};

/* texture_sample.c */
struct texel texture_sample_at(struct warp *warp, const struct texture *texture, const struct texture_place *place);

/* What an instruction names, in frame offsets; 0: absent. */
struct texture_site {
	enum texture_mode mode;
	enum engine_shape shape;
	bool layered;
	unsigned dimensions; /* coordinates beside the layer */
	uint32_t handle;
	uint32_t layer;
	uint32_t at[3];
	uint32_t level;
	bool level_is_float;
	uint32_t dx[3], dy[3];
	unsigned component;
	uint32_t data[4]; /* destinations, or sources of a store */
	unsigned data_count;
	bool data_wide;
	uint32_t resident; /* predicate */
	enum ptx_type type;
	unsigned bytes;	    /* of one element of a surface access */
	unsigned boundary;  /* enum surface_boundary */
	unsigned operation; /* enum surface_operation */
	unsigned query;	    /* enum texture_query */
};

enum surface_boundary {
	SURFACE_TRAP,
	SURFACE_CLAMP,
	SURFACE_ZERO,
};

enum surface_operation {
	SURFACE_ADD,
	SURFACE_MIN,
	SURFACE_MAX,
	SURFACE_AND,
	SURFACE_OR,
};

enum texture_query {
	QUERY_WIDTH,
	QUERY_HEIGHT,
	QUERY_DEPTH,
	QUERY_LAYERS,
	QUERY_LEVELS,
};

#endif
