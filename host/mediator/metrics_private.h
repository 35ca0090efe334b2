/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that write metrics share. */
#ifndef MEDIATOR_METRICS_PRIVATE_H
#define MEDIATOR_METRICS_PRIVATE_H

#include <stddef.h>

#define METRICS_LABEL_BYTES 300

struct evbuffer;
struct mediator;

/* The lines before a family's samples. */
void metrics_head(struct evbuffer *output, const char *name, const char *type, const char *help);

/* The text as it stands between a label's quotes. */
void metrics_label(char *target, size_t bytes, const char *text);

/* The families that have a sample for each tenant. 0, or -1 when out of memory. */
int metrics_tenants_write(const struct mediator *mediator, struct evbuffer *output);

#endif
