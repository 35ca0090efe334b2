/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What NVRTC and nvJitLink have compiled, kept in files of the program's user: the functions that they call through a
 * private table of the driver (export_table.c). Their arguments are as seen with CUDA 13.0 and driver 580.
 *
 * The files are in the folder vgpu-cuda of CUDA_CACHE_PATH, or of ~/.nv/ComputeCache. CUDA_CACHE_DISABLE and
 * CUDA_CACHE_MAXSIZE hold as the CUDA programming guide has them ("Environment variables"). Any thread may call;
 * programs of one user share the files.
 */
#ifndef VGPU_COMPILE_CACHE_H
#define VGPU_COMPILE_CACHE_H

#include <stdint.h>

#include "cuda_abi.h"

struct compile_key;

/*
 * All that the code depends on: what it is compiled to (1: machine code, 2: PTX) and from, the options, the compiler
 * ('host', which begins with "HOST", and 'build'), and the architecture (90, with what is its own or not).
 * CUDA_ERROR_NOT_INITIALIZED: there is no cache, and the caller does without.
 */
CUresult compile_cache_open(struct compile_key **ret_key, uint32_t kind, const void *input, uint32_t input_bytes,
			    const char *options, const char *host, const char *build, uint32_t architecture,
			    uint32_t is_specific);
CUresult compile_cache_close(struct compile_key *key);

/* CUDA_ERROR_NOT_FOUND, or the code, which the caller gives back. 'which' was always 0. */
CUresult compile_cache_find(const struct compile_key *key, uint64_t which, void **ret_code, uint32_t *ret_bytes);
CUresult compile_cache_give(void *code);

/* CUDA_ERROR_OPERATING_SYSTEM: it could not be written. */
CUresult compile_cache_store(const struct compile_key *key, uint64_t which, const void *code, uint32_t bytes);

#endif
