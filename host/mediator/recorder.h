/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records what tenants ask of the GPU, for the simulator (tests/sim): of each turn that was granted, when it was asked
 * for and how much work was done in it. Turns of tenants that are alone are not granted, and not recorded.
 */
#ifndef MEDIATOR_RECORDER_H
#define MEDIATOR_RECORDER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define RECORDER_SECONDS_MAX 3600

struct mediator;
struct recorder;
struct tenant;

/* Begins, in the place of one that goes on. 0, or -1: out of memory. */
int recorder_begin(struct mediator *mediator, unsigned seconds);

/* A turn is over. Nothing where nobody records. */
void recorder_note(struct mediator *mediator, const struct tenant *tenant, uint64_t asked_ns, uint64_t work_ns);

void recorder_destroy(struct mediator *mediator);

/* What was recorded, which is forgotten: for each tenant its weight, priority and turns, each the
 * microseconds from the beginning until it asked and those of its work; "full": there was more. NULL: nobody recorded.
 */
json_t *recorder_end(struct mediator *mediator);

#endif
