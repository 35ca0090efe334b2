/* SPDX-License-Identifier: Apache-2.0 */
/* Captures that go on, copies of the program's memory and user objects in the executor, for guests of every kind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "one_peer.h"
#include "vgpu_graph.h"

#define GRAPH(index)  VGPU_ID(VGPU_KIND_GRAPH, index)
#define NODE(index)   VGPU_ID(VGPU_KIND_GRAPH_NODE, index)
#define EXEC(index)   VGPU_ID(VGPU_KIND_GRAPH_EXEC, index)
#define STREAM(index) VGPU_ID(VGPU_KIND_STREAM, index)
#define OBJECT(index) VGPU_ID(VGPU_KIND_USER_OBJECT, index)

#define WORDS 64u

static uint64_t device;

static int setup(void **state)
{
	assert_int_equal(peer_setup(state), 0);
	WORKS(cuMemAlloc_v2, .bytesize = WORDS * 4);
	device = ((const struct wire_cuMemAlloc_v2_reply *)peer.reply)->dptr;
	for (uint32_t i = 1; i <= 2; i++)
		WORKS(cuStreamCreateWithPriority, .phStream = STREAM(i), .flags = CU_STREAM_NON_BLOCKING);
	return 0;
}

/* The fixed part of a request, and what follows it. */
static uint32_t call(uint16_t opcode, const void *arguments, size_t arguments_bytes, const void *tail,
		     size_t tail_bytes)
{
	static _Alignas(8) uint8_t payload[VGPU_RECORD_BYTES_MAX - sizeof(struct vgpu_record)];

	assert_true(arguments_bytes + tail_bytes <= sizeof(payload));
	memcpy(payload, arguments, arguments_bytes);
	if (tail_bytes)
		memcpy(payload + arguments_bytes, tail, tail_bytes);
	return peer_call(&peer, opcode, context, payload, arguments_bytes + tail_bytes);
}

static uint32_t fill(uint32_t stream)
{
	return CALL(cuMemsetD8Async, .dstDevice = device, .uc = 1, .N = WORDS * 4, .hStream = stream);
}

static uint32_t ask(uint32_t stream, uint32_t graph, const uint32_t *ids, uint32_t count)
{
	const struct wire_cuStreamGetCaptureInfo_v3 arguments = {
		.hStream = stream, .phGraph = graph, .ids_bytes = count * (uint32_t)sizeof(*ids)};

	return call(VGPU_CALL_cuStreamGetCaptureInfo_v3, &arguments, sizeof(arguments), ids, count * sizeof(*ids));
}

static const struct wire_cuStreamGetCaptureInfo_v3_reply *told(void)
{
	return (const void *)peer.reply;
}

static const struct vgpu_graph_dependency *dependencies(void)
{
	return (const void *)(told() + 1);
}

static uint32_t update(uint32_t stream, uint32_t flags, const uint32_t *nodes, uint32_t count)
{
	struct vgpu_graph_edge edges[4] = {{0}};
	const struct wire_cuStreamUpdateCaptureDependencies_v2 arguments = {
		.hStream = stream, .flags = flags, .edges_bytes = count * (uint32_t)sizeof(edges[0])};

	for (uint32_t i = 0; i < count; i++)
		edges[i].from = nodes[i];
	return call(VGPU_CALL_cuStreamUpdateCaptureDependencies_v2, &arguments, sizeof(arguments), edges,
		    count * sizeof(edges[0]));
}

/* One id for a graph, whichever of its streams is asked, and for each node. */
static void captures_are_named_once(void **state)
{
	(void)state;
	assert_int_equal(ask(STREAM(1), GRAPH(1), &(uint32_t){NODE(1)}, 1), CUDA_SUCCESS);
	assert_int_equal(told()->captureStatus_out, CU_STREAM_CAPTURE_STATUS_NONE);
	assert_int_equal(told()->graph_out, 0);
	WORKS(cuStreamBeginCapture_v2, .hStream = STREAM(1));
	assert_int_equal(fill(STREAM(1)), CUDA_SUCCESS);
	assert_int_equal(ask(STREAM(1), 0, NULL, 0), CUDA_SUCCESS);
	assert_int_equal(told()->captureStatus_out, CU_STREAM_CAPTURE_STATUS_ACTIVE);
	assert_int_equal(told()->graph_out, 0);
	assert_int_equal(ask(STREAM(1), GRAPH(1), NULL, 0), CUDA_SUCCESS);
	assert_int_equal(told()->graph_out, GRAPH(1));
	assert_int_equal(told()->numUnnamed, 1);
	assert_int_equal(told()->dependencies_bytes, 0);
	/* Of another kind, or in use. */
	assert_int_equal(ask(STREAM(1), GRAPH(2), &(uint32_t){GRAPH(3)}, 1), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(ask(STREAM(1), GRAPH(2), &(uint32_t){NODE(1)}, 1), CUDA_SUCCESS);
	assert_int_equal(told()->graph_out, GRAPH(1));
	assert_int_equal(told()->dependencies_bytes, sizeof(struct vgpu_graph_dependency));
	assert_int_equal(dependencies()[0].node, NODE(1));
	assert_int_equal(dependencies()[0].type, CU_GRAPH_NODE_TYPE_MEMSET);
	assert_int_equal(ask(STREAM(1), GRAPH(2), &(uint32_t){NODE(2)}, 1), CUDA_SUCCESS);
	assert_int_equal(dependencies()[0].node, NODE(1));
	NOTHING(cuGraphDestroy, .hGraph = GRAPH(2));
	NOTHING(cuGraphDestroyNode, .hNode = NODE(2));
	/* What the capture goes on from stays. */
	INVALID(cuGraphDestroy, .hGraph = GRAPH(1));
	INVALID(cuGraphDestroyNode, .hNode = NODE(1));
	WORKS(cuStreamEndCapture, .hStream = STREAM(1), .phGraph = GRAPH(3));
	NOTHING(cuGraphDestroy, .hGraph = GRAPH(3));
	WORKS(cuGraphDestroyNode, .hNode = NODE(1));
	WORKS(cuGraphDestroy, .hGraph = GRAPH(1));
}

/* The ids of a graph that no capture comes to make are nobody's. */
static void captures_that_end_badly(void **state)
{
	const struct wire_cuStreamDestroy_v2 destroy = {.hStream = STREAM(2)};

	(void)state;
	WORKS(cuStreamBeginCapture_v2, .hStream = STREAM(1));
	assert_int_equal(fill(STREAM(1)), CUDA_SUCCESS);
	assert_int_equal(ask(STREAM(1), GRAPH(1), &(uint32_t){NODE(1)}, 1), CUDA_SUCCESS);
	assert_int_equal(CALL(cuStreamSynchronize, .hStream = STREAM(1)), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	assert_int_equal(ask(STREAM(1), GRAPH(2), NULL, 0), CUDA_SUCCESS);
	assert_int_equal(told()->captureStatus_out, CU_STREAM_CAPTURE_STATUS_INVALIDATED);
	assert_int_equal(told()->graph_out, GRAPH(1));
	assert_int_equal(update(STREAM(1), CU_STREAM_SET_CAPTURE_DEPENDENCIES, &(uint32_t){NODE(1)}, 1),
			 CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
	assert_int_equal(CALL(cuStreamEndCapture, .hStream = STREAM(1), .phGraph = GRAPH(1)),
			 CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
	NOTHING(cuGraphDestroy, .hGraph = GRAPH(1));
	NOTHING(cuGraphDestroyNode, .hNode = NODE(1));
	/* Nor are they those of a stream that ends. */
	WORKS(cuStreamBeginCapture_v2, .hStream = STREAM(2));
	assert_int_equal(fill(STREAM(2)), CUDA_SUCCESS);
	assert_int_equal(ask(STREAM(2), GRAPH(1), &(uint32_t){NODE(1)}, 1), CUDA_SUCCESS);
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuStreamDestroy_v2, context, &destroy, sizeof(destroy)),
			 CUDA_SUCCESS);
	NOTHING(cuGraphDestroy, .hGraph = GRAPH(1));
	NOTHING(cuGraphDestroyNode, .hNode = NODE(1));
}

/* Or of one whose context ends. */
static void captures_end_with_their_context(void **state)
{
	uint32_t second = peer_context_make(&peer, 2), first = context;

	(void)state;
	context = second;
	WORKS(cuStreamCreateWithPriority, .phStream = STREAM(3), .flags = CU_STREAM_NON_BLOCKING);
	WORKS(cuStreamBeginCapture_v2, .hStream = STREAM(3));
	assert_int_equal(ask(STREAM(3), GRAPH(1), NULL, 0), CUDA_SUCCESS);
	WORKS(cuCtxDestroy_v2, .ctx = second);
	context = first;
	NOTHING(cuGraphDestroy, .hGraph = GRAPH(1));
	/* Another stream of the id is in no capture. */
	WORKS(cuStreamCreateWithPriority, .phStream = STREAM(3), .flags = CU_STREAM_NON_BLOCKING);
	WORKS(cuStreamBeginCapture_v2, .hStream = STREAM(3));
	WORKS(cuStreamEndCapture, .hStream = STREAM(3), .phGraph = GRAPH(1));
	WORKS(cuGraphDestroy, .hGraph = GRAPH(1));
}

static void dependencies_are_of_the_graph(void **state)
{
	(void)state;
	WORKS(cuStreamBeginCapture_v2, .hStream = STREAM(1));
	assert_int_equal(fill(STREAM(1)), CUDA_SUCCESS);
	WORKS(cuStreamBeginCapture_v2, .hStream = STREAM(2));
	assert_int_equal(fill(STREAM(2)), CUDA_SUCCESS);
	assert_int_equal(ask(STREAM(2), GRAPH(2), &(uint32_t){NODE(2)}, 1), CUDA_SUCCESS);
	/* Of another graph, while this one has no id and when it has one; and never made. */
	assert_int_equal(update(STREAM(1), CU_STREAM_SET_CAPTURE_DEPENDENCIES, &(uint32_t){NODE(2)}, 1),
			 CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(ask(STREAM(1), GRAPH(1), &(uint32_t){NODE(1)}, 1), CUDA_SUCCESS);
	assert_int_equal(update(STREAM(1), CU_STREAM_SET_CAPTURE_DEPENDENCIES, &(uint32_t){NODE(2)}, 1),
			 CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(update(STREAM(1), CU_STREAM_SET_CAPTURE_DEPENDENCIES, &(uint32_t){NODE(9)}, 1),
			 CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(update(STREAM(1), 7, &(uint32_t){NODE(1)}, 1), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(update(STREAM(1), CU_STREAM_SET_CAPTURE_DEPENDENCIES, NULL, 0), CUDA_SUCCESS);
	assert_int_equal(update(STREAM(1), CU_STREAM_ADD_CAPTURE_DEPENDENCIES, &(uint32_t){NODE(1)}, 1), CUDA_SUCCESS);
	WORKS(cuStreamEndCapture, .hStream = STREAM(1), .phGraph = GRAPH(1));
	WORKS(cuStreamEndCapture, .hStream = STREAM(2), .phGraph = GRAPH(2));
	assert_int_equal(update(STREAM(1), CU_STREAM_SET_CAPTURE_DEPENDENCIES, &(uint32_t){NODE(1)}, 1),
			 CUDA_ERROR_ILLEGAL_STATE);
}

static struct vgpu_graph_program_copy copy_up(uint64_t width, uint64_t height, uint64_t depth)
{
	return (struct vgpu_graph_program_copy){
		.memcpy.copy = {.srcMemoryType = CU_MEMORYTYPE_HOST,
				.srcHost = (const void *)0x1000, /* of the guest, which is not looked at */
				.dstMemoryType = CU_MEMORYTYPE_DEVICE,
				.dstDevice = device,
				.WidthInBytes = width,
				.Height = height,
				.Depth = depth},
		.function = 77,
	};
}

static uint32_t add_copy(uint32_t node, uint32_t graph, const struct vgpu_graph_program_copy *copy, size_t bytes)
{
	struct {
		struct vgpu_graph_node head;
		struct vgpu_graph_program_copy copy;
	} tail = {{.type = VGPU_GRAPH_PROGRAM_COPY}, *copy};
	const struct wire_cuGraphAddNode_v2 arguments = {
		.phGraphNode = node, .hGraph = graph, .node_bytes = (uint32_t)(sizeof(tail.head) + bytes)};

	return call(VGPU_CALL_cuGraphAddNode_v2, &arguments, sizeof(arguments), &tail, sizeof(tail.head) + bytes);
}

static uint32_t capture_copy(uint32_t stream, const struct vgpu_graph_program_copy *copy, uint32_t bytes)
{
	const struct wire_vgpuCaptureProgramCopy arguments = {.hStream = stream, .copy_bytes = bytes};

	return call(VGPU_CALL_vgpuCaptureProgramCopy, &arguments, sizeof(arguments), copy, bytes);
}

static void copies_are_checked(void **state)
{
	struct vgpu_graph_program_copy copy = copy_up(WORDS * 4, 1, 1);

	(void)state;
	WORKS(cuGraphCreate, .phGraph = GRAPH(1));
	/* Sizes that are none, or more than there can be. */
	for (int i = 0; i < 3; i++) {
		static const uint64_t sizes[][3] = {{0, 1, 1}, {1ull << 32, 1ull << 32, 2}, {1ull << 60, 1, 1}};
		const struct vgpu_graph_program_copy wrong = copy_up(sizes[i][0], sizes[i][1], sizes[i][2]);

		assert_int_not_equal(add_copy(NODE(1), GRAPH(1), &wrong, sizeof(wrong)), CUDA_SUCCESS);
	}
	copy = copy_up(UINT64_MAX, 1, 1);
	assert_int_not_equal(add_copy(NODE(1), GRAPH(1), &copy, sizeof(copy)), CUDA_SUCCESS);
	/* Both sides of the program's, or none; an array that is none; an address of the executor's as an array. */
	copy = copy_up(WORDS * 4, 1, 1);
	copy.memcpy.copy.dstMemoryType = CU_MEMORYTYPE_HOST;
	assert_int_equal(add_copy(NODE(1), GRAPH(1), &copy, sizeof(copy)), CUDA_ERROR_INVALID_VALUE);
	copy.memcpy.copy.srcMemoryType = copy.memcpy.copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
	assert_int_equal(add_copy(NODE(1), GRAPH(1), &copy, sizeof(copy)), CUDA_ERROR_INVALID_VALUE);
	copy.memcpy.copy.srcMemoryType = CU_MEMORYTYPE_HOST;
	copy.memcpy.copy.dstMemoryType = CU_MEMORYTYPE_ARRAY;
	copy.memcpy.copy.dstArray = (CUarray)&copy;
	assert_int_equal(add_copy(NODE(1), GRAPH(1), &copy, sizeof(copy)), CUDA_ERROR_INVALID_HANDLE);
	copy.memcpy.copy.dstMemoryType = CU_MEMORYTYPE_UNIFIED;
	assert_int_equal(add_copy(NODE(1), GRAPH(1), &copy, sizeof(copy)), CUDA_ERROR_INVALID_VALUE);
	/* In a stream that is in no capture. */
	copy = copy_up(WORDS * 4, 1, 1);
	assert_int_equal(capture_copy(STREAM(1), &copy, sizeof(copy)), CUDA_ERROR_ILLEGAL_STATE);
	assert_int_equal(capture_copy(STREAM(9), &copy, sizeof(copy)), CUDA_ERROR_INVALID_HANDLE);
	WORKS(cuGraphDestroy, .hGraph = GRAPH(1));
}

/* Its embedded graph is the executor's alone. */
static void copies_stay_what_they_are(void **state)
{
	const struct vgpu_graph_program_copy copy = copy_up(WORDS * 4, 1, 1);
	struct vgpu_graph_program_copy down = copy;
	struct {
		struct vgpu_graph_node head;
		struct vgpu_graph_program_copy copy;
	} tail = {{.type = VGPU_GRAPH_PROGRAM_COPY}, copy};
	struct wire_cuGraphNodeSetParams set = {.hNode = NODE(1), .node_bytes = sizeof(tail)};
	struct wire_cuGraphExecNodeSetParams exec_set = {
		.hGraphExec = EXEC(1), .hNode = NODE(1), .node_bytes = sizeof(tail)};

	(void)state;
	down.memcpy.copy.srcMemoryType = CU_MEMORYTYPE_DEVICE;
	down.memcpy.copy.srcDevice = device;
	down.memcpy.copy.dstMemoryType = CU_MEMORYTYPE_HOST;
	WORKS(cuGraphCreate, .phGraph = GRAPH(1));
	assert_int_equal(add_copy(NODE(1), GRAPH(1), &copy, sizeof(copy)), CUDA_SUCCESS);
	INVALID(cuGraphChildGraphNodeGetGraph, .phGraph = GRAPH(2), .hNode = NODE(1));
	WORKS(cuGraphMemcpyNodeGetParams, .hNode = NODE(1));
	assert_int_equal(((const struct wire_cuGraphMemcpyNodeGetParams_reply *)peer.reply)->copy_bytes, sizeof(copy));
	WORKS(cuGraphInstantiateWithFlags, .phGraphExec = EXEC(1), .hGraph = GRAPH(1));
	WORKS(cuGraphLaunch, .hGraphExec = EXEC(1), .hStream = STREAM(1));
	assert_int_equal(call(VGPU_CALL_cuGraphNodeSetParams, &set, sizeof(set), &tail, sizeof(tail)), CUDA_SUCCESS);
	assert_int_equal(call(VGPU_CALL_cuGraphExecNodeSetParams, &exec_set, sizeof(exec_set), &tail, sizeof(tail)),
			 CUDA_SUCCESS);
	tail.copy = down;
	assert_int_not_equal(call(VGPU_CALL_cuGraphNodeSetParams, &set, sizeof(set), &tail, sizeof(tail)),
			     CUDA_SUCCESS);
	assert_int_not_equal(call(VGPU_CALL_cuGraphExecNodeSetParams, &exec_set, sizeof(exec_set), &tail, sizeof(tail)),
			     CUDA_SUCCESS);
	WORKS(cuGraphLaunch, .hGraphExec = EXEC(1), .hStream = STREAM(1));
	WORKS(cuGraphDestroy, .hGraph = GRAPH(1));
	WORKS(cuGraphLaunch, .hGraphExec = EXEC(1), .hStream = STREAM(1));
	/* While it may still run. */
	WORKS(cuGraphExecDestroy, .hGraphExec = EXEC(1));
	WORKS(cuStreamSynchronize, .hStream = STREAM(1));
}

/* The memory is the guest's to pay for, and is given back once nothing uses it. */
static void copies_are_paid_for(void **state)
{
	const struct vgpu_graph_program_copy copy = copy_up(WORDS * 4, 1, 1);
	const struct timespec pause = {.tv_nsec = 10000000};
	int attempts = 0;

	(void)state;
	WORKS(cuGraphCreate, .phGraph = GRAPH(1));
	assert_int_equal(add_copy(NODE(1), GRAPH(1), &copy, sizeof(copy)), CUDA_SUCCESS);
	assert_int_equal(add_copy(NODE(2), GRAPH(1), &copy, sizeof(copy)), CUDA_SUCCESS);
	assert_int_equal(peer.counters->pinned_bytes, 2 * 4096);
	WORKS(cuGraphClone, .phGraphClone = GRAPH(2), .originalGraph = GRAPH(1));
	WORKS(cuGraphDestroyNode, .hNode = NODE(2));
	WORKS(cuGraphDestroy, .hGraph = GRAPH(1));
	WORKS(cuGraphCreate, .phGraph = GRAPH(1));
	assert_int_equal(peer.counters->pinned_bytes, 2 * 4096);
	WORKS(cuGraphDestroy, .hGraph = GRAPH(2));
	while (peer.counters->pinned_bytes && attempts++ < 3000) {
		/* The driver lets go when it likes. */
		nanosleep(&pause, NULL);
		WORKS(cuGraphDestroy, .hGraph = GRAPH(1));
		WORKS(cuGraphCreate, .phGraph = GRAPH(1));
	}
	assert_int_equal(peer.counters->pinned_bytes, 0);
}

/* Waits until the guest has been told of the function's end. */
static void end_expect(uint64_t function)
{
	const struct timespec pause = {.tv_nsec = 10000000};

	for (int i = 0; i < 3000; i++) {
		if (peer.header->function_use == VGPU_FUNCTION_END && peer.header->function == function)
			return;
		WORKS(cuStreamQuery, .hStream = STREAM(1)); /* answers what is called meanwhile */
		nanosleep(&pause, NULL);
	}
	fail();
}

/* One end for each function, when the last graph that has it is gone. */
static void functions_end_with_their_graphs(void **state)
{
	struct {
		struct vgpu_graph_node head;
		struct vgpu_graph_host host;
	} tail = {{.type = CU_GRAPH_NODE_TYPE_HOST}, {.function = 1001}};
	const struct wire_cuGraphAddNode_v2 arguments = {
		.phGraphNode = NODE(1), .hGraph = GRAPH(1), .node_bytes = sizeof(tail)};
	const struct wire_cuLaunchHostFunc launch = {.hStream = STREAM(1), .function = 1002};

	(void)state;
	WORKS(cuGraphCreate, .phGraph = GRAPH(1));
	assert_int_equal(call(VGPU_CALL_cuGraphAddNode_v2, &arguments, sizeof(arguments), &tail, sizeof(tail)),
			 CUDA_SUCCESS);
	WORKS(cuGraphInstantiateWithFlags, .phGraphExec = EXEC(1), .hGraph = GRAPH(1));
	WORKS(cuGraphDestroy, .hGraph = GRAPH(1));
	WORKS(cuGraphLaunch, .hGraphExec = EXEC(1), .hStream = STREAM(1));
	WORKS(cuStreamSynchronize, .hStream = STREAM(1));
	assert_int_equal(peer.header->function_use, VGPU_FUNCTION_CALL);
	WORKS(cuGraphExecDestroy, .hGraphExec = EXEC(1));
	end_expect(1001);
	WORKS(cuStreamBeginCapture_v2, .hStream = STREAM(1));
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuLaunchHostFunc, context, &launch, sizeof(launch)), CUDA_SUCCESS);
	WORKS(cuStreamEndCapture, .hStream = STREAM(1), .phGraph = GRAPH(1));
	WORKS(cuGraphDestroy, .hGraph = GRAPH(1));
	end_expect(1002);
}

/* What is too short ends the channel. */
static void fault_expect(uint32_t result)
{
	struct peer_end end;

	assert_int_equal(result, UINT32_MAX);
	end = peer_wait(&peer);
	assert_false(end.by_signal);
	assert_int_equal(end.error, VGPU_ERROR_PROTOCOL);
}

static void half_a_copy(void **state)
{
	const struct vgpu_graph_program_copy copy = copy_up(WORDS * 4, 1, 1);

	(void)state;
	WORKS(cuGraphCreate, .phGraph = GRAPH(1));
	fault_expect(add_copy(NODE(1), GRAPH(1), &copy, sizeof(copy) - 8));
}

static void half_a_captured_copy(void **state)
{
	const struct vgpu_graph_program_copy copy = copy_up(WORDS * 4, 1, 1);

	(void)state;
	WORKS(cuStreamBeginCapture_v2, .hStream = STREAM(1));
	fault_expect(capture_copy(STREAM(1), &copy, sizeof(copy) - 8));
}

/* Counts that lie. */
static uint32_t add_batch(uint32_t count)
{
	struct {
		struct vgpu_graph_node head;
		struct vgpu_graph_operations operations;
		CUstreamBatchMemOpParams first;
	} tail = {.head = {.type = CU_GRAPH_NODE_TYPE_BATCH_MEM_OP}, .operations = {.count = count}};
	const struct wire_cuGraphAddNode_v2 arguments = {
		.phGraphNode = NODE(1), .hGraph = GRAPH(1), .node_bytes = sizeof(tail)};

	return call(VGPU_CALL_cuGraphAddNode_v2, &arguments, sizeof(arguments), &tail, sizeof(tail));
}

static void operations_that_are_not_there(void **state)
{
	(void)state;
	WORKS(cuGraphCreate, .phGraph = GRAPH(1));
	/* None, or one of no kind. */
	assert_int_equal(add_batch(0), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(add_batch(1), CUDA_ERROR_NOT_SUPPORTED);
	fault_expect(add_batch(2));
}

static void more_operations_than_may_be(void **state)
{
	(void)state;
	WORKS(cuGraphCreate, .phGraph = GRAPH(1));
	fault_expect(add_batch(UINT32_MAX));
}

static void more_ids_than_may_be(void **state)
{
	static const uint32_t ids[VGPU_GRAPH_IDS_MAX + 1];

	(void)state;
	fault_expect(ask(STREAM(1), GRAPH(1), ids, VGPU_GRAPH_IDS_MAX + 1));
}

/* An id is good as long as references are known: the driver never sees an object that is gone. */
static void user_objects_are_counted(void **state)
{
	(void)state;
	WORKS(cuGraphCreate, .phGraph = GRAPH(1));
	INVALID(cuUserObjectCreate, .object_out = OBJECT(1), .function = 1, .flags = 1);
	INVALID(cuUserObjectCreate, .object_out = OBJECT(1), .function = 1, .initialRefcount = UINT32_MAX, .flags = 1);
	INVALID(cuUserObjectCreate, .object_out = OBJECT(1), .function = 1, .initialRefcount = 1);
	NOTHING(cuUserObjectRelease, .hObject = OBJECT(1), .count = 1);
	WORKS(cuUserObjectCreate, .object_out = OBJECT(1), .function = 1, .initialRefcount = 2, .flags = 1);
	NOTHING(cuUserObjectCreate, .object_out = OBJECT(1), .function = 1, .initialRefcount = 2, .flags = 1);
	INVALID(cuUserObjectRelease, .hObject = OBJECT(1), .count = 3);
	INVALID(cuUserObjectRelease, .hObject = OBJECT(1));
	INVALID(cuUserObjectRetain, .hObject = OBJECT(1), .count = INT32_MAX);
	INVALID(cuGraphRetainUserObject, .graph = GRAPH(1), .hObject = OBJECT(1), .count = 3, .flags = 1);
	INVALID(cuGraphReleaseUserObject, .graph = GRAPH(1), .hObject = OBJECT(1), .count = 1);
	NOTHING(cuGraphRetainUserObject, .graph = GRAPH(9), .hObject = OBJECT(1), .count = 1);
	WORKS(cuGraphRetainUserObject, .graph = GRAPH(1), .hObject = OBJECT(1), .count = 2, .flags = 1);
	/* The graph's now, and no more the guest's. */
	INVALID(cuUserObjectRelease, .hObject = OBJECT(1), .count = 1);
	INVALID(cuGraphReleaseUserObject, .graph = GRAPH(1), .hObject = OBJECT(1), .count = 3);
	WORKS(cuGraphRetainUserObject, .graph = GRAPH(1), .hObject = OBJECT(1), .count = 1);
	INVALID(cuGraphRetainUserObject, .graph = GRAPH(1), .hObject = OBJECT(1), .count = INT32_MAX);
	WORKS(cuGraphReleaseUserObject, .graph = GRAPH(1), .hObject = OBJECT(1), .count = 1);
	WORKS(cuGraphReleaseUserObject, .graph = GRAPH(1), .hObject = OBJECT(1), .count = 2);
	NOTHING(cuUserObjectRetain, .hObject = OBJECT(1), .count = 1);
	/* A graph's end, with an executable that still has it. */
	WORKS(cuUserObjectCreate, .object_out = OBJECT(1), .function = 1, .initialRefcount = 1, .flags = 1);
	WORKS(cuGraphRetainUserObject, .graph = GRAPH(1), .hObject = OBJECT(1), .count = 1, .flags = 1);
	WORKS(cuGraphInstantiateWithFlags, .phGraphExec = EXEC(1), .hGraph = GRAPH(1));
	WORKS(cuGraphDestroy, .hGraph = GRAPH(1));
	NOTHING(cuUserObjectRetain, .hObject = OBJECT(1), .count = 1);
	WORKS(cuGraphExecDestroy, .hGraphExec = EXEC(1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(captures_are_named_once, setup, peer_teardown),
		cmocka_unit_test_setup_teardown(captures_that_end_badly, setup, peer_teardown),
		cmocka_unit_test_setup_teardown(captures_end_with_their_context, setup, peer_teardown),
		cmocka_unit_test_setup_teardown(dependencies_are_of_the_graph, setup, peer_teardown),
		cmocka_unit_test_setup_teardown(copies_are_checked, setup, peer_teardown),
		cmocka_unit_test_setup_teardown(copies_stay_what_they_are, setup, peer_teardown),
		cmocka_unit_test_setup_teardown(copies_are_paid_for, setup, peer_teardown),
		cmocka_unit_test_setup_teardown(functions_end_with_their_graphs, setup, peer_teardown),
		cmocka_unit_test_setup_teardown(half_a_copy, setup, peer_teardown),
		cmocka_unit_test_setup_teardown(half_a_captured_copy, setup, peer_teardown),
		cmocka_unit_test_setup_teardown(more_ids_than_may_be, setup, peer_teardown),
		cmocka_unit_test_setup_teardown(operations_that_are_not_there, setup, peer_teardown),
		cmocka_unit_test_setup_teardown(more_operations_than_may_be, setup, peer_teardown),
		cmocka_unit_test_setup_teardown(user_objects_are_counted, setup, peer_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
