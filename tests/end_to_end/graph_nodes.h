/* SPDX-License-Identifier: Apache-2.0 */
/* What the sources of graph_nodes share. */
#ifndef TEST_GRAPH_NODES_H
#define TEST_GRAPH_NODES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cuda_abi.h"
#include "graph_run.h"

#define INVALID(call) assert_int_equal(call, CUDA_ERROR_INVALID_VALUE)

#define WORDS	 1000u
#define MANY	 3000u /* more than cross in one record */
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* The parameters of a launch, kept together with what points to them. */
struct scaling {
	CUdeviceptr to;
	uint32_t factor, addend, count;
	void *pointers[4];
	CUDA_KERNEL_NODE_PARAMS node;
};

/* A kernel 'scale' that makes x * factor + addend of each of 'count' words: the order of several shows. */
extern const char scale_image[];

extern CUcontext context;
extern CUfunction scale;
extern CUdeviceptr first, second, third;
extern uint32_t *pinned;

int setup(void **state);
const CUDA_KERNEL_NODE_PARAMS *scaling_of(struct scaling *scaling, CUdeviceptr to, uint32_t factor, uint32_t addend);
CUgraphNode add_scaling(CUgraph graph, const CUgraphNode *dependencies, size_t count, CUdeviceptr to, uint32_t factor,
			uint32_t addend);
CUDA_MEMSET_NODE_PARAMS fill_of(CUdeviceptr to, uint32_t value);
CUgraphNode add_fill(CUgraph graph, CUdeviceptr to, uint32_t value);
CUDA_MEMCPY3D copy_of(CUdeviceptr to, CUdeviceptr from);
CUgraphNode add_copy(CUgraph graph, CUgraphNode dependency, CUdeviceptr to, CUdeviceptr from);
void expect_words(CUdeviceptr at, uint32_t value);
void clear(void);
void expect_type(CUgraphNode node, CUgraphNodeType expected);

/* Tests of graph_nodes_kinds.c. */
void test_captured(void **state);
void test_library_kernel(void **state);
void test_child(void **state);
void test_moved_child(void **state);
void test_attributes(void **state);
void test_capture_to_graph(void **state);
void test_host_node(void **state);
void test_events(void **state);

#endif
