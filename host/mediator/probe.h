/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the driver library that executors are to use: runs "cuda-executor
 * --probe LIBRARY" for the configured library, or for NVIDIA's and then
 * softgpu.  When none works it tries again every five seconds.
 */
#ifndef MEDIATOR_PROBE_H
#define MEDIATOR_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "probe_device.h"

struct mediator;
struct probe;

enum probe_state { PROBE_RUNNING, PROBE_READY, PROBE_FAILED };

/* Begins to probe; channels_driver_known is called with the answer. NULL when out of memory. */
struct probe *probe_create(struct mediator *mediator);

/* Ends it; the child, if one runs, is killed by its end or the mediator's. NULL is fine. */
void probe_destroy(struct probe *probe);

/* Begins again, after settings have changed. Until the answer the old one holds. */
void probe_restart(struct probe *probe);

/*
 * A program did not start: looks whether the driver still works, unless that was done in the last seconds. If it does
 * not, probe_doubt() says so until it does: what is known stays, for programs run by it.
 */
void probe_verify(struct probe *probe);

/* Of PROBE_READY: what was wrong when the driver was last looked at; "": nothing. */
const char *probe_doubt(const struct probe *probe);

enum probe_state probe_state(const struct probe *probe);

/* Of PROBE_READY; short enough for struct vgpu_control_executor_start. */
const char *probe_driver_library(const struct probe *probe);

/* At most GPUS_MAX (gpus.h). */
unsigned probe_device_count(const struct probe *probe);
/* Those of a driver that is refused for them, too. */
unsigned probe_device_count_seen(const struct probe *probe);
/* Those that there are more. */
unsigned probe_device_count_beyond(const struct probe *probe);
/* Bits of those, of the latter, that are the GPU with that UUID, or instances of it; 0: it is not there. */
uint32_t probe_devices_of_gpu(const struct probe *probe, const char *uuid);
/* The number of the device with that UUID, below the first count; UINT_MAX: it is not there. */
unsigned probe_device_find(const struct probe *probe, const char *uuid);
/* Of the device of that number: VGPU_PCI_PLACE; UINT32_MAX: it is not known. */
uint32_t probe_pci_place(const struct probe *probe, unsigned index);

/* 'index' is below the count. */
struct probe_device probe_device(const struct probe *probe, unsigned index);

/* Of PROBE_READY: why softgpu takes the place of NVIDIA's driver, without being asked for; "": it does not. */
const char *probe_refused(const struct probe *probe);

/* Of PROBE_FAILED: why. */
const char *probe_reason(const struct probe *probe);

#endif
