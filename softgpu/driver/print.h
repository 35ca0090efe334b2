/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device printf.  Its text waits in a buffer, and is written to standard output
 * when the program synchronises, as the real driver does.  Any thread.
 */
#ifndef SOFTGPU_DRIVER_PRINT_H
#define SOFTGPU_DRIVER_PRINT_H

#include <stddef.h>

/* Has the form that the engine calls; 'user' is unused. */
void print_append(void *user, const char *text, size_t bytes);
void print_flush(void);

#endif
