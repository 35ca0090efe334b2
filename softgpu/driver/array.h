/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arrays and mipmapped arrays.
 *
 * Their texels lie in the arena as in linear memory, row after row and slice
 * after slice (depth, layers or faces), so that copies treat them as such and
 * that a kernel which uses a texture of a destroyed array faults like any other
 * access to freed memory.  The levels of a mipmapped array are arrays that end
 * with it.  All functions may be called by any thread.
 */
#ifndef SOFTGPU_DRIVER_ARRAY_H
#define SOFTGPU_DRIVER_ARRAY_H

#include "context.h"
#include "object.h"
#include "softgpu/engine/engine.h"

#define ARRAY_LEVELS_MAXIMUM 18 /* of a width of 2^17 */
#define ARRAY_PLANES	     2

struct mipmap;

struct array {
	struct object object;
	struct context *context;
	struct mipmap *mipmap;		    /* that it is a level of; NULL: none */
	bool is_plane;			    /* of an array that has the memory, and that it ends with */
	struct array *planes[ARRAY_PLANES]; /* the table's references; NULL: texels are its own */
	CUDA_ARRAY3D_DESCRIPTOR descriptor;
	uint32_t element_bytes;
	struct engine_level level;
};

struct mipmap {
	struct object object;
	struct context *context;
	CUDA_ARRAY3D_DESCRIPTOR descriptor;
	uint64_t address;
	uint32_t level_count;
	struct array *levels[ARRAY_LEVELS_MAXIMUM]; /* the table's references */
};

/* Bytes of a channel of a format that is implemented, 0: it is not. */
uint32_t format_bytes(CUarray_format format);
bool format_texel(CUarray_format format, enum engine_texel *ret_texel);
/* Formats that name their channels, normalised integers and compressed ones: how many; 0: any. */
uint32_t format_channels(CUarray_format format);

/* Bytes of a texel, or of a block of a compressed format; 0: the format is not implemented. */
uint32_t array_element_bytes(const CUDA_ARRAY3D_DESCRIPTOR *descriptor);

/* INVALID_VALUE, or NOT_SUPPORTED for formats and flags that the software GPU does not have. */
CUresult array_descriptor_check(const CUDA_ARRAY3D_DESCRIPTOR *descriptor);

/* What a level's own descriptor says of its extent, in texels. */
void array_level_extent(const CUDA_ARRAY3D_DESCRIPTOR *whole, unsigned level, CUDA_ARRAY3D_DESCRIPTOR *descriptor);

/* Extent in elements and pitches of one level; its address is left. */
void array_level_shape(const CUDA_ARRAY3D_DESCRIPTOR *descriptor, unsigned level, struct engine_level *ret_level);
static inline uint64_t array_level_bytes(const struct engine_level *level)
{
	return level->slice_bytes * level->depth;
}

/* Not published yet; OUT_OF_MEMORY. */
CUresult array_new(struct context *context, const CUDA_ARRAY3D_DESCRIPTOR *descriptor, const struct engine_level *level,
		   struct mipmap *mipmap, struct array **ret_array);

/* The planes of an array of luma and chroma; false: the format has none. Only whole blocks of chroma have any. */
bool array_planes_describe(const CUDA_ARRAY3D_DESCRIPTOR *descriptor, CUDA_ARRAY3D_DESCRIPTOR planes[ARRAY_PLANES]);

/* All bytes of the planes. */
uint64_t array_planes_bytes(const CUDA_ARRAY3D_DESCRIPTOR planes[ARRAY_PLANES]);

/* Makes the planes of an array whose memory begins at the address; on failure those that there are stay. */
CUresult array_planes_make(struct array *whole, const CUDA_ARRAY3D_DESCRIPTOR planes[ARRAY_PLANES], uint64_t address);

/* Takes their handles away. */
void array_planes_retire(struct object *whole);

/* How the engine sees it, but for the levels. */
void array_image(const CUDA_ARRAY3D_DESCRIPTOR *descriptor, struct engine_image *ret_image);

#endif
