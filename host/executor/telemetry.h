/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telemetry for one guest process: an executor that was greeted with VGPU_FEATURE_TELEMETRY answers what
 * protocol/vgpu_nvml.h describes, and no call of CUDA.
 *
 * The values come from the host's libnvidia-ml.so.1, which needs no context. Where there is none (the
 * software GPU), they come from what the CUDA driver says of its devices (telemetry_driver.c); what it does
 * not know is not supported, never made up. Functions that change a device are not in the description, so no
 * request can name them.
 *
 * The guest sees the devices that CUDA shows it, in the order of their places on the bus, as NVML has it.
 */
#ifndef EXECUTOR_TELEMETRY_H
#define EXECUTOR_TELEMETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "execute.h"

#define TELEMETRY_DEVICES_MAX 64

struct telemetry_device {
	void *handle; /* of the library that is asked */
	uint32_t pci_place;
};

struct telemetry {
	bool is_serving; /* the guest process asks for telemetry, and for no call of CUDA */
	bool is_open;
	uint64_t delayed_until_ns; /* by a limit; 0: not */
	void *library;		   /* NULL: the CUDA driver is asked */
	uint32_t device_count;
	struct telemetry_device devices[TELEMETRY_DEVICES_MAX];
};

/* Starts the library; the result of NVML. */
int telemetry_open(struct executor *executor);

/* A function of the library by its name; NULL: it has none. */
void *telemetry_function(const struct telemetry *telemetry, const char *name);

/*
 * What the library says that this process has of the device. False: it does not list it, or there is no library; in a
 * namespace of process ids of its own a process is not found.
 */
bool telemetry_own_bytes(const struct telemetry *telemetry, uint32_t pci_place, uint64_t *ret_bytes);

/* Do the tenant's limits admit the next request? False: not before delayed_until_ns. */
bool telemetry_admits(struct executor *executor);

/* Executes a request of an executor that serves telemetry, which is then paid for. */
CUresult telemetry_execute(struct executor *executor, const struct request *request, struct reply *reply);

/* One of api/nvml; the parts of telemetry_execute(). */
CUresult telemetry_call_execute(struct executor *executor, const struct request *request, struct reply *reply);

#endif
