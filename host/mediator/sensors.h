/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What NVML says of the GPUs, asked for by a process of its own ("cuda-executor --sensors") now and then, for NVML may
 * take long. Values that are not known now are left out.
 */
#ifndef MEDIATOR_SENSORS_H
#define MEDIATOR_SENSORS_H

struct evbuffer;
struct mediator;
struct sensors;

/* NULL when out of memory. */
struct sensors *sensors_create(struct mediator *mediator);

/* Ends it, and the process if one runs. NULL is fine. */
void sensors_destroy(struct sensors *sensors);

/* Asks again; on each heartbeat. A process that has not ended since the last one is killed. NULL is fine. */
void sensors_refresh(struct sensors *sensors);

/* Appends the metrics of the GPUs that answered last. NULL is none. */
void sensors_write(const struct sensors *sensors, struct evbuffer *output);

#endif
