/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sparse arrays, and arrays whose memory is mapped later, with any libcuda.so.1. Run by test_memory.py.
 */
#include "answers.h"
#include "array_calls.h"

/* Of the greatest plane; several tiles each way. */
enum { SIDE = 2048, LEVELS = 12, CUT_WORDS = 64 };

static CUstream stream;
static CUDA_ARRAY_SPARSE_PROPERTIES tiles;

static CUmemAllocationProp pool_properties(unsigned short usage)
{
	return (CUmemAllocationProp){.type = CU_MEM_ALLOCATION_TYPE_PINNED,
				     .location = {CU_MEM_LOCATION_TYPE_DEVICE, 0},
				     .allocFlags.usage = usage};
}

static CUmemGenericAllocationHandle memory_make(const char *name, size_t bytes, unsigned short usage)
{
	const CUmemAllocationProp properties = pool_properties(usage);
	CUmemGenericAllocationHandle handle = 0;
	size_t granularity = 0;

	if (!said("granularity",
		  cuMemGetAllocationGranularity(&granularity, &properties, CU_MEM_ALLOC_GRANULARITY_MINIMUM)))
		return 0;
	told("granularity", (long long)granularity);
	said(name, cuMemCreate(&handle, (bytes + granularity - 1) / granularity * granularity, &properties, 0));
	return handle;
}

static bool begin(void)
{
	int sparse = 77, deferred = 77;

	answers_context();
	if (said("attribute", cuDeviceGetAttribute(&sparse, CU_DEVICE_ATTRIBUTE_SPARSE_CUDA_ARRAY_SUPPORTED, 0)))
		told("attribute_sparse", sparse);
	if (said("attribute",
		 cuDeviceGetAttribute(&deferred, CU_DEVICE_ATTRIBUTE_DEFERRED_MAPPING_CUDA_ARRAY_SUPPORTED, 0)))
		told("attribute_deferred", deferred);
	return said("stream", cuStreamCreate(&stream, 0));
}

static CUDA_ARRAY3D_DESCRIPTOR shape_of(size_t width, size_t height, size_t depth, unsigned int flags)
{
	return (CUDA_ARRAY3D_DESCRIPTOR){width, height, depth, CU_AD_FORMAT_UNSIGNED_INT32, 1, flags};
}

static void tiles_tell(const char *name, const CUDA_ARRAY_SPARSE_PROPERTIES *properties)
{
	printf("result %s.%s tile %u %u %u tail %u %llu flags %u\n", answers_prefix, name, properties->tileExtent.width,
	       properties->tileExtent.height, properties->tileExtent.depth, properties->miptailFirstLevel,
	       properties->miptailSize, properties->flags);
	fflush(stdout);
}

/* Writes or reads a row of words of the array. */
static CUresult row_copy(CUarray array, size_t x, size_t y, uint32_t *words, bool is_up)
{
	CUDA_MEMCPY2D copy = {.WidthInBytes = CUT_WORDS * sizeof(uint32_t), .Height = 1};

	if (is_up) {
		copy.srcMemoryType = CU_MEMORYTYPE_HOST;
		copy.srcHost = words;
		copy.dstMemoryType = CU_MEMORYTYPE_ARRAY;
		copy.dstArray = array;
		copy.dstXInBytes = x * sizeof(uint32_t);
		copy.dstY = y;
	} else {
		copy.srcMemoryType = CU_MEMORYTYPE_ARRAY;
		copy.srcArray = array;
		copy.srcXInBytes = x * sizeof(uint32_t);
		copy.srcY = y;
		copy.dstMemoryType = CU_MEMORYTYPE_HOST;
		copy.dstHost = words;
	}
	return cuMemcpy2D_v2(&copy);
}

/* Whether what was written to the row is there; a word that is. */
static void row_try(const char *name, CUarray array, size_t x, size_t y, uint32_t value)
{
	uint32_t words[CUT_WORDS];
	char line[64];

	for (uint32_t i = 0; i < CUT_WORDS; i++)
		words[i] = value + i;
	snprintf(line, sizeof(line), "%s.up", name);
	said(line, row_copy(array, x, y, words, true));
	memset(words, 0xff, sizeof(words));
	snprintf(line, sizeof(line), "%s.down", name);
	if (said(line, row_copy(array, x, y, words, false))) {
		told(line, words[0]);
		told(line, words[CUT_WORDS - 1]);
	}
}

static CUarrayMapInfo tile_map(CUarray array, unsigned int x, unsigned int y, CUmemGenericAllocationHandle memory,
			       unsigned long long offset)
{
	CUarrayMapInfo info = {
		.resourceType = CU_RESOURCE_TYPE_ARRAY,
		.resource.array = array,
		.subresourceType = CU_ARRAY_SPARSE_SUBRESOURCE_TYPE_SPARSE_LEVEL,
		.subresource.sparseLevel = {.offsetX = x * tiles.tileExtent.width,
					    .offsetY = y * tiles.tileExtent.height,
					    .extentWidth = tiles.tileExtent.width,
					    .extentHeight = tiles.tileExtent.height,
					    .extentDepth = 1},
		.memOperationType = memory ? CU_MEM_OPERATION_TYPE_MAP : CU_MEM_OPERATION_TYPE_UNMAP,
		.memHandleType = CU_MEM_HANDLE_TYPE_GENERIC,
		.memHandle.memHandle = memory,
		.offset = offset,
		.deviceBitMask = 1,
	};

	return info;
}

static void map(const char *name, CUarrayMapInfo info)
{
	said(name, cuMemMapArrayAsync(&info, 1, stream));
	cuStreamSynchronize(stream);
}

static void plane_calls(void)
{
	const CUDA_ARRAY3D_DESCRIPTOR shape = shape_of(SIDE, SIDE, 0, CUDA_ARRAY3D_SPARSE);
	CUDA_ARRAY3D_DESCRIPTOR found = {0};
	CUDA_ARRAY_MEMORY_REQUIREMENTS needs = {0};
	CUDA_ARRAY_SPARSE_PROPERTIES of_dense = {0};
	CUmemGenericAllocationHandle memory, plain;
	CUarrayMapInfo two[2], wrong;
	CUarray array = NULL, dense = NULL;
	size_t before = 0, after = 0, total;
	CUdeviceptr address = 0;

	if (!begin())
		return;
	said("info", cuMemGetInfo_v2(&before, &total));
	if (!said("create", cuArray3DCreate_v2(&array, &shape)))
		return;
	said("info", cuMemGetInfo_v2(&after, &total));
	told("created_takes_less_than_1_MiB", before - after < 1 << 20);
	if (said("descriptor", cuArray3DGetDescriptor_v2(&found, array)))
		told("descriptor_flags", found.Flags);
	if (said("properties", cuArrayGetSparseProperties(&tiles, array)))
		tiles_tell("properties", &tiles);
	said("requirements", cuArrayGetMemoryRequirements(&needs, array, 0));
	row_try("unmapped", array, 0, 0, 100);
	memory = memory_make("memory", 4 << 20, CU_MEM_CREATE_USAGE_TILE_POOL);
	plain = memory_make("plain", 2 << 20, 0);
	if (said("reserve", cuMemAddressReserve(&address, 4 << 20, 0, 0, 0)))
		said("map_as_memory", cuMemMap(address, 4 << 20, 0, memory, 0));
	map("map", tile_map(array, 0, 0, memory, 0));
	row_try("mapped", array, 0, 0, 100);
	row_try("still_unmapped", array, tiles.tileExtent.width, 0, 200);
	two[0] = tile_map(array, 1, 0, memory, 65536);
	two[1] = tile_map(array, 0, 1, memory, 2 * 65536);
	said("map_two", cuMemMapArrayAsync(two, 2, stream));
	said("map_two_wait", cuStreamSynchronize(stream));
	row_try("second", array, tiles.tileExtent.width, 0, 300);
	row_try("third", array, 0, tiles.tileExtent.height, 400);
	map("map_alias", tile_map(array, 1, 1, memory, 0));
	{
		uint32_t words[CUT_WORDS] = {0};

		said("alias", row_copy(array, tiles.tileExtent.width, tiles.tileExtent.height, words, false));
		told("alias", words[0]);
	}
	map("map_over", tile_map(array, 0, 0, memory, 3 * 65536));
	map("map_plain", tile_map(array, 2, 0, plain, 0));
	row_try("plain", array, 2 * (size_t)tiles.tileExtent.width, 0, 500);
	wrong = tile_map(array, 0, 2, memory, 1000);
	map("wrong_offset", wrong);
	wrong = tile_map(array, 0, 2, memory, 1 << 30);
	map("wrong_offset_beyond", wrong);
	wrong = tile_map(array, 0, 2, memory, 0);
	wrong.subresource.sparseLevel.offsetX = 3;
	map("wrong_x", wrong);
	wrong = tile_map(array, 0, 2, memory, 0);
	wrong.subresource.sparseLevel.extentWidth = 3;
	map("wrong_width", wrong);
	wrong = tile_map(array, 1000, 2, memory, 0);
	map("wrong_tile", wrong);
	wrong = tile_map(array, 0, 2, memory, 0);
	wrong.deviceBitMask = 0;
	map("wrong_mask_0", wrong);
	wrong.deviceBitMask = 3;
	map("wrong_mask_3", wrong);
	wrong.deviceBitMask = 2;
	map("wrong_mask_2", wrong);
	wrong = tile_map(array, 0, 2, memory, 0);
	wrong.flags = 1;
	map("wrong_flags", wrong);
	wrong = tile_map(array, 0, 2, memory, 0);
	wrong.reserved[0] = 1;
	map("wrong_reserved", wrong);
	wrong = tile_map(array, 0, 2, memory, 0);
	wrong.memOperationType = CU_MEM_OPERATION_TYPE_UNMAP;
	map("wrong_unmap_with_memory", wrong);
	wrong = tile_map(array, 0, 2, memory, 0);
	wrong.memOperationType = (CUmemOperationType)7;
	map("wrong_operation", wrong);
	wrong = tile_map(array, 0, 2, memory, 0);
	wrong.memHandleType = (CUmemHandleType)7;
	map("wrong_handle_type", wrong);
	wrong = tile_map(array, 0, 2, memory, 0);
	wrong.subresource.sparseLevel.level = 1;
	map("wrong_level", wrong);
	wrong = tile_map(array, 0, 2, memory, 0);
	wrong.subresource.sparseLevel.layer = 1;
	map("wrong_layer", wrong);
	wrong = tile_map(array, 0, 2, memory, 0);
	wrong.resourceType = CU_RESOURCE_TYPE_LINEAR;
	map("wrong_resource", wrong);
	wrong = tile_map(array, 0, 2, memory, 0);
	wrong.memOperationType = CU_MEM_OPERATION_TYPE_MAP;
	wrong.memHandle.memHandle = 0;
	SAID_OURS("wrong_memory", cuMemMapArrayAsync(&wrong, 1, stream));
	if (said("dense", cuArray3DCreate_v2(&dense, &(CUDA_ARRAY3D_DESCRIPTOR){SIDE, SIDE, 0,
										CU_AD_FORMAT_UNSIGNED_INT32, 1, 0})))
		map("wrong_array", tile_map(dense, 0, 0, memory, 0));
	said("dense_properties", cuArrayGetSparseProperties(&of_dense, dense));
	said("count_0", cuMemMapArrayAsync(two, 0, stream));
	said("no_list", cuMemMapArrayAsync(NULL, 1, stream));
	said("default_stream", cuMemMapArrayAsync(two, 2, NULL));
	map("unmap", tile_map(array, 1, 0, 0, 0));
	map("unmap_again", tile_map(array, 1, 0, 0, 0));
	row_try("unmapped_again", array, tiles.tileExtent.width, 0, 600);
	said("release_mapped", cuMemRelease(memory));
	row_try("released", array, 0, tiles.tileExtent.height, 700);
	said("release_plain", cuMemRelease(plain));
	said("destroy", cuArrayDestroy(array));
}

static void shape_calls(void)
{
	static const struct {
		const char *name;
		size_t width, height, depth;
		unsigned int flags;
		CUarray_format format;
		unsigned int channels;
	} shapes[] = {
		{"row", 4096, 0, 0, 0, CU_AD_FORMAT_FLOAT, 1},
		{"small", 16, 16, 0, 0, CU_AD_FORMAT_FLOAT, 1},
		{"bytes", 1024, 1024, 0, 0, CU_AD_FORMAT_UNSIGNED_INT8, 1},
		{"halves", 1024, 1024, 0, 0, CU_AD_FORMAT_HALF, 1},
		{"float4", 1024, 1024, 0, 0, CU_AD_FORMAT_FLOAT, 4},
		{"solid", 256, 256, 64, 0, CU_AD_FORMAT_FLOAT, 1},
		{"layers", 1024, 1024, 3, CUDA_ARRAY3D_LAYERED, CU_AD_FORMAT_FLOAT, 1},
		{"cube", 1024, 1024, 6, CUDA_ARRAY3D_CUBEMAP, CU_AD_FORMAT_FLOAT, 1},
		{"surface", 1024, 1024, 0, CUDA_ARRAY3D_SURFACE_LDST, CU_AD_FORMAT_FLOAT, 1},
		{"gather", 1024, 1024, 0, CUDA_ARRAY3D_TEXTURE_GATHER, CU_AD_FORMAT_FLOAT, 1},
		{"both", 1024, 1024, 0, CUDA_ARRAY3D_DEFERRED_MAPPING, CU_AD_FORMAT_FLOAT, 1},
		{"planes", 1024, 1024, 0, 0, CU_AD_FORMAT_NV12, 3},
		{"blocks", 1024, 1024, 0, 0, CU_AD_FORMAT_BC1_UNORM, 4},
	};

	if (!begin())
		return;
	for (size_t i = 0; i < COUNT_OF(shapes); i++) {
		CUDA_ARRAY3D_DESCRIPTOR shape = {shapes[i].width,    shapes[i].height,
						 shapes[i].depth,    shapes[i].format,
						 shapes[i].channels, shapes[i].flags | CUDA_ARRAY3D_SPARSE};
		CUDA_ARRAY_SPARSE_PROPERTIES properties = {0};
		CUDA_ARRAY_MEMORY_REQUIREMENTS needs = {0};
		CUmipmappedArray mipmap = NULL;
		CUarray array = NULL;
		char line[64];

		if (said(shapes[i].name, cuArray3DCreate_v2(&array, &shape))) {
			if (said("properties", cuArrayGetSparseProperties(&properties, array)))
				tiles_tell(shapes[i].name, &properties);
			said("destroy", cuArrayDestroy(array));
		}
		snprintf(line, sizeof(line), "%s.levels", shapes[i].name);
		if (said(line, cuMipmappedArrayCreate(&mipmap, &shape, 3))) {
			if (said("properties", cuMipmappedArrayGetSparseProperties(&properties, mipmap)))
				tiles_tell(line, &properties);
			if (said("level", cuMipmappedArrayGetLevel(&array, mipmap, 1)))
				said("level_properties", cuArrayGetSparseProperties(&properties, array));
			said("destroy", cuMipmappedArrayDestroy(mipmap));
		}
		shape.Flags = shapes[i].flags | CUDA_ARRAY3D_DEFERRED_MAPPING;
		snprintf(line, sizeof(line), "%s.deferred", shapes[i].name);
		if (said(line, cuArray3DCreate_v2(&array, &shape))) {
			if (said("requirements", cuArrayGetMemoryRequirements(&needs, array, 0)))
				printf("result %s.%s needs %zu %zu\n", answers_prefix, line, needs.size,
				       needs.alignment);
			said("destroy", cuArrayDestroy(array));
		}
		snprintf(line, sizeof(line), "%s.deferred.levels", shapes[i].name);
		if (said(line, cuMipmappedArrayCreate(&mipmap, &shape, 3))) {
			if (said("requirements", cuMipmappedArrayGetMemoryRequirements(&needs, mipmap, 0)))
				printf("result %s.%s needs %zu %zu\n", answers_prefix, line, needs.size,
				       needs.alignment);
			said("destroy", cuMipmappedArrayDestroy(mipmap));
		}
	}
}

static void level_calls(void)
{
	const CUDA_ARRAY3D_DESCRIPTOR shape = shape_of(SIDE, SIDE, 0, CUDA_ARRAY3D_SPARSE);
	CUmemGenericAllocationHandle memory;
	CUmipmappedArray mipmap = NULL;
	CUarray levels[LEVELS] = {NULL};
	CUarrayMapInfo info;

	if (!begin() || !said("create", cuMipmappedArrayCreate(&mipmap, &shape, LEVELS)))
		return;
	if (said("properties", cuMipmappedArrayGetSparseProperties(&tiles, mipmap)))
		tiles_tell("properties", &tiles);
	memory = memory_make("memory", 4 << 20, CU_MEM_CREATE_USAGE_TILE_POOL);
	said("level_0", cuMipmappedArrayGetLevel(&levels[0], mipmap, 0));
	said("level_1", cuMipmappedArrayGetLevel(&levels[1], mipmap, 1));
	map("map_level_array", tile_map(levels[1], 0, 0, memory, 0));
	info = tile_map(NULL, 1, 0, memory, 65536);
	info.resourceType = CU_RESOURCE_TYPE_MIPMAPPED_ARRAY;
	info.resource.mipmap = mipmap;
	info.subresource.sparseLevel.level = 1;
	map("map_level_1", info);
	row_try("level_1", levels[1], tiles.tileExtent.width, 0, 100);
	info.subresource.sparseLevel.level = LEVELS;
	map("wrong_level", info);
	info.subresourceType = CU_ARRAY_SPARSE_SUBRESOURCE_TYPE_MIPTAIL;
	memset(&info.subresource, 0, sizeof(info.subresource));
	info.subresource.miptail.size = tiles.miptailSize;
	info.offset = 2 * 65536;
	map("map_tail", info);
	if (tiles.miptailFirstLevel < LEVELS &&
	    said("level_of_tail", cuMipmappedArrayGetLevel(&levels[2], mipmap, tiles.miptailFirstLevel)))
		row_try("tail", levels[2], 0, 0, 200);
	info.subresource.miptail.size = 1000;
	map("wrong_tail_size", info);
	info.subresource.miptail.size = tiles.miptailSize;
	info.subresource.miptail.offset = 65536ull * 1000;
	map("wrong_tail_offset", info);
	info.subresource.miptail.offset = 0;
	info.subresource.miptail.layer = 1;
	map("wrong_tail_layer", info);
	info.subresource.miptail.layer = 0;
	info.memOperationType = CU_MEM_OPERATION_TYPE_UNMAP;
	info.memHandle.memHandle = 0;
	map("unmap_tail", info);
	said("destroy", cuMipmappedArrayDestroy(mipmap));
	said("release", cuMemRelease(memory));
}

static void deferred_calls(void)
{
	const CUDA_ARRAY3D_DESCRIPTOR shape = shape_of(SIDE, SIDE, 0, CUDA_ARRAY3D_DEFERRED_MAPPING);
	CUDA_ARRAY_MEMORY_REQUIREMENTS needs = {0};
	CUmemGenericAllocationHandle memory, pool, plain;
	CUarrayMapInfo info = {.resourceType = CU_RESOURCE_TYPE_ARRAY,
			       .memOperationType = CU_MEM_OPERATION_TYPE_MAP,
			       .memHandleType = CU_MEM_HANDLE_TYPE_GENERIC,
			       .deviceBitMask = 1};
	CUDA_ARRAY_SPARSE_PROPERTIES properties = {0};
	CUDA_RESOURCE_DESC resource = {.resType = CU_RESOURCE_TYPE_ARRAY};
	CUDA_TEXTURE_DESC sampling = {.flags = CU_TRSF_READ_AS_INTEGER};
	CUmipmappedArray mipmap = NULL;
	CUtexObject texture = 0;
	CUarray array = NULL;
	size_t before = 0, after = 0, total;

	if (!begin())
		return;
	said("info", cuMemGetInfo_v2(&before, &total));
	if (!said("create", cuArray3DCreate_v2(&array, &shape)))
		return;
	said("info", cuMemGetInfo_v2(&after, &total));
	told("created_takes_less_than_1_MiB", before - after < 1 << 20);
	said("properties", cuArrayGetSparseProperties(&properties, array));
	said("requirements_null", cuArrayGetMemoryRequirements(NULL, array, 0));
	said("requirements_device", cuArrayGetMemoryRequirements(&needs, array, 1000));
	if (said("requirements", cuArrayGetMemoryRequirements(&needs, array, 0))) {
		told("needs", (long long)needs.size);
		told("alignment", (long long)needs.alignment);
	}
	info.resource.array = array;
	memory = memory_make("memory", needs.size + 2 * needs.alignment, CU_MEM_CREATE_USAGE_TILE_POOL);
	pool = memory_make("pool", needs.size, CU_MEM_CREATE_USAGE_TILE_POOL);
	plain = memory_make("plain", needs.size, 0);
	resource.res.array.hArray = array;
	said("texture_unmapped", cuTexObjectCreate(&texture, &resource, &sampling, NULL));
	info.memHandle.memHandle = memory;
	info.offset = 512;
	map("wrong_offset", info);
	info.offset = needs.size + 2 * needs.alignment + (64 << 20);
	map("wrong_beyond", info);
	info.memHandle.memHandle = plain;
	info.offset = 0;
	map("map_plain", info);
	info.memHandle.memHandle = memory;
	info.subresourceType = CU_ARRAY_SPARSE_SUBRESOURCE_TYPE_MIPTAIL;
	map("map_as_tail", info);
	info.subresourceType = CU_ARRAY_SPARSE_SUBRESOURCE_TYPE_SPARSE_LEVEL;
	map("map", info);
	info.offset = needs.alignment;
	map("map_behind", info);
	row_try("mapped", array, 100, 100, 100);
	row_try("mapped_end", array, SIDE - CUT_WORDS, SIDE - 1, 200);
	said("texture", cuTexObjectCreate(&texture, &resource, &sampling, NULL));
	info.memHandle.memHandle = pool;
	info.offset = 0;
	map("map_pool_over", info);
	row_try("pool", array, 100, 100, 300);
	info.memOperationType = CU_MEM_OPERATION_TYPE_UNMAP;
	info.memHandle.memHandle = 0;
	map("unmap", info);
	map("unmap_again", info);
	info.memOperationType = CU_MEM_OPERATION_TYPE_MAP;
	info.memHandle.memHandle = memory;
	map("map_again", info);
	said("release_memory", cuMemRelease(memory));
	row_try("released", array, 100, 100, 400);
	said("destroy", cuArrayDestroy(array));
	said("release_pool", cuMemRelease(pool));
	said("release_plain", cuMemRelease(plain));
	if (said("mipmap", cuMipmappedArrayCreate(&mipmap, &shape, 3))) {
		if (said("requirements", cuMipmappedArrayGetMemoryRequirements(&needs, mipmap, 0)))
			told("needs_mipmap", (long long)needs.size);
		memory = memory_make("memory_mipmap", needs.size, CU_MEM_CREATE_USAGE_TILE_POOL);
		info.resourceType = CU_RESOURCE_TYPE_MIPMAPPED_ARRAY;
		info.resource.mipmap = mipmap;
		info.memHandle.memHandle = memory;
		info.offset = 0;
		map("map_mipmap", info);
		said("level", cuMipmappedArrayGetLevel(&array, mipmap, 1));
		row_try("level", array, 8, 8, 500);
		said("destroy_mipmap", cuMipmappedArrayDestroy(mipmap));
		said("release_mipmap", cuMemRelease(memory));
	}
}

static void taken_tell(const char *name, size_t before)
{
	size_t now = 0, total;

	cuMemGetInfo_v2(&now, &total);
	told(name, ((long long)before - (long long)now) >> 20);
}

/* How long memory is taken that is mapped into an array. */
static void life_calls(void)
{
	const CUDA_ARRAY3D_DESCRIPTOR shape = shape_of(SIDE, SIDE, 0, CUDA_ARRAY3D_SPARSE);
	CUmemGenericAllocationHandle memory;
	CUarray array = NULL;
	size_t before = 0, total;

	if (!begin() || !said("create", cuArray3DCreate_v2(&array, &shape)) ||
	    !said("properties", cuArrayGetSparseProperties(&tiles, array)))
		return;
	cuMemGetInfo_v2(&before, &total);
	memory = memory_make("memory", 256 << 20, CU_MEM_CREATE_USAGE_TILE_POOL);
	taken_tell("made_MiB", before);
	map("map", tile_map(array, 0, 0, memory, 0));
	said("release", cuMemRelease(memory));
	taken_tell("released_MiB", before);
	row_try("released", array, 0, 0, 100);
	map("unmap", tile_map(array, 0, 0, 0, 0));
	taken_tell("unmapped_MiB", before);
	memory = memory_make("memory", 256 << 20, CU_MEM_CREATE_USAGE_TILE_POOL);
	map("map", tile_map(array, 0, 0, memory, 0));
	said("release", cuMemRelease(memory));
	said("destroy", cuArrayDestroy(array));
	taken_tell("destroyed_MiB", before);
}

/* What an unmapped array does to who uses it: may break the context. */
static void unmapped_calls(void)
{
	const CUDA_ARRAY3D_DESCRIPTOR shape = shape_of(SIDE, SIDE, 0, CUDA_ARRAY3D_DEFERRED_MAPPING);
	CUarray array = NULL;

	if (begin() && said("create", cuArray3DCreate_v2(&array, &shape)))
		row_try("unmapped", array, 0, 0, 100);
}

static const struct answers_group groups[] = {
	{"sparse", plane_calls},      {"shapes", shape_calls}, {"levels", level_calls},
	{"deferred", deferred_calls}, {"life", life_calls},    {"unmapped", unmapped_calls},
};

int main(int count, char **arguments)
{
	return answers_run(groups, COUNT_OF(groups), count > 1 ? arguments[1] : NULL);
}
