/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The binary interface of the CUDA driver, version 13.0, as types: results,
 * handles, enumerations and structures, declared here so that no part of this
 * project needs a CUDA toolkit to build.
 *
 * Names and values are those of NVIDIA's public API reference, because
 * unmodified programs and the real driver meet at them.  There are no function
 * prototypes: the generator in this folder writes those from the description.
 *
 * Do not include this beside NVIDIA's cuda.h: both declare the same names.
 * Structure layouts are those of LP64 Linux and asserted at their declaration.
 */
#ifndef VGPU_API_CUDA_ABI_H
#define VGPU_API_CUDA_ABI_H

#ifdef __cuda_cuda_h__
#error "cuda_abi.h replaces cuda.h; include only one of them"
#endif

#define CUDA_VERSION 13000

#include "cuda_abi_result.h"
#include "cuda_abi_handles.h"
#include "cuda_abi_device.h"
#include "cuda_abi_memory.h"
#include "cuda_abi_array.h"
#include "cuda_abi_module.h"
#include "cuda_abi_stream.h"
#include "cuda_abi_copy.h"
#include "cuda_abi_external.h"
#include "cuda_abi_graph.h"

#endif
