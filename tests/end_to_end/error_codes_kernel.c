/* SPDX-License-Identifier: Apache-2.0 */
/* Wrong calls about code and what it reads: modules, libraries, launches, arrays, textures. */
#include <stdio.h>

#include "error_codes.h"

/* Of at most 64 threads a block, of exactly 32, and with more shared memory than a block has by default. */
static const char limits_image[] = ".version 7.8\n.target sm_90\n.address_size 64\n"
				   ".visible .entry most(.param .u64 to) .maxntid 64, 1, 1\n{\n\tret;\n}\n"
				   ".visible .entry exact(.param .u64 to) .reqntid 32, 1, 1\n{\n\tret;\n}\n"
				   ".extern .shared .align 16 .b8 bytes[];\n"
				   ".visible .global .align 4 .b32 word;\n"
				   ".visible .entry none()\n{\n\tret;\n}\n";

void module_calls(void)
{
	static const char newer[] =
		".version 99.0\n.target sm_70\n.address_size 64\n.visible .entry none()\n{\n\tret;\n}\n";
	static const char wrong_text[] = ".version 7.0\n.target sm_70\n.address_size 64\n"
					 ".visible .entry none()\n{\n\tnonsense.u32 %r1;\n\tret;\n}\n";
	static const char wrong_target[] =
		".version 7.0\n.target sm_999\n.address_size 64\n.visible .entry none()\n{\n\tret;\n}\n";
	/* A header that says nothing. */
	static const unsigned char elf[4096] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
	CUdeviceptr address = 0;
	CUfunction function = NULL;
	CUlinkState state = NULL;
	CUmodule module = NULL;
	unsigned int number;
	size_t bytes, offset;
	const char *name;
	void *cubin;
	int value;

	IS("module.load_null", CUDA_ERROR_INVALID_VALUE, cuModuleLoadData(&module, NULL));
	INVALID("module.load_no_result", cuModuleLoadData(NULL, increment_image));
	IS("module.load_empty", UNSAID, cuModuleLoadData(&module, ""));
	IS("module.load_nonsense", UNSAID, cuModuleLoadData(&module, "this is no image"));
	IS("module.load_wrong", UNSAID, cuModuleLoadData(&module, wrong_text));
	IS("module.load_newer", CUDA_ERROR_UNSUPPORTED_PTX_VERSION, cuModuleLoadData(&module, newer));
	IS("module.load_target", UNSAID, cuModuleLoadData(&module, wrong_target));
	IS("module.load_elf", UNSAID, cuModuleLoadData(&module, elf));
	IS("module.load_no_file", CUDA_ERROR_FILE_NOT_FOUND, cuModuleLoad(&module, "/nonexistent/file"));
	IS("module.load_file_null", CUDA_ERROR_INVALID_VALUE, cuModuleLoad(&module, NULL));
	IS("module.unload_null", UNSAID, cuModuleUnload(NULL));
	IS("module.load", CUDA_SUCCESS, cuModuleLoadData(&module, limits_image));
	IS("module.function_unknown", CUDA_ERROR_NOT_FOUND, cuModuleGetFunction(&function, module, "nothing"));
	INVALID("module.function_no_name", cuModuleGetFunction(&function, module, NULL));
	INVALID("module.function_no_result", cuModuleGetFunction(NULL, module, "none"));
	IS("module.function_of_null", UNSAID, cuModuleGetFunction(&function, NULL, "none"));
	IS("module.function_of_variable", CUDA_ERROR_NOT_FOUND, cuModuleGetFunction(&function, module, "word"));
	IS("module.variable_unknown", CUDA_ERROR_NOT_FOUND, cuModuleGetGlobal_v2(&address, &bytes, module, "nothing"));
	IS("module.variable", CUDA_SUCCESS, cuModuleGetGlobal_v2(&address, NULL, module, "word"));
	IS("module.variable_size", CUDA_SUCCESS, cuModuleGetGlobal_v2(NULL, &bytes, module, "word"));
	IS("module.variable_nulls", UNSAID, cuModuleGetGlobal_v2(NULL, NULL, module, "word"));
	INVALID("module.variable_no_name", cuModuleGetGlobal_v2(&address, &bytes, module, NULL));
	IS("module.free_variable", CUDA_ERROR_INVALID_VALUE, cuMemFree_v2(address));
	INVALID("module.count_null", cuModuleGetFunctionCount(NULL, module));
	IS("module.count", CUDA_SUCCESS, cuModuleGetFunctionCount(&number, module));
	IS("module.enumerate_more", UNSAID, cuModuleEnumerateFunctions(&function, 0, module));
	IS("module.function", CUDA_SUCCESS, cuModuleGetFunction(&function, module, "most"));
	INVALID("module.attribute_unknown", cuFuncGetAttribute(&value, (CUfunction_attribute)99, function));
	INVALID("module.attribute_null", cuFuncGetAttribute(NULL, CU_FUNC_ATTRIBUTE_NUM_REGS, function));
	IS("module.attribute_of_null", UNSAID, cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_NUM_REGS, NULL));
	INVALID("module.set_attribute_unknown", cuFuncSetAttribute(function, (CUfunction_attribute)99, 1));
	INVALID("module.set_registers", cuFuncSetAttribute(function, CU_FUNC_ATTRIBUTE_NUM_REGS, 1));
	INVALID("module.set_shared_huge",
		cuFuncSetAttribute(function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 1 << 30));
	INVALID("module.set_shared_negative",
		cuFuncSetAttribute(function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, -1));
	INVALID("module.set_carveout",
		cuFuncSetAttribute(function, CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT, 101));
	INVALID("module.cache", cuFuncSetCacheConfig(function, (CUfunc_cache)99));
	IS("module.name_null", UNSAID, cuFuncGetName(NULL, function));
	IS("module.name_of_null", UNSAID, cuFuncGetName(&name, NULL));
	IS("module.parameter_0", CUDA_SUCCESS, cuFuncGetParamInfo(function, 0, &offset, &bytes));
	INVALID("module.parameter_1", cuFuncGetParamInfo(function, 1, &offset, &bytes));
	IS("module.occupancy_block_0", UNSAID, cuOccupancyMaxActiveBlocksPerMultiprocessor(&value, function, 0, 0));
	IS("module.occupancy_block_huge", UNSAID,
	   cuOccupancyMaxActiveBlocksPerMultiprocessor(&value, function, 4096, 0));
	IS("module.occupancy_of_null", UNSAID, cuOccupancyMaxActiveBlocksPerMultiprocessor(&value, NULL, 32, 0));
	INVALID("module.occupancy_null", cuOccupancyMaxActiveBlocksPerMultiprocessor(NULL, function, 32, 0));
	IS("module.link", CUDA_SUCCESS, cuLinkCreate_v2(0, NULL, NULL, &state));
	IS("module.link_wrong", UNSAID,
	   cuLinkAddData_v2(state, CU_JIT_INPUT_PTX, (void *)wrong_text, sizeof(wrong_text), "name", 0, NULL, NULL));
	INVALID("module.link_no_data", cuLinkAddData_v2(state, CU_JIT_INPUT_PTX, NULL, 16, "name", 0, NULL, NULL));
	IS("module.link_no_file", CUDA_ERROR_FILE_NOT_FOUND,
	   cuLinkAddFile_v2(state, CU_JIT_INPUT_PTX, "/nonexistent/file", 0, NULL, NULL));
	IS("module.link_complete", UNSAID, cuLinkComplete(state, &cubin, &bytes));
	IS("module.link_destroy", CUDA_SUCCESS, cuLinkDestroy(state));
	IS("module.unload", CUDA_SUCCESS, cuModuleUnload(module));
}

void library_calls(void)
{
	CUlibrary library = NULL;
	CUkernel kernel = NULL;
	CUfunction function;
	CUdeviceptr address;
	unsigned int count;
	size_t bytes;
	int value;

	INVALID("library.load_null", cuLibraryLoadData(&library, NULL, NULL, NULL, 0, NULL, NULL, 0));
	INVALID("library.load_no_result", cuLibraryLoadData(NULL, limits_image, NULL, NULL, 0, NULL, NULL, 0));
	IS("library.load_nonsense", UNSAID, cuLibraryLoadData(&library, "no image", NULL, NULL, 0, NULL, NULL, 0));
	IS("library.load_no_file", CUDA_ERROR_FILE_NOT_FOUND,
	   cuLibraryLoadFromFile(&library, "/nonexistent/file", NULL, NULL, 0, NULL, NULL, 0));
	IS("library.unload_null", UNSAID, cuLibraryUnload(NULL));
	IS("library.load", CUDA_SUCCESS, cuLibraryLoadData(&library, limits_image, NULL, NULL, 0, NULL, NULL, 0));
	IS("library.kernel_unknown", CUDA_ERROR_NOT_FOUND, cuLibraryGetKernel(&kernel, library, "nothing"));
	INVALID("library.kernel_no_name", cuLibraryGetKernel(&kernel, library, NULL));
	IS("library.kernel_of_null", UNSAID, cuLibraryGetKernel(&kernel, NULL, "none"));
	IS("library.kernel", CUDA_SUCCESS, cuLibraryGetKernel(&kernel, library, "most"));
	IS("library.variable_unknown", CUDA_ERROR_NOT_FOUND, cuLibraryGetGlobal(&address, &bytes, library, "nothing"));
	IS("library.managed_unknown", UNSAID, cuLibraryGetManaged(&address, &bytes, library, "word"));
	INVALID("library.count_null", cuLibraryGetKernelCount(NULL, library));
	IS("library.count", CUDA_SUCCESS, cuLibraryGetKernelCount(&count, library));
	IS("library.function_null", UNSAID, cuKernelGetFunction(NULL, kernel));
	IS("library.function_of_null", UNSAID, cuKernelGetFunction(&function, NULL));
	INVALID("library.attribute_unknown", cuKernelGetAttribute(&value, (CUfunction_attribute)99, kernel, 0));
	IS("library.attribute_on_1000", CUDA_ERROR_INVALID_DEVICE,
	   cuKernelGetAttribute(&value, CU_FUNC_ATTRIBUTE_NUM_REGS, kernel, 1000));
	INVALID("library.set_attribute",
		cuKernelSetAttribute(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 1 << 30, kernel, 0));
	INVALID("library.parameter_9", cuKernelGetParamInfo(kernel, 9, &bytes, NULL));
	IS("library.unload", CUDA_SUCCESS, cuLibraryUnload(library));
}

static CUresult launch(CUfunction function, unsigned int grid, unsigned int block, unsigned int shared)
{
	return cuLaunchKernel(function, grid, 1, 1, block, 1, 1, shared, stream, (void *[]){&memory}, NULL);
}

static CUresult launch_at(CUfunction function, const unsigned int sizes[6])
{
	return cuLaunchKernel(function, sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], 0, stream,
			      (void *[]){&memory}, NULL);
}

void launch_calls(void)
{
	static const struct {
		const char *name;
		CUresult expected;
		unsigned int sizes[6];
	} shapes[] = {
		{"launch.grid_y_0", CUDA_ERROR_INVALID_VALUE, {1, 0, 1, 1, 1, 1}},
		{"launch.grid_z_0", CUDA_ERROR_INVALID_VALUE, {1, 1, 0, 1, 1, 1}},
		{"launch.block_y_0", CUDA_ERROR_INVALID_VALUE, {1, 1, 1, 1, 0, 1}},
		{"launch.block_z_0", CUDA_ERROR_INVALID_VALUE, {1, 1, 1, 1, 1, 0}},
		{"launch.grid_x_huge", CUDA_ERROR_INVALID_VALUE, {1u << 31, 1, 1, 1, 1, 1}},
		{"launch.grid_y_huge", CUDA_ERROR_INVALID_VALUE, {1, 65536, 1, 1, 1, 1}},
		{"launch.grid_z_huge", CUDA_ERROR_INVALID_VALUE, {1, 1, 65536, 1, 1, 1}},
		{"launch.block_y_huge", CUDA_ERROR_INVALID_VALUE, {1, 1, 1, 1, 1025, 1}},
		{"launch.block_z_huge", CUDA_ERROR_INVALID_VALUE, {1, 1, 1, 1, 1, 65}},
		{"launch.block_product", CUDA_ERROR_INVALID_VALUE, {1, 1, 1, 64, 64, 1}},
	};
	void *parameters[] = {&memory};
	char buffer[16] = {0};
	size_t buffer_bytes = 8, short_bytes = 4, long_bytes = 12;
	void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, buffer, CU_LAUNCH_PARAM_BUFFER_SIZE, &buffer_bytes,
			 CU_LAUNCH_PARAM_END};
	CUlaunchAttribute attribute = {.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION, .value.clusterDim = {3, 1, 1}};
	CUlaunchConfig config = {1, 1, 1, 1, 1, 1, 0, stream, &attribute, 0};
	CUfunction most, exact, none;
	CUmodule module;

	IS("launch.module", CUDA_SUCCESS, cuModuleLoadData(&module, limits_image));
	IS("launch.most", CUDA_SUCCESS, cuModuleGetFunction(&most, module, "most"));
	IS("launch.exact", CUDA_SUCCESS, cuModuleGetFunction(&exact, module, "exact"));
	IS("launch.none", CUDA_SUCCESS, cuModuleGetFunction(&none, module, "none"));
	IS("launch.no_function", UNSAID, launch(NULL, 1, 1, 0));
	INVALID("launch.grid_0", launch(none, 0, 1, 0));
	INVALID("launch.block_0", launch(none, 1, 0, 0));
	INVALID("launch.block_1025", launch(none, 1, 1025, 0));
	IS("launch.block_1024", CUDA_SUCCESS, launch(none, 1, 1024, 0));
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		IS(shapes[i].name, shapes[i].expected, launch_at(none, shapes[i].sizes));
	IS("launch.shared_48k", CUDA_SUCCESS, launch(none, 1, 1, 48 << 10));
	INVALID("launch.shared_unasked", launch(none, 1, 1, 64 << 10));
	INVALID("launch.shared_huge", launch(none, 1, 1, 1 << 30));
	IS("launch.most_64", CUDA_SUCCESS, launch(most, 1, 64, 0));
	INVALID("launch.most_65", launch(most, 1, 65, 0));
	IS("launch.exact_32", CUDA_SUCCESS, launch(exact, 1, 32, 0));
	INVALID("launch.exact_64", launch(exact, 1, 64, 0));
	INVALID("launch.exact_16", launch(exact, 1, 16, 0));
	INVALID("launch.no_parameters", cuLaunchKernel(most, 1, 1, 1, 1, 1, 1, 0, stream, NULL, NULL));
	IS("launch.none_no_parameters", CUDA_SUCCESS, cuLaunchKernel(none, 1, 1, 1, 1, 1, 1, 0, stream, NULL, NULL));
	IS("launch.extra", CUDA_SUCCESS, cuLaunchKernel(most, 1, 1, 1, 1, 1, 1, 0, stream, NULL, extra));
	INVALID("launch.extra_and_parameters", cuLaunchKernel(most, 1, 1, 1, 1, 1, 1, 0, stream, parameters, extra));
	extra[3] = &short_bytes;
	IS("launch.extra_short", UNSAID, cuLaunchKernel(most, 1, 1, 1, 1, 1, 1, 0, stream, NULL, extra));
	extra[3] = &long_bytes;
	IS("launch.extra_long", UNSAID, cuLaunchKernel(most, 1, 1, 1, 1, 1, 1, 0, stream, NULL, extra));
	extra[0] = (void *)(uintptr_t)7;
	IS("launch.extra_unknown", UNSAID, cuLaunchKernel(most, 1, 1, 1, 1, 1, 1, 0, stream, NULL, extra));
	IS("launch.cooperative", CUDA_SUCCESS,
	   cuLaunchCooperativeKernel(most, 1, 1, 1, 1, 1, 1, 0, stream, parameters));
	IS("launch.cooperative_large", CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE,
	   cuLaunchCooperativeKernel(most, 1 << 20, 1, 1, 64, 1, 1, 0, stream, parameters));
	INVALID("launch.ex_null", cuLaunchKernelEx(NULL, none, NULL, NULL));
	IS("launch.ex", CUDA_SUCCESS, cuLaunchKernelEx(&config, none, NULL, NULL));
	config.numAttrs = 1;
	IS("launch.ex_cluster_no_divisor", UNSAID, cuLaunchKernelEx(&config, none, NULL, NULL));
	config.gridDimX = 64;
	attribute.value.clusterDim.x = 64;
	IS("launch.ex_cluster_huge", UNSAID, cuLaunchKernelEx(&config, none, NULL, NULL));
	attribute.value.clusterDim.x = 0;
	IS("launch.ex_cluster_0", UNSAID, cuLaunchKernelEx(&config, none, NULL, NULL));
	attribute.id = (CUlaunchAttributeID)99;
	IS("launch.ex_attribute_unknown", UNSAID, cuLaunchKernelEx(&config, none, NULL, NULL));
	config.attrs = NULL;
	INVALID("launch.ex_attributes_null", cuLaunchKernelEx(&config, none, NULL, NULL));
}

static CUDA_ARRAY3D_DESCRIPTOR shape(size_t width, size_t height, size_t depth, unsigned int flags)
{
	return (CUDA_ARRAY3D_DESCRIPTOR){width, height, depth, CU_AD_FORMAT_FLOAT, 1, flags};
}

static CUresult array_try(CUDA_ARRAY3D_DESCRIPTOR descriptor)
{
	CUarray array;
	CUresult result = cuArray3DCreate_v2(&array, &descriptor);

	if (!result)
		result = cuArrayDestroy(array);
	return result;
}

void array_calls(void)
{
	CUDA_ARRAY_DESCRIPTOR plane = {16, 16, CU_AD_FORMAT_FLOAT, 1};
	CUDA_ARRAY3D_DESCRIPTOR box = shape(16, 16, 0, 0);
	CUmipmappedArray pyramid;
	CUarray array = NULL, level;
	char bytes[64] = {0};

	INVALID("array.create_null", cuArrayCreate_v2(&array, NULL));
	INVALID("array.create_no_result", cuArrayCreate_v2(NULL, &plane));
	INVALID("array.width_0", array_try(shape(0, 16, 0, 0)));
	INVALID("array.depth_without_height", array_try(shape(16, 0, 16, 0)));
	INVALID("array.width_huge", array_try(shape(1 << 30, 16, 0, 0)));
	INVALID("array.flags_unknown", array_try(shape(16, 16, 0, 0xff0000)));
	INVALID("array.cube_oblong", array_try(shape(16, 8, 6, CUDA_ARRAY3D_CUBEMAP)));
	INVALID("array.cube_depth", array_try(shape(16, 16, 5, CUDA_ARRAY3D_CUBEMAP)));
	INVALID("array.cubes_depth", array_try(shape(16, 16, 8, CUDA_ARRAY3D_CUBEMAP | CUDA_ARRAY3D_LAYERED)));
	IS("array.layers_0", UNSAID, array_try(shape(16, 16, 0, CUDA_ARRAY3D_LAYERED)));
	IS("array.depth_texture_3d", UNSAID, array_try(shape(16, 16, 16, CUDA_ARRAY3D_DEPTH_TEXTURE)));
	IS("array.gather_1d", UNSAID, array_try(shape(16, 0, 0, CUDA_ARRAY3D_TEXTURE_GATHER)));
	plane.NumChannels = 3;
	INVALID("array.channels_3", cuArrayCreate_v2(&array, &plane));
	plane.NumChannels = 0;
	INVALID("array.channels_0", cuArrayCreate_v2(&array, &plane));
	plane.NumChannels = 1;
	plane.Format = (CUarray_format)0x77;
	INVALID("array.format_unknown", cuArrayCreate_v2(&array, &plane));
	plane.Format = CU_AD_FORMAT_FLOAT;
	IS("array.create", CUDA_SUCCESS, cuArrayCreate_v2(&array, &plane));
	IS("array.destroy_null", UNSAID, cuArrayDestroy(NULL));
	INVALID("array.descriptor_null", cuArrayGetDescriptor_v2(NULL, array));
	IS("array.descriptor_of_null", UNSAID, cuArrayGetDescriptor_v2(&plane, NULL));
	INVALID("array.plane_of_one", cuArrayGetPlane(&level, array, 0));
	IS("array.sparse_of_ordinary", UNSAID, cuArrayGetSparseProperties(NULL, array));
	IS("array.up", CUDA_SUCCESS, cuMemcpyHtoA_v2(array, 0, bytes, 64));
	IS("array.up_0", CUDA_SUCCESS, cuMemcpyHtoA_v2(array, 0, bytes, 0));
	INVALID("array.up_beyond", cuMemcpyHtoA_v2(array, 1 << 20, bytes, 64));
	INVALID("array.down_beyond", cuMemcpyAtoH_v2(bytes, array, 1 << 20, 64));
	IS("array.up_misaligned", UNSAID, cuMemcpyHtoA_v2(array, 2, bytes, 4));
	IS("array.up_none", UNSAID, cuMemcpyHtoA_v2(NULL, 0, bytes, 64));
	INVALID("array.down_null", cuMemcpyAtoH_v2(NULL, array, 0, 64));
	IS("array.levels_0", UNSAID, cuMipmappedArrayCreate(&pyramid, &box, 0));
	IS("array.levels_many", UNSAID, cuMipmappedArrayCreate(&pyramid, &box, 100));
	IS("array.levels", CUDA_SUCCESS, cuMipmappedArrayCreate(&pyramid, &box, 3));
	INVALID("array.level_beyond", cuMipmappedArrayGetLevel(&level, pyramid, 3));
	INVALID("array.level_null", cuMipmappedArrayGetLevel(NULL, pyramid, 0));
	IS("array.level", CUDA_SUCCESS, cuMipmappedArrayGetLevel(&level, pyramid, 0));
	IS("array.level_destroy", UNSAID, cuArrayDestroy(level));
	IS("array.levels_destroy_null", UNSAID, cuMipmappedArrayDestroy(NULL));
	IS("array.destroy", CUDA_SUCCESS, cuArrayDestroy(array));
}

void texture_calls(void)
{
	CUDA_ARRAY_DESCRIPTOR plane = {16, 16, CU_AD_FORMAT_FLOAT, 1};
	CUDA_RESOURCE_DESC resource = {.resType = CU_RESOURCE_TYPE_LINEAR,
				       .res.linear = {memory, CU_AD_FORMAT_FLOAT, 1, 4096}};
	CUDA_TEXTURE_DESC sampling = {0};
	CUDA_RESOURCE_DESC found;
	CUtexObject texture = 0;
	CUsurfObject surface = 0;
	CUarray array;

	IS("texture.linear", CUDA_SUCCESS, cuTexObjectCreate(&texture, &resource, &sampling, NULL));
	IS("texture.destroy", CUDA_SUCCESS, cuTexObjectDestroy(texture));
	INVALID("texture.no_result", cuTexObjectCreate(NULL, &resource, &sampling, NULL));
	INVALID("texture.no_resource", cuTexObjectCreate(&texture, NULL, &sampling, NULL));
	INVALID("texture.no_sampling", cuTexObjectCreate(&texture, &resource, NULL, NULL));
	resource.flags = 1;
	INVALID("texture.flags", cuTexObjectCreate(&texture, &resource, &sampling, NULL));
	resource.flags = 0;
	resource.res.linear.devPtr = memory + 4;
	INVALID("texture.misaligned", cuTexObjectCreate(&texture, &resource, &sampling, NULL));
	resource.res.linear.devPtr = 0;
	IS("texture.nothing", UNSAID, cuTexObjectCreate(&texture, &resource, &sampling, NULL));
	resource.res.linear.devPtr = memory;
	resource.res.linear.numChannels = 3;
	INVALID("texture.channels_3", cuTexObjectCreate(&texture, &resource, &sampling, NULL));
	resource.res.linear.numChannels = 1;
	resource.res.linear.sizeInBytes = (size_t)1 << 40;
	IS("texture.huge", UNSAID, cuTexObjectCreate(&texture, &resource, &sampling, NULL));
	resource.res.linear.sizeInBytes = 4096;
	sampling.filterMode = (CUfilter_mode)9;
	IS("texture.filter_unknown", UNSAID, cuTexObjectCreate(&texture, &resource, &sampling, NULL));
	sampling.filterMode = CU_TR_FILTER_MODE_POINT;
	resource.resType = (CUresourcetype)9;
	INVALID("texture.type_unknown", cuTexObjectCreate(&texture, &resource, &sampling, NULL));
	resource = (CUDA_RESOURCE_DESC){.resType = CU_RESOURCE_TYPE_PITCH2D,
					.res.pitch2D = {memory, CU_AD_FORMAT_FLOAT, 1, 16, 16, 60}};
	INVALID("texture.pitch_small", cuTexObjectCreate(&texture, &resource, &sampling, NULL));
	resource = (CUDA_RESOURCE_DESC){.resType = CU_RESOURCE_TYPE_ARRAY};
	IS("texture.no_array", UNSAID, cuTexObjectCreate(&texture, &resource, &sampling, NULL));
	IS("texture.array", CUDA_SUCCESS, cuArrayCreate_v2(&array, &plane));
	resource.res.array.hArray = array;
	INVALID("texture.surface_without_flag", cuSurfObjectCreate(&surface, &resource));
	IS("texture.destroy_0", UNSAID, cuTexObjectDestroy(0));
	IS("texture.destroy_surface_0", UNSAID, cuSurfObjectDestroy(0));
	IS("texture.resource_of_0", UNSAID, cuTexObjectGetResourceDesc(&found, 0));
}
