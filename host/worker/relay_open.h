/* SPDX-License-Identifier: Apache-2.0 */
/* The first frames between relay and worker. */
#ifndef WORKER_RELAY_OPEN_H
#define WORKER_RELAY_OPEN_H

#include <stdbool.h>

#include "relay.h"
#include "relay_connect.h"
#include "vgpu_control.h"

/*
 * Over the relay's link, which 'plan' has made: says what channel it is and waits for the worker's answer, for about
 * start_ms; opens what lanes the worker offers meanwhile. False: relay_fault() has been told.
 */
bool relay_open(struct relay *relay, const struct vgpu_control_executor_start *start,
		const struct relay_connect_plan *plan, int start_ms);

#endif
