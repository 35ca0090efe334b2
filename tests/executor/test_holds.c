/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects that nodes of graphs name, destroyed while there are such graphs: the strict driver aborts if it comes to
 * see one that is gone.
 */
#include <stdlib.h>
#include <string.h>

#include "one_module.h"
#include "vgpu_graph.h"

#define GRAPH(index) VGPU_ID(VGPU_KIND_GRAPH, index)
#define NODE(index)  VGPU_ID(VGPU_KIND_GRAPH_NODE, index)
#define EXEC(index)  VGPU_ID(VGPU_KIND_GRAPH_EXEC, index)
#define STREAM	     VGPU_ID(VGPU_KIND_STREAM, 1)
#define EVENT(index) VGPU_ID(VGPU_KIND_EVENT, index)
#define ARRAY	     VGPU_ID(VGPU_KIND_ARRAY, 1)

static uint64_t device;

static int setup(void **state)
{
	peer_setup(state);
	WORKS(cuMemAlloc_v2, .bytesize = 65536);
	device = ((const struct wire_cuMemAlloc_v2_reply *)peer.reply)->dptr;
	WORKS(cuStreamCreate, .phStream = STREAM);
	return 0;
}

/* The fixed part of a request, a node's head, and what it does. */
static uint32_t send(uint16_t opcode, const void *arguments, size_t bytes, uint32_t type, const void *content,
		     size_t content_bytes)
{
	_Alignas(8) uint8_t payload[1024];
	const struct vgpu_graph_node head = {.type = type};

	assert_true(bytes + sizeof(head) + content_bytes <= sizeof(payload));
	memcpy(payload, arguments, bytes);
	memcpy(payload + bytes, &head, sizeof(head));
	memcpy(payload + bytes + sizeof(head), content, content_bytes);
	return peer_call(&peer, opcode, context, payload, bytes + sizeof(head) + content_bytes);
}

static void add(uint32_t node, uint32_t graph, uint32_t type, const void *content, size_t bytes)
{
	const struct wire_cuGraphAddNode_v2 arguments = {
		.phGraphNode = node, .hGraph = graph, .node_bytes = (uint32_t)(sizeof(struct vgpu_graph_node) + bytes)};

	assert_int_equal(send(VGPU_CALL_cuGraphAddNode_v2, &arguments, sizeof(arguments), type, content, bytes),
			 CUDA_SUCCESS);
}

static struct vgpu_launch launch_of(uint32_t function)
{
	return (struct vgpu_launch){.function = function, .grid = {1, 1, 1}, .block = {1, 1, 1}};
}

static void add_kernel(uint32_t node, uint32_t graph, uint32_t function)
{
	const struct vgpu_launch launch = launch_of(function);

	add(node, graph, CU_GRAPH_NODE_TYPE_KERNEL, &launch, sizeof(launch));
}

static void modules_last_as_long_as_graphs(void **state)
{
	(void)state;
	module_load(1);
	WORKS(cuGraphCreate, .phGraph = GRAPH(1));
	add_kernel(NODE(1), GRAPH(1), FUNCTION(1));
	WORKS(cuModuleUnload, .hmod = MODULE(1));
	/* Gone for the guest, whose ids are free again. */
	NOTHING(cuModuleUnload, .hmod = MODULE(1));
	module_load(1);
	WORKS(cuModuleUnload, .hmod = MODULE(1));
	WORKS(cuGraphInstantiateWithFlags, .phGraphExec = EXEC(1), .hGraph = GRAPH(1));
	WORKS(cuGraphClone, .phGraphClone = GRAPH(2), .originalGraph = GRAPH(1));
	WORKS(cuGraphDestroy, .hGraph = GRAPH(1));
	WORKS(cuGraphLaunch, .hGraphExec = EXEC(1), .hStream = STREAM);
	WORKS(cuGraphExecDestroy, .hGraphExec = EXEC(1));
	WORKS(cuGraphInstantiateWithFlags, .phGraphExec = EXEC(1), .hGraph = GRAPH(2));
	WORKS(cuGraphDestroy, .hGraph = GRAPH(2));
	WORKS(cuGraphLaunch, .hGraphExec = EXEC(1), .hStream = STREAM);
	WORKS(cuGraphExecDestroy, .hGraphExec = EXEC(1));
}

static void executables_name_what_they_are_given(void **state)
{
	const struct vgpu_launch launch = launch_of(FUNCTION(2));
	const struct wire_cuGraphExecNodeSetParams arguments = {
		.hGraphExec = EXEC(1), .hNode = NODE(1), .node_bytes = sizeof(struct vgpu_graph_node) + sizeof(launch)};

	(void)state;
	module_load(1);
	module_load(2);
	WORKS(cuGraphCreate, .phGraph = GRAPH(1));
	add_kernel(NODE(1), GRAPH(1), FUNCTION(1));
	WORKS(cuGraphInstantiateWithFlags, .phGraphExec = EXEC(1), .hGraph = GRAPH(1));
	assert_int_equal(send(VGPU_CALL_cuGraphExecNodeSetParams, &arguments, sizeof(arguments),
			      CU_GRAPH_NODE_TYPE_KERNEL, &launch, sizeof(launch)),
			 CUDA_SUCCESS);
	WORKS(cuGraphDestroy, .hGraph = GRAPH(1));
	WORKS(cuModuleUnload, .hmod = MODULE(2));
	WORKS(cuModuleUnload, .hmod = MODULE(1));
	WORKS(cuGraphLaunch, .hGraphExec = EXEC(1), .hStream = STREAM);
	WORKS(cuGraphExecDestroy, .hGraphExec = EXEC(1));
}

static void captures_name_what_they_launch(void **state)
{
	const struct vgpu_launch launch = {
		.function = FUNCTION(1), .stream = STREAM, .grid = {1, 1, 1}, .block = {1, 1, 1}};

	(void)state;
	module_load(1);
	WORKS(cuStreamBeginCapture_v2, .hStream = STREAM);
	assert_int_equal(peer_call(&peer, VGPU_OPCODE_LAUNCH, context, &launch, sizeof(launch)), CUDA_SUCCESS);
	WORKS(cuModuleUnload, .hmod = MODULE(1));
	WORKS(cuStreamEndCapture, .hStream = STREAM, .phGraph = GRAPH(1));
	WORKS(cuGraphInstantiateWithFlags, .phGraphExec = EXEC(1), .hGraph = GRAPH(1));
	WORKS(cuGraphDestroy, .hGraph = GRAPH(1));
	WORKS(cuGraphLaunch, .hGraphExec = EXEC(1), .hStream = STREAM);
	/* What ends with its context ends. */
	WORKS(cuCtxDestroy_v2, .ctx = context);
	context = peer_context_make(&peer, 2);
	assert_int_equal(CALL(cuGraphLaunch, .hGraphExec = EXEC(1)), CUDA_ERROR_CONTEXT_IS_DESTROYED);
	WORKS(cuGraphExecDestroy, .hGraphExec = EXEC(1));
}

static void events_last_as_long_as_graphs(void **state)
{
	const struct vgpu_graph_event content = {.event = EVENT(1)};

	(void)state;
	WORKS(cuEventCreate, .phEvent = EVENT(1));
	WORKS(cuGraphCreate, .phGraph = GRAPH(1));
	add(NODE(1), GRAPH(1), CU_GRAPH_NODE_TYPE_EVENT_RECORD, &content, sizeof(content));
	WORKS(cuEventDestroy_v2, .hEvent = EVENT(1));
	NOTHING(cuEventDestroy_v2, .hEvent = EVENT(1));
	WORKS(cuGraphInstantiateWithFlags, .phGraphExec = EXEC(1), .hGraph = GRAPH(1));
	WORKS(cuGraphLaunch, .hGraphExec = EXEC(1), .hStream = STREAM);
	WORKS(cuGraphDestroy, .hGraph = GRAPH(1));
	WORKS(cuGraphExecDestroy, .hGraphExec = EXEC(1));
}

/* And no longer: the strict driver has 4096 of them. */
static void arrays_end_with_the_last_graph(void **state)
{
	const struct vgpu_graph_memcpy copy = {
		.copy = {.srcMemoryType = CU_MEMORYTYPE_DEVICE,
			 .srcDevice = device,
			 .dstMemoryType = CU_MEMORYTYPE_ARRAY,
			 .WidthInBytes = 16,
			 .Height = 1,
			 .Depth = 1},
		.destination_array = ARRAY,
	};

	(void)state;
	for (int i = 0; i < 5000; i++) {
		WORKS(cuArray3DCreate_v2, .array = ARRAY,
		      .descriptor = {.Width = 8, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 1});
		WORKS(cuGraphCreate, .phGraph = GRAPH(1));
		add(NODE(1), GRAPH(1), CU_GRAPH_NODE_TYPE_MEMCPY, &copy, sizeof(copy));
		WORKS(cuArrayDestroy, .array = ARRAY);
		NOTHING(cuArrayDestroy, .array = ARRAY);
		if (i % 100 == 0)
			WORKS(cuGraphClone, .phGraphClone = GRAPH(2), .originalGraph = GRAPH(1));
		WORKS(cuGraphDestroy, .hGraph = GRAPH(1));
		if (i % 100 == 0)
			WORKS(cuGraphDestroy, .hGraph = GRAPH(2));
	}
	assert_int_equal(peer.counters->memory_bytes, 65536);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(modules_last_as_long_as_graphs, setup, peer_teardown),
		cmocka_unit_test_setup_teardown(executables_name_what_they_are_given, setup, peer_teardown),
		cmocka_unit_test_setup_teardown(captures_name_what_they_launch, setup, peer_teardown),
		cmocka_unit_test_setup_teardown(events_last_as_long_as_graphs, setup, peer_teardown),
		cmocka_unit_test_setup_teardown(arrays_end_with_the_last_graph, setup, peer_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
