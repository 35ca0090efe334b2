/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of an event that processes share: how often it was recorded, and which
 * of those recordings has been reached.  A recording of a process that is gone is
 * no obstacle.
 */
#ifndef SOFTGPU_DRIVER_SHARED_EVENT_H
#define SOFTGPU_DRIVER_SHARED_EVENT_H

#include "stream.h"

struct shared_event;

struct shared_event *shared_event_make(void); /* NULL: out of memory */
CUresult shared_event_open(const CUipcEventHandle *handle, struct shared_event **ret_event);
struct shared_event *shared_event_retain(struct shared_event *event);
void shared_event_release(struct shared_event *event); /* accepts NULL */
void shared_event_name(const struct shared_event *event, CUipcEventHandle *ret_handle);

/* The number of a new recording, and that it has been reached. */
uint64_t shared_event_record(struct shared_event *event);
void shared_event_reach(struct shared_event *event, uint64_t number);

/* These are about recordings of other processes: the caller knows of its own process's. */
bool shared_event_is_reached(const struct shared_event *event);
/* Until then, or until the context fails. */
void shared_event_wait(const struct shared_event *event, const struct context *context);
/* Work that waits for the last recording so far; NULL: out of memory. */
struct work *shared_event_wait_work(struct shared_event *event);

#endif
