/* SPDX-License-Identifier: Apache-2.0 */
/*
 * User objects: what graphs keep alive.  References belong to the program or to
 * bodies of graphs; with the last of them a thread of its own calls the object's
 * destructor, which may therefore wait for others.  Any thread may call.
 */
#ifndef SOFTGPU_DRIVER_USER_OBJECT_H
#define SOFTGPU_DRIVER_USER_OBJECT_H

#include <stddef.h>

struct user_object;

/* References that a body has. */
struct user_reference {
	struct user_object *object;
	size_t count;
};

struct user_references {
	struct user_reference *list;
	size_t count;
};

/* Takes as many references again.  0, or -1: out of memory. */
int user_references_copy(const struct user_references *from, struct user_references *ret_copy);
void user_references_end(struct user_references *references);

#endif
