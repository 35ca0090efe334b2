/* SPDX-License-Identifier: Apache-2.0 */
/* Graphs with conditional nodes, and what their kernels count; made and looked at by graph_conditional_parts.c. */
#ifndef TEST_GRAPH_CONDITIONAL_H
#define TEST_GRAPH_CONDITIONAL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cuda_abi.h"
#include "graph_calls.h"

CUresult cuGraphConditionalHandleCreate(CUgraphConditionalHandle *handle, CUgraph graph, CUcontext context,
					unsigned int initial, unsigned int flags);
CUresult cuStreamGetCaptureInfo_v3(CUstream stream, CUstreamCaptureStatus *status, cuuint64_t *id, CUgraph *graph,
				   const CUgraphNode **dependencies, const CUgraphEdgeData **edges, size_t *count);
CUresult cuStreamUpdateCaptureDependencies_v2(CUstream stream, CUgraphNode *dependencies, const CUgraphEdgeData *edges,
					      size_t count, unsigned int flags);
CUresult cuGraphDebugDotPrint(CUgraph graph, const char *path, unsigned int flags);
CUresult cuGraphNodeSetParams(CUgraphNode node, CUgraphNodeParams *parameters);
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream);

#define WORKS(call) assert_int_equal(call, CUDA_SUCCESS)
#define FAILS(call) assert_int_not_equal(call, CUDA_SUCCESS)

/* The words of 'decide', and sums for bodies. */
enum {
	LEFT,
	DECISIONS,
	SUMS,
	WORDS = SUMS + 6,
};

extern CUcontext context;
extern CUstream stream, second;
extern CUfunction decide, add;
extern CUdeviceptr words;
extern uint32_t seen[WORDS];

int setup(void **state);
CUdeviceptr word(unsigned int index);
CUgraphNode kernel_add(CUgraph graph, CUgraphNode after, CUfunction function, void **parameters);
CUgraphNode decide_add(CUgraph graph, CUgraphNode after, CUgraphConditionalHandle condition, uint32_t less);
CUgraphNode sum_add(CUgraph graph, CUgraphNode after, unsigned int index, uint32_t value);
CUgraphConditionalHandle condition_make(CUgraph graph);
CUgraphNode conditional_add(CUgraph graph, CUgraphNode after, CUgraphConditionalHandle condition,
			    CUgraphConditionalNodeType type, unsigned int size, CUgraph **ret_bodies);
CUgraphExec instantiate(CUgraph graph);
/* It begins with 'left' in the first word and nothing in the others; afterwards 'seen' has them. */
void run(CUgraphExec exec, uint32_t left);
void expect(unsigned int index, uint32_t value);
/* A kernel, a conditional node that goes by it, and a kernel behind that. */
CUgraph graph_make(CUgraphConditionalNodeType type, unsigned int size, CUgraph **ret_bodies);
void sum_launch(CUstream target, unsigned int index, uint32_t value);

/* Tests of graph_conditional_refusals.c. */
void test_sizes(void **state);
void test_refusals(void **state);
void test_wrong_handle(void **state);

#endif
