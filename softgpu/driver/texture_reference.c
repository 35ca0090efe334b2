/* SPDX-License-Identifier: Apache-2.0 */
/* cuTexRef*, cuModuleGetTexRef: textures that kernels name by a variable. */
#include "array.h"
#include "device.h"
#include "driver.h"
#include "entry.h"
#include "reference.h"
#include "texture_object.h"

#define FLAGS_KNOWN (CU_TRSF_READ_AS_INTEGER | CU_TRSF_NORMALIZED_COORDINATES | CU_TRSF_DISABLE_TRILINEAR_OPTIMIZATION)

static CUresult texture_begin(CUtexref handle, struct reference **ret_reference)
{
	return reference_begin(handle, OBJECT_TEXTURE_REFERENCE, ret_reference);
}

/* What was set becomes what kernels see. */
static CUresult texture_settle(struct reference *reference)
{
	reference_apply(reference);
	reference_end(reference);
	return CUDA_SUCCESS;
}

ENTRY(cuModuleGetTexRef, (CUtexref * ret_handle, CUmodule handle, const char *name))
{
	struct reference *reference;
	CUresult result = reference_of_module(handle, ret_handle ? name : NULL, OBJECT_TEXTURE_REFERENCE, &reference);

	if (ret_handle && !result)
		*ret_handle = (CUtexref)reference;
	return result;
}

ENTRY(cuTexRefCreate, (CUtexref * ret_handle))
{
	struct reference *reference;
	struct context *context;
	CUresult result = context_current(&context);

	if (result)
		return result;
	if (!ret_handle)
		return CUDA_ERROR_INVALID_VALUE;
	result = reference_create(context, &reference);
	if (!result)
		*ret_handle = (CUtexref)reference;
	return result;
}

ENTRY(cuTexRefDestroy, (CUtexref handle))
{
	struct reference *reference;
	CUresult result = texture_begin(handle, &reference);
	bool is_own;

	if (result)
		return result;
	/* One of a module ends with that. */
	is_own = !reference->address;
	reference_end(reference);
	if (is_own && object_retire(handle, OBJECT_TEXTURE_REFERENCE))
		object_release(&reference->object);
	return CUDA_SUCCESS;
}

/* The texels' format of a resource that is an array's. */
static CUresult array_format_take(struct reference *reference, const CUDA_RESOURCE_DESC *resource)
{
	CUDA_ARRAY3D_DESCRIPTOR descriptor;
	bool is_near;

	if (resource->resType == CU_RESOURCE_TYPE_ARRAY) {
		struct array *array = object_acquire(resource->res.array.hArray, OBJECT_ARRAY);

		if (!array)
			return CUDA_ERROR_INVALID_HANDLE;
		descriptor = array->descriptor;
		is_near = array->context == reference->context;
		object_release(&array->object);
	} else {
		struct mipmap *mipmap = object_acquire(resource->res.mipmap.hMipmappedArray, OBJECT_MIPMAP);

		if (!mipmap)
			return CUDA_ERROR_INVALID_HANDLE;
		descriptor = mipmap->descriptor;
		is_near = mipmap->context == reference->context;
		object_release(&mipmap->object);
	}
	if (!is_near)
		return CUDA_ERROR_PEER_ACCESS_NOT_ENABLED;
	reference->format = descriptor.Format;
	reference->channels = descriptor.NumChannels;
	reference->resource = *resource;
	reference->is_bound = true;
	return CUDA_SUCCESS;
}

static CUresult array_bind(CUtexref handle, const CUDA_RESOURCE_DESC *resource, unsigned int flags)
{
	struct reference *reference;
	CUresult result = texture_begin(handle, &reference);

	if (result)
		return result;
	result = flags & ~(unsigned int)CU_TRSA_OVERRIDE_FORMAT ? CUDA_ERROR_INVALID_VALUE
								: array_format_take(reference, resource);
	if (!result)
		reference_apply(reference);
	reference_end(reference);
	return result;
}

ENTRY(cuTexRefSetArray, (CUtexref handle, CUarray array, unsigned int flags))
{
	const CUDA_RESOURCE_DESC resource = {.resType = CU_RESOURCE_TYPE_ARRAY, .res.array.hArray = array};

	return array_bind(handle, &resource, flags);
}

ENTRY(cuTexRefSetMipmappedArray, (CUtexref handle, CUmipmappedArray mipmap, unsigned int flags))
{
	const CUDA_RESOURCE_DESC resource = {.resType = CU_RESOURCE_TYPE_MIPMAPPED_ARRAY,
					     .res.mipmap.hMipmappedArray = mipmap};

	return array_bind(handle, &resource, flags);
}

ENTRY(cuTexRefSetAddress_v2, (size_t * ret_offset, CUtexref handle, CUdeviceptr address, size_t bytes))
{
	const uint64_t offset = address % DEVICE_TEXTURE_ALIGNMENT;
	struct reference *reference;
	CUresult result = texture_begin(handle, &reference);

	if (result)
		return result;
	if (offset && !ret_offset) {
		reference_end(reference);
		return CUDA_ERROR_INVALID_VALUE;
	}
	reference->is_bound = address != 0;
	reference->resource = (CUDA_RESOURCE_DESC){
		.resType = CU_RESOURCE_TYPE_LINEAR,
		.res.linear = {.devPtr = address - offset,
			       .format = reference->format,
			       .numChannels = reference->channels,
			       .sizeInBytes = bytes + offset},
	};
	if (ret_offset)
		*ret_offset = offset;
	return texture_settle(reference);
}

static CUresult plane_bind(CUtexref handle, const CUDA_ARRAY_DESCRIPTOR *shape, CUdeviceptr address, size_t pitch,
			   size_t pitch_alignment)
{
	struct reference *reference;
	CUresult result = texture_begin(handle, &reference);

	if (result)
		return result;
	if (!shape || address % DEVICE_TEXTURE_ALIGNMENT || pitch % pitch_alignment ||
	    pitch < shape->Width * shape->NumChannels * format_bytes(shape->Format)) {
		reference_end(reference);
		return CUDA_ERROR_INVALID_VALUE;
	}
	reference->format = shape->Format;
	reference->channels = shape->NumChannels;
	reference->is_bound = address != 0;
	reference->resource = (CUDA_RESOURCE_DESC){
		.resType = CU_RESOURCE_TYPE_PITCH2D,
		.res.pitch2D = {.devPtr = address,
				.format = shape->Format,
				.numChannels = shape->NumChannels,
				.width = shape->Width,
				.height = shape->Height,
				.pitchInBytes = pitch},
	};
	return texture_settle(reference);
}

ENTRY(cuTexRefSetAddress2D_v3, (CUtexref handle, const CUDA_ARRAY_DESCRIPTOR *shape, CUdeviceptr address, size_t pitch))
{
	return plane_bind(handle, shape, address, pitch, DEVICE_PITCH_ALIGNMENT);
}

ENTRY(cuTexRefSetAddress2D_v2, (CUtexref handle, const CUDA_ARRAY_DESCRIPTOR *shape, CUdeviceptr address, size_t pitch))
{
	return plane_bind(handle, shape, address, pitch, 1);
}

ENTRY(cuTexRefSetFormat, (CUtexref handle, CUarray_format format, int channels))
{
	struct reference *reference;
	CUresult result = texture_begin(handle, &reference);

	if (result)
		return result;
	if (channels < 0 || channels == 3 || channels > 4) {
		reference_end(reference);
		return CUDA_ERROR_INVALID_VALUE;
	}
	reference->format = format;
	reference->channels = (unsigned int)channels;
	if (reference->is_bound && reference->resource.resType == CU_RESOURCE_TYPE_LINEAR) {
		reference->resource.res.linear.format = format;
		reference->resource.res.linear.numChannels = reference->channels;
	}
	return texture_settle(reference);
}

/* Checks 'valid', then sets a member of the texture's description. */
#define SETTER(name, parameters, valid, assignment)                  \
	ENTRY(name, parameters)                                      \
	{                                                            \
		struct reference *reference;                         \
		CUresult result = texture_begin(handle, &reference); \
                                                                     \
		if (result)                                          \
			return result;                               \
		if (!(valid)) {                                      \
			reference_end(reference);                    \
			return CUDA_ERROR_INVALID_VALUE;             \
		}                                                    \
		assignment;                                          \
		return texture_settle(reference);                    \
	}

/* NVIDIA's driver takes an unknown mode, and leaves what was there. */
SETTER(cuTexRefSetAddressMode, (CUtexref handle, int dimension, CUaddress_mode mode), dimension >= 0 && dimension < 3,
       if ((unsigned int)mode <= CU_TR_ADDRESS_MODE_BORDER) reference->texture.addressMode[dimension] = mode)
/* NVIDIA's driver checks the filter between levels alone. */
SETTER(cuTexRefSetFilterMode, (CUtexref handle, CUfilter_mode mode), true, reference->texture.filterMode = mode)
SETTER(cuTexRefSetMipmapFilterMode, (CUtexref handle, CUfilter_mode mode),
       (unsigned int)mode <= CU_TR_FILTER_MODE_LINEAR, reference->texture.mipmapFilterMode = mode)
SETTER(cuTexRefSetMipmapLevelBias, (CUtexref handle, float bias), true, reference->texture.mipmapLevelBias = bias)
SETTER(cuTexRefSetMaxAnisotropy, (CUtexref handle, unsigned int anisotropy), true,
       reference->texture.maxAnisotropy = anisotropy)
SETTER(cuTexRefSetFlags, (CUtexref handle, unsigned int flags), !(flags & ~FLAGS_KNOWN),
       reference->texture.flags = flags)

ENTRY(cuTexRefSetMipmapLevelClamp, (CUtexref handle, float least, float greatest))
{
	struct reference *reference;
	CUresult result = texture_begin(handle, &reference);

	if (result)
		return result;
	reference->texture.minMipmapLevelClamp = least;
	reference->texture.maxMipmapLevelClamp = greatest;
	return texture_settle(reference);
}

ENTRY(cuTexRefSetBorderColor, (CUtexref handle, const float *color))
{
	struct reference *reference;
	CUresult result = texture_begin(handle, &reference);

	if (result)
		return result;
	if (!color) {
		reference_end(reference);
		return CUDA_ERROR_INVALID_VALUE;
	}
	for (int i = 0; i < 4; i++)
		reference->texture.borderColor[i] = color[i];
	return texture_settle(reference);
}

/* 'answer' is what is told, which may not be NULL. */
#define GETTER(name, parameters, answer, valid, assignment)          \
	ENTRY(name, parameters)                                      \
	{                                                            \
		struct reference *reference;                         \
		CUresult result = texture_begin(handle, &reference); \
                                                                     \
		if (result)                                          \
			return result;                               \
		if ((answer) && (valid))                             \
			assignment;                                  \
		else                                                 \
			result = CUDA_ERROR_INVALID_VALUE;           \
		reference_end(reference);                            \
		return result;                                       \
	}

static bool is_linear(const struct reference *reference)
{
	return reference->is_bound && reference->resource.resType == CU_RESOURCE_TYPE_LINEAR;
}

static bool is_pitched(const struct reference *reference)
{
	return reference->is_bound && reference->resource.resType == CU_RESOURCE_TYPE_PITCH2D;
}

GETTER(cuTexRefGetAddress_v2, (CUdeviceptr * ret_address, CUtexref handle), ret_address,
       is_linear(reference) || is_pitched(reference),
       *ret_address = is_linear(reference) ? reference->resource.res.linear.devPtr
					   : reference->resource.res.pitch2D.devPtr)
GETTER(cuTexRefGetArray, (CUarray * ret_array, CUtexref handle), ret_array,
       reference->is_bound && reference->resource.resType == CU_RESOURCE_TYPE_ARRAY,
       *ret_array = reference->resource.res.array.hArray)
GETTER(cuTexRefGetMipmappedArray, (CUmipmappedArray * ret_mipmap, CUtexref handle), ret_mipmap,
       reference->is_bound && reference->resource.resType == CU_RESOURCE_TYPE_MIPMAPPED_ARRAY,
       *ret_mipmap = reference->resource.res.mipmap.hMipmappedArray)
GETTER(cuTexRefGetAddressMode, (CUaddress_mode * ret_mode, CUtexref handle, int dimension), ret_mode,
       dimension >= 0 && dimension < 3, *ret_mode = reference->texture.addressMode[dimension])
GETTER(cuTexRefGetFilterMode, (CUfilter_mode * ret_mode, CUtexref handle), ret_mode, true,
       *ret_mode = reference->texture.filterMode)
GETTER(cuTexRefGetMipmapFilterMode, (CUfilter_mode * ret_mode, CUtexref handle), ret_mode, true,
       *ret_mode = reference->texture.mipmapFilterMode)
GETTER(cuTexRefGetMipmapLevelBias, (float *ret_bias, CUtexref handle), ret_bias, true,
       *ret_bias = reference->texture.mipmapLevelBias)
GETTER(cuTexRefGetMaxAnisotropy, (int *ret_anisotropy, CUtexref handle), ret_anisotropy, true,
       *ret_anisotropy = (int)reference->texture.maxAnisotropy)
GETTER(cuTexRefGetFlags, (unsigned int *ret_flags, CUtexref handle), ret_flags, true,
       *ret_flags = reference->texture.flags)

ENTRY(cuTexRefGetFormat, (CUarray_format * ret_format, int *ret_channels, CUtexref handle))
{
	struct reference *reference;
	CUresult result = texture_begin(handle, &reference);

	if (result)
		return result;
	if (ret_format)
		*ret_format = reference->format;
	if (ret_channels)
		*ret_channels = (int)reference->channels;
	reference_end(reference);
	return CUDA_SUCCESS;
}

ENTRY(cuTexRefGetMipmapLevelClamp, (float *ret_least, float *ret_greatest, CUtexref handle))
{
	struct reference *reference;
	CUresult result = texture_begin(handle, &reference);

	if (result)
		return result;
	if (ret_least)
		*ret_least = reference->texture.minMipmapLevelClamp;
	if (ret_greatest)
		*ret_greatest = reference->texture.maxMipmapLevelClamp;
	reference_end(reference);
	return CUDA_SUCCESS;
}

ENTRY(cuTexRefGetBorderColor, (float *ret_color, CUtexref handle))
{
	struct reference *reference;
	CUresult result = texture_begin(handle, &reference);

	if (result)
		return result;
	for (int i = 0; i < 4 && ret_color; i++)
		ret_color[i] = reference->texture.borderColor[i];
	reference_end(reference);
	return ret_color ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
