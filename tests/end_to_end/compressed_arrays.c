/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arrays of block-compressed formats, with any libcuda.so.1: their extents are texels, those of copies are blocks. Run
 * by test_memory.py. What no manual says is printed, to be compared with the real driver's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "array_calls.h"
#include "array_copies.h"

CUresult cuModuleUnload(CUmodule module);
CUresult cuTexObjectDestroy(CUtexObject texture);

#define WORKS(call)   assert_int_equal(call, CUDA_SUCCESS)
#define INVALID(call) assert_int_equal(call, CUDA_ERROR_INVALID_VALUE)

/* In texels; a block is 4 by 4 of them. */
enum { WIDTH = 256, HEIGHT = 64, SIDE = 4, COLUMNS = WIDTH / SIDE, ROWS = HEIGHT / SIDE, BLOCK_BYTES_MAX = 16 };

static CUcontext context;

static int setup(void **state)
{
	(void)state;
	return cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context);
}

struct format {
	const char *name;
	CUarray_format format;
	unsigned int channels;
	size_t block_bytes;
};

static const struct format formats[] = {
	{"bc1", CU_AD_FORMAT_BC1_UNORM, 4, 8},		{"bc1_srgb", CU_AD_FORMAT_BC1_UNORM_SRGB, 4, 8},
	{"bc2", CU_AD_FORMAT_BC2_UNORM, 4, 16},		{"bc3", CU_AD_FORMAT_BC3_UNORM, 4, 16},
	{"bc4", CU_AD_FORMAT_BC4_UNORM, 1, 8},		{"bc4_signed", CU_AD_FORMAT_BC4_SNORM, 1, 8},
	{"bc5", CU_AD_FORMAT_BC5_UNORM, 2, 16},		{"bc6h", CU_AD_FORMAT_BC6H_UF16, 3, 16},
	{"bc6h_signed", CU_AD_FORMAT_BC6H_SF16, 3, 16}, {"bc7", CU_AD_FORMAT_BC7_UNORM, 4, 16},
};

static CUDA_ARRAY3D_DESCRIPTOR shape_of(const struct format *format)
{
	return (CUDA_ARRAY3D_DESCRIPTOR){
		.Width = WIDTH, .Height = HEIGHT, .Format = format->format, .NumChannels = format->channels};
}

static void bytes_fill(uint8_t *bytes, size_t count, unsigned int seed)
{
	for (size_t i = 0; i < count; i++)
		bytes[i] = (uint8_t)(i * 7 + i / 251 + seed);
}

/* What is copied into it comes back, as a whole and in parts. */
static void copies_try(const struct format *format, CUarray array, size_t columns, size_t rows)
{
	static uint8_t written[ROWS * COLUMNS * BLOCK_BYTES_MAX], found[sizeof(written)];
	const size_t row_bytes = columns * format->block_bytes, bytes = row_bytes * rows;
	CUDA_MEMCPY2D copy = array_copy_of(array, written, row_bytes, rows, true);
	CUdeviceptr device;

	bytes_fill(written, bytes, (unsigned int)format->format);
	WORKS(cuMemcpy2D_v2(&copy));
	copy = array_copy_of(array, found, row_bytes, rows, false);
	memset(found, 0, sizeof(found));
	WORKS(cuMemcpy2D_v2(&copy));
	assert_memory_equal(found, written, bytes);
	/* The last two blocks of the last row, to device memory. */
	WORKS(cuMemAlloc_v2(&device, 2 * format->block_bytes));
	copy = (CUDA_MEMCPY2D){
		.srcMemoryType = CU_MEMORYTYPE_ARRAY,
		.srcArray = array,
		.srcXInBytes = (columns - 2) * format->block_bytes,
		.srcY = rows - 1,
		.dstMemoryType = CU_MEMORYTYPE_DEVICE,
		.dstDevice = device,
		.WidthInBytes = 2 * format->block_bytes,
		.Height = 1,
	};
	WORKS(cuMemcpy2D_v2(&copy));
	WORKS(cuMemcpyDtoH_v2(found, device, 2 * format->block_bytes));
	assert_memory_equal(found, written + bytes - 2 * format->block_bytes, 2 * format->block_bytes);
	WORKS(cuMemFree_v2(device));
}

static void test_copies(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		const CUDA_ARRAY3D_DESCRIPTOR shape = shape_of(&formats[i]);
		CUDA_ARRAY3D_DESCRIPTOR found;
		CUarray array;

		WORKS(cuArray3DCreate_v2(&array, &shape));
		WORKS(cuArray3DGetDescriptor_v2(&found, array));
		assert_int_equal(found.Width, WIDTH);
		assert_int_equal(found.Height, HEIGHT);
		assert_int_equal(found.Format, shape.Format);
		assert_int_equal(found.NumChannels, shape.NumChannels);
		copies_try(&formats[i], array, COLUMNS, ROWS);
		WORKS(cuArrayDestroy(array));
	}
}

static void test_levels(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		const CUDA_ARRAY3D_DESCRIPTOR shape = shape_of(&formats[i]);
		CUmipmappedArray mipmap;
		CUarray level;

		WORKS(cuMipmappedArrayCreate(&mipmap, &shape, 4));
		for (unsigned int j = 0; j < 4; j++) {
			WORKS(cuMipmappedArrayGetLevel(&level, mipmap, j));
			copies_try(&formats[i], level, COLUMNS >> j, ROWS >> j);
		}
		WORKS(cuMipmappedArrayDestroy(mipmap));
	}
}

/* A copy beyond the last block; extents that are no whole blocks; other channels than the format's. */
static void test_edges(void **state)
{
	static uint8_t bytes[HEIGHT * COLUMNS * 8];
	const size_t row_bytes = COLUMNS * formats[0].block_bytes;
	CUDA_ARRAY3D_DESCRIPTOR shape = shape_of(&formats[0]);
	CUDA_MEMCPY2D copy;
	CUarray array;

	(void)state;
	WORKS(cuArray3DCreate_v2(&array, &shape));
	copy = array_copy_of(array, bytes, row_bytes, ROWS + 1, true);
	INVALID(cuMemcpy2D_v2(&copy));
	copy = array_copy_of(array, bytes, row_bytes, HEIGHT, true);
	INVALID(cuMemcpy2D_v2(&copy));
	copy = array_copy_of(array, bytes, row_bytes + 8, 1, true);
	INVALID(cuMemcpy2D_v2(&copy));
	copy = array_copy_of(array, bytes, 8, 1, true);
	copy.dstXInBytes = 4;
	INVALID(cuMemcpy2D_v2(&copy));
	WORKS(cuArrayDestroy(array));
	shape.Width = WIDTH - 2;
	shape.Height = HEIGHT - 3;
	WORKS(cuArray3DCreate_v2(&array, &shape));
	copy = array_copy_of(array, bytes, row_bytes, ROWS, true);
	WORKS(cuMemcpy2D_v2(&copy));
	WORKS(cuArrayDestroy(array));
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		for (unsigned int channels = 0; channels <= 5; channels++) {
			shape = shape_of(&formats[i]);
			shape.NumChannels = channels;
			if (channels != formats[i].channels)
				INVALID(cuArray3DCreate_v2(&array, &shape));
		}
	}
}

static const char sample_image[] =
	".version 7.0\n.target sm_70\n.address_size 64\n"
	".visible .entry sample(.param .u64 to, .param .u64 texture)\n{\n"
	"\t.reg .f32 %f<6>; .reg .b64 %d<3>;\n"
	"\tld.param.u64 %d1, [to];\n\tcvta.to.global.u64 %d1, %d1;\n\tld.param.u64 %d2, [texture];\n"
	"\tmov.f32 %f1, 0f40200000;\n"
	"\ttex.2d.v4.f32.f32 {%f2, %f3, %f4, %f5}, [%d2, {%f1, %f1}];\n"
	"\tst.global.v4.f32 [%d1], {%f2, %f3, %f4, %f5};\n\tret;\n}\n";

/* A block of one colour, which the software GPU does not decode. */
static void texture_read(CUarray array)
{
	const CUDA_RESOURCE_DESC resource = {.resType = CU_RESOURCE_TYPE_ARRAY, .res.array.hArray = array};
	const CUDA_TEXTURE_DESC sampling = {.filterMode = CU_TR_FILTER_MODE_POINT};
	float texel[4] = {-1, -1, -1, -1};
	CUfunction function;
	CUdeviceptr device;
	CUmodule module;
	CUtexObject texture = 0;
	void *parameters[] = {&device, &texture};

	CUresult result = cuTexObjectCreate(&texture, &resource, &sampling, NULL);

	if (result == CUDA_ERROR_NOT_SUPPORTED && !getenv("VGPU_NATIVE"))
		return;
	assert_int_equal(result, CUDA_SUCCESS);
	WORKS(cuModuleLoadData(&module, sample_image));
	WORKS(cuModuleGetFunction(&function, module, "sample"));
	WORKS(cuMemAlloc_v2(&device, sizeof(texel)));
	WORKS(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, parameters, NULL));
	WORKS(cuMemcpyDtoH_v2(texel, device, sizeof(texel)));
	for (int i = 0; i < 4; i++)
		assert_true(texel[i] == 1.0f);
	WORKS(cuMemFree_v2(device));
	WORKS(cuTexObjectDestroy(texture));
	WORKS(cuModuleUnload(module));
}

static void test_texture(void **state)
{
	static uint8_t bytes[ROWS * COLUMNS * 8];
	const CUDA_ARRAY3D_DESCRIPTOR shape = shape_of(&formats[0]);
	CUDA_MEMCPY2D copy;
	CUarray array;

	(void)state;
	WORKS(cuArray3DCreate_v2(&array, &shape));
	/* Two colours of RGB 5:6:5, both white, and two bits a texel: all of the first. */
	for (size_t i = 0; i < sizeof(bytes); i += 8) {
		memset(bytes + i, 0xff, 4);
		memset(bytes + i + 4, 0, 4);
	}
	copy = array_copy_of(array, bytes, COLUMNS * (size_t)8, ROWS, true);
	WORKS(cuMemcpy2D_v2(&copy));
	texture_read(array);
	WORKS(cuArrayDestroy(array));
}

/* Of sparse arrays tiles are so many texels, too. */
static void test_tiles(void **state)
{
	const CUDA_ARRAY3D_DESCRIPTOR shape = {.Width = 1024,
					       .Height = 1024,
					       .Format = CU_AD_FORMAT_BC1_UNORM,
					       .NumChannels = 4,
					       .Flags = CUDA_ARRAY3D_SPARSE};
	const CUmemAllocationProp properties = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
						.location = {CU_MEM_LOCATION_TYPE_DEVICE, 0},
						.allocFlags.usage = CU_MEM_CREATE_USAGE_TILE_POOL};
	CUDA_ARRAY_SPARSE_PROPERTIES tiles;
	CUmemGenericAllocationHandle memory;
	CUarrayMapInfo info = {.resourceType = CU_RESOURCE_TYPE_ARRAY,
			       .subresourceType = CU_ARRAY_SPARSE_SUBRESOURCE_TYPE_SPARSE_LEVEL,
			       .memOperationType = CU_MEM_OPERATION_TYPE_MAP,
			       .memHandleType = CU_MEM_HANDLE_TYPE_GENERIC,
			       .deviceBitMask = 1};
	uint8_t written[64], found[64];
	CUDA_MEMCPY2D copy;
	CUarray array;
	int sparse = 0;

	(void)state;
	WORKS(cuDeviceGetAttribute(&sparse, CU_DEVICE_ATTRIBUTE_SPARSE_CUDA_ARRAY_SUPPORTED, 0));
	if (!sparse)
		return;
	WORKS(cuArray3DCreate_v2(&array, &shape));
	WORKS(cuArrayGetSparseProperties(&tiles, array));
	WORKS(cuMemCreate(&memory, 2 << 20, &properties, 0));
	/* The tile in the middle. */
	info.resource.array = array;
	info.memHandle.memHandle = memory;
	info.subresource.sparseLevel.offsetX = tiles.tileExtent.width;
	info.subresource.sparseLevel.offsetY = tiles.tileExtent.height;
	info.subresource.sparseLevel.extentWidth = tiles.tileExtent.width;
	info.subresource.sparseLevel.extentHeight = tiles.tileExtent.height;
	info.subresource.sparseLevel.extentDepth = 1;
	WORKS(cuMemMapArrayAsync(&info, 1, NULL));
	WORKS(cuStreamSynchronize(NULL));
	bytes_fill(written, sizeof(written), 1);
	copy = array_copy_of(array, written, sizeof(written), 1, true);
	copy.dstXInBytes = tiles.tileExtent.width / SIDE * (size_t)8;
	copy.dstY = tiles.tileExtent.height / SIDE;
	WORKS(cuMemcpy2D_v2(&copy));
	copy = array_copy_of(array, found, sizeof(found), 1, false);
	copy.srcXInBytes = tiles.tileExtent.width / SIDE * (size_t)8;
	copy.srcY = tiles.tileExtent.height / SIDE;
	WORKS(cuMemcpy2D_v2(&copy));
	assert_memory_equal(found, written, sizeof(found));
	info.subresource.sparseLevel.offsetX = 1024;
	INVALID(cuMemMapArrayAsync(&info, 1, NULL));
	WORKS(cuArrayDestroy(array));
	WORKS(cuMemRelease(memory));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copies),	cmocka_unit_test(test_levels), cmocka_unit_test(test_edges),
		cmocka_unit_test(test_texture), cmocka_unit_test(test_tiles),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
