/* SPDX-License-Identifier: Apache-2.0 */
/* The host's CUDA driver library: NVIDIA's, or softgpu. */
#ifndef EXECUTOR_DRIVER_H
#define EXECUTOR_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "driver_table.h"

/*
 * Loads 'library' (path or soname). False: the reason is in 'text'. The library is never unloaded:
 * NVIDIA's does not support that.
 */
bool driver_open(const char *library, struct driver *ret_driver, char *text, size_t text_bytes);

/* CUDA_ERROR_..., for logs. */
const char *driver_error_name(const struct driver *driver, CUresult result);

/* After cuInit. */
bool driver_is_software(const struct driver *driver);

/* The same, before cuInit: by the library's name. */
bool driver_is_softgpu(const struct driver *driver);

/*
 * After cuInit: do its kernels reach all memory of their process, the executor's own (HMM, or a processor that shares
 * its page tables with the GPU)? False where the driver does not know.
 */
bool driver_reaches_host(const struct driver *driver, CUdevice device);

/* After cuInit: where the device is on the PCI bus (VGPU_PCI_PLACE). */
uint32_t driver_pci_place(const struct driver *driver, CUdevice device);

#endif
