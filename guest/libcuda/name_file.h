/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a program has as a descriptor of something that processes share: a small
 * file that holds the host's name for it, so that it can go to other processes as
 * the real one can.
 */
#ifndef VGPU_NAME_FILE_H
#define VGPU_NAME_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "cuda_abi.h"

/*
 * *ret_file, the program's, of the name that the host has answered with so many bytes; CUDA_ERROR_UNKNOWN: they are no
 * name, CUDA_ERROR_OPERATING_SYSTEM: the system has no file for it.
 */
CUresult name_file_make(const CUipcMemHandle *name, uint32_t bytes, int *ret_file);

/* False: it is no such file. Whether the name stands for anything the host knows. */
bool name_file_read(int file, CUipcMemHandle *ret_name);

#endif
