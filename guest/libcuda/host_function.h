/* SPDX-License-Identifier: Apache-2.0 */
/* What graphs have the program do: host functions, copies, destructors. Any thread may call. */
#ifndef VGPU_HOST_FUNCTION_H
#define VGPU_HOST_FUNCTION_H

#include <stdint.h>

#include "object.h"
#include "program_copy.h"

/* A name for the executor, good until that says that no graph has the function any more. */
CUresult host_function_keep(CUhostFn function, void *data, uint64_t *ret_name);

/* Of a copy, which it takes on success: good until the executor says that no graph has it any more. */
CUresult host_function_keep_copy(struct program_copy *copy, uint64_t *ret_name);

/* What the program described the copy of a name as. False: there is none. */
bool host_function_copy_get(uint64_t name, CUDA_MEMCPY3D *ret_copy);

/* What a host function is that the program gave. False: there is none of that name, or it is no such. */
bool host_function_get(uint64_t name, CUDA_HOST_NODE_PARAMS *ret_host);

/* Of a user object, whose end is a call of its destructor and releases it. */
CUresult host_function_keep_object(struct object *object, CUhostFn destroy, void *data, uint64_t *ret_name);

/* May functions of the program be running or yet to come in a stream? Those of graphs always may. */
bool host_functions_expected(void);

/* Of what no graph has come to have. */
void host_function_drop(uint64_t name);

#endif
