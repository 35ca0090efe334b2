/* SPDX-License-Identifier: Apache-2.0 */
/* What requests are called in the log, and the classes in which their latency is counted. */
#ifndef EXECUTOR_OPCODE_H
#define EXECUTOR_OPCODE_H

#include <stdint.h>

#include "vgpu_control.h"

/* "?" if there is none. */
const char *opcode_name(uint16_t opcode);

enum vgpu_call_class opcode_class(uint16_t opcode);

#endif
