/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library's life: nvmlInit and nvmlShutdown are counted; between the first and the last the process
 * has a channel of its own for telemetry (connection.h), whether libcuda.so.1 is there or not.
 */
#ifndef NVML_LIBRARY_H
#define NVML_LIBRARY_H

/* NVML_ERROR_UNINITIALIZED before nvmlInit and after the last nvmlShutdown, else NVML_SUCCESS. Any thread. */
int library_check(void);

/* *count = value, for functions that tell how many of something there are here. */
int library_count(unsigned int *count, unsigned int value);

/* For functions that are refused: 'result', or NVML_ERROR_UNINITIALIZED. */
int library_refuse(int result);

#endif
