/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the files that are compiled once per instruction set: EXEC(name) is the
 * name of a handler there.  Everything else here is static, because a function
 * shared between the copies could be linked from the wrong one.
 */
#ifndef SOFTGPU_EXEC_LANES_H
#define SOFTGPU_EXEC_LANES_H

#include "exec.h"

#include <string.h>

#ifndef EXEC_ISA
#define EXEC_ISA baseline
#endif
#define EXEC_PASTE2(a, b) a##_##b
#define EXEC_PASTE(a, b)  EXEC_PASTE2(a, b)
#define EXEC(name)	  EXEC_PASTE(exec_##name, EXEC_ISA)

#define DECLARE_HANDLER(name, ...) \
	const struct instruction *EXEC(name)(struct warp * warp, const struct instruction *ins);
#define DECLARE_SPACE(space)                  \
	DECLARE_HANDLER(load_##space##_b32)   \
	DECLARE_HANDLER(load_##space##_b64)   \
	DECLARE_HANDLER(load_##space##_other) \
	DECLARE_HANDLER(store_##space##_b32)  \
	DECLARE_HANDLER(store_##space##_b64)  \
	DECLARE_HANDLER(store_##space##_other)
HANDLER_LIST(DECLARE_HANDLER, DECLARE_HANDLER, DECLARE_HANDLER, DECLARE_HANDLER, DECLARE_SPACE, DECLARE_HANDLER)

extern const struct exec_table EXEC(table);

/* Lane i of a mask, in a form that every instruction set vectorises. */
static const uint32_t lane_bits[WARP_LANES] = {
	1u << 0,  1u << 1,  1u << 2,  1u << 3,	1u << 4,  1u << 5,  1u << 6,  1u << 7,	1u << 8,  1u << 9,  1u << 10,
	1u << 11, 1u << 12, 1u << 13, 1u << 14, 1u << 15, 1u << 16, 1u << 17, 1u << 18, 1u << 19, 1u << 20, 1u << 21,
	1u << 22, 1u << 23, 1u << 24, 1u << 25, 1u << 26, 1u << 27, 1u << 28, 1u << 29, 1u << 30, 1u << 31,
};

#endif
