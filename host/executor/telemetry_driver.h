/* SPDX-License-Identifier: Apache-2.0 */
/* Telemetry where the host has no NVML: its functions, as far as the CUDA driver knows the answers. */
#ifndef EXECUTOR_TELEMETRY_DRIVER_H
#define EXECUTOR_TELEMETRY_DRIVER_H

struct driver;

/* Starts the driver, which then is asked. The result of NVML. */
int telemetry_driver_open(const struct driver *driver);

/* The function of NVML of that name; NULL: the driver cannot answer it. */
void *telemetry_driver_function(const char *name);

#endif
