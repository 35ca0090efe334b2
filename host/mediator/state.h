/* SPDX-License-Identifier: Apache-2.0 */
/* The mediator's state as text in the log, for operators. */
#ifndef MEDIATOR_STATE_H
#define MEDIATOR_STATE_H

struct mediator;

/* Connections, their channels, executors and counters; on SIGUSR1. */
void state_log(const struct mediator *mediator);

/* VMs that are connected. */
unsigned state_machines_count(const struct mediator *mediator);
long state_uptime_seconds(const struct mediator *mediator);

/* One line of life, and the counters. */
void state_heartbeat_log(const struct mediator *mediator);

#endif
