/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that write metrics share. */
#ifndef MEDIATOR_METRICS_PRIVATE_H
#define MEDIATOR_METRICS_PRIVATE_H

#include <stddef.h>

#define METRICS_LABEL_BYTES 300

struct evbuffer;
struct mediator;
struct usage_waits;

/* The lines before a family's samples. */
void metrics_head(struct evbuffer *output, const char *name, const char *type, const char *help);

/* The text as it stands between a label's quotes. */
void metrics_label(char *target, size_t bytes, const char *text);

/* A sample, also of what is no number; 'labels' without braces. */
void metrics_value_write(struct evbuffer *output, const char *name, const char *labels, double value);

/* The samples of a histogram. */
void metrics_waits_write(struct evbuffer *output, const char *name, const char *labels,
			 const struct usage_waits *waits);

/* The families that have a sample for each pool. */
void metrics_pools_write(const struct mediator *mediator, struct evbuffer *output);

/* The families that have a sample for each tenant. 0, or -1 when out of memory. */
int metrics_tenants_write(const struct mediator *mediator, struct evbuffer *output);

#endif
