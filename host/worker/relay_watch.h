/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vgpu-relay with "watch": the mediator has one for each worker, for as long as it runs. What the worker says of its
 * GPUs (watch.h) goes to standard output; on standard error is why it has ended.
 */
#ifndef WORKER_RELAY_WATCH_H
#define WORKER_RELAY_WATCH_H

#include <stdbool.h>

/* 'credentials' is their file; 'has_sensors': what sensors say is wanted. The exit status. */
int relay_watch(const char *worker, int credentials, unsigned long silence_ms, bool has_sensors);

#endif
