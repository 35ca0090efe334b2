/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SOFTGPU_ATOMIC_H
#define SOFTGPU_ATOMIC_H

#include "ptx.h"

enum atomic_operation {
	ATOMIC_ADD,
	ATOMIC_MIN,
	ATOMIC_MAX,
	ATOMIC_AND,
	ATOMIC_OR,
	ATOMIC_XOR,
	ATOMIC_INC,
	ATOMIC_DEC,
	ATOMIC_CAS,
	ATOMIC_EXCH,
};

bool atomic_supports(enum atomic_operation operation, enum ptx_type type);

#endif
