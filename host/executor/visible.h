/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program's CUDA_VISIBLE_DEVICES, which the driver is to see in its place: it says which of the devices that the
 * program has it wants, and in what order. The executor's own variable, where the mediator or its operator has set one,
 * says which these are, and nothing that a program says adds one.
 */
#ifndef EXECUTOR_VISIBLE_H
#define EXECUTOR_VISIBLE_H

#include <stddef.h>

/* Of 'bytes' bytes that the guest sent, up to the first NUL; before cuInit. Longer ones are cut. */
void visible_devices_wish(const char *wish, size_t bytes);

#endif
