/* SPDX-License-Identifier: Apache-2.0 */
/* Work that is not in a stream yet, or not any more. */
#include <stdlib.h>

#include "stream.h"

bool work_depend(struct work *work, struct stream *stream, uint64_t sequence)
{
	if (stream_reached(stream, sequence))
		return true;
	if (work->dependency_count == work->dependency_capacity) {
		size_t capacity = work->dependency_capacity ? work->dependency_capacity * 2 : 4;
		struct dependency *grown = realloc(work->dependencies, capacity * sizeof(*grown));

		if (!grown)
			return false;
		work->dependencies = grown;
		work->dependency_capacity = capacity;
	}
	object_retain(&stream->object);
	work->dependencies[work->dependency_count++] = (struct dependency){stream, sequence};
	return true;
}

void work_discard(struct work *work)
{
	for (size_t index = 0; index < work->dependency_count; index++)
		stream_release(work->dependencies[index].stream);
	free(work->dependencies);
	work->free(work);
}

static void nothing_free(struct work *work)
{
	free(work);
}

struct work *work_nothing(void)
{
	struct work *work = calloc(1, sizeof(*work));

	if (work) {
		work->free = nothing_free;
		work->node_type = CU_GRAPH_NODE_TYPE_EMPTY;
	}
	return work;
}
