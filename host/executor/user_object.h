/* SPDX-License-Identifier: Apache-2.0 */
/*
 * User objects: what graphs keep alive until the guest's destructor is called.
 *
 * The driver frees an object with its last reference, whose owner may be a copy
 * of a graph or an executable that nothing is kept of here.  So an id is good only
 * as long as references are known: the guest's own (in the handle's cache), or
 * those of graphs that were given them by name.
 */
#ifndef EXECUTOR_USER_OBJECT_H
#define EXECUTOR_USER_OBJECT_H

#include <stddef.h>
#include <stdint.h>

struct executor;

/* References of a graph. */
struct user_reference {
	uint32_t graph;
	uint32_t object;
	uint64_t count;
};

struct user_references {
	struct user_reference *list;
	size_t count;
	size_t capacity;
};

/* After graphs have been forgotten. */
void user_objects_settle(struct executor *executor);

#endif
