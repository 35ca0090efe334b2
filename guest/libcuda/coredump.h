/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VGPU_COREDUMP_H
#define VGPU_COREDUMP_H

#include <stdint.h>

/* The context has ended, and its settings of coredumps with it. */
void coredumps_forget_context(uint32_t context);

#endif
