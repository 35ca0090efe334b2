/* SPDX-License-Identifier: Apache-2.0 */
/* Wrong calls and what they answer; the parts of error_codes.c. */
#ifndef TEST_ERROR_CODES_H
#define TEST_ERROR_CODES_H

#include "error_calls.h"

/* The manual does not say which error it is. */
#define UNSAID ((CUresult)-1)

/*
 * Prints "result NAME CODE". Ours must be what is expected; what the real driver answers is only printed. An error
 * that comes later than its call is printed as "result NAME later CODE".
 */
void told(const char *name, CUresult expected, CUresult found);

#define IS(name, expected, call) told(name, expected, call)
#define INVALID(name, call)	 told(name, CUDA_ERROR_INVALID_VALUE, call)

/* What there is in the groups that have a context: the primary one of device 0, which is current. */
extern CUcontext context;
extern CUstream stream;
extern CUdeviceptr memory;
enum { MEMORY_BYTES = 1 << 16 };

/* An address that is nobody's. */
#define NOWHERE ((CUdeviceptr)0x1234000)

void memory_calls(void);
void pointer_calls(void);
void copy_calls(void);
void fill_calls(void);
void pool_calls(void);
void virtual_calls(void);
void stream_calls(void);
void event_calls(void);
void capture_calls(void);
void graph_calls(void);
void module_calls(void);
void library_calls(void);
void launch_calls(void);
void array_calls(void);
void texture_calls(void);

#endif
