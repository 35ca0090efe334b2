/* SPDX-License-Identifier: Apache-2.0 */
/* How long calls took, as executors say (struct vgpu_latency), for metrics and vgpu-admin. */
#ifndef MEDIATOR_LATENCY_H
#define MEDIATOR_LATENCY_H

#include <stdint.h>

#include "vgpu_control.h"

struct evbuffer;

/* "launch" and so on. */
/* Upper ends of all buckets but the last. */
extern const uint64_t latency_bounds_ns[VGPU_LATENCY_BUCKETS - 1];

extern const char *const latency_class_names[VGPU_CLASS_COUNT];

/* Of an executor's page, within bounds that keep sums from overflowing. */
struct vgpu_latency latency_read(const volatile struct vgpu_latency *latency);

void latency_add(struct vgpu_latency *sum, const struct vgpu_latency *latency);

/* Calls. */
uint64_t latency_count(const struct vgpu_latency *latency);

/* Seconds below which that part of the calls was, by linear interpolation in its bucket; 0: there was none. */
double latency_quantile(const struct vgpu_latency *latency, double part);

/* The samples of a histogram; 'labels' without braces. Nothing for classes without calls. */
void latency_write(struct evbuffer *output, const char *name, const char *labels,
		   const struct vgpu_latency latencies[VGPU_CLASS_COUNT]);

#endif
