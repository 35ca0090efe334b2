/* SPDX-License-Identifier: Apache-2.0 */
/* Which nodes a graph has, and the edges between them: asked and changed. */
#include <stdlib.h>
#include <string.h>

#include "graph_node.h"
#include "host_calls.h"
#include "session.h"

/* A list that the program asks for: how many it has room for, and how many there are. */
struct answer {
	CUgraphNode *from; /* NULL: only the number is wanted */
	CUgraphNode *to;   /* NULL: one end is wanted */
	CUgraphEdgeData *data;
	size_t room;
	size_t count;
	bool is_lossy; /* an edge has data that nobody asked for */
};

static void answer_add(struct answer *answer, const struct graph_node *from, const struct graph_node *to,
		       const CUgraphEdgeData *data)
{
	static const CUgraphEdgeData plain;
	size_t place = answer->count++;

	if (!answer->data && data && memcmp(data, &plain, sizeof(plain)) != 0)
		answer->is_lossy = true;
	if (!answer->from || place >= answer->room)
		return;
	answer->from[place] = (CUgraphNode)from->object;
	if (answer->to)
		answer->to[place] = (CUgraphNode)to->object;
	if (answer->data && data)
		answer->data[place] = *data;
}

static CUresult answer_end(const struct answer *answer, size_t *ret_count)
{
	if (answer->from && answer->is_lossy)
		return CUDA_ERROR_LOSSY_QUERY;
	for (size_t i = answer->count; answer->from && i < answer->room; i++) {
		answer->from[i] = NULL;
		if (answer->to)
			answer->to[i] = NULL;
	}
	*ret_count = answer->from && answer->room < answer->count ? answer->room : answer->count;
	return CUDA_SUCCESS;
}

typedef void list(const struct graph *graph, const struct graph_node *node, struct answer *answer);

static void nodes_list(const struct graph *graph, const struct graph_node *node, struct answer *answer)
{
	(void)node;
	for (size_t i = 0; i < graph->count; i++)
		answer_add(answer, graph->nodes[i], NULL, NULL);
}

static void roots_list(const struct graph *graph, const struct graph_node *node, struct answer *answer)
{
	(void)node;
	for (size_t i = 0; i < graph->count; i++)
		if (!graph->nodes[i]->dependency_count)
			answer_add(answer, graph->nodes[i], NULL, NULL);
}

static void dependencies_list(const struct graph *graph, const struct graph_node *node, struct answer *answer)
{
	(void)graph;
	for (size_t i = 0; i < node->dependency_count; i++)
		answer_add(answer, node->dependencies[i].from, node, &node->dependencies[i].data);
}

static void dependents_list(const struct graph *graph, const struct graph_node *node, struct answer *answer)
{
	for (size_t i = 0; i < graph->count; i++) {
		const struct graph_edge *edge = graph_node_edge(graph->nodes[i], node);

		if (edge)
			answer_add(answer, graph->nodes[i], node, &edge->data);
	}
}

static void edges_list(const struct graph *graph, const struct graph_node *node, struct answer *answer)
{
	(void)node;
	for (size_t i = 0; i < graph->count; i++)
		dependencies_list(graph, graph->nodes[i], answer);
}

/* Under the lock. */
static CUresult list_make(struct object *object, const struct graph_node *node, uint32_t context, list *each,
			  struct answer *answer, size_t *ret_count)
{
	const struct graph *graph = object->detail;
	CUresult result;

	/* How many nodes a capture has made is asked often, and needs no names for them. */
	if (each == nodes_list && !answer->from && !(graph && graph->is_known))
		return graph_count(object, context, ret_count);
	result = graph_learn(object, context);
	if (result)
		return result;
	each(object->detail, node, answer);
	return answer_end(answer, ret_count);
}

static CUresult graph_ask(CUgraph graph, list *each, struct answer answer, size_t *count)
{
	struct object *object;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	if (!count || (answer.data && !answer.from))
		return CUDA_ERROR_INVALID_VALUE;
	object = object_find(graph, VGPU_KIND_GRAPH);
	if (!object)
		return CUDA_ERROR_INVALID_VALUE;
	answer.room = *count;
	graphs_lock();
	result = list_make(object, NULL, context, each, &answer, count);
	graphs_unlock();
	return result;
}

static CUresult node_ask(CUgraphNode handle, list *each, struct answer answer, size_t *count)
{
	struct graph_node *node;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	if (!count || (answer.data && !answer.from))
		return CUDA_ERROR_INVALID_VALUE;
	answer.room = *count;
	graphs_lock();
	result = graph_node_find(handle, &node);
	if (!result)
		result = list_make(node->graph, node, context, each, &answer, count);
	graphs_unlock();
	return result;
}

API(cuGraphGetNodes, CUgraph graph, CUgraphNode *nodes, size_t *count)
{
	return graph_ask(graph, nodes_list, (struct answer){.from = nodes}, count);
}

API(cuGraphGetRootNodes, CUgraph graph, CUgraphNode *nodes, size_t *count)
{
	return graph_ask(graph, roots_list, (struct answer){.from = nodes}, count);
}

static CUresult edges_ask(CUgraph graph, CUgraphNode *from, CUgraphNode *to, CUgraphEdgeData *data, size_t *count)
{
	if (!from != !to)
		return session_ready() ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_NOT_INITIALIZED;
	return graph_ask(graph, edges_list, (struct answer){.from = from, .to = to, .data = data}, count);
}

API(cuGraphGetEdges, CUgraph graph, CUgraphNode *from, CUgraphNode *to, size_t *count)
{
	return edges_ask(graph, from, to, NULL, count);
}

API(cuGraphGetEdges_v2, CUgraph graph, CUgraphNode *from, CUgraphNode *to, CUgraphEdgeData *data, size_t *count)
{
	return edges_ask(graph, from, to, data, count);
}

API(cuGraphNodeGetDependencies, CUgraphNode node, CUgraphNode *nodes, size_t *count)
{
	return node_ask(node, dependencies_list, (struct answer){.from = nodes}, count);
}

API(cuGraphNodeGetDependencies_v2, CUgraphNode node, CUgraphNode *nodes, CUgraphEdgeData *data, size_t *count)
{
	return node_ask(node, dependencies_list, (struct answer){.from = nodes, .data = data}, count);
}

API(cuGraphNodeGetDependentNodes, CUgraphNode node, CUgraphNode *nodes, size_t *count)
{
	return node_ask(node, dependents_list, (struct answer){.from = nodes}, count);
}

API(cuGraphNodeGetDependentNodes_v2, CUgraphNode node, CUgraphNode *nodes, CUgraphEdgeData *data, size_t *count)
{
	return node_ask(node, dependents_list, (struct answer){.from = nodes, .data = data}, count);
}

API(cuGraphNodeGetType, CUgraphNode handle, CUgraphNodeType *type)
{
	struct graph_node *node;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	if (result)
		return result;
	if (!type)
		return CUDA_ERROR_INVALID_VALUE;
	graphs_lock();
	result = graph_node_find(handle, &node);
	if (!result)
		*type = node->type;
	graphs_unlock();
	return result;
}

/* Under the lock: all nodes of the copy have ids then, of which the host names one. */
static CUresult clone_search(const struct graph_node *original, struct object *clone, uint32_t context,
			     CUgraphNode *ret_node)
{
	struct graph_node *found;
	uint32_t id = 0;
	CUresult result = graph_learn(clone, context);

	if (!result)
		result = host_cuGraphNodeFindInClone(context, original->object->id, clone->id, &id);
	if (result)
		return result;
	if (graph_node_find((CUgraphNode)object_by_id(id), &found) || found->graph != clone)
		return CUDA_ERROR_UNKNOWN;
	*ret_node = (CUgraphNode)found->object;
	return CUDA_SUCCESS;
}

API(cuGraphNodeFindInClone, CUgraphNode *ret_node, CUgraphNode handle, CUgraph clone)
{
	struct graph_node *original;
	struct object *object;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	if (!ret_node)
		return CUDA_ERROR_INVALID_VALUE;
	object = object_find(clone, VGPU_KIND_GRAPH);
	if (!object)
		return CUDA_ERROR_INVALID_VALUE;
	graphs_lock();
	result = graph_node_find(handle, &original);
	if (!result)
		result = clone_search(original, object, context, ret_node);
	graphs_unlock();
	return result;
}

API(cuGraphDestroyNode, CUgraphNode handle)
{
	struct graph_node *node;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	graphs_lock();
	result = graph_node_find(handle, &node);
	if (!result)
		result = host_cuGraphDestroyNode(context, node->object->id);
	if (!result)
		graph_node_remove(node);
	graphs_unlock();
	return result;
}

/* Edges that the program adds or takes away. */
struct change {
	struct object *graph;
	const CUgraphNode *from;
	const CUgraphNode *to;
	const CUgraphEdgeData *data; /* NULL: all plain */
	size_t count;
	bool adds;
};

static CUresult edge_write(const struct change *change, size_t place, struct vgpu_graph_edge *ret_wire)
{
	struct graph_node *from, *to;
	CUresult result = graph_node_find(change->from[place], &from);

	if (!result)
		result = graph_node_find(change->to[place], &to);
	if (result)
		return result;
	if (from->graph != change->graph || to->graph != change->graph)
		return CUDA_ERROR_INVALID_VALUE;
	*ret_wire = (struct vgpu_graph_edge){.from = from->object->id, .to = to->object->id};
	if (change->data)
		ret_wire->data = change->data[place];
	return CUDA_SUCCESS;
}

/* Under the lock. */
static CUresult edges_change(const struct change *change, uint32_t context)
{
	struct vgpu_graph_edge *wire = malloc(change->count * sizeof(*wire));
	CUresult result = wire ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;

	for (size_t i = 0; !result && i < change->count; i++)
		result = edge_write(change, i, &wire[i]);
	if (!result)
		result = graph_edges_send(context, change->graph->id, wire, change->count, change->adds);
	for (size_t i = 0; !result && i < change->count; i++) {
		struct graph_node *from = ((struct object *)change->from[i])->detail;
		struct graph_node *to = ((struct object *)change->to[i])->detail;

		if (!change->adds)
			graph_node_disconnect(to, from);
		else if (!graph_node_connect(to, from, &wire[i].data))
			result = CUDA_ERROR_OUT_OF_MEMORY;
	}
	free(wire);
	return result;
}

static CUresult dependencies_change(CUgraph graph, struct change change)
{
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	change.graph = object_find(graph, VGPU_KIND_GRAPH);
	if (!change.graph)
		return CUDA_ERROR_INVALID_VALUE;
	if (!change.count)
		return CUDA_SUCCESS;
	if (!change.from || !change.to)
		return CUDA_ERROR_INVALID_VALUE;
	graphs_lock();
	result = edges_change(&change, context);
	graphs_unlock();
	return result;
}

API(cuGraphAddDependencies, CUgraph graph, const CUgraphNode *from, const CUgraphNode *to, size_t count)
{
	return dependencies_change(graph, (struct change){.from = from, .to = to, .count = count, .adds = true});
}

API(cuGraphAddDependencies_v2, CUgraph graph, const CUgraphNode *from, const CUgraphNode *to,
    const CUgraphEdgeData *data, size_t count)
{
	return dependencies_change(graph,
				   (struct change){.from = from, .to = to, .data = data, .count = count, .adds = true});
}

API(cuGraphRemoveDependencies, CUgraph graph, const CUgraphNode *from, const CUgraphNode *to, size_t count)
{
	return dependencies_change(graph, (struct change){.from = from, .to = to, .count = count});
}

API(cuGraphRemoveDependencies_v2, CUgraph graph, const CUgraphNode *from, const CUgraphNode *to,
    const CUgraphEdgeData *data, size_t count)
{
	return dependencies_change(graph, (struct change){.from = from, .to = to, .data = data, .count = count});
}
