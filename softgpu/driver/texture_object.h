/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is behind the handles of textures and surfaces, which are the engine's,
 * for kernels use them.  All functions may be called by any thread.
 */
#ifndef SOFTGPU_DRIVER_TEXTURE_OBJECT_H
#define SOFTGPU_DRIVER_TEXTURE_OBJECT_H

#include "context.h"
#include "object.h"
#include "softgpu/engine/engine.h"

struct texture_object {
	struct object object;
	uint64_t handle;
	CUDA_RESOURCE_DESC resource;
	CUDA_TEXTURE_DESC texture;
	CUDA_RESOURCE_VIEW_DESC view;
	bool has_view;
};

/*
 * Makes and publishes one; the descriptions are copied from 'model'.  The sampler is NULL for a surface.
 * OUT_OF_MEMORY.
 */
CUresult texture_object_create(struct context *context, const struct texture_object *model,
			       const struct engine_image *image, const struct engine_sampler *sampler,
			       uint64_t *ret_handle);

/* With a reference for the caller; NULL: there is none of that kind. */
struct texture_object *texture_object_acquire(uint64_t handle, enum object_kind kind);

/* INVALID_VALUE. */
CUresult texture_object_destroy(uint64_t handle, enum object_kind kind);

/* The image of an array, or of all levels of a mipmapped array, that a resource names. */
CUresult resource_image(const CUDA_RESOURCE_DESC *resource, struct engine_image *ret_image, unsigned *ret_flags);

/* How the engine sees a texture, if it can be one. */
CUresult texture_describe(const CUDA_RESOURCE_DESC *resource, const CUDA_TEXTURE_DESC *texture,
			  struct engine_image *ret_image, struct engine_sampler *ret_sampler);

#endif
