/* SPDX-License-Identifier: Apache-2.0 */
/* The relay's lanes (lanes.h): connections that it makes before it enters the sandbox, and a thread for each. */
#ifndef WORKER_RELAY_LANES_H
#define WORKER_RELAY_LANES_H

#include <stdbool.h>

#include "relay.h"
#include "relay_connect.h"

/* How many to ask for if nobody says: a quarter of the processors, at least one, at most four. */
unsigned relay_lanes_usual(void);

/*
 * Opens what the worker offers, or as many of them as go, and tells it how many. False: it offers what it may not;
 * relay_fault() has been told.
 */
bool relay_lanes_connect(struct relay *relay, const struct relay_connect_plan *plan, const struct link_lane *offer);

/* The channel's windows are known. False: a lane has no thread; relay_fault() has been told. */
bool relay_lanes_start(struct relay *relay);

void relay_lanes_end(struct relay *relay);

#endif
