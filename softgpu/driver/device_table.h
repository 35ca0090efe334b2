/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many devices there are, and what tells one from another.  All are alike but for their memory and their names.
 *
 * SOFTGPU_DEVICES says how many, SOFTGPU_MEMORY_BYTES how much memory each has, SOFTGPU_CONTEXT_BYTES how much of it
 * each context takes, SOFTGPU_PAGEABLE_ACCESS what they say of the host's memory (README.md).  CUDA_VISIBLE_DEVICES
 * takes some of them and gives them their numbers, as with the real driver: each entry is a number or the beginning of
 * a UUID, and the first one that names no device, or one that was named before, ends the list.
 *
 * With SOFTGPU_MIG they are instances of a GPU in MIG mode: their UUIDs begin with "MIG-", and a process sees one.
 *
 * Read once by device_table_open(), constant afterwards; all functions may be called by any thread.
 */
#ifndef SOFTGPU_DRIVER_DEVICE_TABLE_H
#define SOFTGPU_DRIVER_DEVICE_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "cuda_abi.h"

#define DEVICES_MAX 16

/* Reads the environment.  INVALID_VALUE with a message on standard error; NO_DEVICE: none is visible. */
CUresult device_table_open(void);

int device_count(void);
bool device_exists(CUdevice device);

/* NOT_INITIALIZED and the like, or INVALID_DEVICE where there is no such device. */
CUresult device_check(CUdevice device);

/* What each context takes of its device's memory. */
uint64_t device_context_bytes(void);

/* Whether devices say that kernels reach all memory of their process; ours do not. */
bool device_pageable_access(void);

/* Of a device that exists. */
uint64_t device_memory_bytes(CUdevice device);
CUuuid device_uuid(CUdevice device);
/* The bus that it is on: unlike a device's number it is the same in all processes. */
unsigned device_bus(CUdevice device);

#endif
