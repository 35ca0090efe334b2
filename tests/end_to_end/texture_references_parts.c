/* SPDX-License-Identifier: Apache-2.0 */
#include "texture_references_parts.h"

/*
 * 'read_plane' looks a texel up for each thread of a plane, 'offset' texels away; 'read_row' fetches words;
 * 'read_level' reads a level of a mipmapped array; 'write_plane' writes through a surface; 'ask' asks for width and
 * height.
 */
const char references_image[] =
	".version 6.0\n.target sm_50\n.address_size 64\n"
	".global .texref plane;\n.global .texref row;\n.global .texref levels;\n.global .surfref canvas;\n"
	".visible .entry read_plane(.param .u64 to, .param .f32 offset)\n{\n"
	"\t.reg .b32 %r<5>; .reg .f32 %f<8>; .reg .b64 %d<4>;\n"
	"\tld.param.u64 %d1, [to];\n\tcvta.to.global.u64 %d1, %d1;\n\tld.param.f32 %f1, [offset];\n"
	"\tmov.u32 %r1, %tid.x;\n\tmov.u32 %r2, %tid.y;\n\tmov.u32 %r3, %ntid.x;\n"
	"\tcvt.rn.f32.u32 %f2, %r1;\n\tcvt.rn.f32.u32 %f3, %r2;\n\tadd.f32 %f2, %f2, %f1;\n\tadd.f32 %f3, %f3, "
	"0f3F000000;\n"
	"\ttex.2d.v4.f32.f32 {%f4, %f5, %f6, %f7}, [plane, {%f2, %f3}];\n"
	"\tmad.lo.s32 %r4, %r2, %r3, %r1;\n\tmul.wide.u32 %d2, %r4, 4;\n\tadd.s64 %d3, %d1, %d2;\n"
	"\tst.global.f32 [%d3], %f4;\n\tret;\n}\n"
	".visible .entry read_row(.param .u64 to)\n{\n"
	"\t.reg .b32 %r<6>; .reg .b64 %d<4>;\n"
	"\tld.param.u64 %d1, [to];\n\tcvta.to.global.u64 %d1, %d1;\n\tmov.u32 %r1, %tid.x;\n"
	"\ttex.1d.v4.u32.s32 {%r2, %r3, %r4, %r5}, [row, {%r1}];\n"
	"\tmul.wide.u32 %d2, %r1, 4;\n\tadd.s64 %d3, %d1, %d2;\n\tst.global.u32 [%d3], %r2;\n\tret;\n}\n"
	".visible .entry read_level(.param .u64 to, .param .f32 level)\n{\n"
	"\t.reg .f32 %f<8>; .reg .b64 %d<2>;\n"
	"\tld.param.u64 %d1, [to];\n\tcvta.to.global.u64 %d1, %d1;\n\tld.param.f32 %f1, [level];\n"
	"\tmov.f32 %f2, 0f3F000000;\n"
	"\ttex.level.2d.v4.f32.f32 {%f4, %f5, %f6, %f7}, [levels, {%f2, %f2}], %f1;\n"
	"\tst.global.f32 [%d1], %f4;\n\tret;\n}\n"
	".visible .entry write_plane(.param .u32 value)\n{\n"
	"\t.reg .b32 %r<6>;\n"
	"\tld.param.u32 %r1, [value];\n\tmov.u32 %r2, %tid.x;\n\tmov.u32 %r3, %tid.y;\n\tadd.s32 %r4, %r1, %r2;\n"
	"\tshl.b32 %r5, %r2, 2;\n\tsust.b.2d.b32.trap [canvas, {%r5, %r3}], {%r4};\n\tret;\n}\n"
	".visible .entry ask(.param .u64 to)\n{\n"
	"\t.reg .b32 %r<5>; .reg .b64 %d<2>;\n"
	"\tld.param.u64 %d1, [to];\n\tcvta.to.global.u64 %d1, %d1;\n"
	"\ttxq.width.b32 %r1, [plane];\n\ttxq.height.b32 %r2, [plane];\n"
	"\tsuq.width.b32 %r3, [canvas];\n\tsuq.height.b32 %r4, [canvas];\n"
	"\tst.global.v4.u32 [%d1], {%r1, %r2, %r3, %r4};\n\tret;\n}\n"
	/* By its address, in a register. */
	".visible .entry read_named(.param .u64 to)\n{\n"
	"\t.reg .f32 %f<8>; .reg .b64 %d<4>;\n"
	"\tld.param.u64 %d1, [to];\n\tcvta.to.global.u64 %d1, %d1;\n\tmov.u64 %d2, plane;\n"
	"\tmov.f32 %f1, 0f40200000;\n"
	"\ttex.2d.v4.f32.f32 {%f4, %f5, %f6, %f7}, [%d2, {%f1, %f1}];\n"
	"\tst.global.f32 [%d1], %f4;\n\tret;\n}\n";

CUstream stream;
CUmodule module;
CUfunction read_plane, read_row, read_level, write_plane, ask, read_named;
CUtexref plane, row, levels;
CUsurfref canvas;
CUdeviceptr found, linear;
CUarray first, second;

bool module_begin(void)
{
	answers_context();
	return said("stream", cuStreamCreate(&stream, 0)) &&
	       said("load", cuModuleLoadData(&module, references_image)) &&
	       said("function_plane", cuModuleGetFunction(&read_plane, module, "read_plane")) &&
	       said("function_row", cuModuleGetFunction(&read_row, module, "read_row")) &&
	       said("function_level", cuModuleGetFunction(&read_level, module, "read_level")) &&
	       said("function_write", cuModuleGetFunction(&write_plane, module, "write_plane")) &&
	       said("function_ask", cuModuleGetFunction(&ask, module, "ask")) &&
	       said("function_named", cuModuleGetFunction(&read_named, module, "read_named")) &&
	       said("reference_plane", cuModuleGetTexRef(&plane, module, "plane")) &&
	       said("reference_row", cuModuleGetTexRef(&row, module, "row")) &&
	       said("reference_levels", cuModuleGetTexRef(&levels, module, "levels")) &&
	       said("reference_canvas", cuModuleGetSurfRef(&canvas, module, "canvas")) &&
	       said("found", cuMemAlloc_v2(&found, 4096)) && said("linear", cuMemAlloc_v2(&linear, 4096));
}

CUarray array_make(float value)
{
	const CUDA_ARRAY3D_DESCRIPTOR shape = {SIDE, SIDE, 0, CU_AD_FORMAT_FLOAT, 1, CUDA_ARRAY3D_SURFACE_LDST};
	float texels[TEXELS];
	CUDA_MEMCPY2D copy = {.srcMemoryType = CU_MEMORYTYPE_HOST,
			      .srcHost = texels,
			      .srcPitch = SIDE * sizeof(float),
			      .dstMemoryType = CU_MEMORYTYPE_ARRAY,
			      .WidthInBytes = SIDE * sizeof(float),
			      .Height = SIDE};

	for (int i = 0; i < TEXELS; i++)
		texels[i] = value + (float)i;
	if (!said("array", cuArray3DCreate_v2(&copy.dstArray, &shape)) || !said("array_up", cuMemcpy2D_v2(&copy)))
		exit(1);
	return copy.dstArray;
}

void plane_read(const char *name, float offset)
{
	void *parameters[] = {&found, &offset};
	float texels[TEXELS] = {0};
	double sum = 0;
	char line[64];

	cuMemcpyHtoD_v2(found, texels, sizeof(texels));
	if (!said(name, cuLaunchKernel(read_plane, 1, 1, 1, SIDE, SIDE, 1, 0, stream, parameters, NULL)) ||
	    cuStreamSynchronize(stream) || cuMemcpyDtoH_v2(texels, found, sizeof(texels)))
		return;
	for (int i = 0; i < TEXELS; i++)
		sum += (double)texels[i];
	snprintf(line, sizeof(line), "%s.sum", name);
	told_real(line, sum);
	snprintf(line, sizeof(line), "%s.first", name);
	told_real(line, (double)texels[0]);
	snprintf(line, sizeof(line), "%s.last", name);
	told_real(line, (double)texels[TEXELS - 1]);
}

void row_read(const char *name)
{
	void *parameters[] = {&found};
	uint32_t words[TEXELS] = {0};
	char line[64];

	cuMemcpyHtoD_v2(found, words, sizeof(words));
	if (!said(name, cuLaunchKernel(read_row, 1, 1, 1, TEXELS, 1, 1, 0, stream, parameters, NULL)) ||
	    cuStreamSynchronize(stream) || cuMemcpyDtoH_v2(words, found, sizeof(words)))
		return;
	for (int i = 0; i < TEXELS; i += 21) {
		snprintf(line, sizeof(line), "%s.%d", name, i);
		told(line, words[i]);
	}
}

void level_read(const char *name, float level)
{
	void *parameters[] = {&found, &level};
	float value = -1;

	if (said(name, cuLaunchKernel(read_level, 1, 1, 1, 1, 1, 1, 0, stream, parameters, NULL)) &&
	    !cuStreamSynchronize(stream) && !cuMemcpyDtoH_v2(&value, found, sizeof(value)))
		told_real(name, (double)value);
}

void named_read(const char *name)
{
	void *parameters[] = {&found};
	float value = -1;

	if (said(name, cuLaunchKernel(read_named, 1, 1, 1, 1, 1, 1, 0, stream, parameters, NULL)) &&
	    !cuStreamSynchronize(stream) && !cuMemcpyDtoH_v2(&value, found, sizeof(value)))
		told_real(name, (double)value);
}

void asked(const char *name)
{
	void *parameters[] = {&found};
	uint32_t answers[4] = {0};
	char line[64];

	if (!said(name, cuLaunchKernel(ask, 1, 1, 1, 1, 1, 1, 0, stream, parameters, NULL)) ||
	    cuStreamSynchronize(stream) || cuMemcpyDtoH_v2(answers, found, sizeof(answers)))
		return;
	for (int i = 0; i < 4; i++) {
		snprintf(line, sizeof(line), "%s.%d", name, i);
		told(line, answers[i]);
	}
}

void state_tell(CUtexref reference)
{
	CUdeviceptr address = 1;
	CUarray array = NULL;
	CUmipmappedArray mipmap = NULL;
	CUaddress_mode mode = (CUaddress_mode)77;
	CUfilter_mode filter = (CUfilter_mode)77;
	CUarray_format format = (CUarray_format)77;
	float value = 77, greatest = 77, color[4] = {77, 77, 77, 77};
	int channels = 77, anisotropy = 77;
	unsigned int flags = 77;

	if (said("get_address", cuTexRefGetAddress_v2(&address, reference)))
		told("get_address", address == linear ? 2 : address != 0);
	if (said("get_array", cuTexRefGetArray(&array, reference)))
		told("get_array", array == first ? 1 : array == second ? 2 : array ? 3 : 0);
	if (said("get_mipmap", cuTexRefGetMipmappedArray(&mipmap, reference)))
		told("get_mipmap", mipmap != NULL);
	for (int i = -1; i < 4; i++)
		if (said("get_address_mode", cuTexRefGetAddressMode(&mode, reference, i)))
			told("get_address_mode", mode);
	if (said("get_filter", cuTexRefGetFilterMode(&filter, reference)))
		told("get_filter", filter);
	if (said("get_format", cuTexRefGetFormat(&format, &channels, reference)))
		told("get_format", format * 10 + channels);
	if (said("get_mipmap_filter", cuTexRefGetMipmapFilterMode(&filter, reference)))
		told("get_mipmap_filter", filter);
	if (said("get_bias", cuTexRefGetMipmapLevelBias(&value, reference)))
		told_real("get_bias", (double)value);
	if (said("get_clamp", cuTexRefGetMipmapLevelClamp(&value, &greatest, reference))) {
		told_real("get_clamp_least", (double)value);
		told_real("get_clamp_greatest", (double)greatest);
	}
	if (said("get_anisotropy", cuTexRefGetMaxAnisotropy(&anisotropy, reference)))
		told("get_anisotropy", anisotropy);
	if (said("get_border", cuTexRefGetBorderColor(color, reference)))
		for (int i = 0; i < 4; i++)
			told_real("get_border", (double)color[i]);
	if (said("get_flags", cuTexRefGetFlags(&flags, reference)))
		told("get_flags", flags);
}
