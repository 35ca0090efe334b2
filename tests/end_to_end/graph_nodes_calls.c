/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of graph_nodes do over and over: a kernel whose order shows, and graphs of it. */
#include "graph_nodes.h"

#include <string.h>

const char scale_image[] =
	".version 7.0\n.target sm_70\n.address_size 64\n"
	".visible .entry scale(.param .u64 to, .param .u32 factor, .param .u32 addend, .param .u32 count)\n{\n"
	"\t.reg .pred %p; .reg .b32 %r<9>; .reg .b64 %d<4>;\n"
	"\tld.param.u64 %d1, [to];\n\tld.param.u32 %r5, [factor];\n\tld.param.u32 %r6, [addend];\n"
	"\tld.param.u32 %r7, [count];\n\tcvta.to.global.u64 %d1, %d1;\n"
	"\tmov.u32 %r1, %ctaid.x;\n\tmov.u32 %r2, %ntid.x;\n\tmov.u32 %r3, %tid.x;\n"
	"\tmad.lo.s32 %r4, %r1, %r2, %r3;\n\tsetp.ge.u32 %p, %r4, %r7;\n\t@%p ret;\n"
	"\tmul.wide.u32 %d2, %r4, 4;\n\tadd.s64 %d3, %d1, %d2;\n"
	"\tld.global.u32 %r8, [%d3];\n\tmad.lo.s32 %r8, %r8, %r5, %r6;\n\tst.global.u32 [%d3], %r8;\n\tret;\n}\n";

CUcontext context;
CUstream stream;
CUfunction scale;
CUdeviceptr first, second, third;
uint32_t *pinned;

int setup(void **state)
{
	CUmodule module;

	(void)state;
	return cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context) ||
	       cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING) || cuModuleLoadData(&module, scale_image) ||
	       cuModuleGetFunction(&scale, module, "scale") || cuMemAlloc_v2(&first, WORDS * 4) ||
	       cuMemAlloc_v2(&second, WORDS * 4) || cuMemAlloc_v2(&third, WORDS * 4) ||
	       cuMemHostAlloc((void **)&pinned, WORDS * 4, 0);
}

const CUDA_KERNEL_NODE_PARAMS *scaling_of(struct scaling *scaling, CUdeviceptr to, uint32_t factor, uint32_t addend)
{
	*scaling = (struct scaling){.to = to, .factor = factor, .addend = addend, .count = WORDS};
	scaling->pointers[0] = &scaling->to;
	scaling->pointers[1] = &scaling->factor;
	scaling->pointers[2] = &scaling->addend;
	scaling->pointers[3] = &scaling->count;
	scaling->node = (CUDA_KERNEL_NODE_PARAMS){
		.func = scale,
		.gridDimX = (WORDS + 127) / 128,
		.gridDimY = 1,
		.gridDimZ = 1,
		.blockDimX = 128,
		.blockDimY = 1,
		.blockDimZ = 1,
		.kernelParams = scaling->pointers,
	};
	return &scaling->node;
}

CUgraphNode add_scaling(CUgraph graph, const CUgraphNode *dependencies, size_t count, CUdeviceptr to, uint32_t factor,
			uint32_t addend)
{
	struct scaling scaling;
	CUgraphNode node = NULL;

	WORKS(cuGraphAddKernelNode_v2(&node, graph, dependencies, count, scaling_of(&scaling, to, factor, addend)));
	/* The node has its own copy. */
	memset(&scaling, 0xff, sizeof(scaling));
	return node;
}

CUDA_MEMSET_NODE_PARAMS fill_of(CUdeviceptr to, uint32_t value)
{
	return (CUDA_MEMSET_NODE_PARAMS){.dst = to, .value = value, .elementSize = 4, .width = WORDS, .height = 1};
}

CUgraphNode add_fill(CUgraph graph, CUdeviceptr to, uint32_t value)
{
	const CUDA_MEMSET_NODE_PARAMS fill = fill_of(to, value);
	CUgraphNode node = NULL;

	WORKS(cuGraphAddMemsetNode(&node, graph, NULL, 0, &fill, context));
	return node;
}

CUDA_MEMCPY3D copy_of(CUdeviceptr to, CUdeviceptr from)
{
	return (CUDA_MEMCPY3D){
		.srcMemoryType = CU_MEMORYTYPE_DEVICE,
		.srcDevice = from,
		.srcPitch = WORDS * 4,
		.srcHeight = 1,
		.dstMemoryType = CU_MEMORYTYPE_DEVICE,
		.dstDevice = to,
		.dstPitch = WORDS * 4,
		.dstHeight = 1,
		.WidthInBytes = WORDS * 4,
		.Height = 1,
		.Depth = 1,
	};
}

CUgraphNode add_copy(CUgraph graph, CUgraphNode dependency, CUdeviceptr to, CUdeviceptr from)
{
	const CUDA_MEMCPY3D copy = copy_of(to, from);
	CUgraphNode node = NULL;

	WORKS(cuGraphAddMemcpyNode(&node, graph, &dependency, 1, &copy, context));
	return node;
}

void expect_words(CUdeviceptr at, uint32_t value)
{
	static uint32_t words[WORDS];

	WORKS(cuStreamSynchronize(stream));
	WORKS(cuMemcpyDtoH_v2(words, at, sizeof(words)));
	for (size_t i = 0; i < WORDS; i++)
		assert_int_equal(words[i], value);
}

void clear(void)
{
	WORKS(cuMemsetD32_v2(first, 0, WORDS));
	WORKS(cuMemsetD32_v2(second, 0, WORDS));
	WORKS(cuCtxSynchronize());
}

void expect_type(CUgraphNode node, CUgraphNodeType expected)
{
	CUgraphNodeType type;

	WORKS(cuGraphNodeGetType(node, &type));
	assert_int_equal(type, expected);
}
