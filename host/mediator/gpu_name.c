/* SPDX-License-Identifier: Apache-2.0 */
#include "gpu_name.h"

#include <limits.h>
#include <stdio.h>

#include "mediator.h"
#include "probe.h"

void gpu_name_find(const struct mediator *mediator, const char *worker, const char *uuid,
		   char name[WORKER_GPU_NAME_BYTES])
{
	unsigned index;

	snprintf(name, WORKER_GPU_NAME_BYTES, "%s", uuid);
	if (worker[0]) {
		index = worker_watch_index_of_uuid(mediator, worker, uuid);
		snprintf(name, WORKER_GPU_NAME_BYTES, "%.180s %.90s", worker, uuid);
		if (index != UINT_MAX)
			worker_gpu_name(worker, index, name);
		return;
	}
	index = probe_device_find(mediator->probe, uuid);
	if (index != UINT_MAX)
		snprintf(name, WORKER_GPU_NAME_BYTES, "%u", index);
}
