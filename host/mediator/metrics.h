/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mediator's figures in Prometheus' text format 0.0.4. Names of the earlier attempt are kept. Of tenants there are
 * those that are there, at most METRICS_TENANTS_MAX of them: what a guest does cannot make the number of series grow
 * beyond that. A tenant that goes takes its counters with it; those of pools stay.
 */
#ifndef MEDIATOR_METRICS_H
#define MEDIATOR_METRICS_H

#define METRICS_TENANTS_MAX 1000

struct evbuffer;
struct mediator;

/* Appends them. 0, or -1 when out of memory. */
int metrics_write(const struct mediator *mediator, struct evbuffer *output);

#endif
