/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The strict driver's graphs: they do nothing, but whatever is done with one looks at all that its nodes name. What
 * is gone then aborts the process. One stream at a time can be captured, of which launches become nodes.
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "strict_export.h"
#include "strict_misuse.h"

#define GRAPHS_MAX 1024
#define NODES_MAX  64

enum kind { FREE, GRAPH, EXEC };

/* Which of the members there is depends on the type. */
struct node {
	struct graph *graph;
	CUgraphNodeType type;
	CUfunction function;
	CUevent event;
	CUarray arrays[2];
};

struct graph {
	enum kind kind;
	size_t count;
	struct node nodes[NODES_MAX];
};

static struct graph graphs[GRAPHS_MAX];
static CUstream captured_stream;
static struct graph *captured;
static cuuint64_t capture_number;

/* In the strict driver's other files: they abort for what is not alive. */
CUresult cuFuncGetAttribute(int *value, CUfunction_attribute attribute, CUfunction function);
CUresult cuEventQuery(CUevent event);
CUresult cuStreamQuery(CUstream stream);
CUresult cuArray3DGetDescriptor_v2(CUDA_ARRAY3D_DESCRIPTOR *descriptor, CUarray array);
bool strict_graphs_launch(CUfunction function, CUstream stream);
uint64_t strict_graphs_capture(CUstream stream, uint64_t joined);
uint64_t strict_capture_of(CUstream stream);

static struct graph *live(const void *handle, enum kind kind)
{
	struct graph *graph = (struct graph *)(uintptr_t)handle;

	if (graph < graphs || graph >= graphs + GRAPHS_MAX || ((uintptr_t)graph - (uintptr_t)graphs) % sizeof(*graph) ||
	    graph->kind != kind)
		strict_misuse("a handle of a graph that is none");
	return graph;
}

static struct node *live_node(CUgraphNode handle)
{
	struct node *node = (struct node *)handle;

	if ((uintptr_t)node < (uintptr_t)graphs || (uintptr_t)node >= (uintptr_t)(graphs + GRAPHS_MAX) ||
	    node->graph->kind != GRAPH || node < node->graph->nodes || node >= node->graph->nodes + node->graph->count)
		strict_misuse("a handle of a node that is none");
	return node;
}

static void node_look(const struct node *node)
{
	CUDA_ARRAY3D_DESCRIPTOR descriptor;
	int value;

	if (node->function)
		cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, node->function);
	if (node->event)
		cuEventQuery(node->event);
	for (int i = 0; i < 2; i++)
		if (node->arrays[i])
			cuArray3DGetDescriptor_v2(&descriptor, node->arrays[i]);
}

static struct graph *look(struct graph *graph)
{
	for (size_t i = 0; i < graph->count; i++)
		node_look(&graph->nodes[i]);
	return graph;
}

static struct graph *make(enum kind kind, const struct graph *from)
{
	static unsigned next;

	for (unsigned i = 0; i < GRAPHS_MAX; i++) {
		/* Not the one just freed: a stale handle should stay stale. */
		struct graph *graph = &graphs[next++ % GRAPHS_MAX];

		if (graph->kind != FREE)
			continue;
		graph->kind = kind;
		graph->count = from ? from->count : 0;
		for (size_t node = 0; node < graph->count; node++) {
			graph->nodes[node] = from->nodes[node];
			graph->nodes[node].graph = graph;
		}
		return graph;
	}
	return NULL;
}

static CUresult node_add(struct graph *graph, const struct node *node, CUgraphNode *ret_node)
{
	if (graph->count == NODES_MAX)
		return CUDA_ERROR_OUT_OF_MEMORY;
	graph->nodes[graph->count] = *node;
	graph->nodes[graph->count].graph = graph;
	*ret_node = (CUgraphNode)&graph->nodes[graph->count++];
	return CUDA_SUCCESS;
}

static CUresult node_read(const CUgraphNodeParams *parameters, struct node *ret_node)
{
	*ret_node = (struct node){.type = parameters->type};
	switch (parameters->type) {
	case CU_GRAPH_NODE_TYPE_KERNEL:
		ret_node->function =
			parameters->kernel.func ? parameters->kernel.func : (CUfunction)parameters->kernel.kern;
		break;
	case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
		ret_node->event = parameters->eventRecord.event;
		break;
	case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
		ret_node->event = parameters->eventWait.event;
		break;
	case CU_GRAPH_NODE_TYPE_MEMCPY:
		ret_node->arrays[0] = parameters->memcpy.copyParams.srcArray;
		ret_node->arrays[1] = parameters->memcpy.copyParams.dstArray;
		break;
	case CU_GRAPH_NODE_TYPE_EMPTY:
		break;
	default:
		return CUDA_ERROR_NOT_SUPPORTED;
	}
	node_look(ret_node);
	return CUDA_SUCCESS;
}

EXPORT(cuGraphCreate, CUgraph *graph, unsigned int flags)
{
	*graph = (CUgraph)(flags ? NULL : make(GRAPH, NULL));
	return flags ? CUDA_ERROR_INVALID_VALUE : *graph ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

EXPORT(cuGraphClone, CUgraph *clone, CUgraph graph)
{
	*clone = (CUgraph)make(GRAPH, look(live(graph, GRAPH)));
	return *clone ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

EXPORT(cuGraphDestroy, CUgraph graph)
{
	look(live(graph, GRAPH))->kind = FREE;
	return CUDA_SUCCESS;
}

EXPORT(cuGraphAddNode_v2, CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies,
       const CUgraphEdgeData *edges, size_t count, CUgraphNodeParams *parameters)
{
	struct node added;
	CUresult result = node_read(parameters, &added);

	(void)edges;
	for (size_t i = 0; i < count; i++)
		live_node(dependencies[i]);
	return result ? result : node_add(live(graph, GRAPH), &added, node);
}

EXPORT(cuGraphNodeGetType, CUgraphNode node, CUgraphNodeType *type)
{
	*type = live_node(node)->type;
	return CUDA_SUCCESS;
}

EXPORT(cuGraphInstantiateWithFlags, CUgraphExec *exec, CUgraph graph, unsigned long long flags)
{
	(void)flags;
	*exec = (CUgraphExec)make(EXEC, look(live(graph, GRAPH)));
	return *exec ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

/* The executable's nodes are in the order of the graph's. */
EXPORT(cuGraphExecNodeSetParams, CUgraphExec exec, CUgraphNode node, CUgraphNodeParams *parameters)
{
	const struct node *named = live_node(node);
	struct graph *graph = live(exec, EXEC);
	size_t index = (size_t)(named - named->graph->nodes);
	struct node wanted;
	CUresult result = node_read(parameters, &wanted);

	if (result)
		return result;
	if (index >= graph->count || graph->nodes[index].type != wanted.type)
		return CUDA_ERROR_INVALID_VALUE;
	wanted.graph = graph;
	graph->nodes[index] = wanted;
	return CUDA_SUCCESS;
}

EXPORT(cuGraphLaunch, CUgraphExec exec, CUstream stream)
{
	cuStreamQuery(stream);
	look(live(exec, EXEC));
	return CUDA_SUCCESS;
}

EXPORT(cuGraphExecDestroy, CUgraphExec exec)
{
	live(exec, EXEC)->kind = FREE;
	return CUDA_SUCCESS;
}

uint64_t strict_graphs_capture(CUstream stream, uint64_t joined)
{
	return captured && (stream == captured_stream || joined == capture_number) ? capture_number : 0;
}

EXPORT(cuStreamBeginCapture_v2, CUstream stream, CUstreamCaptureMode mode)
{
	if (mode > CU_STREAM_CAPTURE_MODE_RELAXED || !stream)
		return CUDA_ERROR_INVALID_VALUE;
	cuStreamQuery(stream);
	if (captured)
		return CUDA_ERROR_ILLEGAL_STATE;
	captured = make(GRAPH, NULL);
	captured_stream = stream;
	capture_number++;
	return captured ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

EXPORT(cuStreamEndCapture, CUstream stream, CUgraph *graph)
{
	cuStreamQuery(stream);
	if (!captured || stream != captured_stream)
		return CUDA_ERROR_ILLEGAL_STATE;
	*graph = (CUgraph)look(captured);
	captured = NULL;
	return CUDA_SUCCESS;
}

EXPORT(cuStreamGetCaptureInfo, CUstream stream, CUstreamCaptureStatus *status, cuuint64_t *id)
{
	bool is_captured = strict_capture_of(stream) != 0;

	*status = is_captured ? CU_STREAM_CAPTURE_STATUS_ACTIVE : CU_STREAM_CAPTURE_STATUS_NONE;
	if (is_captured && id)
		*id = capture_number;
	return CUDA_SUCCESS;
}

EXPORT(cuStreamIsCapturing, CUstream stream, CUstreamCaptureStatus *status)
{
	return cuStreamGetCaptureInfo(stream, status, NULL);
}

/* For cuLaunchKernel: true: the launch is a node now. */
bool strict_graphs_launch(CUfunction function, CUstream stream)
{
	const struct node node = {.type = CU_GRAPH_NODE_TYPE_KERNEL, .function = function};
	CUgraphNode unused;

	return captured && stream == captured_stream && node_add(captured, &node, &unused) == CUDA_SUCCESS;
}
