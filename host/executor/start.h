/* SPDX-License-Identifier: Apache-2.0 */
/* The conversation with the mediator: start, readiness, faults (vgpu_control.h). */
#ifndef EXECUTOR_START_H
#define EXECUTOR_START_H

#include <stdbool.h>

#include "vgpu_device.h"

struct executor;

/*
 * Waits for EXECUTOR_START, takes its descriptors, maps channel and counters, loads the driver. False:
 * the mediator has been told why not, if it was there to hear.
 */
bool start_run(struct executor *executor);

/* The same for what is left to do before the channel can be used. Returns false. */
__attribute__((format(printf, 3, 4))) bool start_fail(struct executor *executor, enum vgpu_channel_error error,
						      const char *format, ...);

/* Tells the mediator that the channel can be used. False: it is gone. */
bool start_ready_send(struct executor *executor);

/* Tells the mediator executor->init_result, if it wants to know. */
void start_driver_send(const struct executor *executor);

/* Tells the mediator executor->fault. */
void start_fault_send(struct executor *executor);

#endif
