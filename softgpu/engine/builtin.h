/* SPDX-License-Identifier: Apache-2.0 */
/* Functions that every CUDA program may call on the device: vprintf, malloc, free, __assertfail; and
 * cudaGraphSetConditional. */
#ifndef SOFTGPU_BUILTIN_H
#define SOFTGPU_BUILTIN_H

#include "exec.h"

enum builtin {
	BUILTIN_NONE,
	BUILTIN_VPRINTF,
	BUILTIN_MALLOC,
	BUILTIN_FREE,
	BUILTIN_ASSERTFAIL,
	BUILTIN_SET_CONDITIONAL,
};

/* The name of an undefined function; BUILTIN_NONE when it is none of ours. */
enum builtin builtin_find(const char *name);
bool builtin_arguments_fit(enum builtin builtin, uint32_t argument_count, uint32_t return_bytes,
			   const uint32_t *argument_bytes);

/* ins->op: enum builtin, ins->extra: struct call_site. */
void builtin_call(struct warp *warp, const struct instruction *ins);

#endif
