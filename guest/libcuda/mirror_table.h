/* SPDX-License-Identifier: Apache-2.0 */
/* Mirrors by their addresses. Guarded by its owner. */
#ifndef VGPU_MIRROR_TABLE_H
#define VGPU_MIRROR_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cuda_abi.h"

struct mirror;

struct mirror_table {
	struct mirror **mirrors; /* sorted */
	size_t count;
	size_t capacity;
};

CUresult mirror_table_add(struct mirror_table *table, struct mirror *mirror);
void mirror_table_remove(struct mirror_table *table, const struct mirror *mirror);

/* That has the address; NULL: none. */
struct mirror *mirror_table_find(const struct mirror_table *table, uint64_t address);

#endif
