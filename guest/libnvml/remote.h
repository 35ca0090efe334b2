/* SPDX-License-Identifier: Apache-2.0 */
/* Functions of api/nvml that the host answers. Any thread. */
#ifndef NVML_REMOTE_H
#define NVML_REMOTE_H

#include <stdint.h>

#include "nvml_functions.h"

/*
 * Checks the arguments as NVML does, asks the host, and stores what it gave where the arguments point to.
 * 'arguments' are the function's parameters in order, pointers among them. NVML's result; what the
 * arguments point to is touched with success only (a count also when there was not room enough).
 */
int remote_call(enum nvml_function_number number, const uint64_t *arguments);

#endif
