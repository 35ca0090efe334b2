/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects behind the handles of the driver API.
 *
 * A handle is the address of its object, but it is never followed before it has
 * been found in the table of live objects: a stale or invented handle is refused,
 * and an object that one thread destroys lives on until every other thread has
 * released it.  All functions may be called by any thread.
 */
#ifndef SOFTGPU_DRIVER_OBJECT_H
#define SOFTGPU_DRIVER_OBJECT_H

#include <stdbool.h>

enum object_kind {
	OBJECT_CONTEXT,
	OBJECT_STREAM,
	OBJECT_EVENT,
	OBJECT_MODULE,
	OBJECT_FUNCTION,
	OBJECT_LIBRARY,
	OBJECT_KERNEL,
	OBJECT_POOL,
	OBJECT_LINK,
	OBJECT_ARRAY,
	OBJECT_MIPMAP,
	OBJECT_TEXTURE,
	OBJECT_SURFACE,
	OBJECT_TEXTURE_REFERENCE,
	OBJECT_SURFACE_REFERENCE,
	OBJECT_PHYSICAL,
	OBJECT_GRAPH,
	OBJECT_GRAPH_EXEC,
	OBJECT_GRAPH_NODE,
	OBJECT_USER,
};

/* First member of every object. */
struct object {
	enum object_kind kind;
	_Atomic unsigned references;
	const void *owner; /* retired together with it (object_retire_owned); NULL: nobody */
	void (*destroy)(struct object *object);
	void (*retire)(struct object *object); /* NULL, or called once when its handle becomes invalid */
};

/* Starts with one reference, the caller's.  'destroy' frees the object when the last one is released. */
void object_prepare(struct object *object, enum object_kind kind, const void *owner,
		    void (*destroy)(struct object *object));

/* Makes the object findable.  The table holds the caller's reference from now on.  False: out of memory. */
bool object_publish(struct object *object);

/* The object of a handle, with a reference for the caller; NULL when there is no live object of that kind. */
void *object_acquire(const void *handle, enum object_kind kind);

void object_retain(struct object *object);
void object_release(struct object *object); /* accepts NULL */

/* Takes a live object out of the table and gives the table's reference to the caller; NULL when there is none. */
void *object_retire(const void *handle, enum object_kind kind);

/* Retires and releases every live object of that kind and owner. */
void object_retire_owned(const void *owner, enum object_kind kind);

#endif
