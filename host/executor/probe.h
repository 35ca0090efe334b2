/* SPDX-License-Identifier: Apache-2.0 */
/* cuda-executor --probe LIBRARY: what the host has, for the mediator. */
#ifndef EXECUTOR_PROBE_H
#define EXECUTOR_PROBE_H

/*
 * Prints driver_version=, software= and a line for each device, and returns the exit status: 0, or 1 with a
 * reason on standard error.
 */
int probe_run(const char *library);

#endif
