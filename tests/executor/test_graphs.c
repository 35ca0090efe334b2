/* SPDX-License-Identifier: Apache-2.0 */
/* Graphs and their nodes in the executor, for honest guests and others. */
#include <setjmp.h>
#include <stdarg.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "one_peer.h"
#include "vgpu_graph.h"

#define GRAPH(index)  VGPU_ID(VGPU_KIND_GRAPH, index)
#define NODE(index)   VGPU_ID(VGPU_KIND_GRAPH_NODE, index)
#define EXEC(index)   VGPU_ID(VGPU_KIND_GRAPH_EXEC, index)
#define STREAM(index) VGPU_ID(VGPU_KIND_STREAM, index)

/* A request with what follows it. */
struct request {
	size_t bytes;
	_Alignas(8) uint8_t payload[VGPU_RECORD_BYTES_MAX - sizeof(struct vgpu_record)];
};

static void put(struct request *request, const void *data, size_t bytes)
{
	assert_true(bytes <= sizeof(request->payload) - request->bytes);
	if (bytes)
		memcpy(request->payload + request->bytes, data, bytes);
	request->bytes += bytes;
}

/* With edges from each of the nodes. */
static uint32_t add(uint32_t node, uint32_t graph, uint32_t type, const uint32_t *from, uint32_t count,
		    const void *content, size_t content_bytes)
{
	static struct request request;
	const struct vgpu_graph_node head = {.type = type, .edge_count = count};
	struct wire_cuGraphAddNode_v2 arguments = {.phGraphNode = node, .hGraph = graph};

	arguments.node_bytes = (uint32_t)(sizeof(head) + count * sizeof(struct vgpu_graph_edge) + content_bytes);
	request.bytes = 0;
	put(&request, &arguments, sizeof(arguments));
	put(&request, &head, sizeof(head));
	for (uint32_t i = 0; i < count; i++)
		put(&request, &(struct vgpu_graph_edge){.from = from[i]}, sizeof(struct vgpu_graph_edge));
	put(&request, content, content_bytes);
	return peer_call(&peer, VGPU_CALL_cuGraphAddNode_v2, context, request.payload, request.bytes);
}

static uint32_t add_empty(uint32_t node, uint32_t graph, const uint32_t *from, uint32_t count)
{
	return add(node, graph, CU_GRAPH_NODE_TYPE_EMPTY, from, count, NULL, 0);
}

static uint32_t add_child(uint32_t node, uint32_t graph, uint32_t child, uint32_t ownership)
{
	const struct vgpu_graph_child content = {.graph = child, .ownership = ownership};

	return add(node, graph, CU_GRAPH_NODE_TYPE_GRAPH, NULL, 0, &content, sizeof(content));
}

/* The host's answer: how many nodes there are, how many have no id, and types. */
static uint32_t name(uint32_t graph, const uint32_t *ids, uint32_t count)
{
	struct request request = {0};
	struct wire_cuGraphGetNodes arguments = {.hGraph = graph, .ids_bytes = count * (uint32_t)sizeof(*ids)};

	put(&request, &arguments, sizeof(arguments));
	put(&request, ids, count * sizeof(*ids));
	return peer_call(&peer, VGPU_CALL_cuGraphGetNodes, context, request.payload, request.bytes);
}

static const struct wire_cuGraphGetNodes_reply *named(void)
{
	return (const void *)peer.reply;
}

static void nodes_end_with_their_graph(void **state)
{
	(void)state;
	WORKS(cuGraphCreate, .phGraph = GRAPH(1));
	WORKS(cuGraphCreate, .phGraph = GRAPH(2));
	assert_int_equal(add_empty(NODE(1), GRAPH(1), NULL, 0), CUDA_SUCCESS);
	assert_int_equal(add_empty(NODE(2), GRAPH(1), &(uint32_t){NODE(1)}, 1), CUDA_SUCCESS);
	/* Minted twice, another graph's, of another kind, or never made. */
	assert_int_equal(add_empty(NODE(2), GRAPH(1), NULL, 0), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(add_empty(NODE(3), GRAPH(2), &(uint32_t){NODE(1)}, 1), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(add_empty(NODE(3), GRAPH(2), &(uint32_t){GRAPH(1)}, 1), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(add_empty(NODE(3), GRAPH(1), &(uint32_t){NODE(9)}, 1), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(add_empty(GRAPH(3), GRAPH(1), NULL, 0), CUDA_ERROR_INVALID_HANDLE);
	WORKS(cuGraphInstantiateWithFlags, .phGraphExec = EXEC(1), .hGraph = GRAPH(1));
	assert_int_equal(add_empty(NODE(3), GRAPH(1), NULL, 0), CUDA_SUCCESS);
	WORKS(cuGraphDestroyNode, .hNode = NODE(3));
	NOTHING(cuGraphDestroyNode, .hNode = NODE(3));
	WORKS(cuGraphDestroy, .hGraph = GRAPH(1));
	NOTHING(cuGraphDestroy, .hGraph = GRAPH(1));
	for (uint32_t i = 1; i <= 3; i++) {
		NOTHING(cuGraphDestroyNode, .hNode = NODE(i));
		NOTHING(cuGraphNodeSetEnabled, .hGraphExec = EXEC(1), .hNode = NODE(i));
		NOTHING(cuGraphChildGraphNodeGetGraph, .phGraph = GRAPH(5), .hNode = NODE(i));
		NOTHING(cuGraphKernelNodeCopyAttributes, .dst = NODE(i), .src = NODE(i));
	}
	assert_int_equal(add_empty(NODE(1), GRAPH(2), &(uint32_t){NODE(2)}, 1), CUDA_ERROR_INVALID_HANDLE);
	/* The ids are free again. */
	assert_int_equal(add_empty(NODE(1), GRAPH(2), NULL, 0), CUDA_SUCCESS);
	WORKS(cuGraphDestroy, .hGraph = GRAPH(2));
	WORKS(cuGraphExecDestroy, .hGraphExec = EXEC(1));
}

static void nodes_have_one_id(void **state)
{
	const uint32_t ids[] = {NODE(4), NODE(5), NODE(6), NODE(7)};

	(void)state;
	WORKS(cuGraphCreate, .phGraph = GRAPH(1));
	assert_int_equal(add_empty(NODE(1), GRAPH(1), NULL, 0), CUDA_SUCCESS);
	assert_int_equal(add_empty(NODE(2), GRAPH(1), NULL, 0), CUDA_SUCCESS);
	assert_int_equal(add_empty(NODE(3), GRAPH(1), NULL, 0), CUDA_SUCCESS);
	/* They have theirs. */
	assert_int_equal(name(GRAPH(1), ids, 4), CUDA_SUCCESS);
	assert_int_equal(named()->numNodes, 3);
	assert_int_equal(named()->numUnnamed, 0);
	assert_int_equal(named()->types_bytes, 0);
	NOTHING(cuGraphDestroyNode, .hNode = NODE(4));
	/* Those of a copy have none; an id that is in use is not given. */
	WORKS(cuGraphClone, .phGraphClone = GRAPH(2), .originalGraph = GRAPH(1));
	assert_int_equal(name(GRAPH(2), (uint32_t[]){NODE(4), NODE(1)}, 2), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(named()->types_bytes, sizeof(uint32_t));
	assert_int_equal(name(GRAPH(2), (uint32_t[]){NODE(5), NODE(5)}, 2), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(name(GRAPH(2), &ids[2], 2), CUDA_SUCCESS);
	assert_int_equal(named()->numUnnamed, 0);
	assert_int_equal(named()->types_bytes, sizeof(uint32_t));
	NOTHING(cuGraphDestroyNode, .hNode = NODE(7));
	for (uint32_t i = 4; i <= 6; i++)
		WORKS(cuGraphDestroyNode, .hNode = NODE(i));
	assert_int_equal(name(GRAPH(2), NULL, 0), CUDA_SUCCESS);
	assert_int_equal(named()->numNodes, 0);
	WORKS(cuGraphDestroy, .hGraph = GRAPH(1));
	WORKS(cuGraphDestroy, .hGraph = GRAPH(2));
}

static void embedded_graphs_end_with_their_node(void **state)
{
	(void)state;
	for (uint32_t i = 1; i <= 4; i++)
		WORKS(cuGraphCreate, .phGraph = GRAPH(i));
	assert_int_equal(add_empty(NODE(1), GRAPH(1), NULL, 0), CUDA_SUCCESS);
	assert_int_equal(add_child(NODE(2), GRAPH(2), GRAPH(1), CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE), CUDA_SUCCESS);
	assert_int_equal(add_child(NODE(3), GRAPH(3), GRAPH(2), CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE), CUDA_SUCCESS);
	/* It has an owner, or would own itself. */
	INVALID(cuGraphDestroy, .hGraph = GRAPH(1));
	assert_int_equal(add_child(NODE(4), GRAPH(4), GRAPH(1), CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE),
			 CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(add_child(NODE(4), GRAPH(1), GRAPH(3), CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE),
			 CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(add_child(NODE(4), GRAPH(4), GRAPH(4), CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE),
			 CUDA_ERROR_INVALID_VALUE);
	/* Nor a copy of itself, or of a graph that it is in. */
	assert_int_equal(add_child(NODE(4), GRAPH(4), GRAPH(4), CU_GRAPH_CHILD_GRAPH_OWNERSHIP_CLONE),
			 CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(add_child(NODE(4), GRAPH(1), GRAPH(3), CU_GRAPH_CHILD_GRAPH_OWNERSHIP_CLONE),
			 CUDA_ERROR_INVALID_VALUE);
	INVALID(cuGraphChildGraphNodeGetGraph, .phGraph = GRAPH(5), .hNode = NODE(3));
	/* A copy's embedded graph gets one id. */
	assert_int_equal(add_child(NODE(4), GRAPH(4), GRAPH(3), CU_GRAPH_CHILD_GRAPH_OWNERSHIP_CLONE), CUDA_SUCCESS);
	WORKS(cuGraphChildGraphNodeGetGraph, .phGraph = GRAPH(5), .hNode = NODE(4));
	INVALID(cuGraphChildGraphNodeGetGraph, .phGraph = GRAPH(6), .hNode = NODE(4));
	INVALID(cuGraphDestroy, .hGraph = GRAPH(5));
	assert_int_equal(add_empty(NODE(5), GRAPH(5), NULL, 0), CUDA_SUCCESS);
	WORKS(cuGraphDestroyNode, .hNode = NODE(4));
	NOTHING(cuGraphDestroy, .hGraph = GRAPH(5));
	NOTHING(cuGraphDestroyNode, .hNode = NODE(5));

	WORKS(cuGraphDestroy, .hGraph = GRAPH(3));
	for (uint32_t i = 1; i <= 3; i++) {
		NOTHING(cuGraphDestroy, .hGraph = GRAPH(i));
		NOTHING(cuGraphDestroyNode, .hNode = NODE(i));
		assert_int_equal(name(GRAPH(i), NULL, 0), CUDA_ERROR_INVALID_HANDLE);
	}
	WORKS(cuGraphDestroy, .hGraph = GRAPH(4));
}

static uint32_t capture_to(uint32_t stream, uint32_t graph, uint32_t from)
{
	struct request request = {0};
	struct wire_cuStreamBeginCaptureToGraph arguments = {
		.hStream = stream, .hGraph = graph, .edges_bytes = from ? sizeof(struct vgpu_graph_edge) : 0};

	put(&request, &arguments, sizeof(arguments));
	if (from)
		put(&request, &(struct vgpu_graph_edge){.from = from}, sizeof(struct vgpu_graph_edge));
	return peer_call(&peer, VGPU_CALL_cuStreamBeginCaptureToGraph, context, request.payload, request.bytes);
}

static void graphs_outlive_captures_into_them(void **state)
{
	(void)state;
	WORKS(cuStreamCreateWithPriority, .phStream = STREAM(1), .flags = CU_STREAM_NON_BLOCKING);
	WORKS(cuStreamCreateWithPriority, .phStream = STREAM(2), .flags = CU_STREAM_NON_BLOCKING);
	WORKS(cuGraphCreate, .phGraph = GRAPH(1));
	WORKS(cuGraphCreate, .phGraph = GRAPH(2));
	assert_int_equal(add_empty(NODE(1), GRAPH(1), NULL, 0), CUDA_SUCCESS);
	assert_int_equal(capture_to(STREAM(1), GRAPH(2), NODE(1)), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(capture_to(0, GRAPH(1), NODE(1)), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	assert_int_equal(capture_to(STREAM(1), GRAPH(9), 0), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(capture_to(STREAM(1), GRAPH(1), NODE(1)), CUDA_SUCCESS);
	assert_int_equal(capture_to(STREAM(2), GRAPH(1), NODE(1)), CUDA_ERROR_ILLEGAL_STATE);
	assert_int_equal(capture_to(STREAM(1), GRAPH(2), 0), CUDA_ERROR_ILLEGAL_STATE);
	INVALID(cuGraphDestroy, .hGraph = GRAPH(1));
	INVALID(cuGraphDestroyNode, .hNode = NODE(1));
	assert_int_equal(add_child(NODE(2), GRAPH(2), GRAPH(1), CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE),
			 CUDA_ERROR_INVALID_VALUE);
	/* The id is not given to a second handle of the same graph. */
	WORKS(cuStreamEndCapture, .hStream = STREAM(1), .phGraph = GRAPH(3));
	NOTHING(cuGraphDestroy, .hGraph = GRAPH(3));
	WORKS(cuGraphDestroyNode, .hNode = NODE(1));
	WORKS(cuGraphDestroy, .hGraph = GRAPH(1));
	/* One that is embedded would end with its node, or with that one's graph. */
	WORKS(cuGraphCreate, .phGraph = GRAPH(1));
	assert_int_equal(add_child(NODE(1), GRAPH(2), GRAPH(1), CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE), CUDA_SUCCESS);
	assert_int_equal(capture_to(STREAM(1), GRAPH(1), 0), CUDA_SUCCESS);
	INVALID(cuGraphDestroyNode, .hNode = NODE(1));
	INVALID(cuGraphDestroy, .hGraph = GRAPH(2));
	WORKS(cuStreamEndCapture, .hStream = STREAM(1), .phGraph = GRAPH(3));
	WORKS(cuGraphDestroyNode, .hNode = NODE(1));
	NOTHING(cuGraphDestroy, .hGraph = GRAPH(1));
	WORKS(cuGraphDestroy, .hGraph = GRAPH(2));
}

/* Lengths that lie: each ends the channel. */
static void malformed(uint32_t type, uint32_t edge_count, const void *content, size_t bytes)
{
	static struct request request;
	const struct vgpu_graph_node head = {.type = type, .edge_count = edge_count};
	struct wire_cuGraphAddNode_v2 arguments = {.phGraphNode = NODE(1), .hGraph = GRAPH(1)};
	struct peer_end end;

	WORKS(cuGraphCreate, .phGraph = GRAPH(1));
	arguments.node_bytes = (uint32_t)(sizeof(head) + bytes);
	request.bytes = 0;
	put(&request, &arguments, sizeof(arguments));
	put(&request, &head, sizeof(head));
	put(&request, content, bytes);
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuGraphAddNode_v2, context, request.payload, request.bytes),
			 UINT32_MAX);
	end = peer_wait(&peer);
	assert_false(end.by_signal);
	assert_int_equal(end.error, VGPU_ERROR_PROTOCOL);
}

static void edges_that_are_not_there(void **state)
{
	(void)state;
	malformed(CU_GRAPH_NODE_TYPE_EMPTY, 2, &(struct vgpu_graph_edge){0}, sizeof(struct vgpu_graph_edge));
}

static void more_edges_than_may_be(void **state)
{
	static const struct vgpu_graph_edge edges[VGPU_GRAPH_EDGES_MAX + 1];

	(void)state;
	malformed(CU_GRAPH_NODE_TYPE_EMPTY, VGPU_GRAPH_EDGES_MAX + 1, edges, sizeof(edges));
}

static void edge_counts_that_overflow(void **state)
{
	(void)state;
	malformed(CU_GRAPH_NODE_TYPE_EMPTY, 1u << 28, NULL, 0);
}

static void parameters_that_are_not_there(void **state)
{
	const struct vgpu_launch launch = {.parameter_bytes = 64};

	(void)state;
	malformed(CU_GRAPH_NODE_TYPE_KERNEL, 0, &launch, sizeof(launch));
}

static void half_a_memset(void **state)
{
	(void)state;
	malformed(CU_GRAPH_NODE_TYPE_MEMSET, 0, &(struct vgpu_graph_memset){0}, sizeof(struct vgpu_graph_memset) - 8);
}

static void memory_is_checked(void **state)
{
	struct vgpu_graph_memcpy copy = {.copy = {.srcMemoryType = CU_MEMORYTYPE_HOST,
						  .srcHost = &copy,
						  .dstMemoryType = CU_MEMORYTYPE_HOST,
						  .dstHost = &copy,
						  .WidthInBytes = 8,
						  .Height = 1,
						  .Depth = 1}};

	(void)state;
	WORKS(cuGraphCreate, .phGraph = GRAPH(1));
	/* Host memory that is not pinned, arrays that are none, addresses that may be anything. */
	assert_int_equal(add(NODE(1), GRAPH(1), CU_GRAPH_NODE_TYPE_MEMCPY, NULL, 0, &copy, sizeof(copy)),
			 CUDA_ERROR_INVALID_VALUE);
	copy.copy.srcMemoryType = CU_MEMORYTYPE_UNIFIED;
	assert_int_equal(add(NODE(1), GRAPH(1), CU_GRAPH_NODE_TYPE_MEMCPY, NULL, 0, &copy, sizeof(copy)),
			 CUDA_ERROR_INVALID_VALUE);
	copy.copy.srcMemoryType = CU_MEMORYTYPE_ARRAY;
	copy.copy.srcArray = (CUarray)&copy;
	assert_int_equal(add(NODE(1), GRAPH(1), CU_GRAPH_NODE_TYPE_MEMCPY, NULL, 0, &copy, sizeof(copy)),
			 CUDA_ERROR_INVALID_HANDLE);
	/* A type with pointers of the guest. */
	assert_int_equal(add(NODE(1), GRAPH(1), CU_GRAPH_NODE_TYPE_EXT_SEMAS_WAIT, NULL, 0, &copy, sizeof(copy)),
			 CUDA_ERROR_NOT_SUPPORTED);
	WORKS(cuGraphDestroy, .hGraph = GRAPH(1));
}

static int sealed_file(uint64_t bytes)
{
	int file = memfd_create("pinned", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_int_equal(ftruncate(file, (off_t)bytes), 0);
	assert_int_equal(fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	return file;
}

/* A copy is closely packed where it says no pitch; and what a graph names stays the guest's or nobody's. */
static void pinned_memory_is_checked(void **state)
{
	struct vgpu_host_map map = {.address = 0x300000000000, .bytes = 8192};
	struct vgpu_host_unmap unmap = {.address = map.address};
	struct vgpu_graph_memcpy copy = {.copy = {.srcMemoryType = CU_MEMORYTYPE_HOST,
						  .srcHost = (const void *)(uintptr_t)map.address,
						  .dstMemoryType = CU_MEMORYTYPE_HOST,
						  .dstHost = (void *)(uintptr_t)(map.address + 4096),
						  .WidthInBytes = 4096,
						  .Height = 100000,
						  .Depth = 1}};
	int file = sealed_file(map.bytes);

	(void)state;
	assert_true(peer_descriptor_pass(&peer, file));
	assert_int_equal(peer_call(&peer, VGPU_OPCODE_HOST_MAP, context, &map, sizeof(map)), CUDA_SUCCESS);
	WORKS(cuGraphCreate, .phGraph = GRAPH(1));
	assert_int_equal(add(NODE(1), GRAPH(1), CU_GRAPH_NODE_TYPE_MEMCPY, NULL, 0, &copy, sizeof(copy)),
			 CUDA_ERROR_INVALID_VALUE);
	copy.copy.Height = 1;
	copy.copy.Depth = 100000;
	assert_int_equal(add(NODE(1), GRAPH(1), CU_GRAPH_NODE_TYPE_MEMCPY, NULL, 0, &copy, sizeof(copy)),
			 CUDA_ERROR_INVALID_VALUE);
	copy.copy.Depth = 1;
	assert_int_equal(add(NODE(1), GRAPH(1), CU_GRAPH_NODE_TYPE_MEMCPY, NULL, 0, &copy, sizeof(copy)), CUDA_SUCCESS);
	assert_int_equal(peer_call(&peer, VGPU_OPCODE_HOST_UNMAP, context, &unmap, sizeof(unmap)), CUDA_SUCCESS);
	/* Nothing can lie there, neither the guest's nor the executor's. */
	assert_true(peer_descriptor_pass(&peer, file));
	assert_int_equal(peer_call(&peer, VGPU_OPCODE_HOST_MAP, context, &map, sizeof(map)), CUDA_ERROR_ALREADY_MAPPED);
	WORKS(cuGraphDestroy, .hGraph = GRAPH(1));
	assert_true(peer_descriptor_pass(&peer, file));
	assert_int_equal(peer_call(&peer, VGPU_OPCODE_HOST_MAP, context, &map, sizeof(map)), CUDA_SUCCESS);
	close(file);
}

static void captures_end_with_their_stream(void **state)
{
	const struct wire_cuStreamEndCapture wrong = {.hStream = 0, .phGraph = GRAPH(2)};
	const struct wire_cuStreamDestroy_v2 destroy = {.hStream = STREAM(1)};

	(void)state;
	WORKS(cuStreamCreateWithPriority, .phStream = STREAM(1), .flags = CU_STREAM_NON_BLOCKING);
	WORKS(cuGraphCreate, .phGraph = GRAPH(1));
	assert_int_equal(capture_to(STREAM(1), GRAPH(1), 0), CUDA_SUCCESS);
	/* Another stream's error ends nothing. */
	assert_int_not_equal(peer_call(&peer, VGPU_CALL_cuStreamEndCapture, 0, &wrong, sizeof(wrong)), CUDA_SUCCESS);
	INVALID(cuGraphDestroy, .hGraph = GRAPH(1));
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuStreamDestroy_v2, context, &destroy, sizeof(destroy)),
			 CUDA_SUCCESS);
	WORKS(cuGraphDestroy, .hGraph = GRAPH(1));
}

static void types_are_checked(void **state)
{
	struct request request = {0};
	const struct vgpu_graph_node head = {.type = CU_GRAPH_NODE_TYPE_MEMSET};
	const struct vgpu_graph_memset content = {.width = 1, .rows = 1, .element_bytes = 1};
	struct wire_cuGraphNodeSetParams arguments = {.hNode = NODE(1), .node_bytes = sizeof(head) + sizeof(content)};

	(void)state;
	WORKS(cuGraphCreate, .phGraph = GRAPH(1));
	assert_int_equal(add_empty(NODE(1), GRAPH(1), NULL, 0), CUDA_SUCCESS);
	put(&request, &arguments, sizeof(arguments));
	put(&request, &head, sizeof(head));
	put(&request, &content, sizeof(content));
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuGraphNodeSetParams, context, request.payload, request.bytes),
			 CUDA_ERROR_INVALID_VALUE);
	WORKS(cuGraphDestroy, .hGraph = GRAPH(1));
}

static void half_an_allocation(void **state)
{
	(void)state;
	malformed(CU_GRAPH_NODE_TYPE_MEM_ALLOC, 0, &(uint64_t){4096}, sizeof(uint64_t));
}

static uint32_t add_allocation(uint32_t node, uint32_t graph, uint64_t bytes, int32_t device)
{
	const struct vgpu_graph_allocation content = {.bytes = bytes, .device = device};

	return add(node, graph, CU_GRAPH_NODE_TYPE_MEM_ALLOC, NULL, 0, &content, sizeof(content));
}

static uint32_t add_free(uint32_t node, uint32_t graph, uint64_t address)
{
	const struct vgpu_graph_free content = {.address = address};

	return add(node, graph, CU_GRAPH_NODE_TYPE_MEM_FREE, NULL, 0, &content, sizeof(content));
}

static void memory_of_graphs_is_checked(void **state)
{
	const struct vgpu_graph_node head = {.type = CU_GRAPH_NODE_TYPE_MEM_ALLOC};
	const struct vgpu_graph_allocation content = {.bytes = 4096};
	struct wire_cuGraphNodeSetParams arguments = {.hNode = NODE(1), .node_bytes = sizeof(head) + sizeof(content)};
	struct request request = {0};
	uint64_t plain, address;

	(void)state;
	WORKS(cuMemAlloc_v2, .bytesize = 4096);
	plain = ((const struct wire_cuMemAlloc_v2_reply *)peer.reply)->dptr;
	WORKS(cuGraphCreate, .phGraph = GRAPH(1));
	assert_int_equal(add_allocation(NODE(1), GRAPH(1), 0, 0), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(add_allocation(NODE(1), GRAPH(1), UINT64_MAX, 0), CUDA_ERROR_OUT_OF_MEMORY);
	assert_int_not_equal(add_allocation(NODE(1), GRAPH(1), 4096, -1), CUDA_SUCCESS);
	assert_int_equal(add_allocation(NODE(1), GRAPH(1), 4096, 0), CUDA_SUCCESS);
	/* Addresses that no allocation node has, or no more. */
	assert_int_equal(add_free(NODE(2), GRAPH(1), plain), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(add_free(NODE(2), GRAPH(1), 0), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(add_free(NODE(2), GRAPH(1), UINT64_MAX), CUDA_ERROR_INVALID_VALUE);
	WORKS(cuGraphMemAllocNodeGetParams, .hNode = NODE(1));
	address = ((const struct wire_cuGraphMemAllocNodeGetParams_reply *)peer.reply)->dptr;
	INVALID(cuGraphMemFreeNodeGetParams, .hNode = NODE(1));
	INVALID(cuMemFree_v2, .dptr = address);
	assert_int_equal(add_free(NODE(2), GRAPH(1), address + 8), CUDA_ERROR_INVALID_VALUE);
	/* A node does not allocate anew. */
	put(&request, &arguments, sizeof(arguments));
	put(&request, &head, sizeof(head));
	put(&request, &content, sizeof(content));
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuGraphNodeSetParams, context, request.payload, request.bytes),
			 CUDA_ERROR_NOT_SUPPORTED);
	WORKS(cuGraphInstantiateWithFlags, .phGraphExec = EXEC(1), .hGraph = GRAPH(1));
	assert_int_equal(CALL(cuGraphInstantiateWithFlags, .phGraphExec = EXEC(2), .hGraph = GRAPH(1)),
			 CUDA_ERROR_NOT_SUPPORTED);
	WORKS(cuGraphDestroy, .hGraph = GRAPH(1));
	WORKS(cuGraphLaunch, .hGraphExec = EXEC(1));
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuCtxSynchronize, context, NULL, 0), CUDA_SUCCESS);
	WORKS(cuMemFree_v2, .dptr = address);
	INVALID(cuMemFree_v2, .dptr = address);
	WORKS(cuGraphExecDestroy, .hGraphExec = EXEC(1));
	INVALID(cuMemFree_v2, .dptr = address);
	WORKS(cuGraphCreate, .phGraph = GRAPH(1));
	assert_int_equal(add_free(NODE(1), GRAPH(1), address), CUDA_ERROR_INVALID_VALUE);
	WORKS(cuGraphDestroy, .hGraph = GRAPH(1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nodes_end_with_their_graph, peer_setup, peer_teardown),
		cmocka_unit_test_setup_teardown(nodes_have_one_id, peer_setup, peer_teardown),
		cmocka_unit_test_setup_teardown(embedded_graphs_end_with_their_node, peer_setup, peer_teardown),
		cmocka_unit_test_setup_teardown(graphs_outlive_captures_into_them, peer_setup, peer_teardown),
		cmocka_unit_test_setup_teardown(edges_that_are_not_there, peer_setup, peer_teardown),
		cmocka_unit_test_setup_teardown(more_edges_than_may_be, peer_setup, peer_teardown),
		cmocka_unit_test_setup_teardown(edge_counts_that_overflow, peer_setup, peer_teardown),
		cmocka_unit_test_setup_teardown(parameters_that_are_not_there, peer_setup, peer_teardown),
		cmocka_unit_test_setup_teardown(half_a_memset, peer_setup, peer_teardown),
		cmocka_unit_test_setup_teardown(memory_is_checked, peer_setup, peer_teardown),
		cmocka_unit_test_setup_teardown(types_are_checked, peer_setup, peer_teardown),
		cmocka_unit_test_setup_teardown(half_an_allocation, peer_setup, peer_teardown),
		cmocka_unit_test_setup_teardown(memory_of_graphs_is_checked, peer_setup, peer_teardown),
		cmocka_unit_test_setup_teardown(pinned_memory_is_checked, peer_setup, peer_teardown),
		cmocka_unit_test_setup_teardown(captures_end_with_their_stream, peer_setup, peer_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
