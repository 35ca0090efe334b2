/* SPDX-License-Identifier: Apache-2.0 */
/* Conditional nodes in the executor, for guests that lie: what the driver has given, and no other, comes to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "one_peer.h"
#include "vgpu_graph.h"

#define GRAPH(index)  VGPU_ID(VGPU_KIND_GRAPH, index)
#define NODE(index)   VGPU_ID(VGPU_KIND_GRAPH_NODE, index)
#define EXEC(index)   VGPU_ID(VGPU_KIND_GRAPH_EXEC, index)
#define STREAM(index) VGPU_ID(VGPU_KIND_STREAM, index)

struct request {
	struct wire_cuGraphAddNode_v2 arguments;
	struct vgpu_graph_node head;
	struct vgpu_graph_conditional conditional;
	uint32_t bodies[VGPU_GRAPH_BODIES_MAX];
};
_Static_assert(sizeof(struct wire_cuGraphAddNode_v2) % 8 == 0, "what follows lies behind it");

/* With as many ids as are sent, whatever is said. */
static uint32_t add(uint32_t node, uint32_t graph, struct vgpu_graph_conditional conditional, const uint32_t *bodies,
		    uint32_t sent)
{
	static struct request request;
	uint32_t bytes = (uint32_t)(sizeof(request.head) + sizeof(conditional) + sent * sizeof(*bodies));

	request.arguments = (struct wire_cuGraphAddNode_v2){.phGraphNode = node, .hGraph = graph, .node_bytes = bytes};
	request.head = (struct vgpu_graph_node){.type = CU_GRAPH_NODE_TYPE_CONDITIONAL};
	request.conditional = conditional;
	memcpy(request.bodies, bodies, sent * sizeof(*bodies));
	return peer_call(&peer, VGPU_CALL_cuGraphAddNode_v2, context, &request, sizeof(request.arguments) + bytes);
}

static uint64_t handle_make(uint32_t graph)
{
	WORKS(cuGraphConditionalHandleCreate, .hGraph = graph);
	return ((const struct wire_cuGraphConditionalHandleCreate_reply *)peer.reply)->pHandle_out;
}

static uint32_t add_if(uint32_t node, uint32_t graph, uint64_t handle, uint32_t body)
{
	const struct vgpu_graph_conditional conditional = {.handle = handle, .type = CU_GRAPH_COND_TYPE_IF, .size = 1};

	return add(node, graph, conditional, &body, 1);
}

/* Of the graph or of one that it is embedded in, as long as that is there: also where the id is another's by then. */
static void handles_are_their_graphs(void **state)
{
	uint64_t first, second;

	(void)state;
	WORKS(cuGraphCreate, .phGraph = GRAPH(1));
	WORKS(cuGraphCreate, .phGraph = GRAPH(2));
	first = handle_make(GRAPH(1));
	second = handle_make(GRAPH(2));
	NOTHING(cuGraphConditionalHandleCreate, .hGraph = GRAPH(7));
	INVALID(cuGraphConditionalHandleCreate, .hGraph = GRAPH(1), .flags = 2);
	assert_int_equal(add_if(NODE(1), GRAPH(1), second, GRAPH(3)), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(add_if(NODE(1), GRAPH(1), UINT64_MAX, GRAPH(3)), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(add_if(NODE(1), GRAPH(1), 0, GRAPH(3)), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(add_if(NODE(1), GRAPH(1), first, GRAPH(3)), CUDA_SUCCESS);
	/* In the body: a handle of the outer graph's, and of its own, which is not for the outer one. */
	assert_int_equal(add_if(NODE(2), GRAPH(3), first, GRAPH(4)), CUDA_SUCCESS);
	first = handle_make(GRAPH(4));
	assert_int_equal(add_if(NODE(3), GRAPH(3), first, GRAPH(5)), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(add_if(NODE(3), GRAPH(4), first, GRAPH(5)), CUDA_SUCCESS);
	assert_int_equal(add_if(NODE(4), GRAPH(4), second, GRAPH(6)), CUDA_ERROR_INVALID_VALUE);
	WORKS(cuGraphDestroy, .hGraph = GRAPH(2));
	WORKS(cuGraphCreate, .phGraph = GRAPH(2));
	assert_int_equal(add_if(NODE(4), GRAPH(2), second, GRAPH(6)), CUDA_ERROR_INVALID_VALUE);
	WORKS(cuGraphDestroyNode, .hNode = NODE(2));
	WORKS(cuGraphDestroy, .hGraph = GRAPH(1));
	WORKS(cuGraphDestroy, .hGraph = GRAPH(2));
}

static void bodies_end_with_their_node(void **state)
{
	uint64_t handle;

	(void)state;
	WORKS(cuGraphCreate, .phGraph = GRAPH(1));
	handle = handle_make(GRAPH(1));
	assert_int_equal(add_if(NODE(1), GRAPH(1), handle, GRAPH(2)), CUDA_SUCCESS);
	assert_int_equal(add_if(NODE(2), GRAPH(2), handle, GRAPH(3)), CUDA_SUCCESS);
	INVALID(cuGraphDestroy, .hGraph = GRAPH(2));
	INVALID(cuGraphDestroy, .hGraph = GRAPH(3));
	INVALID(cuGraphChildGraphNodeGetGraph, .phGraph = GRAPH(5), .hNode = NODE(1));
	WORKS(cuGraphInstantiateWithFlags, .phGraphExec = EXEC(1), .hGraph = GRAPH(1));
	WORKS(cuGraphDestroyNode, .hNode = NODE(1));
	for (uint32_t i = 2; i <= 3; i++) {
		NOTHING(cuGraphDestroy, .hGraph = GRAPH(i));
		NOTHING(cuGraphConditionalHandleCreate, .hGraph = GRAPH(i));
	}
	NOTHING(cuGraphDestroyNode, .hNode = NODE(2));
	WORKS(cuGraphLaunch, .hGraphExec = EXEC(1));
	WORKS(cuGraphExecDestroy, .hGraphExec = EXEC(1));
	WORKS(cuGraphDestroy, .hGraph = GRAPH(1));
}

/* A capture goes into a body within a body: nothing that this is in may end. */
static void captures_keep_bodies(void **state)
{
	uint64_t handle;

	(void)state;
	WORKS(cuStreamCreateWithPriority, .phStream = STREAM(1), .flags = CU_STREAM_NON_BLOCKING);
	WORKS(cuGraphCreate, .phGraph = GRAPH(1));
	handle = handle_make(GRAPH(1));
	assert_int_equal(add_if(NODE(1), GRAPH(1), handle, GRAPH(2)), CUDA_SUCCESS);
	assert_int_equal(add_if(NODE(2), GRAPH(2), handle, GRAPH(3)), CUDA_SUCCESS);
	assert_int_equal(add_if(NODE(3), GRAPH(1), handle, GRAPH(4)), CUDA_SUCCESS);
	WORKS(cuStreamBeginCaptureToGraph, .hStream = STREAM(1), .hGraph = GRAPH(3));
	INVALID(cuGraphDestroy, .hGraph = GRAPH(1));
	INVALID(cuGraphDestroyNode, .hNode = NODE(1));
	INVALID(cuGraphDestroyNode, .hNode = NODE(2));
	WORKS(cuGraphDestroyNode, .hNode = NODE(3));
	/* The stream ends, and the capture with it. */
	WORKS(cuStreamDestroy_v2, .hStream = STREAM(1));
	WORKS(cuGraphDestroyNode, .hNode = NODE(2));
	WORKS(cuGraphDestroy, .hGraph = GRAPH(1));
	NOTHING(cuGraphDestroy, .hGraph = GRAPH(2));
}

/* What fails leaves nothing. */
static void bodies_have_ids_of_their_own(void **state)
{
	const uint32_t twice[3] = {GRAPH(2), GRAPH(3), GRAPH(2)}, used[2] = {GRAPH(2), GRAPH(1)};
	const uint32_t kind[1] = {NODE(2)}, good[3] = {GRAPH(4), GRAPH(3), GRAPH(2)};
	struct vgpu_graph_conditional conditional = {.type = CU_GRAPH_COND_TYPE_SWITCH, .size = 3};

	(void)state;
	WORKS(cuGraphCreate, .phGraph = GRAPH(1));
	conditional.handle = handle_make(GRAPH(1));
	assert_int_equal(add(NODE(1), GRAPH(1), conditional, twice, 3), CUDA_ERROR_INVALID_HANDLE);
	conditional.size = 2;
	assert_int_equal(add(NODE(1), GRAPH(1), conditional, used, 2), CUDA_ERROR_INVALID_HANDLE);
	conditional.size = 1;
	assert_int_equal(add(NODE(1), GRAPH(1), conditional, kind, 1), CUDA_ERROR_INVALID_HANDLE);
	conditional.size = 0;
	assert_int_equal(add(NODE(1), GRAPH(1), conditional, good, 3), CUDA_ERROR_INVALID_VALUE);
	conditional.size = 3;
	conditional.type = 77;
	assert_int_equal(add(NODE(1), GRAPH(1), conditional, good, 3), CUDA_ERROR_INVALID_VALUE);
	conditional.type = CU_GRAPH_COND_TYPE_WHILE;
	assert_int_equal(add(NODE(1), GRAPH(1), conditional, good, 3), CUDA_ERROR_INVALID_VALUE);
	NOTHING(cuGraphDestroy, .hGraph = GRAPH(2));
	NOTHING(cuGraphDestroyNode, .hNode = NODE(1));
	conditional.type = CU_GRAPH_COND_TYPE_SWITCH;
	assert_int_equal(add(NODE(1), GRAPH(1), conditional, good, 3), CUDA_SUCCESS);
	INVALID(cuGraphDestroy, .hGraph = GRAPH(2));
	WORKS(cuGraphDestroy, .hGraph = GRAPH(1));
	NOTHING(cuGraphDestroy, .hGraph = GRAPH(2));
}

/* Lengths that lie: each ends the channel. */
static void malformed(uint32_t size, uint32_t sent)
{
	static uint32_t bodies[VGPU_GRAPH_BODIES_MAX];
	struct vgpu_graph_conditional conditional = {.type = CU_GRAPH_COND_TYPE_SWITCH, .size = size};
	struct peer_end end;

	for (uint32_t i = 0; i < sent; i++)
		bodies[i] = GRAPH(2 + i);
	WORKS(cuGraphCreate, .phGraph = GRAPH(1));
	conditional.handle = handle_make(GRAPH(1));
	assert_int_equal(add(NODE(1), GRAPH(1), conditional, bodies, sent), UINT32_MAX);
	end = peer_wait(&peer);
	assert_false(end.by_signal);
	assert_int_equal(end.error, VGPU_ERROR_PROTOCOL);
}

static void bodies_that_are_not_there(void **state)
{
	(void)state;
	malformed(5, 4);
}

static void more_bodies_than_may_be(void **state)
{
	(void)state;
	malformed(VGPU_GRAPH_BODIES_MAX + 1, VGPU_GRAPH_BODIES_MAX);
}

static void sizes_that_overflow(void **state)
{
	(void)state;
	malformed(0x40000001, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(handles_are_their_graphs, peer_setup, peer_teardown),
		cmocka_unit_test_setup_teardown(bodies_end_with_their_node, peer_setup, peer_teardown),
		cmocka_unit_test_setup_teardown(captures_keep_bodies, peer_setup, peer_teardown),
		cmocka_unit_test_setup_teardown(bodies_have_ids_of_their_own, peer_setup, peer_teardown),
		cmocka_unit_test_setup_teardown(bodies_that_are_not_there, peer_setup, peer_teardown),
		cmocka_unit_test_setup_teardown(more_bodies_than_may_be, peer_setup, peer_teardown),
		cmocka_unit_test_setup_teardown(sizes_that_overflow, peer_setup, peer_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
