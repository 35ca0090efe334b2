/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays and mipmapped arrays. An array has no address: it is accounted for under its handle. */
#include "array_block.h"
#include "executor.h"
#include "executor_calls.h"

/* What the driver's limits leave anyway; a bound for the products below. */
#define EXTENT_MAX (1ull << 28)

/* Texels lie in blocks of 64 bytes by 8 rows (NVIDIA's block-linear layout, in the open kernel modules' headers). */
#define BLOCK_WIDTH_BYTES 64u
#define BLOCK_ROWS	  8u

/* For its description alone, before memory is mapped. */
#define MAPPED_LATER_BYTES 4096u

/* More levels than this have no texel more. */
#define LEVELS_MAX 29u

static uint64_t whole(uint64_t amount, uint64_t unit)
{
	return (amount + unit - 1) / unit * unit;
}

/* Of a texel, or a block of them, in one plane, of which there are '*ret_planes'. */
static uint64_t element_bytes(const CUDA_ARRAY3D_DESCRIPTOR *descriptor, uint64_t *ret_planes)
{
	const uint64_t channel_bytes = 4; /* at most */

	*ret_planes = 1;
	if (array_block_bytes(descriptor->Format))
		return array_block_bytes(descriptor->Format);
	switch (descriptor->Format) {
	case CU_AD_FORMAT_UNSIGNED_INT8:
	case CU_AD_FORMAT_SIGNED_INT8:
		return descriptor->NumChannels;
	case CU_AD_FORMAT_UNSIGNED_INT16:
	case CU_AD_FORMAT_SIGNED_INT16:
	case CU_AD_FORMAT_HALF:
		return 2ull * descriptor->NumChannels;
	/* Of several planes: at most a whole one for each of luma and two chromas. */
	case CU_AD_FORMAT_NV12:
	case CU_AD_FORMAT_NV16:
	case CU_AD_FORMAT_Y444_PLANAR8:
	case CU_AD_FORMAT_YUV444_8bit_SemiPlanar:
		*ret_planes = 3;
		return 1;
	case CU_AD_FORMAT_P010:
	case CU_AD_FORMAT_P016:
	case CU_AD_FORMAT_P210:
	case CU_AD_FORMAT_P216:
	case CU_AD_FORMAT_Y444_PLANAR10:
	case CU_AD_FORMAT_YUV444_16bit_SemiPlanar:
		*ret_planes = 3;
		return 2;
	default:
		return channel_bytes * descriptor->NumChannels;
	}
}

/* About what a level takes: whole blocks of texels. The extents have been checked. */
static uint64_t level_bytes(const CUDA_ARRAY3D_DESCRIPTOR *descriptor, uint32_t level)
{
	const bool is_layered = descriptor->Flags & (CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_CUBEMAP);
	uint64_t width = descriptor->Width >> level;
	uint64_t rows = descriptor->Height >> level;
	uint64_t slices = is_layered ? descriptor->Depth : descriptor->Depth >> level;
	const uint64_t side = array_element_side(descriptor->Format);
	uint64_t planes, bytes;

	bytes = element_bytes(descriptor, &planes);
	bytes = planes * whole(whole(width ? width : 1, side) / side * bytes, BLOCK_WIDTH_BYTES);
	if (__builtin_mul_overflow(bytes, whole(whole(rows ? rows : 1, side) / side, BLOCK_ROWS), &bytes) ||
	    __builtin_mul_overflow(bytes, slices ? slices : 1, &bytes))
		return UINT64_MAX;
	return bytes;
}

static uint64_t levels_bytes(const CUDA_ARRAY3D_DESCRIPTOR *descriptor, uint32_t levels)
{
	uint64_t sum = 0;

	for (uint32_t level = 0; level < levels && level < LEVELS_MAX; level++)
		if (__builtin_add_overflow(sum, level_bytes(descriptor, level), &sum))
			return UINT64_MAX;
	return sum;
}

static CUresult descriptor_check(const CUDA_ARRAY3D_DESCRIPTOR *descriptor)
{
	return descriptor->Width > EXTENT_MAX || descriptor->Height > EXTENT_MAX || descriptor->Depth > EXTENT_MAX ||
			       descriptor->NumChannels > 4
		       ? CUDA_ERROR_INVALID_VALUE
		       : CUDA_SUCCESS;
}

#define REPLY_DESCRIBE(reply, from)                        \
	do {                                               \
		(reply)->Width = (from).Width;             \
		(reply)->Height = (from).Height;           \
		(reply)->Depth = (from).Depth;             \
		(reply)->Format = (uint32_t)(from).Format; \
		(reply)->NumChannels = (from).NumChannels; \
		(reply)->Flags = (from).Flags;             \
	} while (0)

CUresult execute_cuArray3DCreate_v2(struct executor *executor, const struct request *request,
				    const struct wire_cuArray3DCreate_v2 *arguments,
				    struct wire_cuArray3DCreate_v2_reply *reply)
{
	const struct driver *driver = &executor->driver;
	CUDA_ARRAY3D_DESCRIPTOR descriptor = arguments->descriptor;
	CUarray array = NULL;
	uint64_t bytes = 0;
	CUresult result = descriptor_check(&descriptor);

	if (!driver->cuArray3DCreate_v2 || !driver->cuArrayDestroy || !driver->cuArray3DGetDescriptor_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!result)
		result = execute_check_mint(executor, VGPU_KIND_ARRAY, arguments->array);
	if (!result) {
		bytes = is_mapped_later(&descriptor) ? MAPPED_LATER_BYTES : level_bytes(&descriptor, 0);
		result = account_admit(executor, "cuArray3DCreate", bytes);
	}
	if (result)
		return result;
	result = driver->cuArray3DCreate_v2(&array, &descriptor);
	if (!result) {
		result = driver->cuArray3DGetDescriptor_v2(&descriptor, array);
		if (!result && is_mapped_later(&arguments->descriptor))
			result = sparse_add(executor, array, context_owner_id(executor, request->context), false,
					    &arguments->descriptor, 1);
		if (result)
			driver->cuArrayDestroy(array);
	}
	account_add(executor, "cuArray3DCreate", result, account_handle_key(array), bytes, request->context);
	if (result)
		return result;
	execute_mint(executor, arguments->array, request->context, array);
	REPLY_DESCRIBE(reply, descriptor);
	return CUDA_SUCCESS;
}

CUresult execute_cuArrayDestroy(struct executor *executor, const struct request *request,
				const struct wire_cuArrayDestroy *arguments)
{
	struct handle *handle = handles_find(&executor->handles, VGPU_KIND_ARRAY, arguments->array);
	void *array;
	CUresult result;

	(void)request;
	/* A level ends with its mipmapped array, a plane with the whole array. */
	if (!handle || handle->owner)
		return CUDA_ERROR_INVALID_HANDLE;
	if (graph_hold_end(executor, arguments->array))
		return CUDA_SUCCESS;
	array = handle->object;
	result = executor->driver.cuArrayDestroy(array);
	if (result)
		return result;
	sparse_remove(executor, array);
	account_remove(executor, account_handle_key(array));
	execute_forget(executor, arguments->array);
	return CUDA_SUCCESS;
}

CUresult execute_cuMipmappedArrayCreate(struct executor *executor, const struct request *request,
					const struct wire_cuMipmappedArrayCreate *arguments,
					struct wire_cuMipmappedArrayCreate_reply *reply)
{
	const struct driver *driver = &executor->driver;
	const CUDA_ARRAY3D_DESCRIPTOR *descriptor = &arguments->descriptor;
	CUmipmappedArray mipmap = NULL;
	uint64_t bytes = 0;
	CUresult result = descriptor_check(descriptor);

	if (!driver->cuMipmappedArrayCreate || !driver->cuMipmappedArrayDestroy)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!result)
		result = execute_check_mint(executor, VGPU_KIND_MIPMAPPED_ARRAY, arguments->mipmap);
	if (!result) {
		bytes = is_mapped_later(descriptor) ? MAPPED_LATER_BYTES : levels_bytes(descriptor, arguments->levels);
		result = account_admit(executor, "cuMipmappedArrayCreate", bytes);
	}
	if (result)
		return result;
	result = driver->cuMipmappedArrayCreate(&mipmap, descriptor, arguments->levels);
	if (!result && is_mapped_later(descriptor)) {
		result = sparse_add(executor, mipmap, context_owner_id(executor, request->context), true, descriptor,
				    arguments->levels);
		if (result)
			driver->cuMipmappedArrayDestroy(mipmap);
	}
	account_add(executor, "cuMipmappedArrayCreate", result, account_handle_key(mipmap), bytes, request->context);
	if (result)
		return result;
	execute_mint(executor, arguments->mipmap, request->context, mipmap);
	REPLY_DESCRIBE(reply, *descriptor);
	return CUDA_SUCCESS;
}

CUresult execute_cuMipmappedArrayGetLevel(struct executor *executor, const struct request *request,
					  const struct wire_cuMipmappedArrayGetLevel *arguments,
					  struct wire_cuMipmappedArrayGetLevel_reply *reply)
{
	const struct driver *driver = &executor->driver;
	CUDA_ARRAY3D_DESCRIPTOR descriptor;
	CUarray array = NULL;
	void *mipmap;
	CUresult result = execute_find(executor, VGPU_KIND_MIPMAPPED_ARRAY, arguments->mipmap, &mipmap);

	if (!result)
		result = execute_check_mint(executor, VGPU_KIND_ARRAY, arguments->array);
	if (!result && (!driver->cuMipmappedArrayGetLevel || !driver->cuArray3DGetDescriptor_v2))
		result = CUDA_ERROR_NOT_SUPPORTED;
	if (!result)
		result = driver->cuMipmappedArrayGetLevel(&array, mipmap, arguments->level);
	if (!result)
		result = driver->cuArray3DGetDescriptor_v2(&descriptor, array);
	if (result)
		return result;
	execute_mint(executor, arguments->array, request->context, array);
	REPLY_DESCRIBE(reply, descriptor);
	return CUDA_SUCCESS;
}

CUresult execute_cuArrayGetPlane(struct executor *executor, const struct request *request,
				 const struct wire_cuArrayGetPlane *arguments, struct wire_cuArrayGetPlane_reply *reply)
{
	const struct driver *driver = &executor->driver;
	/* The table may move with it. */
	CUresult result = execute_check_mint(executor, VGPU_KIND_ARRAY, arguments->plane);
	struct handle *whole = handles_find(&executor->handles, VGPU_KIND_ARRAY, arguments->array);
	CUDA_ARRAY3D_DESCRIPTOR descriptor;
	CUarray plane = NULL;

	/* Levels and planes have none. */
	if (!result && (!whole || whole->owner))
		result = CUDA_ERROR_INVALID_HANDLE;
	if (!result && (!driver->cuArrayGetPlane || !driver->cuArray3DGetDescriptor_v2))
		result = CUDA_ERROR_NOT_SUPPORTED;
	if (!result)
		result = driver->cuArrayGetPlane(&plane, whole->object, arguments->index);
	if (!result)
		result = driver->cuArray3DGetDescriptor_v2(&descriptor, plane);
	if (result)
		return result;
	execute_mint(executor, arguments->plane, request->context, plane);
	whole->cache = 1;
	REPLY_DESCRIBE(reply, descriptor);
	return CUDA_SUCCESS;
}

CUresult execute_cuMipmappedArrayDestroy(struct executor *executor, const struct request *request,
					 const struct wire_cuMipmappedArrayDestroy *arguments)
{
	void *mipmap;
	CUresult result = execute_find(executor, VGPU_KIND_MIPMAPPED_ARRAY, arguments->mipmap, &mipmap);

	(void)request;
	if (!result && graph_hold_end(executor, arguments->mipmap))
		return CUDA_SUCCESS;
	if (!result)
		result = executor->driver.cuMipmappedArrayDestroy(mipmap);
	if (result)
		return result;
	sparse_remove(executor, mipmap);
	account_remove(executor, account_handle_key(mipmap));
	execute_forget(executor, arguments->mipmap);
	return CUDA_SUCCESS;
}

#define REPLY_TILES(reply, from)                                \
	do {                                                    \
		(reply)->width = (from).tileExtent.width;       \
		(reply)->height = (from).tileExtent.height;     \
		(reply)->depth = (from).tileExtent.depth;       \
		(reply)->tail_level = (from).miptailFirstLevel; \
		(reply)->tail_bytes = (from).miptailSize;       \
		(reply)->flags = (from).flags;                  \
	} while (0)

CUresult execute_cuArrayGetSparseProperties(struct executor *executor, const struct request *request,
					    const struct wire_cuArrayGetSparseProperties *arguments,
					    struct wire_cuArrayGetSparseProperties_reply *reply)
{
	CUDA_ARRAY_SPARSE_PROPERTIES properties = {0};
	void *array;
	CUresult result = execute_find(executor, VGPU_KIND_ARRAY, arguments->array, &array);

	(void)request;
	if (!result && !executor->driver.cuArrayGetSparseProperties)
		result = CUDA_ERROR_NOT_SUPPORTED;
	if (!result)
		result = executor->driver.cuArrayGetSparseProperties(&properties, array);
	REPLY_TILES(reply, properties);
	return result;
}

CUresult execute_cuMipmappedArrayGetSparseProperties(struct executor *executor, const struct request *request,
						     const struct wire_cuMipmappedArrayGetSparseProperties *arguments,
						     struct wire_cuMipmappedArrayGetSparseProperties_reply *reply)
{
	CUDA_ARRAY_SPARSE_PROPERTIES properties = {0};
	void *mipmap;
	CUresult result = execute_find(executor, VGPU_KIND_MIPMAPPED_ARRAY, arguments->mipmap, &mipmap);

	(void)request;
	if (!result && !executor->driver.cuMipmappedArrayGetSparseProperties)
		result = CUDA_ERROR_NOT_SUPPORTED;
	if (!result)
		result = executor->driver.cuMipmappedArrayGetSparseProperties(&properties, mipmap);
	REPLY_TILES(reply, properties);
	return result;
}

CUresult execute_cuArrayGetMemoryRequirements(struct executor *executor, const struct request *request,
					      const struct wire_cuArrayGetMemoryRequirements *arguments,
					      struct wire_cuArrayGetMemoryRequirements_reply *reply)
{
	CUDA_ARRAY_MEMORY_REQUIREMENTS requirements = {0};
	void *array;
	CUresult result = execute_find(executor, VGPU_KIND_ARRAY, arguments->array, &array);

	(void)request;
	if (!result && !executor->driver.cuArrayGetMemoryRequirements)
		result = CUDA_ERROR_NOT_SUPPORTED;
	if (!result)
		result = executor->driver.cuArrayGetMemoryRequirements(&requirements, array, arguments->dev);
	reply->size = requirements.size;
	reply->alignment = requirements.alignment;
	return result;
}

CUresult
execute_cuMipmappedArrayGetMemoryRequirements(struct executor *executor, const struct request *request,
					      const struct wire_cuMipmappedArrayGetMemoryRequirements *arguments,
					      struct wire_cuMipmappedArrayGetMemoryRequirements_reply *reply)
{
	CUDA_ARRAY_MEMORY_REQUIREMENTS requirements = {0};
	void *mipmap;
	CUresult result = execute_find(executor, VGPU_KIND_MIPMAPPED_ARRAY, arguments->mipmap, &mipmap);

	(void)request;
	if (!result && !executor->driver.cuMipmappedArrayGetMemoryRequirements)
		result = CUDA_ERROR_NOT_SUPPORTED;
	if (!result)
		result = executor->driver.cuMipmappedArrayGetMemoryRequirements(&requirements, mipmap, arguments->dev);
	reply->size = requirements.size;
	reply->alignment = requirements.alignment;
	return result;
}
