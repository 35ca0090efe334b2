/* SPDX-License-Identifier: Apache-2.0 */
#include "user_object.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "entry.h"
#include "graph.h"

struct user_object {
	struct object object;
	CUhostFn destroy;
	void *argument;
	_Atomic size_t count;	  /* of references */
	struct user_object *next; /* of those that are to be destroyed */
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct user_object *first;
	struct user_object **last;
	bool has_thread;
} ended = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER, .last = &ended.first};

static void *ended_destroy(void *argument)
{
	(void)argument;
	pthread_mutex_lock(&ended.lock);
	for (;;) {
		struct user_object *object = ended.first;

		if (!object) {
			pthread_cond_wait(&ended.wake, &ended.lock);
			continue;
		}
		ended.first = object->next;
		if (!ended.first)
			ended.last = &ended.first;
		pthread_mutex_unlock(&ended.lock);
		object->destroy(object->argument);
		object_release(&object->object);
		pthread_mutex_lock(&ended.lock);
	}
	return NULL;
}

/* Before the first object, so that the last reference can always go. */
static bool thread_start(void)
{
	pthread_t thread;

	pthread_mutex_lock(&ended.lock);
	if (!ended.has_thread && pthread_create(&thread, NULL, ended_destroy, NULL) == 0) {
		pthread_detach(thread);
		ended.has_thread = true;
	}
	pthread_mutex_unlock(&ended.lock);
	return ended.has_thread;
}

static void references_drop(struct user_object *object, size_t count)
{
	if (atomic_fetch_sub(&object->count, count) != count)
		return;
	object = object_retire(object, OBJECT_USER);
	pthread_mutex_lock(&ended.lock);
	object->next = NULL;
	*ended.last = object;
	ended.last = &object->next;
	pthread_cond_signal(&ended.wake);
	pthread_mutex_unlock(&ended.lock);
}

int user_references_copy(const struct user_references *from, struct user_references *ret_copy)
{
	struct user_references copy = {.count = from->count};

	if (copy.count) {
		copy.list = malloc(copy.count * sizeof(*copy.list));
		if (!copy.list)
			return -1;
		memcpy(copy.list, from->list, copy.count * sizeof(*copy.list));
	}
	for (size_t place = 0; place < copy.count; place++)
		copy.list[place].object->count += copy.list[place].count;
	*ret_copy = copy;
	return 0;
}

void user_references_end(struct user_references *references)
{
	for (size_t place = 0; place < references->count; place++)
		references_drop(references->list[place].object, references->list[place].count);
	free(references->list);
}

static void user_object_free(struct object *object)
{
	free(object);
}

ENTRY(cuUserObjectCreate,
      (CUuserObject * ret_object, void *argument, CUhostFn destroy, unsigned int count, unsigned int flags))
{
	struct user_object *object;
	CUresult result = driver_check();

	if (result)
		return result;
	if (!ret_object || !destroy || !count || count > INT_MAX || flags != CU_USER_OBJECT_NO_DESTRUCTOR_SYNC)
		return CUDA_ERROR_INVALID_VALUE;
	object = thread_start() ? calloc(1, sizeof(*object)) : NULL;
	if (!object)
		return CUDA_ERROR_OUT_OF_MEMORY;
	object_prepare(&object->object, OBJECT_USER, NULL, user_object_free);
	object->destroy = destroy;
	object->argument = argument;
	object->count = count;
	if (!object_publish(&object->object)) {
		object_release(&object->object);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	*ret_object = (CUuserObject)object;
	return CUDA_SUCCESS;
}

static CUresult user_object_acquire(CUuserObject handle, unsigned int count, struct user_object **ret_object)
{
	CUresult result = driver_check();

	if (result)
		return result;
	if (!count || count > INT_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	*ret_object = object_acquire(handle, OBJECT_USER);
	return *ret_object ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

ENTRY(cuUserObjectRetain, (CUuserObject handle, unsigned int count))
{
	struct user_object *object;
	CUresult result = user_object_acquire(handle, count, &object);

	if (result)
		return result;
	object->count += count;
	object_release(&object->object);
	return CUDA_SUCCESS;
}

ENTRY(cuUserObjectRelease, (CUuserObject handle, unsigned int count))
{
	struct user_object *object;
	CUresult result = user_object_acquire(handle, count, &object);

	if (result)
		return result;
	if (count > object->count)
		result = CUDA_ERROR_INVALID_VALUE;
	else
		references_drop(object, count);
	object_release(&object->object);
	return result;
}

/* Under the graphs' lock; the body is the graph's alone. */
static struct user_reference *reference_find(struct user_references *references, const struct user_object *object)
{
	for (size_t place = 0; place < references->count; place++)
		if (references->list[place].object == object)
			return &references->list[place];
	return NULL;
}

/* Under the graphs' lock. */
static CUresult graph_retain(struct graph *graph, struct user_object *object, unsigned int count)
{
	struct user_references *users;
	struct user_reference *reference;

	if (!graph_body_own(&graph->body))
		return CUDA_ERROR_OUT_OF_MEMORY;
	users = &graph->body->users;
	reference = reference_find(users, object);
	if (!reference) {
		reference = realloc(users->list, (users->count + 1) * sizeof(*reference));
		if (!reference)
			return CUDA_ERROR_OUT_OF_MEMORY;
		users->list = reference;
		reference = &users->list[users->count++];
		*reference = (struct user_reference){.object = object};
	}
	reference->count += count;
	return CUDA_SUCCESS;
}

/* Under the graphs' lock. */
static CUresult graph_drop(struct graph *graph, const struct user_object *object, unsigned int count)
{
	struct user_references *users;
	struct user_reference *reference;

	if (!graph_body_own(&graph->body))
		return CUDA_ERROR_OUT_OF_MEMORY;
	users = &graph->body->users;
	reference = reference_find(users, object);
	if (!reference || reference->count < count)
		return CUDA_ERROR_INVALID_VALUE;
	reference->count -= count;
	if (!reference->count)
		*reference = users->list[--users->count];
	return CUDA_SUCCESS;
}

ENTRY(cuGraphRetainUserObject, (CUgraph handle, CUuserObject object_handle, unsigned int count, unsigned int flags))
{
	struct user_object *object;
	struct graph *graph;
	CUresult result = user_object_acquire(object_handle, count, &object);

	if (result)
		return result;
	result = flags & ~(unsigned int)CU_GRAPH_USER_OBJECT_MOVE ? CUDA_ERROR_INVALID_VALUE
								  : graph_acquire(handle, &graph);
	if (!result) {
		graphs_lock();
		result = graph_retain(graph, object, count);
		graphs_unlock();
		object_release(&graph->object);
	}
	/* Those of the caller are the graph's now, or further ones are. */
	if (!result && !(flags & CU_GRAPH_USER_OBJECT_MOVE))
		object->count += count;
	object_release(&object->object);
	return result;
}

ENTRY(cuGraphReleaseUserObject, (CUgraph handle, CUuserObject object_handle, unsigned int count))
{
	struct user_object *object;
	struct graph *graph;
	CUresult result = user_object_acquire(object_handle, count, &object);

	if (result)
		return result;
	result = graph_acquire(handle, &graph);
	if (!result) {
		graphs_lock();
		result = graph_drop(graph, object, count);
		graphs_unlock();
		object_release(&graph->object);
	}
	if (!result)
		references_drop(object, count);
	object_release(&object->object);
	return result;
}
