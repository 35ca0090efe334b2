/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arrays and mipmapped arrays: objects of VGPU_KIND_ARRAY and
 * VGPU_KIND_MIPMAPPED_ARRAY, whose detail is what is known of them.
 */
#ifndef VGPU_ARRAY_H
#define VGPU_ARRAY_H

#include "array_block.h"
#include "call.h"
#include "object.h"

#define ARRAY_PLANES_MAX 3

struct array {
	CUDA_ARRAY3D_DESCRIPTOR descriptor; /* as the host's driver has it */
	uint32_t element_bytes; /* of a texel, or a block of them; 0: of several planes, which alone have texels */
	struct object *owner;	/* the mipmapped array or array that it is a level or plane of, NULL: none */
	struct object *planes[ARRAY_PLANES_MAX]; /* NULL: not asked for yet */
};

#define ARRAY_LEVELS_MAX 32

struct mipmap {
	CUDA_ARRAY3D_DESCRIPTOR descriptor;
	uint32_t element_bytes;
	struct object *levels[ARRAY_LEVELS_MAX]; /* NULL: not asked for yet */
};

/* The array that a handle is; NULL: it is none. */
const struct array *array_find(CUarray handle, uint32_t *ret_id);

/* The same of a mipmapped array, with its object. */
struct object *mipmap_find(CUmipmappedArray handle, struct mipmap **ret_mipmap);

/* Elements in so many texels of a row or a column. */
static inline size_t array_elements(const struct array *array, size_t texels)
{
	const size_t side = array_element_side(array->descriptor.Format);

	return texels / side + (texels % side != 0);
}

/* Elements of a row; rows and slices, which a descriptor says as 0 where there is one. */
static inline size_t array_columns(const struct array *array)
{
	return array_elements(array, array->descriptor.Width);
}
static inline size_t array_rows(const struct array *array)
{
	return array->descriptor.Height ? array_elements(array, array->descriptor.Height) : 1;
}
static inline size_t array_slices(const struct array *array)
{
	return array->descriptor.Depth ? array->descriptor.Depth : 1;
}

/* The context has ended, and its arrays, textures and surfaces with it. */
void arrays_forget_context(uint32_t context);
void textures_forget_context(uint32_t context);
/* Texture references that are of no module. */
void references_forget_context(uint32_t context);

#endif
