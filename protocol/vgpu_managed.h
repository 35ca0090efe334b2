/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of an image's managed variables, which program, executor and device have at the same address: a table
 * that the executor writes when it places them, then their names, then the variables.
 */
#ifndef VGPU_MANAGED_H
#define VGPU_MANAGED_H

#include <stdint.h>

/* Answers to the question how much memory an image's take. */
#define VGPU_MANAGED_NONE	   0u	   /* there are none, or none that can be moved */
#define VGPU_MANAGED_NEEDS_CONTEXT (~0ull) /* there may be some, and to move them takes a context */

struct vgpu_managed_variable {
	uint64_t offset; /* of the variable, from the start of the memory */
	uint64_t bytes;
	uint32_t name_offset; /* from the start of the memory */
	uint32_t name_bytes;  /* without its NUL */
};
_Static_assert(sizeof(struct vgpu_managed_variable) == 24, "wire format");

struct vgpu_managed_table {
	uint32_t count;
	uint32_t reserved;
	struct vgpu_managed_variable variables[];
};
_Static_assert(sizeof(struct vgpu_managed_table) == 8, "wire format");

#endif
