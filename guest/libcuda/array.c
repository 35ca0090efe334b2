/* SPDX-License-Identifier: Apache-2.0 */
#include "array.h"

#include <pthread.h>
#include <stdlib.h>

#include "host_calls.h"
#include "object_table.h"

/* Levels and planes are made on first use. */
static pthread_mutex_t levels_mutex = PTHREAD_MUTEX_INITIALIZER;

/* Bytes of a texel; 0: the format has none, for its rows are no rows of texels. */
static uint32_t element_bytes_of(CUarray_format format, uint32_t channels)
{
	switch (format) {
	case CU_AD_FORMAT_UNSIGNED_INT8:
	case CU_AD_FORMAT_SIGNED_INT8:
		return channels;
	case CU_AD_FORMAT_UNSIGNED_INT16:
	case CU_AD_FORMAT_SIGNED_INT16:
	case CU_AD_FORMAT_HALF:
		return 2 * channels;
	case CU_AD_FORMAT_UNSIGNED_INT32:
	case CU_AD_FORMAT_SIGNED_INT32:
	case CU_AD_FORMAT_FLOAT:
		return 4 * channels;
	case CU_AD_FORMAT_UNORM_INT8X1:
	case CU_AD_FORMAT_SNORM_INT8X1:
		return 1;
	case CU_AD_FORMAT_UNORM_INT8X2:
	case CU_AD_FORMAT_SNORM_INT8X2:
	case CU_AD_FORMAT_UNORM_INT16X1:
	case CU_AD_FORMAT_SNORM_INT16X1:
		return 2;
	case CU_AD_FORMAT_UNORM_INT8X4:
	case CU_AD_FORMAT_SNORM_INT8X4:
	case CU_AD_FORMAT_UNORM_INT16X2:
	case CU_AD_FORMAT_SNORM_INT16X2:
	case CU_AD_FORMAT_UNORM_INT_101010_2:
		return 4;
	case CU_AD_FORMAT_UNORM_INT16X4:
	case CU_AD_FORMAT_SNORM_INT16X4:
		return 8;
	default:
		return 0;
	}
}

static bool is_planar_format(CUarray_format format)
{
	switch (format) {
	case CU_AD_FORMAT_NV12:
	case CU_AD_FORMAT_P010:
	case CU_AD_FORMAT_P016:
	case CU_AD_FORMAT_NV16:
	case CU_AD_FORMAT_P210:
	case CU_AD_FORMAT_P216:
	case CU_AD_FORMAT_Y444_PLANAR8:
	case CU_AD_FORMAT_Y444_PLANAR10:
	case CU_AD_FORMAT_YUV444_8bit_SemiPlanar:
	case CU_AD_FORMAT_YUV444_16bit_SemiPlanar:
		return true;
	default:
		return false;
	}
}

static bool is_packed_chroma_format(CUarray_format format)
{
	return (format >= CU_AD_FORMAT_YUY2 && format <= CU_AD_FORMAT_Y410) || format == CU_AD_FORMAT_Y416;
}

static CUresult descriptor_check(const CUDA_ARRAY3D_DESCRIPTOR *descriptor, uint32_t *ret_element_bytes)
{
	uint32_t channels = descriptor->NumChannels;

	/* How many channels such formats have is the driver's to know. */
	*ret_element_bytes = array_block_bytes(descriptor->Format);
	if (*ret_element_bytes)
		return CUDA_SUCCESS;
	if (is_planar_format(descriptor->Format) &&
	    !(descriptor->Flags & (CUDA_ARRAY3D_SPARSE | CUDA_ARRAY3D_DEFERRED_MAPPING))) {
		*ret_element_bytes = 0;
		return CUDA_SUCCESS;
	}
	if (channels != 1 && channels != 2 && channels != 4)
		return CUDA_ERROR_INVALID_VALUE;
	*ret_element_bytes = element_bytes_of(descriptor->Format, channels);
	if (*ret_element_bytes)
		return CUDA_SUCCESS;
	return is_packed_chroma_format(descriptor->Format) ? CUDA_ERROR_NOT_SUPPORTED : CUDA_ERROR_INVALID_VALUE;
}

const struct array *array_find(CUarray handle, uint32_t *ret_id)
{
	struct object *object = object_find(handle, VGPU_KIND_ARRAY);

	if (!object)
		return NULL;
	*ret_id = object->id;
	return __atomic_load_n((struct array **)&object->detail, __ATOMIC_ACQUIRE);
}

static void object_end(struct object *object)
{
	free(object->detail);
	object_release(object);
}

static void array_end(struct object *object)
{
	const struct array *array = object->detail;

	for (uint32_t i = 0; i < ARRAY_PLANES_MAX; i++) {
		if (array->planes[i])
			object_end(array->planes[i]);
	}
	object_end(object);
}

/* The descriptor of a reply. */
struct answer {
	uint64_t width, height, depth;
	uint32_t format, channels, flags;
};

static CUDA_ARRAY3D_DESCRIPTOR answer_descriptor(const struct answer *answer)
{
	return (CUDA_ARRAY3D_DESCRIPTOR){
		.Width = (size_t)answer->width,
		.Height = (size_t)answer->height,
		.Depth = (size_t)answer->depth,
		.Format = (CUarray_format)answer->format,
		.NumChannels = answer->channels,
		.Flags = answer->flags,
	};
}

/* An object with its detail, not known to the host yet; NULL: out of memory. */
static struct object *array_mint(uint32_t context, struct array **ret_array)
{
	struct object *object = object_mint(VGPU_KIND_ARRAY, context);
	struct array *array = calloc(1, sizeof(*array));

	if (!object || !array) {
		if (object)
			object_release(object);
		free(array);
		return NULL;
	}
	*ret_array = array;
	return object;
}

/* What the host answered becomes the array's, which the object is from then on; or both are given back. */
static CUresult array_settle(struct object *object, struct array *array, CUresult result, const struct answer *answer,
			     uint32_t element_bytes)
{
	if (result) {
		free(array);
		object_release(object);
		return result;
	}
	array->descriptor = answer_descriptor(answer);
	array->element_bytes = element_bytes;
	__atomic_store_n(&object->detail, array, __ATOMIC_RELEASE);
	return CUDA_SUCCESS;
}

static CUresult array_create(CUarray *ret_handle, const CUDA_ARRAY3D_DESCRIPTOR *descriptor)
{
	struct answer answer;
	struct object *object;
	struct array *array;
	uint32_t context, element_bytes;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	if (!ret_handle || !descriptor)
		return CUDA_ERROR_INVALID_VALUE;
	result = descriptor_check(descriptor, &element_bytes);
	if (result)
		return result;
	object = array_mint(context, &array);
	if (!object)
		return CUDA_ERROR_OUT_OF_MEMORY;
	result = host_cuArray3DCreate_v2(context, object->id, descriptor, &answer.width, &answer.height, &answer.depth,
					 &answer.format, &answer.channels, &answer.flags);
	result = array_settle(object, array, result, &answer, element_bytes);
	if (!result)
		*ret_handle = (CUarray)object;
	return result;
}

API(cuArray3DCreate_v2, CUarray *handle, const CUDA_ARRAY3D_DESCRIPTOR *descriptor)
{
	return array_create(handle, descriptor);
}

API(cuArrayCreate_v2, CUarray *handle, const CUDA_ARRAY_DESCRIPTOR *descriptor)
{
	CUDA_ARRAY3D_DESCRIPTOR wide;

	if (!descriptor)
		return array_create(handle, NULL);
	wide = (CUDA_ARRAY3D_DESCRIPTOR){
		.Width = descriptor->Width,
		.Height = descriptor->Height,
		.Format = descriptor->Format,
		.NumChannels = descriptor->NumChannels,
	};
	return array_create(handle, &wide);
}

API(cuArrayDestroy, CUarray handle)
{
	uint32_t context, id;
	const struct array *array;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	array = array_find(handle, &id);
	if (!array || array->owner)
		return CUDA_ERROR_INVALID_HANDLE;
	result = host_cuArrayDestroy(context, id);
	if (!result)
		array_end((struct object *)handle);
	return result;
}

API(cuArray3DGetDescriptor_v2, CUDA_ARRAY3D_DESCRIPTOR *descriptor, CUarray handle)
{
	uint32_t context, id;
	const struct array *array;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	array = array_find(handle, &id);
	if (!array)
		return CUDA_ERROR_INVALID_HANDLE;
	if (!descriptor)
		return CUDA_ERROR_INVALID_VALUE;
	*descriptor = array->descriptor;
	return CUDA_SUCCESS;
}

API(cuArrayGetDescriptor_v2, CUDA_ARRAY_DESCRIPTOR *descriptor, CUarray handle)
{
	CUDA_ARRAY3D_DESCRIPTOR wide;
	CUresult result = cuArray3DGetDescriptor_v2(descriptor ? &wide : NULL, handle);

	if (result)
		return result;
	*descriptor = (CUDA_ARRAY_DESCRIPTOR){
		.Width = wide.Width,
		.Height = wide.Height,
		.Format = wide.Format,
		.NumChannels = wide.NumChannels,
	};
	return CUDA_SUCCESS;
}

/* With the mutex held. */
static CUresult plane_make(struct object *owner, struct array *whole, uint32_t context, uint32_t index)
{
	struct answer answer = {0};
	struct object *object;
	struct array *plane;
	CUresult result;

	object = array_mint(owner->context, &plane);
	if (!object)
		return CUDA_ERROR_OUT_OF_MEMORY;
	plane->owner = owner;
	result = host_cuArrayGetPlane(context, object->id, owner->id, index, &answer.width, &answer.height,
				      &answer.depth, &answer.format, &answer.channels, &answer.flags);
	result = array_settle(object, plane, result, &answer,
			      element_bytes_of((CUarray_format)answer.format, answer.channels));
	if (!result)
		whole->planes[index] = object;
	return result;
}

API(cuArrayGetPlane, CUarray *plane_array, CUarray handle, unsigned int plane)
{
	struct array *array;
	uint32_t context, id;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	array = (struct array *)array_find(handle, &id);
	if (!array)
		return CUDA_ERROR_INVALID_HANDLE;
	if (!plane_array || plane >= ARRAY_PLANES_MAX || array->element_bytes)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&levels_mutex);
	if (!array->planes[plane])
		result = plane_make((struct object *)handle, array, context, plane);
	if (!result)
		*plane_array = (CUarray)array->planes[plane];
	pthread_mutex_unlock(&levels_mutex);
	return result;
}

struct object *mipmap_find(CUmipmappedArray handle, struct mipmap **ret_mipmap)
{
	struct object *object = object_find(handle, VGPU_KIND_MIPMAPPED_ARRAY);

	*ret_mipmap = object ? __atomic_load_n((struct mipmap **)&object->detail, __ATOMIC_ACQUIRE) : NULL;
	return *ret_mipmap ? object : NULL;
}

API(cuMipmappedArrayCreate, CUmipmappedArray *handle, const CUDA_ARRAY3D_DESCRIPTOR *descriptor, unsigned int levels)
{
	struct answer answer;
	struct object *object;
	struct mipmap *mipmap;
	uint32_t context, element_bytes;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	if (!handle || !descriptor || !levels)
		return CUDA_ERROR_INVALID_VALUE;
	result = descriptor_check(descriptor, &element_bytes);
	if (!result && !element_bytes)
		result = CUDA_ERROR_INVALID_VALUE;
	if (result)
		return result;
	mipmap = calloc(1, sizeof(*mipmap));
	if (!mipmap)
		return CUDA_ERROR_OUT_OF_MEMORY;
	object = object_mint(VGPU_KIND_MIPMAPPED_ARRAY, context);
	if (!object) {
		free(mipmap);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	result = host_cuMipmappedArrayCreate(context, object->id, descriptor, levels, &answer.width, &answer.height,
					     &answer.depth, &answer.format, &answer.channels, &answer.flags);
	if (result) {
		free(mipmap);
		object_release(object);
		return result;
	}
	mipmap->descriptor = answer_descriptor(&answer);
	mipmap->element_bytes = element_bytes;
	__atomic_store_n(&object->detail, mipmap, __ATOMIC_RELEASE);
	*handle = (CUmipmappedArray)object;
	return CUDA_SUCCESS;
}

/* With the mutex held. */
static CUresult level_make(struct object *owner, struct mipmap *mipmap, uint32_t context, uint32_t level)
{
	struct answer answer;
	struct object *object;
	struct array *array;
	CUresult result;

	object = array_mint(owner->context, &array);
	if (!object)
		return CUDA_ERROR_OUT_OF_MEMORY;
	array->owner = owner;
	result = host_cuMipmappedArrayGetLevel(context, object->id, owner->id, level, &answer.width, &answer.height,
					       &answer.depth, &answer.format, &answer.channels, &answer.flags);
	result = array_settle(object, array, result, &answer, mipmap->element_bytes);
	if (!result)
		mipmap->levels[level] = object;
	return result;
}

API(cuMipmappedArrayGetLevel, CUarray *level_array, CUmipmappedArray handle, unsigned int level)
{
	struct mipmap *mipmap;
	struct object *object;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	object = mipmap_find(handle, &mipmap);
	if (!object)
		return CUDA_ERROR_INVALID_HANDLE;
	if (!level_array || level >= ARRAY_LEVELS_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&levels_mutex);
	if (!mipmap->levels[level])
		result = level_make(object, mipmap, context, level);
	if (!result)
		*level_array = (CUarray)mipmap->levels[level];
	pthread_mutex_unlock(&levels_mutex);
	return result;
}

static void mipmap_end(struct object *object, struct mipmap *mipmap)
{
	for (uint32_t i = 0; i < ARRAY_LEVELS_MAX; i++)
		if (mipmap->levels[i])
			object_end(mipmap->levels[i]);
	object_end(object);
}

API(cuMipmappedArrayDestroy, CUmipmappedArray handle)
{
	struct mipmap *mipmap;
	struct object *object;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	object = mipmap_find(handle, &mipmap);
	if (!object)
		return CUDA_ERROR_INVALID_HANDLE;
	result = host_cuMipmappedArrayDestroy(context, object->id);
	if (!result)
		mipmap_end(object, mipmap);
	return result;
}

static bool child_visit(struct object *object, void *argument)
{
	if (object->context == *(const uint32_t *)argument)
		object_end(object);
	return true;
}

void arrays_forget_context(uint32_t context)
{
	object_each(VGPU_KIND_ARRAY, child_visit, &context);
	object_each(VGPU_KIND_MIPMAPPED_ARRAY, child_visit, &context);
}
