/* SPDX-License-Identifier: Apache-2.0 */
#include "samples.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

void samples_create(struct samples *ret_samples, size_t capacity)
{
	*ret_samples = (struct samples){.values = calloc(capacity, sizeof(double)), .capacity = capacity};
	if (ret_samples->values == NULL) {
		fprintf(stderr, "no memory for %zu samples\n", capacity);
		exit(1);
	}
}

void samples_destroy(struct samples *samples)
{
	free(samples->values);
	samples->values = NULL;
}

void samples_add(struct samples *samples, double value)
{
	assert(samples->count < samples->capacity);
	samples->values[samples->count++] = value;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void print_histogram(const struct samples *samples)
{
	double bound = 1e-3;
	bool first = true;
	for (size_t i = 0; i < samples->count; bound *= 2) {
		size_t count = 0;
		while (i < samples->count && samples->values[i] <= bound) {
			i++;
			count++;
		}
		if (count == 0)
			continue;
		printf("%s[%g, %zu]", first ? "" : ", ", bound, count);
		first = false;
	}
}

static void print(struct samples *samples, const char *name, const char *unit, bool more_is_better)
{
	size_t count = samples->count;
	if (count == 0)
		return;
	qsort(samples->values, count, sizeof(double), compare);
	const double *values = samples->values;
	double median = count % 2 == 1 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
	size_t tail = (count - 1) / 100;
	size_t tenth = (count - 1) / 10;
	printf("{\"name\": \"%s\", \"unit\": \"%s\", \"median\": %.6g, \"p90\": %.6g, \"p99\": %.6g, \"least\": %.6g, "
	       "\"most\": %.6g, \"samples\": %zu, \"histogram\": [",
	       name, unit, median, values[more_is_better ? tenth : count - 1 - tenth],
	       values[more_is_better ? tail : count - 1 - tail], values[0], values[count - 1], count);
	print_histogram(samples);
	printf("]}\n");
	fflush(stdout);
	samples->count = 0;
}

void samples_print(struct samples *samples, const char *name, const char *unit)
{
	print(samples, name, unit, false);
}

void samples_print_rate(struct samples *samples, const char *name, const char *unit)
{
	print(samples, name, unit, true);
}

uint64_t clock_nanoseconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
