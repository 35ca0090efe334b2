/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays of two planes: one of luma, one of pairs of chroma, which may be smaller. */
#include "array.h"
#include "entry.h"

#define PLANE_ALIGNMENT 512u

/* Of chroma: by how much it is smaller. */
struct planar_format {
	CUarray_format format;
	CUarray_format texel;
	unsigned width_shift;
	unsigned height_shift;
};

static const struct planar_format formats[] = {
	{CU_AD_FORMAT_NV12, CU_AD_FORMAT_UNSIGNED_INT8, 1, 1},
	{CU_AD_FORMAT_P010, CU_AD_FORMAT_UNSIGNED_INT16, 1, 1},
	{CU_AD_FORMAT_P016, CU_AD_FORMAT_UNSIGNED_INT16, 1, 1},
	{CU_AD_FORMAT_NV16, CU_AD_FORMAT_UNSIGNED_INT8, 1, 0},
	{CU_AD_FORMAT_P210, CU_AD_FORMAT_UNSIGNED_INT16, 1, 0},
	{CU_AD_FORMAT_P216, CU_AD_FORMAT_UNSIGNED_INT16, 1, 0},
	{CU_AD_FORMAT_YUV444_8bit_SemiPlanar, CU_AD_FORMAT_UNSIGNED_INT8, 0, 0},
	{CU_AD_FORMAT_YUV444_16bit_SemiPlanar, CU_AD_FORMAT_UNSIGNED_INT16, 0, 0},
};

bool array_planes_describe(const CUDA_ARRAY3D_DESCRIPTOR *descriptor, CUDA_ARRAY3D_DESCRIPTOR planes[ARRAY_PLANES])
{
	const struct planar_format *format = NULL;

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		if (formats[i].format == descriptor->Format)
			format = &formats[i];
	}
	if (!format || descriptor->Depth || !descriptor->Height ||
	    descriptor->Width & ((1u << format->width_shift) - 1) ||
	    descriptor->Height & ((1u << format->height_shift) - 1))
		return false;
	for (unsigned i = 0; i < ARRAY_PLANES; i++) {
		planes[i] = *descriptor;
		planes[i].Format = format->texel;
		planes[i].NumChannels = i + 1;
	}
	planes[1].Width >>= format->width_shift;
	planes[1].Height >>= format->height_shift;
	return true;
}

static uint64_t plane_bytes(const CUDA_ARRAY3D_DESCRIPTOR *plane, struct engine_level *ret_level)
{
	array_level_shape(plane, 0, ret_level);
	return (array_level_bytes(ret_level) + PLANE_ALIGNMENT - 1) & ~(uint64_t)(PLANE_ALIGNMENT - 1);
}

uint64_t array_planes_bytes(const CUDA_ARRAY3D_DESCRIPTOR planes[ARRAY_PLANES])
{
	struct engine_level level;
	uint64_t bytes = 0;

	for (unsigned i = 0; i < ARRAY_PLANES; i++)
		bytes += plane_bytes(&planes[i], &level);
	return bytes;
}

CUresult array_planes_make(struct array *whole, const CUDA_ARRAY3D_DESCRIPTOR planes[ARRAY_PLANES], uint64_t address)
{
	for (unsigned i = 0; i < ARRAY_PLANES; i++) {
		struct engine_level level;
		uint64_t bytes = plane_bytes(&planes[i], &level);
		struct array *plane;
		CUresult result;

		level.address = address;
		address += bytes;
		result = array_new(whole->context, &planes[i], &level, NULL, &plane);
		if (result)
			return result;
		plane->is_plane = true;
		plane->object.owner = NULL; /* it ends with the whole array */
		if (!object_publish(&plane->object)) {
			object_release(&plane->object);
			return CUDA_ERROR_OUT_OF_MEMORY;
		}
		whole->planes[i] = plane;
	}
	return CUDA_SUCCESS;
}

void array_planes_retire(struct object *object)
{
	struct array *whole = (struct array *)object;

	for (unsigned i = 0; i < ARRAY_PLANES; i++) {
		if (whole->planes[i] && object_retire(whole->planes[i], OBJECT_ARRAY))
			object_release(&whole->planes[i]->object);
	}
}

ENTRY(cuArrayGetPlane, (CUarray * ret_plane, CUarray handle, unsigned int plane))
{
	struct context *context;
	struct array *array;
	CUresult result = context_current(&context);

	if (result)
		return result;
	array = object_acquire(handle, OBJECT_ARRAY);
	if (!array)
		return CUDA_ERROR_INVALID_HANDLE;
	if (!ret_plane || plane >= ARRAY_PLANES || !array->planes[plane])
		result = CUDA_ERROR_INVALID_VALUE;
	else
		*ret_plane = (CUarray)array->planes[plane];
	object_release(&array->object);
	return result;
}
