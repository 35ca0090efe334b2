/* SPDX-License-Identifier: Apache-2.0 */
/* cuda-executor --gpu-events: errors of the host's GPUs as NVML reports them, for the mediator. */
#ifndef EXECUTOR_GPU_EVENTS_H
#define EXECUTOR_GPU_EVENTS_H

/*
 * Prints a line for each error as it comes, until nobody reads them any more: "uuid=GPU-... xid=N", or "uuid=GPU-...
 * ecc=1" for memory errors that could not be corrected. Ends at once, with nothing printed, where there is no NVML or
 * no GPU has such events. The exit status.
 */
int gpu_events_run(void);

#endif
