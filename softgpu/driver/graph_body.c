/* SPDX-License-Identifier: Apache-2.0 */
#include "graph.h"

#include <stdlib.h>
#include <string.h>

#include "condition.h"

static _Atomic uint64_t last_key;

struct graph_body *graph_body_make(void)
{
	struct graph_body *body = calloc(1, sizeof(*body));

	if (!body)
		return NULL;
	body->references = 1;
	pthread_mutex_init(&body->running, NULL);
	return body;
}

void graph_body_retain(struct graph_body *body)
{
	body->references++;
}

static void work_share(struct work *work)
{
	work->further_nodes++;
}

static void work_drop(struct work *work)
{
	if (work->further_nodes-- == 0)
		work_discard(work);
}

void graph_body_release(struct graph_body *body)
{
	if (!body || --body->references)
		return;
	for (size_t index = 0; index < body->count; index++) {
		work_drop(body->nodes[index].work);
		free(body->nodes[index].dependencies);
	}
	free(body->nodes);
	for (size_t place = 0; place < body->condition_count; place++)
		condition_release(body->conditions[place]);
	free(body->conditions);
	user_references_end(&body->users);
	pthread_mutex_destroy(&body->running);
	free(body);
}

static size_t *indices_copy(const size_t *indices, size_t count)
{
	size_t *copy = malloc((count ? count : 1) * sizeof(*copy));

	if (copy && count)
		memcpy(copy, indices, count * sizeof(*copy));
	return copy;
}

static bool conditions_copy(const struct graph_body *from, struct graph_body *to)
{
	if (!from->condition_count)
		return true;
	to->conditions = malloc(from->condition_count * sizeof(struct condition *));
	for (size_t place = 0; to->conditions && place < from->condition_count; place++) {
		to->conditions[to->condition_count++] = from->conditions[place];
		condition_retain(from->conditions[place]);
	}
	return to->conditions != NULL;
}

static struct graph_body *body_copy(const struct graph_body *body, bool with_handles)
{
	struct graph_node *nodes = malloc((body->count ? body->count : 1) * sizeof(*nodes));
	struct graph_body *copy = graph_body_make();

	if (!copy || !nodes) {
		free(nodes);
		graph_body_release(copy);
		return NULL;
	}
	copy->nodes = nodes;
	copy->capacity = body->count;
	if (user_references_copy(&body->users, &copy->users) || !conditions_copy(body, copy))
		goto fail;
	for (size_t index = 0; index < body->count; index++) {
		struct graph_node *node = &copy->nodes[index];

		*node = body->nodes[index];
		node->dependencies = indices_copy(node->dependencies, node->dependency_count);
		if (!node->dependencies)
			goto fail;
		if (!with_handles) {
			node->handle = NULL;
			node->children = NULL;
		}
		work_share(node->work);
		copy->count++;
	}
	return copy;
fail:
	graph_body_release(copy);
	return NULL;
}

struct graph_body *graph_body_copy(const struct graph_body *body)
{
	return body_copy(body, false);
}

bool graph_body_own(struct graph_body **body)
{
	struct graph_body *copy;

	if ((*body)->references == 1)
		return true;
	copy = body_copy(*body, true);
	if (!copy)
		return false;
	graph_body_release(*body);
	*body = copy;
	return true;
}

bool graph_body_append(struct graph_body *body, struct work *work, const size_t *dependencies, size_t count)
{
	size_t *copy = indices_copy(dependencies, count);

	if (!copy)
		return false;
	if (body->count == body->capacity) {
		size_t capacity = body->capacity ? 2 * body->capacity : 16;
		struct graph_node *grown = realloc(body->nodes, capacity * sizeof(*grown));

		if (!grown) {
			free(copy);
			return false;
		}
		body->nodes = grown;
		body->capacity = capacity;
	}
	for (size_t index = 0; index < count; index++)
		body->nodes[copy[index]].has_dependents = true;
	body->nodes[body->count++] = (struct graph_node){
		.work = work,
		.key = ++last_key,
		.dependencies = copy,
		.dependency_count = count,
	};
	return true;
}

bool graph_body_find(const struct graph_body *body, uint64_t key, size_t *ret_index)
{
	for (size_t index = 0; index < body->count; index++) {
		if (body->nodes[index].key == key) {
			*ret_index = index;
			return true;
		}
	}
	return false;
}

void graph_node_replace(struct graph_node *node, struct work *work)
{
	work_drop(node->work);
	node->work = work;
}

void graph_body_remove(struct graph_body *body, size_t removed)
{
	work_drop(body->nodes[removed].work);
	free(body->nodes[removed].dependencies);
	body->count--;
	memmove(&body->nodes[removed], &body->nodes[removed + 1], (body->count - removed) * sizeof(*body->nodes));
	for (size_t index = 0; index < body->count; index++) {
		struct graph_node *node = &body->nodes[index];

		graph_node_disconnect(node, removed);
		for (size_t place = 0; place < node->dependency_count; place++)
			node->dependencies[place] -= node->dependencies[place] > removed;
	}
}

bool graph_node_depends(const struct graph_node *node, size_t dependency)
{
	for (size_t place = 0; place < node->dependency_count; place++)
		if (node->dependencies[place] == dependency)
			return true;
	return false;
}

bool graph_node_connect(struct graph_node *node, size_t dependency)
{
	size_t *grown = realloc(node->dependencies, (node->dependency_count + 1) * sizeof(*grown));

	if (!grown)
		return false;
	node->dependencies = grown;
	grown[node->dependency_count++] = dependency;
	return true;
}

void graph_node_disconnect(struct graph_node *node, size_t dependency)
{
	size_t kept = 0;

	for (size_t place = 0; place < node->dependency_count; place++)
		if (node->dependencies[place] != dependency)
			node->dependencies[kept++] = node->dependencies[place];
	node->dependency_count = kept;
}

/* The first nodes whose dependencies are all placed come first, so that an order that is right stays. */
static size_t nodes_place(const struct graph_body *body, size_t *place_of, size_t *order)
{
	size_t placed = 0, before;

	for (size_t index = 0; index < body->count; index++)
		place_of[index] = SIZE_MAX;
	do {
		before = placed;
		for (size_t index = 0; index < body->count; index++) {
			const struct graph_node *node = &body->nodes[index];
			size_t ready = 0;

			if (place_of[index] != SIZE_MAX)
				continue;
			while (ready < node->dependency_count && place_of[node->dependencies[ready]] != SIZE_MAX)
				ready++;
			if (ready < node->dependency_count)
				continue;
			order[placed] = index;
			place_of[index] = placed++;
		}
	} while (placed != before);
	return placed;
}

CUresult graph_body_sort(struct graph_body *body)
{
	size_t bytes = (body->count ? body->count : 1) * sizeof(size_t);
	struct graph_node *sorted = malloc((body->count ? body->count : 1) * sizeof(*sorted));
	size_t *place_of = malloc(bytes), *order = malloc(bytes);
	CUresult result = CUDA_ERROR_OUT_OF_MEMORY;

	if (!sorted || !place_of || !order)
		goto fail;
	result = CUDA_ERROR_INVALID_VALUE;
	if (nodes_place(body, place_of, order) != body->count)
		goto fail;
	for (size_t index = 0; index < body->count; index++) {
		sorted[index] = body->nodes[order[index]];
		sorted[index].has_dependents = false;
		for (size_t place = 0; place < sorted[index].dependency_count; place++) {
			sorted[index].dependencies[place] = place_of[sorted[index].dependencies[place]];
			sorted[sorted[index].dependencies[place]].has_dependents = true;
		}
	}
	free(body->nodes);
	body->nodes = sorted;
	body->capacity = body->count;
	sorted = NULL;
	result = CUDA_SUCCESS;
fail:
	free(sorted);
	free(place_of);
	free(order);
	return result;
}
