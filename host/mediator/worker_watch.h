/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the mediator knows of its workers without a program there: for each a vgpu-relay with "watch", which runs as
 * long as the mediator does and is started again when it ends. It says which GPUs the worker has, so that each has a
 * scheduler of its own, what errors they report, what their sensors say if somebody asks for metrics, and whether the
 * worker is there at all.
 *
 * A worker's GPUs have numbers: that of the worker (worker_gpu()) is the first one's, the others follow, in the
 * worker's order. Until they are known, and for programs without a context, all is as on the first one.
 */
#ifndef MEDIATOR_WORKER_WATCH_H
#define MEDIATOR_WORKER_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORKER_GPU_NAME_BYTES 280
/* Before what a worker says of sensors, a line for each GPU and then an end. */
#define WORKER_SENSORS_PREFIX "sensors: "
#define WORKER_SENSORS_END    "end"

struct mediator;

/* Begins to watch those that are configured, and ends it for the others; after settings were read. */
void worker_watches_apply(struct mediator *mediator);
void worker_watches_destroy(struct mediator *mediator);

/* It could not be reached when that was last tried. */
bool worker_watch_is_down(const struct mediator *mediator, unsigned gpu);

/* True: all that are configured are there; a sentence in any case. */
bool worker_watches_look(const struct mediator *mediator, char *text, size_t bytes);

/* GPUs of the worker that are known. */
unsigned worker_watch_gpu_count(const struct mediator *mediator, const char *worker);

/* The number in its order of the worker's GPU at that place (VGPU_PCI_PLACE), of any of its GPUs; UINT_MAX: none. */
unsigned worker_watch_index(const struct mediator *mediator, unsigned gpu, uint32_t pci_place);

/* Bits of all of them there, for instances of a GPU share its place; 0: none, or UINT32_MAX, a place not known. */
uint32_t worker_watch_gpus_at(const struct mediator *mediator, unsigned gpu, uint32_t pci_place);

struct sensors_gpu;
struct worker_watch;

struct worker_watch_sensors {
	const char *worker; /* its address */
	const struct sensors_gpu *gpus;
	unsigned count;
};

/* The next worker behind 'watch' (NULL: the first) and what its GPUs' sensors said last; NULL: there is none. */
const struct worker_watch *worker_watch_sensors_next(const struct mediator *mediator, const struct worker_watch *watch,
						     struct worker_watch_sensors *ret_sensors);

/* "HOST:PORT" of the first GPU, "HOST:PORT#2" of the third. */
void worker_gpu_name(const char *worker, unsigned index, char name[WORKER_GPU_NAME_BYTES]);

/* The UUID of that one of them, of any of whose numbers 'gpu' is; "": there is none. */
const char *worker_watch_uuid(const struct mediator *mediator, unsigned gpu, unsigned index);

/* The number in its order of the worker's GPU with that UUID; UINT_MAX: none. */
unsigned worker_watch_index_of_uuid(const struct mediator *mediator, const char *worker, const char *uuid);

#endif
