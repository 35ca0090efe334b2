/* SPDX-License-Identifier: Apache-2.0 */
/* cuTexObject*. */
#include "array.h"
#include "device.h"
#include "device_table.h"
#include "driver.h"
#include "entry.h"
#include "memory.h"
#include "texture_object.h"

#define FLAGS_KNOWN                                                                \
	(CU_TRSF_READ_AS_INTEGER | CU_TRSF_NORMALIZED_COORDINATES | CU_TRSF_SRGB | \
	 CU_TRSF_DISABLE_TRILINEAR_OPTIMIZATION | CU_TRSF_SEAMLESS_CUBEMAP)

/* Linear memory that a texture reads: it must be memory of the device, or pinned. */
static CUresult linear_check(uint64_t address, uint64_t bytes)
{
	enum memory_class class;

	memory_lock();
	class = memory_classify(address, bytes);
	memory_unlock();
	return class == MEMORY_CLASS_DEVICE || class == MEMORY_CLASS_HOST ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult texel_describe(CUarray_format format, unsigned channels, struct engine_image *image)
{
	uint32_t named = format_channels(format);

	if ((channels != 1 && channels != 2 && channels != 4) || (named && channels != named))
		return CUDA_ERROR_INVALID_VALUE;
	image->normal = named;
	if (!format_texel(format, &image->texel))
		return CUDA_ERROR_NOT_SUPPORTED;
	image->channels = channels;
	image->texel_bytes = channels * format_bytes(format);
	image->level_count = 1;
	return CUDA_SUCCESS;
}

static CUresult linear_image(const CUDA_RESOURCE_DESC *resource, struct engine_image *image)
{
	uint64_t address = resource->res.linear.devPtr, bytes = resource->res.linear.sizeInBytes;
	CUresult result = texel_describe(resource->res.linear.format, resource->res.linear.numChannels, image);

	if (result)
		return result;
	if (address % DEVICE_TEXTURE_ALIGNMENT || bytes < image->texel_bytes ||
	    bytes / image->texel_bytes > DEVICE_LINEAR_MAXIMUM)
		return CUDA_ERROR_INVALID_VALUE;
	image->shape = ENGINE_SHAPE_LINEAR;
	image->levels[0] = (struct engine_level){
		.address = address,
		.width = (uint32_t)(bytes / image->texel_bytes),
		.height = 1,
		.depth = 1,
		.row_bytes = bytes,
		.slice_bytes = bytes,
	};
	return linear_check(address, bytes);
}

static CUresult pitched_image(const CUDA_RESOURCE_DESC *resource, struct engine_image *image)
{
	uint64_t address = resource->res.pitch2D.devPtr, pitch = resource->res.pitch2D.pitchInBytes;
	uint64_t width = resource->res.pitch2D.width, height = resource->res.pitch2D.height;
	CUresult result = texel_describe(resource->res.pitch2D.format, resource->res.pitch2D.numChannels, image);

	if (result)
		return result;
	if (address % DEVICE_TEXTURE_ALIGNMENT || pitch % DEVICE_PITCH_ALIGNMENT || !width || !height ||
	    width > DEVICE_PITCH_WIDTH_MAXIMUM || height > DEVICE_PITCH_HEIGHT_MAXIMUM ||
	    pitch > DEVICE_PITCH_BYTES_MAXIMUM || pitch < width * image->texel_bytes)
		return CUDA_ERROR_INVALID_VALUE;
	image->shape = ENGINE_SHAPE_2D;
	image->levels[0] = (struct engine_level){
		.address = address,
		.width = (uint32_t)width,
		.height = (uint32_t)height,
		.depth = 1,
		.row_bytes = pitch,
		.slice_bytes = pitch * height,
	};
	return linear_check(address, pitch * (height - 1) + width * image->texel_bytes);
}

static CUresult image_describe(const CUDA_RESOURCE_DESC *resource, struct engine_image *image)
{
	unsigned flags;

	switch (resource->resType) {
	case CU_RESOURCE_TYPE_ARRAY:
	case CU_RESOURCE_TYPE_MIPMAPPED_ARRAY:
		return resource_image(resource, image, &flags);
	case CU_RESOURCE_TYPE_LINEAR:
		return linear_image(resource, image);
	case CU_RESOURCE_TYPE_PITCH2D:
		return pitched_image(resource, image);
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

/* The formats of a view count up by channels, in the order of these; those behind are block-compressed. */
static CUresult view_format_apply(CUresourceViewFormat format, struct engine_image *image)
{
	static const CUarray_format formats[] = {
		CU_AD_FORMAT_UNSIGNED_INT8, CU_AD_FORMAT_SIGNED_INT8,	 CU_AD_FORMAT_UNSIGNED_INT16,
		CU_AD_FORMAT_SIGNED_INT16,  CU_AD_FORMAT_UNSIGNED_INT32, CU_AD_FORMAT_SIGNED_INT32,
		CU_AD_FORMAT_HALF,	    CU_AD_FORMAT_FLOAT,
	};
	struct engine_image viewed = *image;
	uint32_t number = (uint32_t)format - CU_RES_VIEW_FORMAT_UINT_1X8;
	CUresult result;

	if (format == CU_RES_VIEW_FORMAT_NONE)
		return CUDA_SUCCESS;
	if (format > CU_RES_VIEW_FORMAT_FLOAT_4X32)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = texel_describe(formats[number / 3], 1u << number % 3, &viewed);
	if (result)
		return result;
	if (viewed.texel_bytes != image->texel_bytes)
		return CUDA_ERROR_INVALID_VALUE;
	image->texel = viewed.texel;
	image->normal = viewed.normal;
	image->channels = viewed.channels;
	return CUDA_SUCCESS;
}

/* CUDA driver API, CUDA_RESOURCE_VIEW_DESC: extents stay as they are, levels and layers may be fewer. */
static CUresult view_apply(const CUDA_RESOURCE_VIEW_DESC *view, struct engine_image *image)
{
	uint32_t first = view->firstMipmapLevel, last = view->lastMipmapLevel;
	bool layered = image->layered || image->shape == ENGINE_SHAPE_CUBE;
	const struct engine_level *base = &image->levels[0];

	if (view->width != base->width || (image->shape != ENGINE_SHAPE_1D && view->height != base->height) ||
	    first > last || last >= image->level_count || view->firstLayer > view->lastLayer ||
	    (view->lastLayer && (!layered || view->lastLayer >= base->depth)))
		return CUDA_ERROR_INVALID_VALUE;
	for (uint32_t i = 0; i <= last - first; i++) {
		struct engine_level *level = &image->levels[i];

		*level = image->levels[first + i];
		if (!view->lastLayer)
			continue;
		level->address += view->firstLayer * level->slice_bytes;
		level->depth = view->lastLayer - view->firstLayer + 1;
	}
	/* A cube's layer has six faces. */
	if (image->shape == ENGINE_SHAPE_CUBE && image->levels[0].depth % 6)
		return CUDA_ERROR_INVALID_VALUE;
	image->level_count = last - first + 1;
	return view_format_apply(view->format, image);
}

static CUresult sampler_describe(const CUDA_TEXTURE_DESC *texture, struct engine_sampler *ret_sampler)
{
	struct engine_sampler sampler = {
		.linear = texture->filterMode == CU_TR_FILTER_MODE_LINEAR,
		.level_linear = texture->mipmapFilterMode == CU_TR_FILTER_MODE_LINEAR,
		.normalised = texture->flags & CU_TRSF_NORMALIZED_COORDINATES,
		.as_integer = texture->flags & CU_TRSF_READ_AS_INTEGER,
		.srgb = texture->flags & CU_TRSF_SRGB,
		.level_bias = texture->mipmapLevelBias,
		.level_min = texture->minMipmapLevelClamp,
		.level_max = texture->maxMipmapLevelClamp,
	};

	if (texture->flags & ~(unsigned)FLAGS_KNOWN || texture->filterMode > CU_TR_FILTER_MODE_LINEAR ||
	    texture->mipmapFilterMode > CU_TR_FILTER_MODE_LINEAR)
		return CUDA_ERROR_INVALID_VALUE;
	if (texture->flags & CU_TRSF_SEAMLESS_CUBEMAP)
		return CUDA_ERROR_NOT_SUPPORTED;
	for (int i = 0; i < 3; i++) {
		switch (texture->addressMode[i]) {
		case CU_TR_ADDRESS_MODE_WRAP:
			sampler.address[i] = ENGINE_ADDRESS_WRAP;
			break;
		case CU_TR_ADDRESS_MODE_CLAMP:
			sampler.address[i] = ENGINE_ADDRESS_CLAMP;
			break;
		case CU_TR_ADDRESS_MODE_MIRROR:
			sampler.address[i] = ENGINE_ADDRESS_MIRROR;
			break;
		case CU_TR_ADDRESS_MODE_BORDER:
			sampler.address[i] = ENGINE_ADDRESS_BORDER;
			break;
		default:
			return CUDA_ERROR_INVALID_VALUE;
		}
	}
	for (int i = 0; i < 4; i++)
		sampler.border[i] = texture->borderColor[i];
	*ret_sampler = sampler;
	return CUDA_SUCCESS;
}

CUresult texture_describe(const CUDA_RESOURCE_DESC *resource, const CUDA_TEXTURE_DESC *texture,
			  struct engine_image *ret_image, struct engine_sampler *ret_sampler)
{
	CUresult result = image_describe(resource, ret_image);

	return result ? result : sampler_describe(texture, ret_sampler);
}

ENTRY(cuTexObjectCreate, (CUtexObject * ret_texture, const CUDA_RESOURCE_DESC *resource,
			  const CUDA_TEXTURE_DESC *texture, const CUDA_RESOURCE_VIEW_DESC *view))
{
	struct texture_object model = {0};
	struct engine_image image = {0};
	struct engine_sampler sampler;
	struct context *context;
	uint64_t handle;
	CUresult result = context_current(&context);

	if (result)
		return result;
	if (!ret_texture || !resource || !texture || resource->flags)
		return CUDA_ERROR_INVALID_VALUE;
	result = texture_describe(resource, texture, &image, &sampler);
	/* Views are of arrays alone. */
	if (!result && view)
		result = resource->resType > CU_RESOURCE_TYPE_MIPMAPPED_ARRAY ? CUDA_ERROR_INVALID_VALUE
									      : view_apply(view, &image);
	if (result)
		return result;
	model.resource = *resource;
	model.texture = *texture;
	if (view) {
		model.view = *view;
		model.has_view = true;
	}
	result = texture_object_create(context, &model, &image, &sampler, &handle);
	if (!result)
		*ret_texture = handle;
	return result;
}

ENTRY(cuTexObjectDestroy, (CUtexObject handle))
{
	struct context *context;
	CUresult result = context_current(&context);

	return result ? result : texture_object_destroy(handle, OBJECT_TEXTURE);
}

static CUresult texture_acquire(CUtexObject handle, const void *answer, struct texture_object **ret_texture)
{
	struct context *context;
	CUresult result = context_current(&context);

	if (result)
		return result;
	*ret_texture = answer ? texture_object_acquire(handle, OBJECT_TEXTURE) : NULL;
	return *ret_texture ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

ENTRY(cuTexObjectGetResourceDesc, (CUDA_RESOURCE_DESC * ret_resource, CUtexObject handle))
{
	struct texture_object *texture;
	CUresult result = texture_acquire(handle, ret_resource, &texture);

	if (result)
		return result;
	*ret_resource = texture->resource;
	object_release(&texture->object);
	return CUDA_SUCCESS;
}

ENTRY(cuTexObjectGetTextureDesc, (CUDA_TEXTURE_DESC * ret_description, CUtexObject handle))
{
	struct texture_object *texture;
	CUresult result = texture_acquire(handle, ret_description, &texture);

	if (result)
		return result;
	*ret_description = texture->texture;
	object_release(&texture->object);
	return CUDA_SUCCESS;
}

ENTRY(cuTexObjectGetResourceViewDesc, (CUDA_RESOURCE_VIEW_DESC * ret_view, CUtexObject handle))
{
	struct texture_object *texture;
	CUresult result = texture_acquire(handle, ret_view, &texture);

	if (result)
		return result;
	if (texture->has_view)
		*ret_view = texture->view;
	else
		result = CUDA_ERROR_INVALID_VALUE;
	object_release(&texture->object);
	return result;
}

ENTRY(cuDeviceGetTexture1DLinearMaxWidth,
      (size_t * ret_texels, CUarray_format format, unsigned int channels, CUdevice device))
{
	CUresult result = device_check(device);

	if (result)
		return result;
	if (!ret_texels || !format_bytes(format) || (channels != 1 && channels != 2 && channels != 4))
		return CUDA_ERROR_INVALID_VALUE;
	*ret_texels = DEVICE_LINEAR_MAXIMUM;
	return CUDA_SUCCESS;
}
