/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays, textures and surfaces: what is refused, and what ends with what. */
#include "common.h"

#define TEXTURE_PTX                                                                             \
	".version 8.0\n.target sm_80\n.address_size 64\n"                                       \
	".visible .entry fetch(.param .u64 texture, .param .u64 out)\n{\n"                      \
	".reg .b64 %rd<3>;\n.reg .f32 %f<5>;\n"                                                 \
	"ld.param.u64 %rd1, [texture];\nld.param.u64 %rd2, [out];\n"                            \
	"tex.2d.v4.f32.s32 {%f1, %f2, %f3, %f4}, [%rd1, {1, 1}];\nst.global.f32 [%rd2], %f1;\n" \
	"ret;\n}\n"

static const CUDA_ARRAY3D_DESCRIPTOR plane = {
	.Width = 6,
	.Height = 5,
	.Format = CU_AD_FORMAT_FLOAT,
	.NumChannels = 1,
};

static void descriptors_are_checked(void **state)
{
	static const struct {
		CUDA_ARRAY3D_DESCRIPTOR descriptor;
		CUresult result;
	} cases[] = {
		{{0, 5, 0, CU_AD_FORMAT_FLOAT, 1, 0}, CUDA_ERROR_INVALID_VALUE},
		{{131072, 0, 0, CU_AD_FORMAT_UNSIGNED_INT8, 1, 0}, CUDA_SUCCESS},
		{{131073, 0, 0, CU_AD_FORMAT_UNSIGNED_INT8, 1, 0}, CUDA_ERROR_INVALID_VALUE},
		{{6, 0, 5, CU_AD_FORMAT_FLOAT, 1, 0}, CUDA_ERROR_INVALID_VALUE},
		{{6, 0, 5, CU_AD_FORMAT_FLOAT, 1, CUDA_ARRAY3D_LAYERED}, CUDA_SUCCESS},
		{{6, 0, 2049, CU_AD_FORMAT_FLOAT, 1, CUDA_ARRAY3D_LAYERED}, CUDA_ERROR_INVALID_VALUE},
		{{6, 6, 6, CU_AD_FORMAT_FLOAT, 1, CUDA_ARRAY3D_CUBEMAP}, CUDA_SUCCESS},
		{{6, 6, 5, CU_AD_FORMAT_FLOAT, 1, CUDA_ARRAY3D_CUBEMAP}, CUDA_ERROR_INVALID_VALUE},
		{{6, 5, 6, CU_AD_FORMAT_FLOAT, 1, CUDA_ARRAY3D_CUBEMAP}, CUDA_ERROR_INVALID_VALUE},
		{{6, 6, 15, CU_AD_FORMAT_FLOAT, 1, CUDA_ARRAY3D_CUBEMAP | CUDA_ARRAY3D_LAYERED},
		 CUDA_ERROR_INVALID_VALUE},
		{{6, 5, 0, CU_AD_FORMAT_FLOAT, 3, 0}, CUDA_ERROR_INVALID_VALUE},
		{{6, 5, 0, CU_AD_FORMAT_FLOAT, 1, 0x8000}, CUDA_ERROR_INVALID_VALUE},
		{{6, 5, 0, CU_AD_FORMAT_FLOAT, 1, CUDA_ARRAY3D_SPARSE}, CUDA_ERROR_NOT_SUPPORTED},
		{{6, 5, 0, CU_AD_FORMAT_SNORM_INT16X2, 2, 0}, CUDA_SUCCESS},
		{{6, 5, 0, CU_AD_FORMAT_SNORM_INT16X2, 1, 0}, CUDA_ERROR_INVALID_VALUE},
		{{8, 8, 0, CU_AD_FORMAT_BC1_UNORM, 4, 0}, CUDA_SUCCESS},
		{{8, 8, 0, CU_AD_FORMAT_BC6H_UF16, 3, 0}, CUDA_SUCCESS},
		{{8, 8, 0, CU_AD_FORMAT_BC6H_UF16, 4, 0}, CUDA_ERROR_INVALID_VALUE},
		{{8, 8, 0, CU_AD_FORMAT_BC1_UNORM, 4, CUDA_ARRAY3D_SPARSE}, CUDA_ERROR_NOT_SUPPORTED},
		{{8, 8, 0, CU_AD_FORMAT_YUY2, 4, 0}, CUDA_ERROR_NOT_SUPPORTED},
		/* More than the GPU has. */
		{{32768, 32768, 2048, CU_AD_FORMAT_FLOAT, 4, CUDA_ARRAY3D_LAYERED}, CUDA_ERROR_OUT_OF_MEMORY},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CUarray array;
		CUresult result = cuArray3DCreate_v2(&array, &cases[i].descriptor);

		if (result != cases[i].result)
			fail_msg("case %zu: %d", i, (int)result);
		if (!result)
			assert_ok(cuArrayDestroy(array));
	}
	assert_result(cuArray3DCreate_v2(NULL, &plane), CUDA_ERROR_INVALID_VALUE);
	assert_result(cuArrayDestroy((CUarray)&plane), CUDA_ERROR_INVALID_HANDLE);
}

static void arrays_take_and_give_memory(void **state)
{
	CUDA_ARRAY_DESCRIPTOR descriptor = {1024, 1024, CU_AD_FORMAT_FLOAT, 4}, got;
	size_t before, during, after, total;
	CUDA_ARRAY3D_DESCRIPTOR wide;
	CUarray array;

	(void)state;
	assert_ok(cuMemGetInfo_v2(&before, &total));
	assert_ok(cuArrayCreate_v2(&array, &descriptor));
	assert_ok(cuMemGetInfo_v2(&during, &total));
	assert_true(before - during >= 16u << 20);
	assert_ok(cuArrayGetDescriptor_v2(&got, array));
	assert_memory_equal(&got, &descriptor, sizeof(got));
	assert_ok(cuArray3DGetDescriptor_v2(&wide, array));
	assert_int_equal(wide.Depth, 0);
	assert_ok(cuArrayDestroy(array));
	assert_ok(cuMemGetInfo_v2(&after, &total));
	assert_int_equal(before, after);
	assert_result(cuArrayDestroy(array), CUDA_ERROR_INVALID_HANDLE);
	assert_result(cuArray3DGetDescriptor_v2(&wide, array), CUDA_ERROR_INVALID_HANDLE);
}

/* Of 6 x 5 there are three levels; each is an array that ends with the whole. */
static void levels_are_arrays(void **state)
{
	static const size_t widths[] = {6, 3, 1}, heights[] = {5, 2, 1};
	CUDA_ARRAY3D_DESCRIPTOR descriptor;
	CUmipmappedArray mipmap;
	CUarray level, again;

	(void)state;
	assert_ok(cuMipmappedArrayCreate(&mipmap, &plane, 100));
	for (unsigned i = 0; i < 3; i++) {
		assert_ok(cuMipmappedArrayGetLevel(&level, mipmap, i));
		assert_ok(cuArray3DGetDescriptor_v2(&descriptor, level));
		assert_int_equal(descriptor.Width, widths[i]);
		assert_int_equal(descriptor.Height, heights[i]);
	}
	assert_ok(cuMipmappedArrayGetLevel(&again, mipmap, 2));
	assert_ptr_equal(level, again);
	assert_result(cuMipmappedArrayGetLevel(&again, mipmap, 3), CUDA_ERROR_INVALID_VALUE);
	assert_result(cuArrayDestroy(level), CUDA_ERROR_INVALID_HANDLE);
	assert_ok(cuMipmappedArrayDestroy(mipmap));
	assert_result(cuArray3DGetDescriptor_v2(&descriptor, level), CUDA_ERROR_INVALID_HANDLE);
	assert_result(cuMipmappedArrayDestroy(mipmap), CUDA_ERROR_INVALID_HANDLE);
}

/* cuMemcpyAtoH and its relatives. */
static void rows_are_copied(void **state)
{
	CUDA_ARRAY3D_DESCRIPTOR line = {.Width = 100, .Format = CU_AD_FORMAT_UNSIGNED_INT16, .NumChannels = 1};
	uint16_t sent[100], got[100] = {0};
	CUarray first, second;
	CUdeviceptr device;

	(void)state;
	for (int i = 0; i < 100; i++)
		sent[i] = (uint16_t)(i * 3);
	assert_ok(cuArray3DCreate_v2(&first, &line));
	assert_ok(cuArray3DCreate_v2(&second, &line));
	assert_ok(cuMemAlloc_v2(&device, 200));
	assert_ok(cuMemcpyHtoA_v2(first, 0, sent, 200));
	assert_ok(cuMemcpyAtoA_v2(second, 20, first, 40, 100));
	assert_ok(cuMemcpyAtoD_v2(device, second, 20, 100));
	assert_ok(cuMemcpyDtoA_v2(second, 120, device, 80));
	assert_ok(cuMemcpyAtoH_v2(got, second, 20, 180));
	assert_memory_equal(got, sent + 20, 100);
	assert_memory_equal(got + 50, sent + 20, 80);
	assert_result(cuMemcpyHtoA_v2(first, 2, sent, 200), CUDA_ERROR_INVALID_VALUE);
	assert_result(cuMemcpyHtoA_v2(first, 1, sent, 2), CUDA_ERROR_INVALID_VALUE);
	assert_result(cuMemcpyAtoH_v2(got, first, SIZE_MAX - 1, 4), CUDA_ERROR_INVALID_VALUE);
	assert_result(cuMemcpyAtoA_v2(first, 0, (CUarray)&line, 0, 4), CUDA_ERROR_INVALID_HANDLE);
}

static void textures_are_checked(void **state)
{
	CUDA_RESOURCE_DESC resource = {.resType = CU_RESOURCE_TYPE_LINEAR};
	CUDA_TEXTURE_DESC texture = {0}, got;
	CUDA_RESOURCE_VIEW_DESC view = {.format = CU_RES_VIEW_FORMAT_UINT_1X32, .width = 6, .height = 5};
	CUDA_RESOURCE_VIEW_DESC got_view;
	CUtexObject handle;
	CUsurfObject surface;
	CUarray array;

	(void)state;
	assert_ok(cuMemAlloc_v2(&resource.res.linear.devPtr, 4096));
	resource.res.linear.format = CU_AD_FORMAT_FLOAT;
	resource.res.linear.numChannels = 1;
	resource.res.linear.sizeInBytes = 4097;
	/* Beyond the allocation; misaligned; of three channels; with a view. */
	assert_result(cuTexObjectCreate(&handle, &resource, &texture, NULL), CUDA_ERROR_INVALID_VALUE);
	resource.res.linear.sizeInBytes = 1024;
	resource.res.linear.devPtr += 4;
	assert_result(cuTexObjectCreate(&handle, &resource, &texture, NULL), CUDA_ERROR_INVALID_VALUE);
	resource.res.linear.devPtr -= 4;
	resource.res.linear.numChannels = 3;
	assert_result(cuTexObjectCreate(&handle, &resource, &texture, NULL), CUDA_ERROR_INVALID_VALUE);
	resource.res.linear.numChannels = 1;
	assert_result(cuTexObjectCreate(&handle, &resource, &texture, &view), CUDA_ERROR_INVALID_VALUE);
	texture.addressMode[1] = 4;
	assert_result(cuTexObjectCreate(&handle, &resource, &texture, NULL), CUDA_ERROR_INVALID_VALUE);
	texture.addressMode[1] = CU_TR_ADDRESS_MODE_MIRROR;
	texture.flags = CU_TRSF_SEAMLESS_CUBEMAP;
	assert_result(cuTexObjectCreate(&handle, &resource, &texture, NULL), CUDA_ERROR_NOT_SUPPORTED);
	texture.flags = 0;
	assert_ok(cuTexObjectCreate(&handle, &resource, &texture, NULL));
	assert_ok(cuTexObjectGetTextureDesc(&got, handle));
	assert_memory_equal(&got, &texture, sizeof(got));
	assert_result(cuTexObjectGetResourceViewDesc(&got_view, handle), CUDA_ERROR_INVALID_VALUE);
	assert_result(cuSurfObjectDestroy(handle), CUDA_ERROR_INVALID_VALUE);
	assert_ok(cuTexObjectDestroy(handle));
	assert_result(cuTexObjectDestroy(handle), CUDA_ERROR_INVALID_VALUE);

	/* A view of the array's texels as another format of their size. */
	assert_ok(cuArray3DCreate_v2(&array, &plane));
	resource = (CUDA_RESOURCE_DESC){.resType = CU_RESOURCE_TYPE_ARRAY, .res.array.hArray = array};
	assert_ok(cuTexObjectCreate(&handle, &resource, &texture, &view));
	assert_ok(cuTexObjectGetResourceViewDesc(&got_view, handle));
	assert_int_equal(got_view.format, CU_RES_VIEW_FORMAT_UINT_1X32);
	assert_ok(cuTexObjectDestroy(handle));
	view.format = CU_RES_VIEW_FORMAT_UINT_2X32;
	assert_result(cuTexObjectCreate(&handle, &resource, &texture, &view), CUDA_ERROR_INVALID_VALUE);
	view.format = CU_RES_VIEW_FORMAT_NONE;
	view.lastMipmapLevel = 1;
	assert_result(cuTexObjectCreate(&handle, &resource, &texture, &view), CUDA_ERROR_INVALID_VALUE);
	view.lastMipmapLevel = 0;
	view.lastLayer = 1;
	assert_result(cuTexObjectCreate(&handle, &resource, &texture, &view), CUDA_ERROR_INVALID_VALUE);
	/* Surfaces are of arrays made for them. */
	assert_result(cuSurfObjectCreate(&surface, &resource), CUDA_ERROR_INVALID_VALUE);
	assert_ok(cuArrayDestroy(array));
	assert_result(cuTexObjectCreate(&handle, &resource, &texture, NULL), CUDA_ERROR_INVALID_HANDLE);
}

/* A kernel whose texture's array is gone faults, and so does one that invents a handle. */
static void destroyed_arrays_are_not_read(void **state)
{
	CUDA_RESOURCE_DESC resource = {.resType = CU_RESOURCE_TYPE_ARRAY};
	CUDA_MEMCPY2D copy = {.srcMemoryType = CU_MEMORYTYPE_HOST,
			      .dstMemoryType = CU_MEMORYTYPE_ARRAY,
			      .WidthInBytes = 24,
			      .Height = 5};
	CUDA_TEXTURE_DESC texture = {0};
	float texels[30], got;
	CUtexObject handle;
	CUdeviceptr out;
	CUfunction function;
	CUmodule module;
	CUarray array;
	void *parameters[] = {&handle, &out};

	assert_int_equal(context_setup(state), 0);
	for (int i = 0; i < 30; i++)
		texels[i] = (float)i;
	assert_ok(cuModuleLoadData(&module, TEXTURE_PTX));
	assert_ok(cuModuleGetFunction(&function, module, "fetch"));
	assert_ok(cuMemAlloc_v2(&out, 4));
	assert_ok(cuArray3DCreate_v2(&array, &plane));
	copy.srcHost = texels;
	copy.dstArray = array;
	assert_ok(cuMemcpy2D_v2(&copy));
	resource.res.array.hArray = array;
	assert_ok(cuTexObjectCreate(&handle, &resource, &texture, NULL));
	assert_ok(launch_one(function, NULL, parameters));
	assert_ok(cuMemcpyDtoH_v2(&got, out, 4));
	assert_true(got == 7.0f);
	assert_ok(cuArrayDestroy(array));
	assert_ok(launch_one(function, NULL, parameters));
	assert_result(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
	assert_int_equal(context_teardown(state), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* The first: cmocka sets its own handler of SIGSEGV before each test and setup, cuInit its own once. */
		cmocka_unit_test(destroyed_arrays_are_not_read),
		TEST(descriptors_are_checked),
		TEST(arrays_take_and_give_memory),
		TEST(levels_are_arrays),
		TEST(rows_are_copied),
		TEST(textures_are_checked),
	};

	return cmocka_run_group_tests_name("softgpu arrays", tests, NULL, NULL);
}
