/* SPDX-License-Identifier: Apache-2.0 */
/* Graphs that copy ordinary memory; made and looked at by graph_copies_parts.c. */
#ifndef TEST_GRAPH_COPIES_H
#define TEST_GRAPH_COPIES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "cuda_abi.h"
#include "graph_run.h"
#include "increment.h"

CUresult cuGraphMemcpyNodeSetParams(CUgraphNode node, const CUDA_MEMCPY3D *copy);
CUresult cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream);
CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D *copy, CUstream stream);
CUresult cuArray3DCreate_v2(CUarray *array, const CUDA_ARRAY3D_DESCRIPTOR *descriptor);
CUresult cuArrayDestroy(CUarray array);
CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned int flags);

/* Several pieces of what crosses at a time, the last of them a small one. */
#define WORDS 100001u
#define BYTES (WORDS * sizeof(uint32_t))

extern CUdeviceptr device, other;
extern uint32_t *in, *out;

int setup(void **state);
void words_set(uint32_t *words, uint32_t value);
void words_expect(const uint32_t *words, uint32_t value);
void increment_launch_in(CUstream where, CUdeviceptr words);
void increment_launch(CUdeviceptr words);
size_t node_count(CUgraph graph);
/* in -> device, where a kernel increments, -> out */
CUgraph capture(void);

/* Tests of graph_copies_quota.c. */
void test_quota(void **state);

#endif
