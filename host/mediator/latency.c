/* SPDX-License-Identifier: Apache-2.0 */
#include "latency.h"

#include <event2/buffer.h>

/* More than a process makes, or its threads wait together; so that one that lies does not make sums overflow. */
#define CALLS_MAX  (UINT64_C(1) << 48)
#define SUM_NS_MAX (UINT64_C(1) << 58)

const uint64_t latency_bounds_ns[VGPU_LATENCY_BUCKETS - 1] = {VGPU_LATENCY_BOUNDS_NS};

const char *const latency_class_names[VGPU_CLASS_COUNT] = {
	[VGPU_CLASS_LAUNCH] = "launch",		  [VGPU_CLASS_COPY] = "copy",
	[VGPU_CLASS_MEMORY] = "memory",		  [VGPU_CLASS_MODULE] = "module",
	[VGPU_CLASS_SYNCHRONIZE] = "synchronize", [VGPU_CLASS_OTHER] = "other",
};

static uint64_t bounded(uint64_t value, uint64_t most)
{
	return value < most ? value : most;
}

struct vgpu_latency latency_read(const volatile struct vgpu_latency *latency)
{
	struct vgpu_latency read;

	for (int i = 0; i < VGPU_LATENCY_BUCKETS; i++)
		read.buckets[i] = bounded(latency->buckets[i], CALLS_MAX);
	read.sum_ns = bounded(latency->sum_ns, SUM_NS_MAX);
	return read;
}

void latency_add(struct vgpu_latency *sum, const struct vgpu_latency *latency)
{
	for (int i = 0; i < VGPU_LATENCY_BUCKETS; i++)
		sum->buckets[i] += latency->buckets[i];
	sum->sum_ns += latency->sum_ns;
}

uint64_t latency_count(const struct vgpu_latency *latency)
{
	uint64_t count = 0;

	for (int i = 0; i < VGPU_LATENCY_BUCKETS; i++)
		count += latency->buckets[i];
	return count;
}

double latency_quantile(const struct vgpu_latency *latency, double part)
{
	double rank = part * (double)latency_count(latency);
	double below = 0;
	double start = 0;

	if (rank <= 0)
		return 0;
	for (int i = 0; i < VGPU_LATENCY_BUCKETS - 1; i++) {
		double count = (double)latency->buckets[i];
		double end = (double)latency_bounds_ns[i] / 1e9;

		if (count > 0 && below + count >= rank)
			return start + (end - start) * (rank - below) / count;
		below += count;
		start = end;
	}
	return start;
}

static void class_write(struct evbuffer *output, const char *name, const char *labels, const char *class_name,
			const struct vgpu_latency *latency)
{
	uint64_t below = 0;

	for (int i = 0; i < VGPU_LATENCY_BUCKETS - 1; i++) {
		below += latency->buckets[i];
		evbuffer_add_printf(output, "%s_bucket{%s,class=\"%s\",le=\"%g\"} %llu\n", name, labels, class_name,
				    (double)latency_bounds_ns[i] / 1e9, (unsigned long long)below);
	}
	below += latency->buckets[VGPU_LATENCY_BUCKETS - 1];
	evbuffer_add_printf(output, "%s_bucket{%s,class=\"%s\",le=\"+Inf\"} %llu\n", name, labels, class_name,
			    (unsigned long long)below);
	evbuffer_add_printf(output, "%s_sum{%s,class=\"%s\"} %.9f\n", name, labels, class_name,
			    (double)latency->sum_ns / 1e9);
	evbuffer_add_printf(output, "%s_count{%s,class=\"%s\"} %llu\n", name, labels, class_name,
			    (unsigned long long)below);
}

void latency_write(struct evbuffer *output, const char *name, const char *labels,
		   const struct vgpu_latency latencies[VGPU_CLASS_COUNT])
{
	for (int i = 0; i < VGPU_CLASS_COUNT; i++) {
		if (latency_count(&latencies[i]))
			class_write(output, name, labels, latency_class_names[i], &latencies[i]);
	}
}
