/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texture and surface references, with any libcuda.so.1: variables of a module whose state the program sets, and which
 * kernels name. Run by test_memory.py.
 */
#include "texture_references_parts.h"

static void fresh_calls(void)
{
	CUtexref again = NULL;
	CUsurfref surface = NULL;
	CUarray array = NULL;

	if (!module_begin())
		return;
	said("again", cuModuleGetTexRef(&again, module, "plane"));
	told("again_is_same", again == plane);
	said("unknown", cuModuleGetTexRef(&again, module, "nothing_such"));
	said("kernel_as_texture", cuModuleGetTexRef(&again, module, "read_plane"));
	said("surface_as_texture", cuModuleGetTexRef(&again, module, "canvas"));
	said("texture_as_surface", cuModuleGetSurfRef(&surface, module, "plane"));
	said("no_name", cuModuleGetTexRef(&again, module, NULL));
	said("no_result", cuModuleGetTexRef(NULL, module, "plane"));
	state_tell(plane);
	if (said("surface_get", cuSurfRefGetArray(&array, canvas)))
		told("surface_get", array != NULL);
	asked("ask_unbound");
}

static void plane_calls(void)
{
	if (!module_begin())
		return;
	first = array_make(100);
	second = array_make(1000);
	said("set_flag_0", cuTexRefSetArray(plane, first, 0));
	said("set_array", cuTexRefSetArray(plane, first, CU_TRSA_OVERRIDE_FORMAT));
	state_tell(plane);
	plane_read("point", 0.5f);
	named_read("named");
	said("clamp", cuTexRefSetAddressMode(plane, 0, CU_TR_ADDRESS_MODE_CLAMP));
	said("filter", cuTexRefSetFilterMode(plane, CU_TR_FILTER_MODE_LINEAR));
	plane_read("linear", 1.0f);
	said("border", cuTexRefSetAddressMode(plane, 0, CU_TR_ADDRESS_MODE_BORDER));
	said("border_color", cuTexRefSetBorderColor(plane, (float[]){5, 6, 7, 8}));
	said("point", cuTexRefSetFilterMode(plane, CU_TR_FILTER_MODE_POINT));
	plane_read("border", 3.5f);
	said("other_array", cuTexRefSetArray(plane, second, CU_TRSA_OVERRIDE_FORMAT));
	plane_read("other", 0.5f);
	said("normalized", cuTexRefSetFlags(plane, CU_TRSF_NORMALIZED_COORDINATES));
	said("wrap", cuTexRefSetAddressMode(plane, 0, CU_TR_ADDRESS_MODE_WRAP));
	said("wrap_1", cuTexRefSetAddressMode(plane, 1, CU_TR_ADDRESS_MODE_WRAP));
	plane_read("normalized", 0.5f);
	state_tell(plane);
	said("flags_0", cuTexRefSetFlags(plane, 0));
	asked("ask");
	said("set_none", cuTexRefSetArray(plane, NULL, CU_TRSA_OVERRIDE_FORMAT));
	plane_read("after_none", 0.5f);
	said("set_first", cuTexRefSetArray(plane, first, CU_TRSA_OVERRIDE_FORMAT));
	said("destroy_bound", cuArrayDestroy(first));
	state_tell(plane);
	said("set_second", cuTexRefSetArray(plane, second, CU_TRSA_OVERRIDE_FORMAT));
	plane_read("second", 0.5f);
	said("unload", cuModuleUnload(module));
	said("destroy_second", cuArrayDestroy(second));
}

/* The array is gone: what a launch does then. */
static void gone_calls(void)
{
	if (!module_begin())
		return;
	first = array_make(100);
	said("set_array", cuTexRefSetArray(plane, first, CU_TRSA_OVERRIDE_FORMAT));
	said("destroy_bound", cuArrayDestroy(first));
	plane_read("gone", 0.5f);
}

static void unbound_calls(void)
{
	if (module_begin())
		plane_read("unbound", 0.5f);
}

static void unloaded_calls(void)
{
	CUfilter_mode filter;

	if (!module_begin())
		return;
	said("unload", cuModuleUnload(module));
	SAID_OURS("get", cuTexRefGetFilterMode(&filter, plane));
	SAID_OURS("set", cuTexRefSetFilterMode(plane, CU_TR_FILTER_MODE_LINEAR));
}

/* Launches keep what was set before them. */
static void order_calls(void)
{
	float offset = 0.5f, texels[2 * TEXELS] = {0};
	CUdeviceptr behind;
	void *here[] = {&found, &offset}, *there[] = {&behind, &offset};

	if (!module_begin())
		return;
	behind = found + TEXELS * sizeof(float);
	first = array_make(100);
	second = array_make(1000);
	said("set_first", cuTexRefSetArray(plane, first, CU_TRSA_OVERRIDE_FORMAT));
	for (int i = 0; i < 100; i++) {
		if (cuTexRefSetArray(plane, first, CU_TRSA_OVERRIDE_FORMAT) ||
		    cuLaunchKernel(read_plane, 1, 1, 1, SIDE, SIDE, 1, 0, stream, here, NULL) ||
		    cuTexRefSetArray(plane, second, CU_TRSA_OVERRIDE_FORMAT) ||
		    cuLaunchKernel(read_plane, 1, 1, 1, SIDE, SIDE, 1, 0, stream, there, NULL))
			said("launches", CUDA_ERROR_UNKNOWN);
	}
	said("wait", cuStreamSynchronize(stream));
	said("down", cuMemcpyDtoH_v2(texels, found, sizeof(texels)));
	told_real("here", (double)texels[0]);
	told_real("there", (double)texels[TEXELS]);
}

static void graph_calls(void)
{
	CUgraph graph = NULL;
	CUgraphExec exec = NULL;
	float offset = 0.5f, texel = 0;
	void *parameters[] = {&found, &offset};

	if (!module_begin())
		return;
	first = array_make(100);
	second = array_make(1000);
	said("set_first", cuTexRefSetArray(plane, first, CU_TRSA_OVERRIDE_FORMAT));
	if (cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED))
		return;
	printf("result graph.launch %d\n",
	       cuLaunchKernel(read_plane, 1, 1, 1, SIDE, SIDE, 1, 0, stream, parameters, NULL));
	said("end", cuStreamEndCapture(stream, &graph));
	if (!graph || !said("instantiate", cuGraphInstantiateWithFlags(&exec, graph, 0)))
		return;
	said("run", cuGraphLaunch(exec, stream));
	cuMemcpyDtoH_v2(&texel, found, sizeof(texel));
	told_real("run", (double)texel);
	said("set_second", cuTexRefSetArray(plane, second, CU_TRSA_OVERRIDE_FORMAT));
	said("run_again", cuGraphLaunch(exec, stream));
	cuMemcpyDtoH_v2(&texel, found, sizeof(texel));
	told_real("run_again", (double)texel);
}

static void linear_calls(void)
{
	const CUDA_ARRAY_DESCRIPTOR shape = {SIDE, SIDE, CU_AD_FORMAT_FLOAT, 1};
	uint32_t words[1024];
	float texels[1024];
	size_t offset = 77;

	if (!module_begin())
		return;
	for (uint32_t i = 0; i < 1024; i++)
		words[i] = i * 3;
	said("up", cuMemcpyHtoD_v2(linear, words, sizeof(words)));
	said("format", cuTexRefSetFormat(row, CU_AD_FORMAT_UNSIGNED_INT32, 1));
	said("flags", cuTexRefSetFlags(row, CU_TRSF_READ_AS_INTEGER));
	if (said("address", cuTexRefSetAddress_v2(&offset, row, linear, 4096)))
		told("address_offset", (long long)offset);
	state_tell(row);
	row_read("row");
	if (said("misaligned", cuTexRefSetAddress_v2(&offset, row, linear + 4, 1024)))
		told("misaligned_offset", (long long)offset);
	row_read("misaligned");
	said("misaligned_no_offset", cuTexRefSetAddress_v2(NULL, row, linear + 4, 1024));
	if (said("misaligned_512", cuTexRefSetAddress_v2(&offset, row, linear + 512, 1024)))
		told("misaligned_512_offset", (long long)offset);
	row_read("misaligned_512");
	said("short", cuTexRefSetAddress_v2(&offset, row, linear, 64 * 4 - 16));
	row_read("short");
	said("zero_bytes", cuTexRefSetAddress_v2(&offset, row, linear, 0));
	said("no_address", cuTexRefSetAddress_v2(&offset, row, 0, 0));
	said("nobodys", cuTexRefSetAddress_v2(&offset, row, 0x1234000, 1024));
	for (int i = 0; i < 1024; i++)
		texels[i] = (float)i + 0.25f;
	said("up", cuMemcpyHtoD_v2(linear, texels, sizeof(texels)));
	said("plane", cuTexRefSetAddress2D_v3(plane, &shape, linear, 256));
	state_tell(plane);
	plane_read("plane", 0.5f);
	asked("ask");
	said("plane_v2", cuTexRefSetAddress2D_v2(plane, &shape, linear, 32));
	plane_read("plane_v2", 0.5f);
	said("plane_pitch_32", cuTexRefSetAddress2D_v3(plane, &shape, linear, 32));
	said("plane_pitch_36", cuTexRefSetAddress2D_v3(plane, &shape, linear, 36));
	said("plane_pitch_36_v2", cuTexRefSetAddress2D_v2(plane, &shape, linear, 36));
	said("plane_pitch_16", cuTexRefSetAddress2D_v3(plane, &shape, linear, 16));
	said("plane_misaligned", cuTexRefSetAddress2D_v3(plane, &shape, linear + 4, 256));
	said("plane_no_shape", cuTexRefSetAddress2D_v3(plane, NULL, linear, 256));
	said("free_bound", cuMemFree_v2(linear));
	state_tell(plane);
}

static void level_calls(void)
{
	const CUDA_ARRAY3D_DESCRIPTOR shape = {SIDE, SIDE, 0, CU_AD_FORMAT_FLOAT, 1, 0};
	CUmipmappedArray mipmap = NULL;

	if (!module_begin() || !said("mipmap", cuMipmappedArrayCreate(&mipmap, &shape, 3)))
		return;
	for (unsigned int i = 0; i < 3; i++) {
		float texels[TEXELS];
		CUDA_MEMCPY2D copy = {.srcMemoryType = CU_MEMORYTYPE_HOST,
				      .srcHost = texels,
				      .srcPitch = SIDE * sizeof(float),
				      .dstMemoryType = CU_MEMORYTYPE_ARRAY,
				      .WidthInBytes = (SIDE >> i) * sizeof(float),
				      .Height = SIDE >> i};

		for (int j = 0; j < TEXELS; j++)
			texels[j] = 10.0f * (float)(i + 1);
		said("level", cuMipmappedArrayGetLevel(&copy.dstArray, mipmap, i));
		said("level_up", cuMemcpy2D_v2(&copy));
	}
	said("set", cuTexRefSetMipmappedArray(levels, mipmap, CU_TRSA_OVERRIDE_FORMAT));
	said("set_flag_0", cuTexRefSetMipmappedArray(levels, mipmap, 0));
	said("flags", cuTexRefSetFlags(levels, CU_TRSF_NORMALIZED_COORDINATES));
	state_tell(levels);
	level_read("level_0", 0);
	level_read("level_1", 1);
	said("clamp", cuTexRefSetMipmapLevelClamp(levels, 0, 2));
	level_read("level_1_clamped", 1);
	level_read("level_between", 0.5f);
	said("filter", cuTexRefSetMipmapFilterMode(levels, CU_TR_FILTER_MODE_LINEAR));
	level_read("level_between_linear", 0.5f);
	said("bias", cuTexRefSetMipmapLevelBias(levels, 1));
	level_read("level_biased", 0);
	said("anisotropy", cuTexRefSetMaxAnisotropy(levels, 8));
	state_tell(levels);
	said("destroy_bound", cuMipmappedArrayDestroy(mipmap));
}

static void surface_calls(void)
{
	const CUDA_ARRAY3D_DESCRIPTOR plain = {SIDE, SIDE, 0, CU_AD_FORMAT_FLOAT, 1, 0};
	uint32_t value = 40, texels[TEXELS] = {0};
	void *parameters[] = {&value};
	CUDA_MEMCPY2D copy = {.srcMemoryType = CU_MEMORYTYPE_ARRAY,
			      .dstMemoryType = CU_MEMORYTYPE_HOST,
			      .dstHost = texels,
			      .dstPitch = SIDE * sizeof(float),
			      .WidthInBytes = SIDE * sizeof(float),
			      .Height = SIDE};
	CUarray array = NULL, unwritable = NULL;

	if (!module_begin())
		return;
	first = array_make(100);
	said("set", cuSurfRefSetArray(canvas, first, 0));
	said("set_flag_1", cuSurfRefSetArray(canvas, first, 1));
	if (said("get", cuSurfRefGetArray(&array, canvas)))
		told("get", array == first);
	said("write", cuLaunchKernel(write_plane, 1, 1, 1, SIDE, SIDE, 1, 0, stream, parameters, NULL));
	copy.srcArray = first;
	said("down", cuMemcpy2D_v2(&copy));
	told("first", texels[0]);
	told("last", texels[TEXELS - 1]);
	if (said("unwritable", cuArray3DCreate_v2(&unwritable, &plain)))
		said("set_unwritable", cuSurfRefSetArray(canvas, unwritable, 0));
	said("set_none", cuSurfRefSetArray(canvas, NULL, 0));
	said("destroy_bound", cuArrayDestroy(first));
	if (said("get_gone", cuSurfRefGetArray(&array, canvas)))
		told("get_gone", array == first ? 1 : array ? 3 : 0);
}

/* References that are of no module. */
static void made_calls(void)
{
	CUtexref own = NULL;
	size_t offset = 77;

	if (!module_begin())
		return;
	first = array_make(100);
	said("create_null", cuTexRefCreate(NULL));
	if (!said("create", cuTexRefCreate(&own)))
		return;
	state_tell(own);
	said("set_array", cuTexRefSetArray(own, first, CU_TRSA_OVERRIDE_FORMAT));
	said("set_address", cuTexRefSetAddress_v2(&offset, own, linear, 4096));
	state_tell(own);
	said("format_unknown", cuTexRefSetFormat(own, (CUarray_format)77, 1));
	said("format_3", cuTexRefSetFormat(own, CU_AD_FORMAT_FLOAT, 3));
	said("format_0", cuTexRefSetFormat(own, CU_AD_FORMAT_FLOAT, 0));
	said("format_4", cuTexRefSetFormat(own, CU_AD_FORMAT_HALF, 4));
	said("address_mode_unknown", cuTexRefSetAddressMode(own, 0, (CUaddress_mode)77));
	said("address_mode_3", cuTexRefSetAddressMode(own, 3, CU_TR_ADDRESS_MODE_WRAP));
	said("address_mode_negative", cuTexRefSetAddressMode(own, -1, CU_TR_ADDRESS_MODE_WRAP));
	said("filter_unknown", cuTexRefSetFilterMode(own, (CUfilter_mode)77));
	said("mipmap_filter_unknown", cuTexRefSetMipmapFilterMode(own, (CUfilter_mode)77));
	said("anisotropy_0", cuTexRefSetMaxAnisotropy(own, 0));
	said("anisotropy_77", cuTexRefSetMaxAnisotropy(own, 77));
	said("clamp_reversed", cuTexRefSetMipmapLevelClamp(own, 5, 2));
	said("flags_unknown", cuTexRefSetFlags(own, 0x8000));
	for (unsigned int flag = 1; flag <= 0x80; flag *= 2) {
		said("flag", cuTexRefSetFlags(own, flag));
		told("flag", flag);
	}
	said("border_null", cuTexRefSetBorderColor(own, NULL));
	said("array_flags", cuTexRefSetArray(own, first, 0x8000));
	state_tell(own);
	said("param", cuParamSetTexRef(read_plane, -1, plane));
	said("param_unit_0", cuParamSetTexRef(read_plane, 0, plane));
	said("param_own", cuParamSetTexRef(read_plane, -1, own));
	said("param_own_unit_0", cuParamSetTexRef(read_plane, 0, own));
	said("param_own_unit_1", cuParamSetTexRef(read_plane, 1, own));
	said("param_own_unit_negative", cuParamSetTexRef(read_plane, -2, own));
	said("param_no_function", cuParamSetTexRef(NULL, -1, own));
	said("param_null", cuParamSetTexRef(read_plane, -1, NULL));
	said("get_null", cuTexRefGetFlags(NULL, own));
	said("destroy_of_module", cuTexRefDestroy(plane));
	said("destroy", cuTexRefDestroy(own));
	said("null_reference", cuTexRefSetFlags(NULL, 0));
	said("destroy_null", cuTexRefDestroy(NULL));
}

/* After its end. */
static void ended_calls(void)
{
	CUtexref own = NULL;

	answers_context();
	said("create", cuTexRefCreate(&own));
	said("destroy", cuTexRefDestroy(own));
	SAID_OURS("set_flags", cuTexRefSetFlags(own, 0));
	SAID_OURS("destroy_again", cuTexRefDestroy(own));
}

/* Without a context, and in another one. */
static void context_calls(void)
{
	const CUDA_ARRAY_DESCRIPTOR shape = {SIDE, SIDE, CU_AD_FORMAT_FLOAT, 1};
	CUcontext other = NULL;
	CUtexref own = NULL;
	CUfilter_mode filter;

	said("create_without", cuTexRefCreate(&own));
	if (!module_begin())
		return;
	first = array_make(100);
	said("other", cuCtxCreate_v2(&other, 0, 0));
	said("filter", cuTexRefSetFilterMode(plane, CU_TR_FILTER_MODE_LINEAR));
	said("get_filter", cuTexRefGetFilterMode(&filter, plane));
	said("array", cuTexRefSetArray(plane, first, CU_TRSA_OVERRIDE_FORMAT));
	said("own", cuTexRefCreate(&own));
	said("own_array", cuTexRefSetArray(own, first, CU_TRSA_OVERRIDE_FORMAT));
	said("by_name", cuModuleGetTexRef(&own, module, "row"));
	said("destroy", cuCtxDestroy_v2(other));
	said("none", cuCtxSetCurrent(NULL));
	said("filter_without", cuTexRefSetFilterMode(plane, CU_TR_FILTER_MODE_POINT));
	said("by_name_without", cuModuleGetTexRef(&own, module, "row"));
	said("array_without", cuTexRefSetArray(plane, first, CU_TRSA_OVERRIDE_FORMAT));
	said("address_without", cuTexRefSetAddress_v2(NULL, plane, linear, 1024));
	said("plane_without", cuTexRefSetAddress2D_v3(plane, &shape, linear, 256));
	said("mipmap_without", cuTexRefSetMipmappedArray(plane, NULL, CU_TRSA_OVERRIDE_FORMAT));
	said("surface_without", cuSurfRefSetArray(canvas, first, 0));
	said("get_array_without", cuSurfRefGetArray(&first, canvas));
}

static void library_calls(void)
{
	CUlibrary library = NULL;

	answers_context();
	if (!said("load", cuLibraryLoadData(&library, references_image, NULL, NULL, 0, NULL, NULL, 0)) ||
	    !said("module", cuLibraryGetModule(&module, library)) ||
	    !said("function", cuModuleGetFunction(&read_plane, module, "read_plane")) ||
	    !said("reference", cuModuleGetTexRef(&plane, module, "plane")) ||
	    !said("found", cuMemAlloc_v2(&found, 4096)))
		return;
	first = array_make(100);
	said("set", cuTexRefSetArray(plane, first, CU_TRSA_OVERRIDE_FORMAT));
	plane_read("read", 0.5f);
	said("unload", cuLibraryUnload(library));
}

/* The forms of before CUDA 3.2. */
static void old_calls(void)
{
	const CUDA_ARRAY_DESCRIPTOR_v1 shape = {SIDE, SIDE, CU_AD_FORMAT_FLOAT, 1};
	CUdeviceptr_v1 address = 0;
	unsigned int offset = 0;

	if (!module_begin())
		return;
	said("set_address", cuTexRefSetAddress(&offset, row, (CUdeviceptr_v1)linear, 1024));
	said("set_plane", cuTexRefSetAddress2D(plane, &shape, (CUdeviceptr_v1)linear, 256));
	said("get_address", cuTexRefGetAddress(&address, row));
}

static const struct answers_group groups[] = {
	{"fresh", fresh_calls},	    {"plane", plane_calls}, {"linear", linear_calls},	  {"levels", level_calls},
	{"surface", surface_calls}, {"order", order_calls}, {"graph", graph_calls},	  {"made", made_calls},
	{"library", library_calls}, {"old", old_calls},	    {"context", context_calls},	  {"unbound", unbound_calls},
	{"gone", gone_calls},	    {"ended", ended_calls}, {"unloaded", unloaded_calls},
};

int main(int count, char **arguments)
{
	return answers_run(groups, COUNT_OF(groups), count > 1 ? arguments[1] : NULL);
}
