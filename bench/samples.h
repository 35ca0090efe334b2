/* SPDX-License-Identifier: Apache-2.0 */
/* Samples of one measurement, and the JSON line that sums them up. */
#ifndef BENCH_SAMPLES_H
#define BENCH_SAMPLES_H

#include <stddef.h>
#include <stdint.h>

struct samples {
	double *values;
	size_t count;
	size_t capacity;
};

/* Ends the program when there is no memory. */
void samples_create(struct samples *ret_samples, size_t capacity);
void samples_destroy(struct samples *samples);
/* Beyond the capacity: an assertion. */
void samples_add(struct samples *samples, double value);

/*
 * Prints {"name", "unit", "median", "p99", "least", "most", "samples",
 * "histogram": [[upper bound, count], …]} and forgets the samples.  The bounds
 * are powers of two of the unit's thousandth; the p99 of a rate is its slow end.
 */
void samples_print(struct samples *samples, const char *name, const char *unit);
/* The same where more is better: p99 is the value that 99% exceed. */
void samples_print_rate(struct samples *samples, const char *name, const char *unit);

/* Nanoseconds of a clock that only runs forward. */
uint64_t clock_nanoseconds(void);

#endif
