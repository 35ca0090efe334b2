/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of a tenant share; its modes are said in tenant.c. */
#ifndef BENCH_TENANT_H
#define BENCH_TENANT_H

#include <stdbool.h>

struct options {
	double from, to, microseconds, pause;
	unsigned iterations, blocks, batch, streams;
	int device, also; /* also -1: none */
	bool tells_each, is_told;
	unsigned long long rounds_least;
};

/* Of CLOCK_MONOTONIC. */
double seconds_now(void);
void pause_for(double microseconds);

/* All the memory there is, in pieces, kept until --to. */
void memory_hog(const struct options *options);
void memory_tell(void);
void memory_watch(void);
void memory_fill(const struct options *options);
/* In so many MiB; 0: in all there is. */
void memory_residue(unsigned mib);

#endif
