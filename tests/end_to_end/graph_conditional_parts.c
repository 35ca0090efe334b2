/* SPDX-License-Identifier: Apache-2.0 */
#include "graph_conditional.h"

/*
 * 'decide' takes 'less' from the first word, counts in the second one that it ran, and sets the condition to what is
 * left; 'add' adds a value to a word.
 */
static const char image[] =
	".version 7.0\n.target sm_70\n.address_size 64\n"
	".extern .func cudaGraphSetConditional(.param .b64 handle, .param .b32 value);\n"
	".visible .entry decide(.param .u64 condition, .param .u64 words, .param .u32 less)\n{\n"
	"\t.reg .b32 %r<5>; .reg .b64 %d<3>;\n"
	"\tld.param.u64 %d1, [condition];\n\tld.param.u64 %d2, [words];\n\tld.param.u32 %r1, [less];\n"
	"\tcvta.to.global.u64 %d2, %d2;\n\tld.global.u32 %r2, [%d2];\n\tsub.s32 %r2, %r2, %r1;\n"
	"\tst.global.u32 [%d2], %r2;\n\tld.global.u32 %r3, [%d2+4];\n\tadd.s32 %r3, %r3, 1;\n"
	"\tst.global.u32 [%d2+4], %r3;\n"
	"\t{\n\t.param .b64 first;\n\t.param .b32 second;\n\tst.param.b64 [first], %d1;\n"
	"\tst.param.b32 [second], %r2;\n\tcall.uni cudaGraphSetConditional, (first, second);\n\t}\n\tret;\n}\n"
	".visible .entry add(.param .u64 word, .param .u32 value)\n{\n"
	"\t.reg .b32 %r<3>; .reg .b64 %d<2>;\n"
	"\tld.param.u64 %d1, [word];\n\tld.param.u32 %r1, [value];\n\tcvta.to.global.u64 %d1, %d1;\n"
	"\tld.global.u32 %r2, [%d1];\n\tadd.s32 %r2, %r2, %r1;\n\tst.global.u32 [%d1], %r2;\n\tret;\n}\n";

CUcontext context;
CUstream stream, second;
CUfunction decide, add;
CUdeviceptr words;
uint32_t seen[WORDS];

int setup(void **state)
{
	CUmodule module;

	(void)state;
	return cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context) ||
	       cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING) || cuStreamCreate(&second, CU_STREAM_NON_BLOCKING) ||
	       cuModuleLoadData(&module, image) || cuModuleGetFunction(&decide, module, "decide") ||
	       cuModuleGetFunction(&add, module, "add") || cuMemAlloc_v2(&words, sizeof(seen));
}

CUdeviceptr word(unsigned int index)
{
	return words + index * sizeof(uint32_t);
}

CUgraphNode kernel_add(CUgraph graph, CUgraphNode after, CUfunction function, void **parameters)
{
	CUgraphNodeParams node = {
		.type = CU_GRAPH_NODE_TYPE_KERNEL,
		.kernel = {.func = function,
			   .gridDimX = 1,
			   .gridDimY = 1,
			   .gridDimZ = 1,
			   .blockDimX = 1,
			   .blockDimY = 1,
			   .blockDimZ = 1,
			   .kernelParams = parameters},
	};
	CUgraphNode made = NULL;

	WORKS(cuGraphAddNode_v2(&made, graph, after ? &after : NULL, NULL, after != NULL, &node));
	return made;
}

CUgraphNode decide_add(CUgraph graph, CUgraphNode after, CUgraphConditionalHandle condition, uint32_t less)
{
	void *parameters[] = {&condition, &words, &less};

	return kernel_add(graph, after, decide, parameters);
}

CUgraphNode sum_add(CUgraph graph, CUgraphNode after, unsigned int index, uint32_t value)
{
	CUdeviceptr to = word(index);
	void *parameters[] = {&to, &value};

	return kernel_add(graph, after, add, parameters);
}

CUgraphConditionalHandle condition_make(CUgraph graph)
{
	CUgraphConditionalHandle condition = 0;

	WORKS(cuGraphConditionalHandleCreate(&condition, graph, context, 0, 0));
	return condition;
}

CUgraphNode conditional_add(CUgraph graph, CUgraphNode after, CUgraphConditionalHandle condition,
			    CUgraphConditionalNodeType type, unsigned int size, CUgraph **ret_bodies)
{
	CUgraphNodeParams node = {
		.type = CU_GRAPH_NODE_TYPE_CONDITIONAL,
		.conditional = {.handle = condition, .type = type, .size = size, .ctx = context},
	};
	CUgraphNode made = NULL;
	CUgraphNodeType made_type;

	WORKS(cuGraphAddNode_v2(&made, graph, after ? &after : NULL, NULL, after != NULL, &node));
	WORKS(cuGraphNodeGetType(made, &made_type));
	assert_int_equal(made_type, CU_GRAPH_NODE_TYPE_CONDITIONAL);
	assert_non_null(node.conditional.phGraph_out);
	for (unsigned int i = 0; i < size; i++)
		assert_non_null(node.conditional.phGraph_out[i]);
	*ret_bodies = node.conditional.phGraph_out;
	return made;
}

CUgraphExec instantiate(CUgraph graph)
{
	CUgraphExec exec = NULL;

	WORKS(cuGraphInstantiateWithFlags(&exec, graph, 0));
	return exec;
}

void run(CUgraphExec exec, uint32_t left)
{
	memset(seen, 0, sizeof(seen));
	seen[LEFT] = left;
	/* In the stream, which the default one does not wait for, nor it for that. */
	WORKS(cuMemcpyHtoDAsync_v2(words, seen, sizeof(seen), stream));
	WORKS(cuGraphLaunch(exec, stream));
	WORKS(cuStreamSynchronize(stream));
	WORKS(cuMemcpyDtoH_v2(seen, words, sizeof(seen)));
}

void expect(unsigned int index, uint32_t value)
{
	if (seen[index] != value)
		fail_msg("word %u is %u, not %u", index, seen[index], value);
}

CUgraph graph_make(CUgraphConditionalNodeType type, unsigned int size, CUgraph **ret_bodies)
{
	CUgraph graph;
	CUgraphConditionalHandle condition;
	CUgraphNode node;

	WORKS(cuGraphCreate(&graph, 0));
	condition = condition_make(graph);
	node = decide_add(graph, NULL, condition, 0);
	node = conditional_add(graph, node, condition, type, size, ret_bodies);
	sum_add(graph, node, SUMS, 1000);
	return graph;
}

void sum_launch(CUstream target, unsigned int index, uint32_t value)
{
	CUdeviceptr to = word(index);
	void *parameters[] = {&to, &value};

	WORKS(cuLaunchKernel(add, 1, 1, 1, 1, 1, 1, 0, target, parameters, NULL));
}
