/* SPDX-License-Identifier: Apache-2.0 */
/* cuda-executor --sensors: what NVML says of the host's GPUs, for the mediator's metrics. */
#ifndef EXECUTOR_SENSORS_H
#define EXECUTOR_SENSORS_H

/*
 * Prints a line for each GPU, "uuid=GPU-... NAME=VALUE...", with the values that it has: utilization and
 * memory_utilization (per cent), memory_used (bytes), temperature (degrees Celsius), power (milliwatts), ecc_corrected
 * and ecc_uncorrected (since the driver was loaded). Nothing where there is no NVML. The exit status.
 */
int sensors_run(void);

#endif
