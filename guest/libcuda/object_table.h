/* SPDX-License-Identifier: Apache-2.0 */
/* The table behind object.h: setting it up, and walking over a kind. */
#ifndef VGPU_OBJECT_TABLE_H
#define VGPU_OBJECT_TABLE_H

#include "object.h"

/* Reserves the addresses; false: out of address space. Again is fine. Until then no handle is found. */
bool object_table_prepare(void);

/* Visits the live objects of a kind until 'visit' returns false; it may release the object it is given. */
void object_each(enum vgpu_kind kind, bool (*visit)(struct object *object, void *argument), void *argument);

#endif
