/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matrix instructions.  mma and ldmatrix spread matrices over the lanes as the
 * PTX ISA documents; the layout of wmma's fragments is the implementation's.
 * Results are rounded once from sums in double precision.
 */
#ifndef SOFTGPU_MATRIX_H
#define SOFTGPU_MATRIX_H

#include "control.h"

/* In ins->extra. */
struct matrix_operands {
	uint32_t d[8], a[8], b[8], c[8]; /* frame offsets */
	uint32_t stride;		 /* of wmma's memory, in elements */
	uint32_t members;
	uint8_t a_registers, b_registers, c_registers, d_registers;
	uint8_t a_type, b_type, c_type, d_type;
	bool a_column_major, b_column_major;
};

DECLARE_CONTROL(matrix_multiply);      /* mma.m16n8kX */
DECLARE_CONTROL(matrix_load);	       /* ldmatrix; op: transposed, count: matrices */
DECLARE_CONTROL(matrix_wmma_load);     /* op: column-major, type: of the elements, count: registers */
DECLARE_CONTROL(matrix_wmma_store);    /* likewise */
DECLARE_CONTROL(matrix_wmma_multiply); /* m16n16k16 */

#endif
