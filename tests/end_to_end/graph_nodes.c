/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Graphs made node by node, with any libcuda.so.1. Run by test_streams.py; with the argument "refusals" it looks
 * at what only this libcuda refuses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "cuda_abi.h"
#include "graph_calls.h"

#define WORKS(call)   assert_int_equal(call, CUDA_SUCCESS)
#define INVALID(call) assert_int_equal(call, CUDA_ERROR_INVALID_VALUE)

#define WORDS	 1000u
#define MANY	 3000u /* more than cross in one record */
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* A kernel 'scale' that makes x * factor + addend of each of 'count' words: the order of several shows. */
static const char scale_image[] =
	".version 7.0\n.target sm_70\n.address_size 64\n"
	".visible .entry scale(.param .u64 to, .param .u32 factor, .param .u32 addend, .param .u32 count)\n{\n"
	"\t.reg .pred %p; .reg .b32 %r<9>; .reg .b64 %d<4>;\n"
	"\tld.param.u64 %d1, [to];\n\tld.param.u32 %r5, [factor];\n\tld.param.u32 %r6, [addend];\n"
	"\tld.param.u32 %r7, [count];\n\tcvta.to.global.u64 %d1, %d1;\n"
	"\tmov.u32 %r1, %ctaid.x;\n\tmov.u32 %r2, %ntid.x;\n\tmov.u32 %r3, %tid.x;\n"
	"\tmad.lo.s32 %r4, %r1, %r2, %r3;\n\tsetp.ge.u32 %p, %r4, %r7;\n\t@%p ret;\n"
	"\tmul.wide.u32 %d2, %r4, 4;\n\tadd.s64 %d3, %d1, %d2;\n"
	"\tld.global.u32 %r8, [%d3];\n\tmad.lo.s32 %r8, %r8, %r5, %r6;\n\tst.global.u32 [%d3], %r8;\n\tret;\n}\n";

static CUcontext context;
static CUstream stream;
static CUfunction scale;
static CUdeviceptr first, second, third;
static uint32_t *pinned;

static int setup(void **state)
{
	CUmodule module;

	(void)state;
	return cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context) ||
	       cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING) || cuModuleLoadData(&module, scale_image) ||
	       cuModuleGetFunction(&scale, module, "scale") || cuMemAlloc_v2(&first, WORDS * 4) ||
	       cuMemAlloc_v2(&second, WORDS * 4) || cuMemAlloc_v2(&third, WORDS * 4) ||
	       cuMemHostAlloc((void **)&pinned, WORDS * 4, 0);
}

/* The parameters of a launch, kept together with what points to them. */
struct scaling {
	CUdeviceptr to;
	uint32_t factor, addend, count;
	void *pointers[4];
	CUDA_KERNEL_NODE_PARAMS node;
};

static const CUDA_KERNEL_NODE_PARAMS *scaling_of(struct scaling *scaling, CUdeviceptr to, uint32_t factor,
						 uint32_t addend)
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

static CUgraphNode add_scaling(CUgraph graph, const CUgraphNode *dependencies, size_t count, CUdeviceptr to,
			       uint32_t factor, uint32_t addend)
{
	struct scaling scaling;
	CUgraphNode node = NULL;

	WORKS(cuGraphAddKernelNode_v2(&node, graph, dependencies, count, scaling_of(&scaling, to, factor, addend)));
	/* The node has its own copy. */
	memset(&scaling, 0xff, sizeof(scaling));
	return node;
}

static CUDA_MEMSET_NODE_PARAMS fill_of(CUdeviceptr to, uint32_t value)
{
	return (CUDA_MEMSET_NODE_PARAMS){.dst = to, .value = value, .elementSize = 4, .width = WORDS, .height = 1};
}

static CUgraphNode add_fill(CUgraph graph, CUdeviceptr to, uint32_t value)
{
	const CUDA_MEMSET_NODE_PARAMS fill = fill_of(to, value);
	CUgraphNode node = NULL;

	WORKS(cuGraphAddMemsetNode(&node, graph, NULL, 0, &fill, context));
	return node;
}

static CUDA_MEMCPY3D copy_of(CUdeviceptr to, CUdeviceptr from)
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

static CUgraphNode add_copy(CUgraph graph, CUgraphNode dependency, CUdeviceptr to, CUdeviceptr from)
{
	const CUDA_MEMCPY3D copy = copy_of(to, from);
	CUgraphNode node = NULL;

	WORKS(cuGraphAddMemcpyNode(&node, graph, &dependency, 1, &copy, context));
	return node;
}

static void expect_words(CUdeviceptr at, uint32_t value)
{
	static uint32_t words[WORDS];

	WORKS(cuStreamSynchronize(stream));
	WORKS(cuMemcpyDtoH_v2(words, at, sizeof(words)));
	for (size_t i = 0; i < WORDS; i++)
		assert_int_equal(words[i], value);
}

static void clear(void)
{
	WORKS(cuMemsetD32_v2(first, 0, WORDS));
	WORKS(cuMemsetD32_v2(second, 0, WORDS));
	WORKS(cuCtxSynchronize());
}

static CUgraphExec instantiate(CUgraph graph)
{
	CUgraphExec exec = NULL;

	WORKS(cuGraphInstantiateWithFlags(&exec, graph, 0));
	return exec;
}

static void run(CUgraphExec exec)
{
	WORKS(cuGraphLaunch(exec, stream));
	WORKS(cuStreamSynchronize(stream));
}

/* first = 5, then * 3 + 1, then * 2 + 7; second is a copy of it. */
static void test_chain(void **state)
{
	CUgraphNode fill, tripled, barrier, doubled;
	CUgraphExec exec;
	CUgraph graph;

	(void)state;
	clear();
	WORKS(cuGraphCreate(&graph, 0));
	fill = add_fill(graph, first, 5);
	tripled = add_scaling(graph, &fill, 1, first, 3, 1);
	WORKS(cuGraphAddEmptyNode(&barrier, graph, &tripled, 1));
	doubled = add_scaling(graph, &barrier, 1, first, 2, 7);
	add_copy(graph, doubled, second, first);
	exec = instantiate(graph);
	WORKS(cuGraphDestroy(graph));
	for (int i = 0; i < 3; i++)
		run(exec);
	expect_words(second, (5 * 3 + 1) * 2 + 7);
	WORKS(cuGraphExecDestroy(exec));
}

static void expect_type(CUgraphNode node, CUgraphNodeType expected)
{
	CUgraphNodeType type;

	WORKS(cuGraphNodeGetType(node, &type));
	assert_int_equal(type, expected);
}

static void test_shape(void **state)
{
	CUgraphNode left, right, both, copy, nodes[6], others[6];
	size_t count = 0, edges_of_both = 0;
	CUgraphEdgeData edges[6];
	CUgraph graph;

	(void)state;
	WORKS(cuGraphCreate(&graph, 0));
	WORKS(cuGraphGetNodes(graph, NULL, &count));
	assert_int_equal(count, 0);
	left = add_fill(graph, first, 1);
	right = add_fill(graph, second, 2);
	both = add_scaling(graph, (CUgraphNode[]){left, right}, 2, first, 1, 1);
	copy = add_copy(graph, both, second, first);
	expect_type(left, CU_GRAPH_NODE_TYPE_MEMSET);
	expect_type(both, CU_GRAPH_NODE_TYPE_KERNEL);
	expect_type(copy, CU_GRAPH_NODE_TYPE_MEMCPY);

	count = COUNT(nodes);
	WORKS(cuGraphGetNodes(graph, nodes, &count));
	assert_int_equal(count, 4);
	assert_null(nodes[4]);
	count = COUNT(nodes);
	WORKS(cuGraphGetRootNodes(graph, nodes, &count));
	assert_int_equal(count, 2);
	assert_true((nodes[0] == left && nodes[1] == right) || (nodes[0] == right && nodes[1] == left));
	count = 1;
	WORKS(cuGraphGetNodes(graph, nodes, &count));
	assert_int_equal(count, 1);

	WORKS(cuGraphGetEdges_v2(graph, NULL, NULL, NULL, &count));
	assert_int_equal(count, 3);
	count = COUNT(nodes);
	WORKS(cuGraphGetEdges_v2(graph, nodes, others, edges, &count));
	assert_int_equal(count, 3);
	for (size_t i = 0; i < count; i++) {
		edges_of_both += others[i] == both && (nodes[i] == left || nodes[i] == right);
		assert_int_equal(edges[i].type, CU_GRAPH_DEPENDENCY_TYPE_DEFAULT);
	}
	assert_int_equal(edges_of_both, 2);
	count = COUNT(nodes);
	WORKS(cuGraphNodeGetDependencies_v2(copy, nodes, NULL, &count));
	assert_int_equal(count, 1);
	assert_ptr_equal(nodes[0], both);
	count = COUNT(nodes);
	WORKS(cuGraphNodeGetDependentNodes_v2(left, nodes, NULL, &count));
	assert_int_equal(count, 1);
	assert_ptr_equal(nodes[0], both);
	WORKS(cuGraphDestroy(graph));
}

static void test_parameters(void **state)
{
	struct scaling scaling;
	CUDA_KERNEL_NODE_PARAMS kernel;
	CUDA_MEMSET_NODE_PARAMS fill;
	CUDA_MEMCPY3D copy;
	CUgraphNode filled, scaled, copied;
	CUgraphExec former, latter;
	CUgraph graph;

	(void)state;
	clear();
	WORKS(cuGraphCreate(&graph, 0));
	filled = add_fill(graph, first, 5);
	scaled = add_scaling(graph, &filled, 1, first, 3, 1);
	copied = add_copy(graph, scaled, second, first);
	former = instantiate(graph);

	WORKS(cuGraphKernelNodeGetParams_v2(scaled, &kernel));
	assert_ptr_equal(kernel.func, scale);
	assert_int_equal(kernel.blockDimX, 128);
	assert_int_equal(*(uint32_t *)kernel.kernelParams[1], 3);
	assert_int_equal(*(uint32_t *)kernel.kernelParams[2], 1);
	WORKS(cuGraphMemsetNodeGetParams(filled, &fill));
	assert_int_equal(fill.dst, first);
	assert_int_equal(fill.value, 5);
	WORKS(cuGraphMemcpyNodeGetParams(copied, &copy));
	assert_int_equal(copy.dstDevice, second);
	assert_int_equal(copy.WidthInBytes, WORDS * 4);

	WORKS(cuGraphKernelNodeSetParams_v2(scaled, scaling_of(&scaling, first, 10, 0)));
	WORKS(cuGraphKernelNodeGetParams_v2(scaled, &kernel));
	assert_int_equal(*(uint32_t *)kernel.kernelParams[1], 10);
	fill.value = 6;
	WORKS(cuGraphMemsetNodeSetParams(filled, &fill));
	latter = instantiate(graph);
	run(latter);
	expect_words(second, 60);
	run(former);
	expect_words(second, 16);
	WORKS(cuGraphDestroy(graph));
	WORKS(cuGraphExecDestroy(former));
	WORKS(cuGraphExecDestroy(latter));
}

/* Every other word, to memory of the host that the device can reach and back. */
static void test_copies(void **state)
{
	const CUDA_MEMCPY3D down = {
		.srcMemoryType = CU_MEMORYTYPE_DEVICE,
		.srcDevice = first,
		.srcPitch = 8,
		.dstMemoryType = CU_MEMORYTYPE_HOST,
		.dstHost = pinned,
		.dstPitch = 4,
		.WidthInBytes = 4,
		.Height = WORDS / 2,
		.Depth = 1,
	};
	const CUDA_MEMCPY3D up = {
		.srcMemoryType = CU_MEMORYTYPE_HOST,
		.srcHost = pinned,
		.dstMemoryType = CU_MEMORYTYPE_DEVICE,
		.dstDevice = second,
		.WidthInBytes = WORDS * 2,
		.Height = 1,
		.Depth = 1,
	};
	static uint32_t words[WORDS];
	CUgraphNode copied, node;
	CUdeviceptr mapped;
	CUgraphExec exec;
	CUgraph graph;

	(void)state;
	if (cuMemHostGetDevicePointer_v2(&mapped, pinned, 0))
		skip(); /* over a worker, or in a virtual machine */
	clear();
	for (uint32_t i = 0; i < WORDS; i++)
		words[i] = i;
	WORKS(cuMemcpyHtoD_v2(first, words, sizeof(words)));
	/* A copy from pageable memory may be under way when it returns. */
	WORKS(cuCtxSynchronize());
	WORKS(cuGraphCreate(&graph, 0));
	WORKS(cuGraphAddMemcpyNode(&copied, graph, NULL, 0, &down, context));
	WORKS(cuGraphAddMemcpyNode(&node, graph, &copied, 1, &up, context));
	exec = instantiate(graph);
	run(exec);
	WORKS(cuMemcpyDtoH_v2(words, second, sizeof(words)));
	for (uint32_t i = 0; i < WORDS; i++)
		assert_int_equal(words[i], i < WORDS / 2 ? 2 * i : 0);
	for (uint32_t i = 0; i < WORDS / 2; i++)
		assert_int_equal(pinned[i], 2 * i);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));
}

/* All parameters in one buffer. */
static void test_buffer(void **state)
{
	struct {
		CUdeviceptr to;
		uint32_t factor, addend, count;
	} buffer = {first, 1, 9, WORDS};
	size_t bytes = offsetof(__typeof__(buffer), count) + sizeof(buffer.count);
	void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, &buffer, CU_LAUNCH_PARAM_BUFFER_SIZE, &bytes,
			 CU_LAUNCH_PARAM_END};
	struct scaling scaling;
	CUgraphNode node;
	CUgraphExec exec;
	CUgraph graph;

	(void)state;
	clear();
	scaling_of(&scaling, first, 0, 0);
	scaling.node.kernelParams = NULL;
	scaling.node.extra = extra;
	WORKS(cuGraphCreate(&graph, 0));
	WORKS(cuGraphAddKernelNode_v2(&node, graph, NULL, 0, &scaling.node));
	exec = instantiate(graph);
	run(exec);
	run(exec);
	expect_words(first, 18);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));
}

static void test_executable(void **state)
{
	const CUDA_MEMSET_NODE_PARAMS fill = fill_of(first, 7);
	const CUDA_MEMCPY3D copy = copy_of(third, first);
	CUgraphNode filled, scaled, copied;
	struct scaling scaling;
	unsigned int enabled = 7;
	CUgraphExec exec;
	CUgraph graph;

	(void)state;
	clear();
	WORKS(cuGraphCreate(&graph, 0));
	filled = add_fill(graph, first, 5);
	scaled = add_scaling(graph, &filled, 1, first, 3, 1);
	copied = add_copy(graph, scaled, second, first);
	exec = instantiate(graph);

	WORKS(cuGraphExecKernelNodeSetParams_v2(exec, scaled, scaling_of(&scaling, first, 2, 0)));
	WORKS(cuGraphExecMemsetNodeSetParams(exec, filled, &fill, context));
	run(exec);
	expect_words(second, 14);

	WORKS(cuGraphNodeGetEnabled(exec, scaled, &enabled));
	assert_int_equal(enabled, 1);
	WORKS(cuGraphNodeSetEnabled(exec, scaled, 0));
	WORKS(cuGraphNodeGetEnabled(exec, scaled, &enabled));
	assert_int_equal(enabled, 0);
	run(exec);
	expect_words(second, 7);
	WORKS(cuGraphNodeSetEnabled(exec, scaled, 1));
	run(exec);
	expect_words(second, 14);

	WORKS(cuMemsetD32_v2(second, 0, WORDS));
	WORKS(cuCtxSynchronize());
	WORKS(cuGraphExecMemcpyNodeSetParams(exec, copied, &copy, context));
	run(exec);
	expect_words(third, 14);
	expect_words(second, 0);
	WORKS(cuGraphExecDestroy(exec));

	/* The graph is as it was. */
	exec = instantiate(graph);
	run(exec);
	expect_words(second, 16);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));
}

static void test_update(void **state)
{
	CUgraphExecUpdateResultInfo info;
	CUgraphNode filled, node;
	CUgraph graph, other;
	struct scaling scaling;
	CUgraphExec exec;

	(void)state;
	clear();
	WORKS(cuGraphCreate(&graph, 0));
	filled = add_fill(graph, first, 5);
	node = add_scaling(graph, &filled, 1, first, 3, 1);
	exec = instantiate(graph);
	WORKS(cuGraphCreate(&other, 0));
	filled = add_fill(other, first, 6);
	add_scaling(other, &filled, 1, first, 3, 1);
	WORKS(cuGraphExecUpdate_v2(exec, other, &info));
	run(exec);
	expect_words(first, 19);
	/* The nodes of the graph that it was made of are still its names. */
	WORKS(cuGraphExecKernelNodeSetParams_v2(exec, node, scaling_of(&scaling, first, 2, 2)));
	run(exec);
	expect_words(first, 14);
	add_fill(other, second, 1);
	assert_int_equal(cuGraphExecUpdate_v2(exec, other, &info), CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
	assert_int_equal(info.result, CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED);
	WORKS(cuGraphDestroy(other));
	WORKS(cuGraphDestroy(graph));
	WORKS(cuGraphExecDestroy(exec));
}

static void test_edges(void **state)
{
	CUgraphNode early, late, filled;
	CUgraphExec exec;
	CUgraph graph;
	size_t count;

	(void)state;
	clear();
	WORKS(cuGraphCreate(&graph, 0));
	/* The one that was added first is to run last. */
	late = add_scaling(graph, NULL, 0, first, 2, 7);
	early = add_scaling(graph, NULL, 0, first, 3, 1);
	filled = add_fill(graph, first, 5);
	WORKS(cuGraphAddDependencies_v2(graph, (CUgraphNode[]){early, filled}, (CUgraphNode[]){late, early}, NULL, 2));
	exec = instantiate(graph);
	run(exec);
	expect_words(first, (5 * 3 + 1) * 2 + 7);
	WORKS(cuGraphExecDestroy(exec));
	INVALID(cuGraphAddDependencies_v2(graph, &early, &late, NULL, 1));

	WORKS(cuGraphRemoveDependencies_v2(graph, &filled, &early, NULL, 1));
	INVALID(cuGraphRemoveDependencies_v2(graph, &filled, &early, NULL, 1));
	WORKS(cuGraphNodeGetDependencies_v2(early, NULL, NULL, &count));
	assert_int_equal(count, 0);
	WORKS(cuGraphDestroyNode(filled));
	WORKS(cuGraphDestroyNode(early));
	WORKS(cuGraphNodeGetDependencies_v2(late, NULL, NULL, &count));
	assert_int_equal(count, 0);
	WORKS(cuGraphGetNodes(graph, NULL, &count));
	assert_int_equal(count, 1);
	WORKS(cuMemsetD32_v2(first, 4, WORDS));
	WORKS(cuCtxSynchronize());
	exec = instantiate(graph);
	run(exec);
	expect_words(first, 15);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));
}

static void test_many(void **state)
{
	static CUgraphNode nodes[MANY], found[MANY];
	CUgraphNode barrier;
	CUgraphExec exec;
	size_t count = MANY;
	CUgraph graph;

	(void)state;
	clear();
	WORKS(cuGraphCreate(&graph, 0));
	for (size_t i = 0; i < MANY; i++) {
		const CUDA_MEMSET_NODE_PARAMS fill = {
			.dst = first + i % WORDS * 4, .value = 3, .elementSize = 4, .width = 1, .height = 1};

		WORKS(cuGraphAddMemsetNode(&nodes[i], graph, NULL, 0, &fill, context));
	}
	WORKS(cuGraphAddEmptyNode(&barrier, graph, nodes, MANY));
	add_scaling(graph, &barrier, 1, first, 2, 1);
	WORKS(cuGraphNodeGetDependencies_v2(barrier, found, NULL, &count));
	assert_int_equal(count, MANY);
	exec = instantiate(graph);
	run(exec);
	expect_words(first, 7);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));
}

static CUgraphNode node_of_type(CUgraph graph, CUgraphNodeType wanted)
{
	CUgraphNode nodes[8], found = NULL;
	size_t count = COUNT(nodes);

	WORKS(cuGraphGetNodes(graph, nodes, &count));
	for (size_t i = 0; i < count; i++) {
		CUgraphNodeType type;

		WORKS(cuGraphNodeGetType(nodes[i], &type));
		if (type == wanted)
			found = nodes[i];
	}
	assert_non_null(found);
	return found;
}

static void expect_scaling(CUgraphNode node, uint32_t factor, uint32_t addend)
{
	CUDA_KERNEL_NODE_PARAMS kernel;

	WORKS(cuGraphKernelNodeGetParams_v2(node, &kernel));
	assert_int_equal(kernel.gridDimX, (WORDS + 127) / 128);
	assert_int_equal(kernel.blockDimX, 128);
	/* The real driver tells of the buffer if there was one. */
	assert_non_null(kernel.kernelParams);
	assert_int_equal(*(CUdeviceptr *)kernel.kernelParams[0], first);
	assert_int_equal(*(uint32_t *)kernel.kernelParams[1], factor);
	assert_int_equal(*(uint32_t *)kernel.kernelParams[2], addend);
}

/* The nodes of a capture, and of a clone of it, are named when they are asked for. */
static void test_captured(void **state)
{
	CUDA_MEMSET_NODE_PARAMS fill;
	CUDA_MEMCPY3D copy;
	CUgraph graph, clone;
	CUgraphNode nodes[4], last = NULL;
	struct scaling scaling;
	CUgraphExec exec;
	size_t count = 0;

	(void)state;
	clear();
	scaling_of(&scaling, first, 3, 1);
	WORKS(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	WORKS(cuMemsetD8Async(first, 1, WORDS * 4, stream));
	WORKS(cuLaunchKernel(scale, scaling.node.gridDimX, 1, 1, 128, 1, 1, 0, stream, scaling.pointers, NULL));
	WORKS(cuStreamEndCapture(stream, &graph));
	WORKS(cuGraphGetNodes(graph, NULL, &count));
	assert_int_equal(count, 2);
	WORKS(cuGraphGetNodes(graph, nodes, &count));
	for (size_t i = 0; i < 2; i++) {
		CUgraphNodeType type;

		WORKS(cuGraphNodeGetType(nodes[i], &type));
		if (type == CU_GRAPH_NODE_TYPE_KERNEL)
			last = nodes[i];
		else
			assert_int_equal(type, CU_GRAPH_NODE_TYPE_MEMSET);
	}
	count = COUNT(nodes);
	WORKS(cuGraphNodeGetDependencies_v2(last, nodes, NULL, &count));
	assert_int_equal(count, 1);
	expect_type(nodes[0], CU_GRAPH_NODE_TYPE_MEMSET);
	WORKS(cuGraphMemsetNodeGetParams(nodes[0], &fill));
	assert_int_equal(fill.dst, first);
	assert_int_equal(fill.width * fill.elementSize, WORDS * 4);
	expect_scaling(last, 3, 1);
	add_copy(graph, last, second, first);
	WORKS(cuGraphClone(&clone, graph));
	exec = instantiate(graph);
	WORKS(cuGraphDestroy(graph));
	run(exec);
	expect_words(second, 0x01010101u * 3 + 1);
	WORKS(cuGraphExecDestroy(exec));

	count = COUNT(nodes);
	WORKS(cuGraphGetRootNodes(clone, nodes, &count));
	assert_int_equal(count, 1);
	expect_type(nodes[0], CU_GRAPH_NODE_TYPE_MEMSET);
	expect_scaling(node_of_type(clone, CU_GRAPH_NODE_TYPE_KERNEL), 3, 1);
	WORKS(cuGraphMemcpyNodeGetParams(node_of_type(clone, CU_GRAPH_NODE_TYPE_MEMCPY), &copy));
	assert_int_equal(copy.srcDevice, first);
	assert_int_equal(copy.dstDevice, second);
	assert_int_equal(copy.WidthInBytes, WORDS * 4);
	WORKS(cuGraphDestroyNode(nodes[0]));
	exec = instantiate(clone);
	clear();
	run(exec);
	expect_words(second, 1);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(clone));
}

/* A kernel where a function is expected, as the runtime has them; what is told of it is given back, changed. */
static void test_library_kernel(void **state)
{
	CUDA_KERNEL_NODE_PARAMS told;
	uint32_t *factor, former;
	struct scaling scaling;
	CUlibrary library;
	CUkernel kernel;
	CUgraphNode node;
	CUgraphExec exec;
	CUgraph graph;

	(void)state;
	WORKS(cuLibraryLoadData(&library, scale_image, NULL, NULL, 0, NULL, NULL, 0));
	WORKS(cuLibraryGetKernel(&kernel, library, "scale"));
	scaling_of(&scaling, first, 3, 1);
	scaling.node.func = NULL;
	scaling.node.kern = kernel;
	WORKS(cuGraphCreate(&graph, 0));
	WORKS(cuGraphAddKernelNode_v2(&node, graph, NULL, 0, &scaling.node));
	exec = instantiate(graph);
	clear();
	run(exec);
	run(exec);
	expect_words(first, 4);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));

	WORKS(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	WORKS(cuLaunchKernel((CUfunction)kernel, scaling.node.gridDimX, 1, 1, 128, 1, 1, 0, stream, scaling.pointers,
			     NULL));
	WORKS(cuStreamEndCapture(stream, &graph));
	node = node_of_type(graph, CU_GRAPH_NODE_TYPE_KERNEL);
	expect_scaling(node, 3, 1);
	WORKS(cuGraphKernelNodeGetParams_v2(node, &told));
	factor = told.kernelParams[1];
	former = *factor;
	told.kernelParams[1] = &(uint32_t){former + 2};
	WORKS(cuGraphKernelNodeSetParams_v2(node, &told));
	exec = instantiate(graph);
	run(exec);
	expect_words(first, 21);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));
	WORKS(cuLibraryUnload(library));
}

/* first = value * 3 + 1. */
static CUgraph tripling(uint32_t value)
{
	CUgraphNode filled;
	CUgraph graph;

	WORKS(cuGraphCreate(&graph, 0));
	filled = add_fill(graph, first, value);
	add_scaling(graph, &filled, 1, first, 3, 1);
	return graph;
}

static void test_child(void **state)
{
	CUgraph graph, child = tripling(5), embedded, again;
	struct scaling scaling;
	CUgraphNode node;
	CUgraphExec exec;

	(void)state;
	clear();
	WORKS(cuGraphCreate(&graph, 0));
	WORKS(cuGraphAddChildGraphNode(&node, graph, NULL, 0, child));
	expect_type(node, CU_GRAPH_NODE_TYPE_GRAPH);
	add_copy(graph, node, second, first);
	exec = instantiate(graph);
	/* It was copied. */
	WORKS(cuGraphDestroy(child));
	run(exec);
	expect_words(second, 16);

	child = tripling(6);
	WORKS(cuGraphExecChildGraphNodeSetParams(exec, node, child));
	run(exec);
	expect_words(second, 19);
	WORKS(cuGraphDestroy(child));

	WORKS(cuGraphChildGraphNodeGetGraph(node, &embedded));
	WORKS(cuGraphChildGraphNodeGetGraph(node, &again));
	assert_ptr_equal(embedded, again);
	node = node_of_type(embedded, CU_GRAPH_NODE_TYPE_KERNEL);
	WORKS(cuGraphExecKernelNodeSetParams_v2(exec, node, scaling_of(&scaling, first, 10, 0)));
	run(exec);
	expect_words(second, 60);
	WORKS(cuGraphExecDestroy(exec));

	/* What is changed in the embedded graph is changed in the node. */
	WORKS(cuGraphKernelNodeSetParams_v2(node, scaling_of(&scaling, first, 2, 0)));
	exec = instantiate(graph);
	run(exec);
	expect_words(second, 10);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));
}

static void test_moved_child(void **state)
{
	CUgraphNodeParams parameters = {.type = CU_GRAPH_NODE_TYPE_GRAPH};
	CUgraph graph, child = tripling(5), embedded;
	CUgraphNode node, scaled = node_of_type(child, CU_GRAPH_NODE_TYPE_KERNEL);
	struct scaling scaling;
	CUgraphExec exec;
	size_t count = 0;

	(void)state;
	clear();
	WORKS(cuGraphCreate(&graph, 0));
	parameters.graph.graph = child;
	parameters.graph.ownership = CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE;
	WORKS(cuGraphAddNode_v2(&node, graph, NULL, NULL, 0, &parameters));
	WORKS(cuGraphChildGraphNodeGetGraph(node, &embedded));
	assert_ptr_equal(embedded, child);
	add_copy(graph, node, second, first);
	exec = instantiate(graph);
	run(exec);
	expect_words(second, 16);
	WORKS(cuGraphExecKernelNodeSetParams_v2(exec, scaled, scaling_of(&scaling, first, 10, 0)));
	run(exec);
	expect_words(second, 50);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphGetNodes(child, NULL, &count));
	assert_int_equal(count, 2);
	/* Of the node, which ends with the graph. The real driver is not asked for what it does not promise to refuse.
	 */
	if (!getenv("VGPU_NATIVE"))
		INVALID(cuGraphDestroy(child));
	WORKS(cuGraphDestroy(graph));
}

static void test_attributes(void **state)
{
	const CUkernelNodeAttrValue priority = {.priority = -1};
	CUkernelNodeAttrValue value = {0};
	CUgraphNode node, other;
	struct scaling scaling;
	CUgraphExec exec;
	CUgraph graph;

	(void)state;
	clear();
	WORKS(cuGraphCreate(&graph, 0));
	node = add_scaling(graph, NULL, 0, first, 1, 4);
	other = add_scaling(graph, &node, 1, first, 2, 0);
	WORKS(cuGraphKernelNodeSetAttribute(node, CU_LAUNCH_ATTRIBUTE_PRIORITY, &priority));
	WORKS(cuGraphKernelNodeGetAttribute(node, CU_LAUNCH_ATTRIBUTE_PRIORITY, &value));
	assert_int_equal(value.priority, -1);
	WORKS(cuGraphKernelNodeSetParams_v2(node, scaling_of(&scaling, first, 1, 5)));
	WORKS(cuGraphKernelNodeGetAttribute(node, CU_LAUNCH_ATTRIBUTE_PRIORITY, &value));
	assert_int_equal(value.priority, -1);
	WORKS(cuGraphKernelNodeCopyAttributes(other, node));
	WORKS(cuGraphKernelNodeGetAttribute(other, CU_LAUNCH_ATTRIBUTE_PRIORITY, &value));
	assert_int_equal(value.priority, -1);
	exec = instantiate(graph);
	run(exec);
	expect_words(first, 10);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));
}

/* A capture goes on from a node of a graph. */
static void test_capture_to_graph(void **state)
{
	CUgraph graph, captured = NULL;
	struct scaling scaling;
	CUgraphNode filled, nodes[4];
	CUgraphExec exec;
	size_t count = COUNT(nodes);

	(void)state;
	clear();
	scaling_of(&scaling, first, 3, 1);
	WORKS(cuGraphCreate(&graph, 0));
	filled = add_fill(graph, first, 5);
	WORKS(cuStreamBeginCaptureToGraph(stream, graph, &filled, NULL, 1, CU_STREAM_CAPTURE_MODE_RELAXED));
	WORKS(cuLaunchKernel(scale, scaling.node.gridDimX, 1, 1, 128, 1, 1, 0, stream, scaling.pointers, NULL));
	WORKS(cuStreamEndCapture(stream, &captured));
	assert_ptr_equal(captured, graph);
	WORKS(cuGraphGetNodes(graph, nodes, &count));
	assert_int_equal(count, 2);
	assert_true(nodes[0] == filled || nodes[1] == filled);
	count = COUNT(nodes);
	WORKS(cuGraphNodeGetDependentNodes_v2(filled, nodes, NULL, &count));
	assert_int_equal(count, 1);
	expect_type(nodes[0], CU_GRAPH_NODE_TYPE_KERNEL);
	add_copy(graph, nodes[0], second, first);

	/* And again, from none. */
	WORKS(cuStreamBeginCaptureToGraph(stream, graph, NULL, NULL, 0, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
	WORKS(cuStreamEndCapture(stream, &captured));
	exec = instantiate(graph);
	run(exec);
	expect_words(second, 16);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));
	/* The stream captures as before. */
	WORKS(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	WORKS(cuStreamEndCapture(stream, &graph));
	WORKS(cuGraphDestroy(graph));
}

static void count(void *data)
{
	atomic_fetch_add((atomic_int *)data, 1);
}

static void count_ten(void *data)
{
	atomic_fetch_add((atomic_int *)data, 10);
}

static void test_host_node(void **state)
{
	atomic_int calls = 0;
	const CUDA_HOST_NODE_PARAMS once = {count, &calls}, tenfold = {count_ten, &calls};
	CUDA_HOST_NODE_PARAMS told;
	CUgraphNode filled, node;
	CUgraphExec exec;
	CUgraph graph;

	(void)state;
	WORKS(cuGraphCreate(&graph, 0));
	filled = add_fill(graph, first, 1);
	WORKS(cuGraphAddHostNode(&node, graph, &filled, 1, &once));
	expect_type(node, CU_GRAPH_NODE_TYPE_HOST);
	WORKS(cuGraphHostNodeGetParams(node, &told));
	assert_ptr_equal(told.userData, &calls);
	exec = instantiate(graph);
	for (int turn = 1; turn <= 3; turn++) {
		run(exec);
		assert_int_equal(calls, turn);
	}
	WORKS(cuGraphExecHostNodeSetParams(exec, node, &tenfold));
	WORKS(cuGraphDestroy(graph));
	run(exec);
	assert_int_equal(calls, 13);
	WORKS(cuGraphExecDestroy(exec));
}

static void hold(void *data)
{
	while (!atomic_load((atomic_int *)data))
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* The graph waits for one event and records another one. */
static void test_events(void **state)
{
	CUevent before, start, after, other, told;
	CUgraphNode waited, scaled, recorded;
	float milliseconds = -1;
	atomic_int is_open = 0;
	CUstream side;
	CUgraphExec exec;
	CUgraph graph;

	(void)state;
	clear();
	WORKS(cuStreamCreate(&side, CU_STREAM_NON_BLOCKING));
	WORKS(cuEventCreate(&before, CU_EVENT_DISABLE_TIMING));
	WORKS(cuEventCreate(&start, CU_EVENT_DEFAULT));
	WORKS(cuEventCreate(&after, CU_EVENT_DEFAULT));
	WORKS(cuEventCreate(&other, CU_EVENT_DEFAULT));
	WORKS(cuGraphCreate(&graph, 0));
	WORKS(cuGraphAddEventWaitNode(&waited, graph, NULL, 0, before));
	WORKS(cuGraphEventWaitNodeGetEvent(waited, &told));
	assert_ptr_equal(told, before);
	scaled = add_scaling(graph, &waited, 1, first, 2, 1);
	WORKS(cuGraphAddEventRecordNode(&recorded, graph, &scaled, 1, after));
	exec = instantiate(graph);

	WORKS(cuLaunchHostFunc(side, hold, &is_open));
	WORKS(cuMemsetD8Async(first, 1, WORDS * 4, side));
	WORKS(cuEventRecord(before, side));
	WORKS(cuEventRecord(start, stream));
	WORKS(cuGraphLaunch(exec, stream));
	assert_int_equal(cuStreamQuery(stream), CUDA_ERROR_NOT_READY);
	is_open = 1;
	expect_words(first, 0x01010101u * 2 + 1);
	WORKS(cuEventQuery(after));
	WORKS(cuEventElapsedTime(&milliseconds, start, after));
	assert_true(milliseconds >= 0);

	assert_int_equal(cuEventElapsedTime(&milliseconds, start, other), CUDA_ERROR_INVALID_HANDLE);
	WORKS(cuGraphExecEventRecordNodeSetEvent(exec, recorded, other));
	WORKS(cuGraphLaunch(exec, stream));
	expect_words(first, (0x01010101u * 2 + 1) * 2 + 1);
	WORKS(cuEventElapsedTime(&milliseconds, after, other));
	assert_true(milliseconds >= 0);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));
	WORKS(cuStreamDestroy_v2(side));
	WORKS(cuEventDestroy_v2(before));
	WORKS(cuEventDestroy_v2(start));
	WORKS(cuEventDestroy_v2(after));
	WORKS(cuEventDestroy_v2(other));
}

static void test_errors(void **state)
{
	CUDA_MEMSET_NODE_PARAMS fill = fill_of(first, 0);
	CUgraphNode node, foreign;
	struct scaling scaling;
	CUgraph graph, other;

	(void)state;
	WORKS(cuGraphCreate(&graph, 0));
	WORKS(cuGraphCreate(&other, 0));
	foreign = add_fill(other, first, 1);
	INVALID(cuGraphAddEmptyNode(&node, graph, &foreign, 1));
	node = add_fill(graph, first, 1);
	INVALID(cuGraphAddEmptyNode(&foreign, graph, (CUgraphNode[]){node, node}, 2));
	INVALID(cuGraphKernelNodeSetParams_v2(node, scaling_of(&scaling, first, 1, 1)));
	scaling.node.blockDimX = 4096;
	INVALID(cuGraphAddKernelNode_v2(&node, graph, NULL, 0, &scaling.node));
	fill.elementSize = 3;
	INVALID(cuGraphAddMemsetNode(&node, graph, NULL, 0, &fill, context));
	WORKS(cuGraphDestroy(graph));
	WORKS(cuGraphDestroy(other));
}

/* What is not built; and handles of what is gone. */
static void test_refusals(void **state)
{
	CUgraphNodeParams parameters = {.type = CU_GRAPH_NODE_TYPE_EXT_SEMAS_SIGNAL};
	CUgraphNode node, gone;
	CUgraphNodeType type;
	CUgraph graph;

	(void)state;
	WORKS(cuGraphCreate(&graph, 0));
	assert_int_equal(cuGraphAddNode_v2(&node, graph, NULL, NULL, 0, &parameters), CUDA_ERROR_NOT_SUPPORTED);
	gone = add_fill(graph, first, 1);
	WORKS(cuGraphDestroyNode(gone));
	INVALID(cuGraphNodeGetType(gone, &type));
	INVALID(cuGraphAddEmptyNode(&node, graph, &gone, 1));
	gone = add_fill(graph, first, 1);
	WORKS(cuStreamBeginCaptureToGraph(stream, graph, &gone, NULL, 1, CU_STREAM_CAPTURE_MODE_RELAXED));
	INVALID(cuGraphDestroy(graph));
	INVALID(cuGraphDestroyNode(gone));
	assert_int_equal(cuStreamBeginCaptureToGraph(stream, graph, NULL, NULL, 0, CU_STREAM_CAPTURE_MODE_RELAXED),
			 CUDA_ERROR_ILLEGAL_STATE);
	WORKS(cuStreamEndCapture(stream, &graph));
	WORKS(cuGraphDestroy(graph));
	INVALID(cuGraphDestroyNode(gone));
}

int main(int argument_count, char **arguments)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chain),
		cmocka_unit_test(test_shape),
		cmocka_unit_test(test_parameters),
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_buffer),
		cmocka_unit_test(test_executable),
		cmocka_unit_test(test_update),
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_captured),
		cmocka_unit_test(test_child),
		cmocka_unit_test(test_moved_child),
		cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_library_kernel),
		cmocka_unit_test(test_host_node),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_capture_to_graph),
		cmocka_unit_test(test_errors),
	};
	const struct CMUnitTest refusals[] = {cmocka_unit_test(test_refusals)};

	if (argument_count > 1 && strcmp(arguments[1], "refusals") == 0)
		return cmocka_run_group_tests(refusals, setup, NULL);
	return cmocka_run_group_tests(tests, setup, NULL);
}
