/* SPDX-License-Identifier: Apache-2.0 */
/* With VGPU_DEBUG in the environment: what was refused, on stderr. Not for programs that gain rights. Any thread. */
#ifndef VGPU_DEBUG_H
#define VGPU_DEBUG_H

void debug_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
