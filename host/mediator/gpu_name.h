/* SPDX-License-Identifier: Apache-2.0 */
/* What a GPU is called in the log and in metrics. */
#ifndef MEDIATOR_GPU_NAME_H
#define MEDIATOR_GPU_NAME_H

#include "worker_watch.h"

/*
 * Of this host (worker: ""): its number, as in scan-gpus; of a worker: worker_gpu_name(). Where the driver does not
 * show it to us, the UUID is in it.
 */
void gpu_name_find(const struct mediator *mediator, const char *worker, const char *uuid,
		   char name[WORKER_GPU_NAME_BYTES]);

#endif
