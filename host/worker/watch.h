/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection for no channel, one of each mediator: which GPUs the worker has, and what errors they report, as long as
 * it is there. It forwards what "cuda-executor --probe" prints, then a line "ready", then what "cuda-executor
 * --gpu-events" prints, and between that, if the host wants it, what "cuda-executor --sensors" prints now and then,
 * each line behind WORKER_SENSORS_PREFIX (mediator/worker_watch.h). A process of its own starts these programs, so that
 * the one that reads the link is confined.
 */
#ifndef WORKER_WATCH_H
#define WORKER_WATCH_H

#include "link.h"

struct watch_plan {
	const char *executor;
	const char *driver;
	unsigned silence_ms;
	bool has_sensors; /* they are wanted */
};

/* Until the link is lost; in a process of its own. The reason is in the link. */
void watch_serve(struct link *link, const struct watch_plan *plan);

#endif
