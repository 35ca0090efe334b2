/* SPDX-License-Identifier: Apache-2.0 */
/* From where to where in a function's text each register's value is needed. */
#ifndef SOFTGPU_LIVENESS_H
#define SOFTGPU_LIVENESS_H

#include "ptx.h"

struct live_interval {
	struct ptx_register *reg;
	uint32_t start, end; /* indices of statements, both included; end is at most statement_count */
};

/* Fills one interval for each of the function's registers, by index.  False: out of memory. */
bool liveness_compute(struct ptx_function *function, struct live_interval *intervals);

#endif
