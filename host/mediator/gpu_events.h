/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors of the host's GPUs, as NVML reports them to a process of its own ("cuda-executor --gpu-events"), which runs as
 * long as the mediator does, and of workers' GPUs, which their watches tell. They are counted and logged. After one
 * that says that the GPU cannot be relied upon no more programs are started on it, until an administrator clears it or
 * the mediator is started again.
 */
#ifndef MEDIATOR_GPU_EVENTS_H
#define MEDIATOR_GPU_EVENTS_H

#include <stdbool.h>
#include <stddef.h>

struct evbuffer;
struct gpu_events;
struct mediator;

/* NULL when out of memory. Where there is none, all functions know of no errors. */
struct gpu_events *gpu_events_create(struct mediator *mediator);

/* Ends it, and its process. */
void gpu_events_destroy(struct gpu_events *events);

/* Starts the process if it does not run; on each heartbeat. */
void gpu_events_refresh(struct gpu_events *events);

/* A line of "cuda-executor --gpu-events" at a worker (worker_watch.h). */
void gpu_events_take(struct gpu_events *events, const char *worker, const char *line);

/* Are programs to be kept away from the GPU? */
bool gpu_events_is_faulty(const struct gpu_events *events, const char *uuid);
/* From a GPU of the worker, whose programs see all of its GPUs? */
bool gpu_events_worker_is_faulty(const struct gpu_events *events, const char *worker);

/* What is wrong with the GPU in a few words; "": nothing. */
void gpu_events_describe(const struct gpu_events *events, const char *uuid, char *text, size_t bytes);

/* Forgets what is wrong with it, not what was counted. False: nothing was. */
bool gpu_events_clear(struct gpu_events *events, const char *uuid);
/* The same of a worker's GPU, by its name: "HOST:PORT", "HOST:PORT#2". */
bool gpu_events_worker_clear(struct gpu_events *events, const char *name);

/* True: nothing is wrong with any GPU; a sentence in any case. */
bool gpu_events_look(const struct gpu_events *events, char *text, size_t bytes);

/* Appends their metrics. */
void gpu_events_write(const struct gpu_events *events, struct evbuffer *output);

#endif
