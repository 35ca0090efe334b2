/* SPDX-License-Identifier: Apache-2.0 */
#include "array.h"

#include <stdlib.h>

#include "arena.h"
#include "array_block.h"
#include "device.h"
#include "driver.h"
#include "entry.h"
#include "memory.h"
#include "reference.h"
#include "stream.h"

#define ROW_ALIGNMENT 64u /* rows of an array begin on cache lines */

#define FLAGS_KNOWN                                                                                              \
	(CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_SURFACE_LDST | CUDA_ARRAY3D_CUBEMAP | CUDA_ARRAY3D_TEXTURE_GATHER | \
	 CUDA_ARRAY3D_DEPTH_TEXTURE | CUDA_ARRAY3D_COLOR_ATTACHMENT | CUDA_ARRAY3D_SPARSE |                      \
	 CUDA_ARRAY3D_DEFERRED_MAPPING | CUDA_ARRAY3D_VIDEO_ENCODE_DECODE)
#define FLAGS_DONE \
	(CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_SURFACE_LDST | CUDA_ARRAY3D_CUBEMAP | CUDA_ARRAY3D_TEXTURE_GATHER)

bool format_texel(CUarray_format format, enum engine_texel *ret_texel)
{
	switch (format) {
	case CU_AD_FORMAT_UNORM_INT8X1:
	case CU_AD_FORMAT_UNORM_INT8X2:
	case CU_AD_FORMAT_UNORM_INT8X4:
	case CU_AD_FORMAT_UNSIGNED_INT8:
		*ret_texel = ENGINE_TEXEL_U8;
		return true;
	case CU_AD_FORMAT_UNORM_INT16X1:
	case CU_AD_FORMAT_UNORM_INT16X2:
	case CU_AD_FORMAT_UNORM_INT16X4:
	case CU_AD_FORMAT_UNSIGNED_INT16:
		*ret_texel = ENGINE_TEXEL_U16;
		return true;
	case CU_AD_FORMAT_UNSIGNED_INT32:
		*ret_texel = ENGINE_TEXEL_U32;
		return true;
	case CU_AD_FORMAT_SNORM_INT8X1:
	case CU_AD_FORMAT_SNORM_INT8X2:
	case CU_AD_FORMAT_SNORM_INT8X4:
	case CU_AD_FORMAT_SIGNED_INT8:
		*ret_texel = ENGINE_TEXEL_S8;
		return true;
	case CU_AD_FORMAT_SNORM_INT16X1:
	case CU_AD_FORMAT_SNORM_INT16X2:
	case CU_AD_FORMAT_SNORM_INT16X4:
	case CU_AD_FORMAT_SIGNED_INT16:
		*ret_texel = ENGINE_TEXEL_S16;
		return true;
	case CU_AD_FORMAT_SIGNED_INT32:
		*ret_texel = ENGINE_TEXEL_S32;
		return true;
	case CU_AD_FORMAT_HALF:
		*ret_texel = ENGINE_TEXEL_F16;
		return true;
	case CU_AD_FORMAT_FLOAT:
		*ret_texel = ENGINE_TEXEL_F32;
		return true;
	default:
		return false;
	}
}

uint32_t format_channels(CUarray_format format)
{
	if (format == CU_AD_FORMAT_BC4_UNORM || format == CU_AD_FORMAT_BC4_SNORM)
		return 1;
	if (format == CU_AD_FORMAT_BC5_UNORM || format == CU_AD_FORMAT_BC5_SNORM)
		return 2;
	if (format == CU_AD_FORMAT_BC6H_UF16 || format == CU_AD_FORMAT_BC6H_SF16)
		return 3;
	if (array_block_bytes(format))
		return 4;
	/* Of each width and sign there are three, of 1, 2 and 4 channels. */
	if (format < CU_AD_FORMAT_UNORM_INT8X1 || format > CU_AD_FORMAT_SNORM_INT16X4)
		return 0;
	return 1u << ((uint32_t)format - CU_AD_FORMAT_UNORM_INT8X1) % 3;
}

uint32_t format_bytes(CUarray_format format)
{
	enum engine_texel texel;

	if (!format_texel(format, &texel))
		return 0;
	switch (texel) {
	case ENGINE_TEXEL_U8:
	case ENGINE_TEXEL_S8:
		return 1;
	case ENGINE_TEXEL_U16:
	case ENGINE_TEXEL_S16:
	case ENGINE_TEXEL_F16:
		return 2;
	default:
		return 4;
	}
}

uint32_t array_element_bytes(const CUDA_ARRAY3D_DESCRIPTOR *descriptor)
{
	const uint32_t block_bytes = array_block_bytes(descriptor->Format);

	return block_bytes ? block_bytes : descriptor->NumChannels * format_bytes(descriptor->Format);
}

/* CUDA driver API, cuArray3DCreate: which extents and flags belong together, and the device's limits. */
static bool extent_valid(const CUDA_ARRAY3D_DESCRIPTOR *descriptor)
{
	size_t width = descriptor->Width, height = descriptor->Height, depth = descriptor->Depth;

	if (!width)
		return false;
	if (descriptor->Flags & CUDA_ARRAY3D_CUBEMAP) {
		if (width != height || width > DEVICE_CUBEMAP_MAXIMUM)
			return false;
		if (descriptor->Flags & CUDA_ARRAY3D_LAYERED)
			return depth && depth % 6 == 0 && depth <= DEVICE_CUBEMAP_LAYERS_MAXIMUM;
		return depth == 6;
	}
	if (descriptor->Flags & CUDA_ARRAY3D_LAYERED)
		return depth && depth <= DEVICE_LAYERS_MAXIMUM && width <= DEVICE_LAYERED_MAXIMUM &&
		       height <= DEVICE_LAYERED_MAXIMUM;
	if (depth)
		return height && width <= DEVICE_TEXTURE_3D_MAXIMUM && height <= DEVICE_TEXTURE_3D_MAXIMUM &&
		       depth <= DEVICE_TEXTURE_3D_MAXIMUM;
	return width <= DEVICE_TEXTURE_WIDTH_MAXIMUM && height <= DEVICE_TEXTURE_HEIGHT_MAXIMUM;
}

CUresult array_descriptor_check(const CUDA_ARRAY3D_DESCRIPTOR *descriptor)
{
	uint32_t channels = descriptor->NumChannels, named = format_channels(descriptor->Format);
	CUDA_ARRAY3D_DESCRIPTOR planes[ARRAY_PLANES];
	bool any = channels == 1 || channels == 2 || channels == 4;

	if (array_planes_describe(descriptor, planes))
		return channels == 3 && extent_valid(descriptor) && !(descriptor->Flags & ~(unsigned)FLAGS_DONE)
			       ? CUDA_SUCCESS
			       : CUDA_ERROR_INVALID_VALUE;
	if (descriptor->Flags & ~(unsigned)FLAGS_KNOWN || (named ? channels != named : !any) ||
	    !extent_valid(descriptor))
		return CUDA_ERROR_INVALID_VALUE;
	if (descriptor->Flags & CUDA_ARRAY3D_TEXTURE_GATHER && (descriptor->Depth || !descriptor->Height))
		return CUDA_ERROR_INVALID_VALUE;
	if (descriptor->Flags & ~(unsigned)FLAGS_DONE || !array_element_bytes(descriptor))
		return CUDA_ERROR_NOT_SUPPORTED;
	return CUDA_SUCCESS;
}

static uint32_t reduced(size_t extent, unsigned level)
{
	extent >>= level;
	return extent ? (uint32_t)extent : 1;
}

void array_level_extent(const CUDA_ARRAY3D_DESCRIPTOR *whole, unsigned level, CUDA_ARRAY3D_DESCRIPTOR *descriptor)
{
	bool slices = whole->Flags & (CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_CUBEMAP);

	descriptor->Width = reduced(whole->Width, level);
	descriptor->Height = whole->Height ? reduced(whole->Height, level) : 0;
	descriptor->Depth = whole->Depth ? reduced(whole->Depth, slices ? 0 : level) : 0;
}

void array_level_shape(const CUDA_ARRAY3D_DESCRIPTOR *descriptor, unsigned level, struct engine_level *ret_level)
{
	bool slices = descriptor->Flags & (CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_CUBEMAP);
	uint32_t side = array_element_side(descriptor->Format);
	uint32_t width = (reduced(descriptor->Width, level) + side - 1) / side;
	uint64_t row = (uint64_t)width * array_element_bytes(descriptor);

	*ret_level = (struct engine_level){
		.width = width,
		.height = (reduced(descriptor->Height, level) + side - 1) / side,
		.depth = reduced(descriptor->Depth, slices ? 0 : level),
		.row_bytes = (row + ROW_ALIGNMENT - 1) & ~(uint64_t)(ROW_ALIGNMENT - 1),
	};
	ret_level->slice_bytes = ret_level->row_bytes * ret_level->height;
}

void array_image(const CUDA_ARRAY3D_DESCRIPTOR *descriptor, struct engine_image *ret_image)
{
	*ret_image = (struct engine_image){
		.shape = descriptor->Flags & CUDA_ARRAY3D_CUBEMAP			    ? ENGINE_SHAPE_CUBE
			 : descriptor->Depth && !(descriptor->Flags & CUDA_ARRAY3D_LAYERED) ? ENGINE_SHAPE_3D
			 : descriptor->Height						    ? ENGINE_SHAPE_2D
											    : ENGINE_SHAPE_1D,
		.layered = descriptor->Flags & CUDA_ARRAY3D_LAYERED,
		.normal = format_channels(descriptor->Format),
		.channels = descriptor->NumChannels,
		.texel_bytes = descriptor->NumChannels * format_bytes(descriptor->Format),
	};
	format_texel(descriptor->Format, &ret_image->texel);
}

static void array_free(struct object *object)
{
	struct array *array = (struct array *)object;

	if (!array->mipmap && !array->is_plane)
		memory_free(array->level.address, MEMORY_MASK(MEMORY_ARRAY), NULL);
	free(array);
}

CUresult array_new(struct context *context, const CUDA_ARRAY3D_DESCRIPTOR *descriptor, const struct engine_level *level,
		   struct mipmap *mipmap, struct array **ret_array)
{
	struct array *array = calloc(1, sizeof(*array));

	if (!array)
		return CUDA_ERROR_OUT_OF_MEMORY;
	object_prepare(&array->object, OBJECT_ARRAY, mipmap ? NULL : context, array_free);
	array->context = context;
	array->mipmap = mipmap;
	array->descriptor = *descriptor;
	array->element_bytes = array_element_bytes(descriptor);
	array->level = *level;
	*ret_array = array;
	return CUDA_SUCCESS;
}

static CUresult array_create(const CUDA_ARRAY3D_DESCRIPTOR *descriptor, CUarray *ret_array)
{
	CUDA_ARRAY3D_DESCRIPTOR planes[ARRAY_PLANES];
	struct memory_range range = {.kind = MEMORY_ARRAY};
	struct engine_level level;
	struct context *context;
	bool is_planar;
	struct array *array;
	CUresult result = context_current(&context);

	if (result)
		return result;
	if (!ret_array || !descriptor)
		return CUDA_ERROR_INVALID_VALUE;
	result = array_descriptor_check(descriptor);
	if (result)
		return result;
	array_level_shape(descriptor, 0, &level);
	is_planar = array_planes_describe(descriptor, planes);
	range.device = context->device;
	range.bytes = is_planar ? array_planes_bytes(planes) : array_level_bytes(&level);
	result = memory_allocate(&range, ARENA_PAGE_BYTES);
	if (result)
		return result;
	level.address = range.base;
	result = array_new(context, descriptor, &level, NULL, &array);
	if (result) {
		memory_free(range.base, MEMORY_MASK(MEMORY_ARRAY), NULL);
		return result;
	}
	array->object.retire = array_planes_retire;
	if (is_planar)
		result = array_planes_make(array, planes, range.base);
	if (!result && !object_publish(&array->object))
		result = CUDA_ERROR_OUT_OF_MEMORY;
	if (result) {
		array_planes_retire(&array->object);
		object_release(&array->object);
		return result;
	}
	*ret_array = (CUarray)array;
	return CUDA_SUCCESS;
}

static CUresult array_acquire(CUarray handle, struct array **ret_array)
{
	struct context *context;
	CUresult result = context_current(&context);

	if (result)
		return result;
	*ret_array = object_acquire(handle, OBJECT_ARRAY);
	return *ret_array ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

ENTRY(cuArray3DCreate_v2, (CUarray * ret_array, const CUDA_ARRAY3D_DESCRIPTOR *descriptor))
{
	return array_create(descriptor, ret_array);
}

ENTRY(cuArrayCreate_v2, (CUarray * ret_array, const CUDA_ARRAY_DESCRIPTOR *descriptor))
{
	CUDA_ARRAY3D_DESCRIPTOR wide;

	if (!descriptor)
		return array_create(NULL, ret_array);
	wide = (CUDA_ARRAY3D_DESCRIPTOR){
		.Width = descriptor->Width,
		.Height = descriptor->Height,
		.Format = descriptor->Format,
		.NumChannels = descriptor->NumChannels,
	};
	return array_create(&wide, ret_array);
}

ENTRY(cuArrayDestroy, (CUarray handle))
{
	struct array *array;
	CUresult result = array_acquire(handle, &array);

	if (result)
		return result;
	/* A level ends with its mipmapped array only. */
	result = array->mipmap || array->is_plane ? CUDA_ERROR_INVALID_HANDLE : CUDA_SUCCESS;
	if (!result) {
		stream_wait_context(array->context);
		if (object_retire(handle, OBJECT_ARRAY))
			object_release(&array->object);
		references_settle();
	}
	object_release(&array->object);
	return result;
}

ENTRY(cuArray3DGetDescriptor_v2, (CUDA_ARRAY3D_DESCRIPTOR * ret_descriptor, CUarray handle))
{
	struct array *array;
	CUresult result = array_acquire(handle, &array);

	if (result)
		return result;
	if (ret_descriptor)
		*ret_descriptor = array->descriptor;
	object_release(&array->object);
	return ret_descriptor ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

ENTRY(cuArrayGetDescriptor_v2, (CUDA_ARRAY_DESCRIPTOR * ret_descriptor, CUarray handle))
{
	struct array *array;
	CUresult result = array_acquire(handle, &array);

	if (result)
		return result;
	if (ret_descriptor)
		*ret_descriptor = (CUDA_ARRAY_DESCRIPTOR){
			.Width = array->descriptor.Width,
			.Height = array->descriptor.Height,
			.Format = array->descriptor.Format,
			.NumChannels = array->descriptor.NumChannels,
		};
	object_release(&array->object);
	return ret_descriptor ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* Both are of arrays made to be mapped later or in parts, which are not there. */
ENTRY(cuArrayGetMemoryRequirements,
      (CUDA_ARRAY_MEMORY_REQUIREMENTS * ret_requirements, CUarray handle, CUdevice device))
{
	struct array *array;
	CUresult result = array_acquire(handle, &array);

	(void)ret_requirements;
	(void)device;
	if (result)
		return result;
	object_release(&array->object);
	return CUDA_ERROR_INVALID_VALUE;
}

ENTRY(cuArrayGetSparseProperties, (CUDA_ARRAY_SPARSE_PROPERTIES * ret_properties, CUarray handle))
{
	struct array *array;
	CUresult result = array_acquire(handle, &array);

	(void)ret_properties;
	if (result)
		return result;
	object_release(&array->object);
	return CUDA_ERROR_INVALID_VALUE;
}
