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

/* Does one go on, or was it not fetched yet? A minute after its end it is nobody's. */
bool recorder_is_busy(const struct mediator *mediator);

/* Begins, in the place of one that goes on. Its number, or 0: out of memory. */
uint64_t recorder_begin(struct mediator *mediator, unsigned seconds);

/* A turn is over. Nothing where nobody records. */
void recorder_note(struct mediator *mediator, const struct tenant *tenant, uint64_t asked_ns, uint64_t work_ns);

void recorder_destroy(struct mediator *mediator);

/*
 * Ends the recording of that number and takes the next piece of it, some thousand turns: for each tenant in it the
 * weight, priority and turns, each the microseconds from the beginning until it asked and those of its work; "more":
 * there are other pieces, else it is forgotten; "full": what came then was not recorded. NULL: there is none.
 */
json_t *recorder_take(struct mediator *mediator, uint64_t number);

#endif
