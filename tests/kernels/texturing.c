/* SPDX-License-Identifier: Apache-2.0 */
#include "texturing.h"

void texturing_expect(struct trial *trial, const char *what, CUresult result, CUresult expected)
{
	if (!trial->failed && result != expected)
		trial_fail(trial, "%s: %s", what, driver_error_name(trial->driver, result));
}

size_t shape_texel_bytes(const struct shape *shape)
{
	switch (shape->format) {
	case CU_AD_FORMAT_UNSIGNED_INT8:
	case CU_AD_FORMAT_SIGNED_INT8:
		return shape->channels;
	case CU_AD_FORMAT_UNSIGNED_INT16:
	case CU_AD_FORMAT_SIGNED_INT16:
	case CU_AD_FORMAT_HALF:
		return 2 * (size_t)shape->channels;
	default:
		return 4 * (size_t)shape->channels;
	}
}

static size_t at_least_one(size_t extent)
{
	return extent ? extent : 1;
}

static size_t shape_bytes(const struct shape *shape)
{
	return shape->width * shape_texel_bytes(shape) * at_least_one(shape->height) * at_least_one(shape->depth);
}

/* A whole array from or to dense host memory. */
static void array_move(struct trial *trial, CUarray array, const struct shape *shape, void *texels, bool write)
{
	size_t row = shape->width * shape_texel_bytes(shape), height = at_least_one(shape->height);
	CUDA_MEMCPY3D copy = {.WidthInBytes = row, .Height = height, .Depth = at_least_one(shape->depth)};

	if (trial->failed)
		return;
	copy.srcMemoryType = write ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_ARRAY;
	copy.dstMemoryType = write ? CU_MEMORYTYPE_ARRAY : CU_MEMORYTYPE_HOST;
	copy.srcPitch = copy.dstPitch = row;
	copy.srcHeight = copy.dstHeight = height;
	if (write) {
		copy.srcHost = texels;
		copy.dstArray = array;
	} else {
		copy.srcArray = array;
		copy.dstHost = texels;
	}
	texturing_expect(trial, "cuMemcpy3D", trial->driver->copy_box(&copy), CUDA_SUCCESS);
}

void texturing_write(struct trial *trial, CUarray array, const struct shape *shape, const void *texels)
{
	array_move(trial, array, shape, (void *)(uintptr_t)texels, true);
}

void *texturing_read(struct trial *trial, CUarray array, const struct shape *shape)
{
	void *texels = trial_allocate(trial, shape_bytes(shape), 1);

	array_move(trial, array, shape, texels, false);
	return texels;
}

CUarray texturing_array(struct trial *trial, const struct shape *shape, const void *texels)
{
	CUDA_ARRAY3D_DESCRIPTOR descriptor = {
		.Width = shape->width,
		.Height = shape->height,
		.Depth = shape->depth,
		.Format = shape->format,
		.NumChannels = shape->channels,
		.Flags = shape->flags,
	};
	CUarray array = NULL;

	if (trial->failed)
		return NULL;
	texturing_expect(trial, "cuArray3DCreate", trial->driver->array_create(&array, &descriptor), CUDA_SUCCESS);
	if (texels)
		texturing_write(trial, array, shape, texels);
	return array;
}

CUtexObject texturing_texture(struct trial *trial, const CUDA_RESOURCE_DESC *resource, const struct sampling *sampling)
{
	CUDA_TEXTURE_DESC description = {
		.addressMode = {sampling->address, sampling->address, sampling->address},
		.filterMode = sampling->filter,
		.flags = sampling->flags,
		.mipmapFilterMode = sampling->level_filter,
		.maxMipmapLevelClamp = sampling->level_maximum,
		.borderColor = {sampling->border, sampling->border, sampling->border, sampling->border},
	};
	CUtexObject texture = 0;

	if (!trial->failed)
		texturing_expect(trial, "cuTexObjectCreate",
				 trial->driver->texture_create(&texture, resource, &description, NULL), CUDA_SUCCESS);
	return texture;
}

CUtexObject texturing_of_array(struct trial *trial, CUarray array, const struct sampling *sampling)
{
	CUDA_RESOURCE_DESC resource = {.resType = CU_RESOURCE_TYPE_ARRAY, .res.array.hArray = array};

	return texturing_texture(trial, &resource, sampling);
}

CUsurfObject texturing_surface(struct trial *trial, CUarray array)
{
	CUDA_RESOURCE_DESC resource = {.resType = CU_RESOURCE_TYPE_ARRAY, .res.array.hArray = array};
	CUsurfObject surface = 0;

	if (!trial->failed)
		texturing_expect(trial, "cuSurfObjectCreate", trial->driver->surface_create(&surface, &resource),
				 CUDA_SUCCESS);
	return surface;
}

void texturing_end(struct trial *trial, CUarray array, CUtexObject texture, CUsurfObject surface)
{
	if (texture)
		texturing_expect(trial, "cuTexObjectDestroy", trial->driver->texture_destroy(texture), CUDA_SUCCESS);
	if (surface)
		texturing_expect(trial, "cuSurfObjectDestroy", trial->driver->surface_destroy(surface), CUDA_SUCCESS);
	if (array)
		texturing_expect(trial, "cuArrayDestroy", trial->driver->array_destroy(array), CUDA_SUCCESS);
}
