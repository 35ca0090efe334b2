/* SPDX-License-Identifier: Apache-2.0 */
/* The strict driver's arrays, textures and surfaces: texels lie densely in the process's own memory. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "strict_export.h"
#include "strict_misuse.h"

#define ENTRIES_MAX 4096
#define BYTES_MAX   (1ull << 24) /* of one array: the "device" is no larger */
#define LEVELS_MAX  8

enum kind { FREE, ARRAY, MIPMAP, TEXTURE, SURFACE };

struct entry {
	enum kind kind;
	struct entry *owner;
	CUDA_ARRAY3D_DESCRIPTOR descriptor;
	size_t texel_bytes;
	uint8_t *texels;
	struct entry *levels[LEVELS_MAX];
};

static struct entry entries[ENTRIES_MAX];

/* In strict_driver.c: both check the stream, and what is in a device span. */
CUresult cuStreamQuery(CUstream stream);
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr destination, CUdeviceptr source, size_t bytes, CUstream stream);

static struct entry *live(uintptr_t handle, enum kind kind)
{
	struct entry *entry = (struct entry *)handle;

	if (entry < entries || entry >= entries + ENTRIES_MAX || (handle - (uintptr_t)entries) % sizeof(struct entry) ||
	    entry->kind != kind)
		strict_misuse("a handle of an array, a texture or a surface that is none");
	return entry;
}

static struct entry *make(enum kind kind)
{
	static unsigned next;

	for (unsigned i = 0; i < ENTRIES_MAX; i++) {
		/* Not the one just freed: a stale handle should stay stale. */
		struct entry *entry = &entries[next++ % ENTRIES_MAX];

		if (entry->kind != FREE)
			continue;
		*entry = (struct entry){.kind = kind};
		return entry;
	}
	return NULL;
}

static void end(struct entry *entry)
{
	free(entry->texels);
	*entry = (struct entry){0};
}

static size_t at_least_one(size_t extent)
{
	return extent ? extent : 1;
}

static bool describe(struct entry *entry, const CUDA_ARRAY3D_DESCRIPTOR *descriptor)
{
	size_t channel = descriptor->Format == CU_AD_FORMAT_UNSIGNED_INT8 ? 1
			 : descriptor->Format == CU_AD_FORMAT_FLOAT	  ? 4
									  : 0;
	size_t texels;

	entry->descriptor = *descriptor;
	entry->texel_bytes = channel * descriptor->NumChannels;
	if (!descriptor->Width || !entry->texel_bytes || descriptor->NumChannels > 4 ||
	    __builtin_mul_overflow(descriptor->Width, at_least_one(descriptor->Height), &texels) ||
	    __builtin_mul_overflow(texels, at_least_one(descriptor->Depth), &texels) ||
	    texels > BYTES_MAX / entry->texel_bytes)
		return false;
	entry->texels = calloc(texels, entry->texel_bytes);
	return entry->texels;
}

EXPORT(cuArray3DCreate_v2, CUarray *array, const CUDA_ARRAY3D_DESCRIPTOR *descriptor)
{
	struct entry *entry = make(ARRAY);

	if (!entry)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (!describe(entry, descriptor)) {
		end(entry);
		return CUDA_ERROR_INVALID_VALUE;
	}
	*array = (CUarray)entry;
	return CUDA_SUCCESS;
}

EXPORT(cuArray3DGetDescriptor_v2, CUDA_ARRAY3D_DESCRIPTOR *descriptor, CUarray array)
{
	*descriptor = live((uintptr_t)array, ARRAY)->descriptor;
	return CUDA_SUCCESS;
}

EXPORT(cuArrayDestroy, CUarray array)
{
	struct entry *entry = live((uintptr_t)array, ARRAY);

	if (entry->owner)
		strict_misuse("cuArrayDestroy of a level");
	end(entry);
	return CUDA_SUCCESS;
}

EXPORT(cuMipmappedArrayCreate, CUmipmappedArray *mipmap, const CUDA_ARRAY3D_DESCRIPTOR *descriptor, unsigned int levels)
{
	struct entry *entry = make(MIPMAP);

	if (!entry)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (!describe(entry, descriptor) || !levels || levels > LEVELS_MAX) {
		end(entry);
		return CUDA_ERROR_INVALID_VALUE;
	}
	for (unsigned i = 0; i < levels; i++) {
		CUDA_ARRAY3D_DESCRIPTOR level = *descriptor;

		level.Width = at_least_one(level.Width >> i);
		level.Height = level.Height ? at_least_one(level.Height >> i) : 0;
		entry->levels[i] = make(ARRAY);
		if (!entry->levels[i] || !describe(entry->levels[i], &level))
			strict_misuse("out of arrays");
		entry->levels[i]->owner = entry;
	}
	*mipmap = (CUmipmappedArray)entry;
	return CUDA_SUCCESS;
}

EXPORT(cuMipmappedArrayGetLevel, CUarray *array, CUmipmappedArray mipmap, unsigned int level)
{
	struct entry *entry = live((uintptr_t)mipmap, MIPMAP);

	if (level >= LEVELS_MAX || !entry->levels[level])
		return CUDA_ERROR_INVALID_VALUE;
	*array = (CUarray)entry->levels[level];
	return CUDA_SUCCESS;
}

EXPORT(cuMipmappedArrayDestroy, CUmipmappedArray mipmap)
{
	struct entry *entry = live((uintptr_t)mipmap, MIPMAP);

	for (unsigned i = 0; i < LEVELS_MAX; i++)
		if (entry->levels[i])
			end(entry->levels[i]);
	end(entry);
	return CUDA_SUCCESS;
}

/* One side of a copy, as memory of this process; NULL: it does not fit. */
struct side {
	uint8_t *bytes;
	size_t row_bytes, slice_bytes;
};

static bool side_read(struct side *side, CUmemorytype type, uintptr_t host, CUdeviceptr device, CUarray array,
		      size_t pitch, size_t height, size_t x, size_t y, size_t z, const CUDA_MEMCPY3D *copy)
{
	if (type == CU_MEMORYTYPE_ARRAY) {
		const struct entry *entry = live((uintptr_t)array, ARRAY);
		size_t row = entry->descriptor.Width * entry->texel_bytes;
		size_t rows = at_least_one(entry->descriptor.Height), slices = at_least_one(entry->descriptor.Depth);

		if (x > row || copy->WidthInBytes > row - x || y > rows || copy->Height > rows - y || z > slices ||
		    copy->Depth > slices - z)
			return false;
		*side = (struct side){entry->texels + (z * rows + y) * row + x, row, rows * row};
		return true;
	}
	if (type == CU_MEMORYTYPE_HOST) {
		*side = (struct side){(uint8_t *)host + (z * height + y) * pitch + x, pitch, height * pitch};
		return true;
	}
	if (type != CU_MEMORYTYPE_DEVICE)
		strict_misuse("a memory type that depends on addresses");
	/* Enough for the tests: closely packed. */
	if (x || y || z || pitch != copy->WidthInBytes || copy->Depth != 1 || pitch > BYTES_MAX ||
	    copy->Height > BYTES_MAX / (pitch + 1) ||
	    cuMemcpyDtoDAsync_v2(device, device, pitch * copy->Height, NULL) != CUDA_SUCCESS)
		return false;
	*side = (struct side){(uint8_t *)(uintptr_t)device, pitch, pitch * height};
	return true;
}

EXPORT(cuMemcpy3DAsync_v2, const CUDA_MEMCPY3D *copy, CUstream stream)
{
	struct side from, to;
	CUresult result = cuStreamQuery(stream);

	if (result && result != CUDA_ERROR_NOT_READY)
		return result;
	if (!side_read(&from, copy->srcMemoryType, (uintptr_t)copy->srcHost, copy->srcDevice, copy->srcArray,
		       copy->srcPitch, copy->srcHeight, copy->srcXInBytes, copy->srcY, copy->srcZ, copy) ||
	    !side_read(&to, copy->dstMemoryType, (uintptr_t)copy->dstHost, copy->dstDevice, copy->dstArray,
		       copy->dstPitch, copy->dstHeight, copy->dstXInBytes, copy->dstY, copy->dstZ, copy))
		return CUDA_ERROR_INVALID_VALUE;
	for (size_t z = 0; z < copy->Depth; z++)
		for (size_t y = 0; y < copy->Height; y++)
			memmove(to.bytes + z * to.slice_bytes + y * to.row_bytes,
				from.bytes + z * from.slice_bytes + y * from.row_bytes, copy->WidthInBytes);
	return CUDA_SUCCESS;
}

EXPORT(cuTexObjectCreate, CUtexObject *texture, const CUDA_RESOURCE_DESC *resource,
       const CUDA_TEXTURE_DESC *description, const CUDA_RESOURCE_VIEW_DESC *view)
{
	struct entry *entry;

	(void)view;
	if (resource->flags)
		strict_misuse("flags of a resource");
	for (size_t i = 0; i < sizeof(description->reserved) / sizeof(description->reserved[0]); i++)
		if (description->reserved[i])
			strict_misuse("reserved fields of a texture");
	if (resource->resType == CU_RESOURCE_TYPE_ARRAY)
		live((uintptr_t)resource->res.array.hArray, ARRAY);
	else if (resource->resType == CU_RESOURCE_TYPE_MIPMAPPED_ARRAY)
		live((uintptr_t)resource->res.mipmap.hMipmappedArray, MIPMAP);
	else if (resource->resType != CU_RESOURCE_TYPE_LINEAR && resource->resType != CU_RESOURCE_TYPE_PITCH2D)
		strict_misuse("a type of resource that there is not");
	entry = make(TEXTURE);
	if (!entry)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*texture = (uintptr_t)entry;
	return CUDA_SUCCESS;
}

EXPORT(cuTexObjectDestroy, CUtexObject texture)
{
	end(live(texture, TEXTURE));
	return CUDA_SUCCESS;
}

EXPORT(cuSurfObjectCreate, CUsurfObject *surface, const CUDA_RESOURCE_DESC *resource)
{
	struct entry *entry;

	live((uintptr_t)resource->res.array.hArray, ARRAY);
	entry = make(SURFACE);
	if (!entry)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*surface = (uintptr_t)entry;
	return CUDA_SUCCESS;
}

EXPORT(cuSurfObjectDestroy, CUsurfObject surface)
{
	end(live(surface, SURFACE));
	return CUDA_SUCCESS;
}
