/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GPUs in MIG mode (Multi-Instance GPU): NVML lists their instances, of which CUDA shows a process only one. Facts from
 * NVIDIA's "MIG User Guide" and nvml.h.
 */
#ifndef EXECUTOR_MIG_H
#define EXECUTOR_MIG_H

#include <stdbool.h>

/* Of a device that a program can be placed on: a GPU, or an instance of one. */
struct mig_unit {
	char name[128];
	char uuid[64]; /* "GPU-...", "MIG-..." */
	char pci[32];  /* the GPU's */
	unsigned long long memory_bytes;
	char parent[64];   /* the UUID of the instance's GPU; of a GPU empty */
	char instance[16]; /* "GPU:INSTANCE", and ":COMPUTE-INSTANCE" unless that is 0; of a GPU empty */
};

#define MIG_UNITS_MAX 128 /* 16 GPUs, 7 instances each */

/*
 * Lists what programs can be placed on, if NVML finds a GPU in MIG mode: GPUs that are not, and instances, none of the
 * former without the latter. Their count; 0: no GPU is in MIG mode, or there is no NVML that knows of it.
 */
unsigned mig_units_list(struct mig_unit ret_units[MIG_UNITS_MAX]);

/* Is one of them an instance with that UUID? */
bool mig_units_have(const struct mig_unit *units, unsigned count, const char *uuid);

#endif
