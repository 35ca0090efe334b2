/* SPDX-License-Identifier: Apache-2.0 */
/* What the files about events share. */
#ifndef SOFTGPU_DRIVER_EVENT_PRIVATE_H
#define SOFTGPU_DRIVER_EVENT_PRIVATE_H

#include "capture.h"
#include "event.h"

struct recording {
	_Atomic unsigned references;
	struct stream *stream; /* a reference */
	uint64_t sequence;
	int64_t time_ns; /* valid once the stream reached the sequence */
};

struct event {
	struct object object;
	struct context *context; /* a reference */
	unsigned flags;
	pthread_mutex_t lock;
	struct recording *recording; /* the last one; NULL: never recorded */
	struct frontier *frontier;   /* when it was last recorded in a capture */
	struct shared_event *shared; /* between processes; NULL: it is not */
};

/* The object of a handle, in a healthy context. */
CUresult event_acquire(CUevent handle, struct event **ret_event);

/* The last one, with a reference for the caller; NULL: never recorded. */
struct recording *recording_acquire(struct event *event);
void recording_release(struct recording *recording); /* accepts NULL */

#endif
