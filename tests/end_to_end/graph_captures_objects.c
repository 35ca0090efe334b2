/* SPDX-License-Identifier: Apache-2.0 */
/* User objects of graphs. */
#include "graph_captures.h"

static atomic_int destroyed;

static void destroy(void *data)
{
	destroyed += *(int *)data;
}

/* The destructor comes when it likes, but it does. */
static void destroyed_expect(int value)
{
	const struct timespec pause = {.tv_nsec = 1000000};

	for (int i = 0; i < 30000 && destroyed != value; i++)
		nanosleep(&pause, NULL);
	assert_int_equal(destroyed, value);
}

/* It is not there yet; what would have it come has been waited for. */
static void destroyed_expect_still(int value)
{
	const struct timespec pause = {.tv_nsec = 20000000};

	nanosleep(&pause, NULL);
	assert_int_equal(destroyed, value);
}

static CUuserObject object_make(int *value, unsigned int count)
{
	CUuserObject object = NULL;

	WORKS(cuUserObjectCreate(&object, value, destroy, count, CU_USER_OBJECT_NO_DESTRUCTOR_SYNC));
	return object;
}

void test_user_objects(void **state)
{
	static int one = 1, ten = 10;
	CUgraphExec exec, second_exec;
	CUgraph graph, clone, parent;
	CUuserObject object;
	CUgraphNode node;

	(void)state;
	destroyed = 0;
	assert_int_equal(cuUserObjectCreate(&object, &one, destroy, 1, 0), CUDA_ERROR_INVALID_VALUE);
	/* Without a graph. */
	object = object_make(&one, 2);
	WORKS(cuUserObjectRetain(object, 3));
	WORKS(cuUserObjectRelease(object, 4));
	destroyed_expect_still(0);
	WORKS(cuUserObjectRelease(object, 1));
	destroyed_expect(1);

	/* A graph's, which takes it over. */
	WORKS(cuGraphCreate(&graph, 0));
	object = object_make(&ten, 1);
	WORKS(cuGraphRetainUserObject(graph, object, 1, CU_GRAPH_USER_OBJECT_MOVE));
	WORKS(cuGraphDestroy(graph));
	destroyed_expect(11);

	/* A graph's and the program's. */
	WORKS(cuGraphCreate(&graph, 0));
	object = object_make(&one, 1);
	WORKS(cuGraphRetainUserObject(graph, object, 2, 0));
	WORKS(cuUserObjectRelease(object, 1));
	destroyed_expect_still(11);
	WORKS(cuGraphReleaseUserObject(graph, object, 2));
	destroyed_expect(12);

	/* Executables and clones have references of their own. */
	object = object_make(&ten, 1);
	WORKS(cuGraphAddEmptyNode(&node, graph, NULL, 0));
	WORKS(cuGraphRetainUserObject(graph, object, 1, CU_GRAPH_USER_OBJECT_MOVE));
	WORKS(cuGraphInstantiateWithFlags(&exec, graph, 0));
	WORKS(cuGraphClone(&clone, graph));
	WORKS(cuGraphDestroy(graph));
	WORKS(cuGraphInstantiateWithFlags(&second_exec, clone, 0));
	WORKS(cuGraphDestroy(clone));
	WORKS(cuGraphLaunch(exec, stream));
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuStreamSynchronize(stream));
	destroyed_expect_still(12);
	WORKS(cuGraphExecDestroy(second_exec));
	destroyed_expect(22);

	/* And embedded graphs. */
	WORKS(cuGraphCreate(&graph, 0));
	WORKS(cuGraphAddEmptyNode(&node, graph, NULL, 0));
	object = object_make(&one, 1);
	WORKS(cuGraphRetainUserObject(graph, object, 1, CU_GRAPH_USER_OBJECT_MOVE));
	WORKS(cuGraphCreate(&parent, 0));
	WORKS(cuGraphAddChildGraphNode(&node, parent, NULL, 0, graph));
	WORKS(cuGraphDestroy(graph));
	destroyed_expect_still(22);
	WORKS(cuGraphDestroy(parent));
	destroyed_expect(23);
}

/* As NCCL does: what a capture uses is kept by its graph. */
void test_object_of_capture(void **state)
{
	static int one = 1;
	struct info info;
	CUgraph graph = NULL;
	CUgraphExec exec;

	(void)state;
	destroyed = 0;
	begin();
	fill(stream, first, 13);
	info = info_of(stream);
	WORKS(cuGraphRetainUserObject(info.graph, object_make(&one, 1), 1, CU_GRAPH_USER_OBJECT_MOVE));
	WORKS(cuStreamEndCapture(stream, &graph));
	WORKS(cuGraphInstantiateWithFlags(&exec, graph, 0));
	WORKS(cuGraphDestroy(graph));
	WORKS(cuGraphLaunch(exec, stream));
	WORKS(cuStreamSynchronize(stream));
	bytes_expect(first, 13);
	destroyed_expect_still(0);
	WORKS(cuGraphExecDestroy(exec));
	destroyed_expect(1);
}
