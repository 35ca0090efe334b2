/* SPDX-License-Identifier: Apache-2.0 */
/* Graphs that allocate memory; made and looked at by graph_memory_parts.c. */
#ifndef TEST_GRAPH_MEMORY_H
#define TEST_GRAPH_MEMORY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cuda_abi.h"
#include "graph_calls.h"
#include "increment.h"

#define WORKS(call)   assert_int_equal(call, CUDA_SUCCESS)
#define REFUSED(call) assert_int_not_equal(call, CUDA_SUCCESS)

#define WORDS	1024u
#define MIB	((size_t)1 << 20)
#define LARGE	(64 * MIB)
#define SLACK	(32 * MIB) /* what a driver keeps for itself */
#define THREADS 128u

CUresult cuMemAllocAsync(CUdeviceptr *address, size_t bytes, CUstream stream);
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream);
CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream stream);
CUresult cuMemsetD32Async(CUdeviceptr to, unsigned int value, size_t words, CUstream stream);
CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned int flags);
CUresult cuDeviceGraphMemTrim(CUdevice device);
CUresult cuDeviceGetGraphMemAttribute(CUdevice device, CUgraphMem_attribute attribute, void *value);
CUresult cuDeviceSetGraphMemAttribute(CUdevice device, CUgraphMem_attribute attribute, void *value);
CUresult cuPointerGetAttribute(void *value, CUpointer_attribute attribute, CUdeviceptr pointer);

CUresult cuGraphAddMemAllocNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, size_t count,
				CUDA_MEM_ALLOC_NODE_PARAMS *parameters);
CUresult cuGraphAddMemFreeNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, size_t count,
			       CUdeviceptr address);
CUresult cuGraphMemAllocNodeGetParams(CUgraphNode node, CUDA_MEM_ALLOC_NODE_PARAMS *parameters);
CUresult cuGraphMemFreeNodeGetParams(CUgraphNode node, CUdeviceptr *address);

extern CUstream stream;
extern CUdeviceptr plain;
extern uint32_t *pinned;

int setup(void **state);
void begin(void);
CUgraph end(void);
CUgraphExec instantiate(CUgraph graph, unsigned long long flags);
void run(CUgraphExec exec);
void expect_plain(uint32_t value);
void increment_submit(CUdeviceptr at);
/* value is written and incremented in memory that the capture allocates, and copied from there. */
CUdeviceptr capture(uint32_t value, int frees);
size_t free_bytes(void);
void expect_types(CUgraph graph, size_t allocations, size_t frees);
CUDA_MEM_ALLOC_NODE_PARAMS allocation_of(size_t bytes);

/* Tests of graph_memory_quota.c. */
void test_quota(void **state);

#endif
