/* SPDX-License-Identifier: Apache-2.0 */
/* Captures that are looked into; made and looked at by graph_captures_parts.c. */
#ifndef TEST_GRAPH_CAPTURES_H
#define TEST_GRAPH_CAPTURES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "cuda_abi.h"
#include "graph_calls.h"

CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus *status);
CUresult cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream);
CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned int flags);
CUresult cuStreamGetCaptureInfo_v2(CUstream stream, CUstreamCaptureStatus *status, cuuint64_t *id, CUgraph *graph,
				   const CUgraphNode **nodes, size_t *count);
CUresult cuStreamGetCaptureInfo_v3(CUstream stream, CUstreamCaptureStatus *status, cuuint64_t *id, CUgraph *graph,
				   const CUgraphNode **nodes, const CUgraphEdgeData **edges, size_t *count);
CUresult cuStreamUpdateCaptureDependencies(CUstream stream, CUgraphNode *nodes, size_t count, unsigned int flags);
CUresult cuStreamUpdateCaptureDependencies_v2(CUstream stream, CUgraphNode *nodes, const CUgraphEdgeData *edges,
					      size_t count, unsigned int flags);
CUresult cuUserObjectCreate(CUuserObject *object, void *data, CUhostFn destroy, unsigned int count, unsigned int flags);
CUresult cuUserObjectRetain(CUuserObject object, unsigned int count);
CUresult cuUserObjectRelease(CUuserObject object, unsigned int count);
CUresult cuGraphRetainUserObject(CUgraph graph, CUuserObject object, unsigned int count, unsigned int flags);
CUresult cuGraphReleaseUserObject(CUgraph graph, CUuserObject object, unsigned int count);

#define WORKS(call) assert_int_equal(call, CUDA_SUCCESS)

enum { BYTES = 4096 };

/* A capture as it goes on. */
struct info {
	CUstreamCaptureStatus status;
	cuuint64_t id;
	CUgraph graph;
	const CUgraphNode *nodes;
	const CUgraphEdgeData *edges;
	size_t count;
};

extern CUcontext context;
extern CUstream stream, side;
extern CUevent fork_event, join_event;
extern CUdeviceptr first, second;

int setup(void **state);
struct info info_of(CUstream captured);
void begin(void);
void fill(CUstream captured, CUdeviceptr to, unsigned char value);
void run(CUgraph graph);
void bytes_expect(CUdeviceptr address, unsigned char value);
void expect_type(CUgraphNode node, CUgraphNodeType wanted);

/* Tests of graph_captures_objects.c. */
void test_user_objects(void **state);
void test_object_of_capture(void **state);

#endif
