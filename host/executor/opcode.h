/* SPDX-License-Identifier: Apache-2.0 */
/* What requests are called in the log, and the classes in which their latency is counted. */
#ifndef EXECUTOR_OPCODE_H
#define EXECUTOR_OPCODE_H

#include <stdbool.h>
#include <stdint.h>

#include "vgpu_control.h"

/* "?" if there is none. */
const char *opcode_name(uint16_t opcode);

enum vgpu_call_class opcode_class(uint16_t opcode);

/* Events and waits: what they ask of the GPU, if anything, takes none of its time. */
bool opcode_is_instant(uint16_t opcode);

#endif
