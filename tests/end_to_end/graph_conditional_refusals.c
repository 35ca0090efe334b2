/* SPDX-License-Identifier: Apache-2.0 */
/* Conditional nodes that are not made, and handles that are none. */
#include "graph_conditional.h"

static CUresult conditional_try(CUgraph graph, CUgraphConditionalHandle condition, unsigned int type, unsigned int size)
{
	CUgraphNodeParams node = {
		.type = CU_GRAPH_NODE_TYPE_CONDITIONAL,
		.conditional = {.handle = condition,
				.type = (CUgraphConditionalNodeType)type,
				.size = size,
				.ctx = context},
	};
	CUgraphNode made;

	return cuGraphAddNode_v2(&made, graph, NULL, NULL, 0, &node);
}

void test_sizes(void **state)
{
	CUgraphConditionalHandle condition;
	CUgraph graph;

	(void)state;
	WORKS(cuGraphCreate(&graph, 0));
	condition = condition_make(graph);
	FAILS(conditional_try(graph, condition, CU_GRAPH_COND_TYPE_IF, 0));
	FAILS(conditional_try(graph, condition, CU_GRAPH_COND_TYPE_IF, 3));
	FAILS(conditional_try(graph, condition, CU_GRAPH_COND_TYPE_WHILE, 2));
	FAILS(conditional_try(graph, condition, CU_GRAPH_COND_TYPE_SWITCH, 0));
	FAILS(conditional_try(graph, condition, 3, 1));
	FAILS(cuGraphConditionalHandleCreate(&condition, graph, context, 0, 2));
	FAILS(cuGraphConditionalHandleCreate(NULL, graph, context, 0, 0));
	WORKS(cuGraphDestroy(graph));
}

void test_refusals(void **state)
{
	CUgraph *bodies, graph = graph_make(CU_GRAPH_COND_TYPE_IF, 1, &bodies), other, captured;
	CUgraphConditionalHandle condition = condition_make(graph), gone;
	CUgraphNodeParams parameters = {.type = CU_GRAPH_NODE_TYPE_CONDITIONAL};
	CUgraphNode nodes[3];
	size_t count = 3;
	CUgraphExec exec = NULL;

	(void)state;
	/* A handle that no node has, as long as none has it. */
	FAILS(cuGraphInstantiateWithFlags(&exec, graph, 0));
	/* Of another graph, of none, of one that is gone. */
	WORKS(cuGraphCreate(&other, 0));
	gone = condition_make(other);
	assert_int_equal(conditional_try(graph, gone, CU_GRAPH_COND_TYPE_IF, 1), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(conditional_try(other, condition, CU_GRAPH_COND_TYPE_IF, 1), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(conditional_try(graph, 12345678, CU_GRAPH_COND_TYPE_IF, 1), CUDA_ERROR_INVALID_VALUE);
	WORKS(cuGraphDestroy(other));
	WORKS(cuGraphCreate(&other, 0));
	assert_int_equal(conditional_try(other, gone, CU_GRAPH_COND_TYPE_IF, 1), CUDA_ERROR_INVALID_VALUE);
	WORKS(cuGraphDestroy(other));
	assert_int_equal(conditional_try(bodies[0], condition, CU_GRAPH_COND_TYPE_IF, 1), CUDA_SUCCESS);
	exec = instantiate(graph);
	WORKS(cuGraphExecDestroy(exec));
	/* More bodies than cross at a time. */
	assert_int_equal(conditional_try(graph, condition, CU_GRAPH_COND_TYPE_SWITCH, 1025), CUDA_ERROR_NOT_SUPPORTED);
	/* The body is its node's. */
	assert_int_equal(cuGraphDestroy(bodies[0]), CUDA_ERROR_INVALID_VALUE);
	WORKS(cuGraphGetNodes(graph, nodes, &count));
	assert_int_equal(cuGraphNodeSetParams(nodes[1], &parameters), CUDA_ERROR_NOT_SUPPORTED);
	assert_int_equal(cuGraphChildGraphNodeGetGraph(nodes[1], &other), CUDA_ERROR_INVALID_VALUE);
	/* While a capture goes there, all of it stays. */
	WORKS(cuStreamBeginCaptureToGraph(stream, bodies[0], NULL, NULL, 0, CU_STREAM_CAPTURE_MODE_RELAXED));
	sum_launch(stream, SUMS, 1);
	assert_int_equal(cuGraphDestroyNode(nodes[1]), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(cuGraphDestroy(graph), CUDA_ERROR_INVALID_VALUE);
	captured = bodies[0];
	/* Who has named the graph need not be told. */
	WORKS(cuStreamEndCapture(stream, NULL));
	WORKS(cuGraphDestroyNode(nodes[1]));
	FAILS(cuGraphGetNodes(captured, NULL, &count));
	WORKS(cuGraphDestroy(graph));
}

/* Alone, for the context does not come back. */
void test_wrong_handle(void **state)
{
	CUgraphConditionalHandle none = 987654321;
	uint32_t less = 0;
	void *parameters[] = {&none, &words, &less};

	(void)state;
	WORKS(cuLaunchKernel(decide, 1, 1, 1, 1, 1, 1, 0, stream, parameters, NULL));
	assert_int_equal(cuStreamSynchronize(stream), CUDA_ERROR_ILLEGAL_ADDRESS);
}
