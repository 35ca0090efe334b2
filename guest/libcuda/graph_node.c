/* SPDX-License-Identifier: Apache-2.0 */
#include "graph_node.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "host_calls.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static uint64_t last_visit;

void graphs_lock(void)
{
	pthread_mutex_lock(&mutex);
}

void graphs_unlock(void)
{
	pthread_mutex_unlock(&mutex);
}

CUresult graph_node_find(CUgraphNode handle, struct graph_node **ret_node)
{
	const struct object *object = object_find(handle, VGPU_KIND_GRAPH_NODE);

	/* Without a detail it is being made. */
	if (!object || !object->detail)
		return CUDA_ERROR_INVALID_VALUE;
	*ret_node = object->detail;
	return CUDA_SUCCESS;
}

struct graph *graph_of(struct object *object)
{
	if (!object->detail)
		object->detail = calloc(1, sizeof(struct graph));
	return object->detail;
}

struct graph_node *graph_node_append(struct object *graph_object, struct object *object, CUgraphNodeType type)
{
	struct graph *graph = graph_of(graph_object);
	struct graph_node *node;

	if (!graph)
		return NULL;
	if (graph->count == graph->capacity) {
		size_t capacity = graph->capacity ? 2 * graph->capacity : 16;
		struct graph_node **grown = realloc(graph->nodes, capacity * sizeof(struct graph_node *));

		if (!grown)
			return NULL;
		graph->nodes = grown;
		graph->capacity = capacity;
	}
	node = calloc(1, sizeof(*node));
	if (!node)
		return NULL;
	node->object = object;
	node->graph = graph_object;
	node->type = type;
	object->detail = node;
	graph->nodes[graph->count++] = node;
	return node;
}

struct graph_edge *graph_node_edge(const struct graph_node *node, const struct graph_node *from)
{
	for (size_t i = 0; i < node->dependency_count; i++)
		if (node->dependencies[i].from == from)
			return &node->dependencies[i];
	return NULL;
}

bool graph_node_connect(struct graph_node *node, struct graph_node *from, const CUgraphEdgeData *data)
{
	struct graph_edge *grown = realloc(node->dependencies, (node->dependency_count + 1) * sizeof(*grown));

	if (!grown)
		return false;
	node->dependencies = grown;
	grown[node->dependency_count++] = (struct graph_edge){.from = from, .data = *data};
	return true;
}

void graph_node_disconnect(struct graph_node *node, const struct graph_node *from)
{
	struct graph_edge *edge = graph_node_edge(node, from);

	if (!edge)
		return;
	node->dependency_count--;
	memmove(edge, edge + 1, (size_t)(node->dependencies + node->dependency_count - edge) * sizeof(*edge));
}

bool graph_node_embed(struct graph_node *node, struct object *child)
{
	struct graph *graph = graph_of(child);

	if (!graph)
		return false;
	graph->is_embedded = true;
	node->child = child;
	return true;
}

void graph_bodies_free(struct object **bodies, size_t count)
{
	for (size_t i = 0; bodies && i < count; i++) {
		graph_forget(bodies[i]);
		object_release(bodies[i]);
	}
	free(bodies);
}

CUresult graph_bodies_make(size_t count, uint32_t context, struct object ***ret_bodies)
{
	struct object **bodies = calloc(count, sizeof(struct object *));
	size_t made = 0;

	for (; bodies && made < count; made++) {
		struct graph *graph = NULL;

		bodies[made] = object_mint(VGPU_KIND_GRAPH, context);
		if (bodies[made])
			graph = graph_of(bodies[made]);
		if (!graph)
			break;
		/* Nothing is in it yet. */
		graph->is_known = true;
		graph->is_embedded = true;
	}
	if (bodies && made == count) {
		*ret_bodies = bodies;
		return CUDA_SUCCESS;
	}
	if (bodies && bodies[made])
		object_release(bodies[made]);
	graph_bodies_free(bodies, made);
	return CUDA_ERROR_OUT_OF_MEMORY;
}

static void node_free(struct graph_node *node)
{
	graph_bodies_free(node->bodies, node->body_count);
	if (node->child) {
		graph_forget(node->child);
		object_release(node->child);
	}
	node_content_free(node->content);
	free(node->dependencies);
	object_release(node->object);
	free(node);
}

void graph_node_remove(struct graph_node *node)
{
	struct graph *graph = node->graph->detail;
	size_t kept = 0;

	for (size_t i = 0; i < graph->count; i++) {
		if (graph->nodes[i] == node)
			continue;
		graph_node_disconnect(graph->nodes[i], node);
		graph->nodes[kept++] = graph->nodes[i];
	}
	graph->count = kept;
	node_free(node);
}

void graph_answers_end(struct graph *graph)
{
	while (graph->answers) {
		struct graph_answer *answer = graph->answers;

		graph->answers = answer->next;
		free(answer);
	}
}

void graph_forget(struct object *object)
{
	struct graph *graph = object->detail;

	if (!graph)
		return;
	for (size_t i = 0; i < graph->count; i++)
		node_free(graph->nodes[i]);
	graph_answers_end(graph);
	free(graph->nodes);
	free(graph);
	object->detail = NULL;
}

/* Objects for the nodes that have none; the host says which it has given a node, and the type of that. */
struct naming {
	struct object *objects[VGPU_GRAPH_IDS_MAX];
	uint32_t ids[VGPU_GRAPH_IDS_MAX];
	uint32_t types[VGPU_GRAPH_IDS_MAX];
};

static CUresult nodes_name(struct object *graph, uint32_t context, struct naming *naming, uint64_t *unnamed)
{
	uint32_t wanted = *unnamed < VGPU_GRAPH_IDS_MAX ? (uint32_t)*unnamed : VGPU_GRAPH_IDS_MAX;
	uint32_t offered = 0, given, bytes = 0;
	uint64_t count;
	CUresult result = CUDA_SUCCESS;

	for (; offered < wanted; offered++) {
		naming->objects[offered] = object_mint(VGPU_KIND_GRAPH_NODE, 0);
		if (!naming->objects[offered])
			break;
		naming->ids[offered] = naming->objects[offered]->id;
	}
	if (offered < wanted)
		result = CUDA_ERROR_OUT_OF_MEMORY;
	if (!result)
		result = host_cuGraphGetNodes(context, graph->id, naming->ids, offered * (uint32_t)sizeof(uint32_t),
					      &count, unnamed, naming->types, sizeof(naming->types), &bytes);
	given = bytes / sizeof(uint32_t);
	for (uint32_t i = 0; i < given && i < offered; i++)
		if (!graph_node_append(graph, naming->objects[i], (CUgraphNodeType)naming->types[i]))
			result = CUDA_ERROR_OUT_OF_MEMORY;
	for (uint32_t i = given; i < offered; i++)
		object_release(naming->objects[i]);
	/* A host that gives nothing though it could would be asked for ever. */
	return !result && *unnamed && wanted && !given ? CUDA_ERROR_UNKNOWN : result;
}

static CUresult nodes_learn(struct object *graph, uint32_t context)
{
	struct naming *naming = calloc(1, sizeof(*naming));
	uint64_t unnamed = 0;
	CUresult result;

	if (!naming)
		return CUDA_ERROR_OUT_OF_MEMORY;
	do
		result = nodes_name(graph, context, naming, &unnamed);
	while (!result && unnamed);
	free(naming);
	return result;
}

static CUresult edge_learn(const struct object *graph, const struct vgpu_graph_edge *wire)
{
	const struct object *from = object_by_id(wire->from), *to = object_by_id(wire->to);
	struct graph_node *from_node, *to_node;

	if (!from || !to || graph_node_find((CUgraphNode)from, &from_node) ||
	    graph_node_find((CUgraphNode)to, &to_node) || from_node->graph != graph || to_node->graph != graph)
		return CUDA_ERROR_UNKNOWN;
	return graph_node_connect(to_node, from_node, &wire->data) ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult edges_learn(struct object *object, uint32_t context)
{
	struct vgpu_graph_edge *wire = malloc(VGPU_GRAPH_EDGES_MAX * sizeof(*wire));
	const struct graph *graph = object->detail;
	uint64_t first = 0, count = 0;
	CUresult result = CUDA_SUCCESS;

	if (!wire)
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (size_t i = 0; i < graph->count; i++)
		graph->nodes[i]->dependency_count = 0;
	do {
		uint32_t bytes = 0, got;

		result = host_cuGraphGetEdges_v2(context, object->id, first, &count, wire,
						 VGPU_GRAPH_EDGES_MAX * sizeof(*wire), &bytes);
		got = bytes / sizeof(*wire);
		for (uint32_t i = 0; !result && i < got; i++)
			result = edge_learn(object, &wire[i]);
		first += got;
		if (!result && first < count && !got)
			result = CUDA_ERROR_UNKNOWN;
	} while (!result && first < count);
	free(wire);
	return result;
}

CUresult graph_learn(struct object *object, uint32_t context)
{
	struct graph *graph = graph_of(object);
	CUresult result;

	if (!graph)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (graph->is_known)
		return CUDA_SUCCESS;
	result = nodes_learn(object, context);
	if (!result)
		result = edges_learn(object, context);
	graph->is_known = !result;
	return result;
}

CUresult graph_count(const struct object *graph, uint32_t context, size_t *ret_count)
{
	uint64_t count = 0, unnamed;
	uint32_t bytes, none = 0;
	CUresult result = host_cuGraphGetNodes(context, graph->id, &none, 0, &count, &unnamed, &none, 0, &bytes);

	if (!result)
		*ret_count = count;
	return result;
}

CUresult graph_edges_write(const struct object *graph, const CUgraphNode *from, const CUgraphEdgeData *data,
			   size_t count, uint32_t to, struct vgpu_graph_edge *wire)
{
	uint64_t visit = ++last_visit;

	for (size_t i = 0; i < count; i++) {
		struct graph_node *node;
		CUresult result = graph_node_find(from[i], &node);

		if (result)
			return result;
		if (node->graph != graph || node->visit == visit)
			return CUDA_ERROR_INVALID_VALUE;
		node->visit = visit;
		wire[i] = (struct vgpu_graph_edge){.from = node->object->id, .to = to};
		if (data)
			wire[i].data = data[i];
	}
	return CUDA_SUCCESS;
}

CUresult graph_edges_send(uint32_t context, uint32_t graph, const struct vgpu_graph_edge *edges, size_t count,
			  bool adds)
{
	CUresult result = CUDA_SUCCESS;

	for (size_t sent = 0; !result && sent < count;) {
		size_t part = count - sent < VGPU_GRAPH_EDGES_MAX ? count - sent : VGPU_GRAPH_EDGES_MAX;
		uint32_t bytes = (uint32_t)(part * sizeof(*edges));

		result = adds ? host_cuGraphAddDependencies_v2(context, graph, edges + sent, bytes)
			      : host_cuGraphRemoveDependencies_v2(context, graph, edges + sent, bytes);
		sent += part;
	}
	return result;
}
