/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What NVML says of the GPUs, asked for by a process of its own ("cuda-executor --sensors") now and then, for NVML may
 * take long; of a worker's by the worker, which sends it (worker_watch.h). Values that are not known now are left out.
 */
#ifndef MEDIATOR_SENSORS_H
#define MEDIATOR_SENSORS_H

#include <stdbool.h>

#define SENSORS_UUID_BYTES 96

enum sensor {
	SENSOR_UTILIZATION,	   /* per cent */
	SENSOR_MEMORY_UTILIZATION, /* the same */
	SENSOR_MEMORY_USED,	   /* bytes */
	SENSOR_TEMPERATURE,	   /* degrees Celsius */
	SENSOR_POWER,		   /* milliwatts */
	SENSOR_ECC_CORRECTED,
	SENSOR_ECC_UNCORRECTED,
	SENSOR_COUNT,
};

struct sensors_gpu {
	char uuid[SENSORS_UUID_BYTES];
	bool is_known[SENSOR_COUNT];
	double values[SENSOR_COUNT];
};

struct evbuffer;
struct mediator;
struct sensors;

/* NULL when out of memory. */
struct sensors *sensors_create(struct mediator *mediator);

/* Ends it, and the process if one runs. NULL is fine. */
void sensors_destroy(struct sensors *sensors);

/* Asks again; on each heartbeat. A process that has not ended since the last one is killed. NULL is fine. */
void sensors_refresh(struct sensors *sensors);

/* What a line of "cuda-executor --sensors" says, which may be a worker's. False: of no GPU. */
bool sensors_line_parse(const char *line, struct sensors_gpu *ret_gpu);

/* What they said last of a GPU by its number, which may be a worker's; NULL: it is not known. */
const struct sensors_gpu *sensors_of_gpu(const struct sensors *sensors, unsigned gpu);

/* Appends the metrics of the GPUs that answered last, and of those of workers. NULL is none. */
void sensors_write(const struct sensors *sensors, struct evbuffer *output);

#endif
