/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Execution of one request.  Generated code (api/generate.py) decodes a request,
 * checks its length, looks up handles, calls the driver and fills the reply; the
 * bodies of calls marked 'host hand' in the description are written in the files
 * of this folder, with the same signature.
 *
 * Everything here runs on the executor's one main thread.
 */
#ifndef VGPU_EXECUTE_H
#define VGPU_EXECUTE_H

#include <stddef.h>
#include <stdint.h>

#include "cuda_abi.h"
#include "vgpu_control.h"
#include "vgpu_wire.h"

struct executor; /* executor.h */
struct handle;

/* The request being executed: its header, copied out of shared memory and checked. */
struct request {
	uint16_t opcode;
	uint16_t flags;
	uint32_t sequence;
	uint32_t context;
	const void *payload;
	size_t payload_bytes;
};

/* Results of an execute function beside those of CUresult. */
#define EXECUTE_DEFERRED ((CUresult)0x7ffffffe) /* the reply is sent later (a wait that would block) */
#define EXECUTE_PROTOCOL ((CUresult)0x7ffffffd) /* the guest broke the protocol: the channel ends */

/* Where a reply's payload is built. */
struct reply {
	uint8_t *payload;
	size_t capacity; /* VGPU_RECORD_BYTES_MAX minus the record header */
	size_t bytes;	 /* set by the execute function; 0 at first */
};

/* The real object behind a wire id; CUDA_ERROR_INVALID_HANDLE (INVALID_CONTEXT) if there is none of that kind. */
CUresult execute_find(struct executor *executor, enum vgpu_kind kind, uint32_t id, void **ret_object);
CUresult execute_find_stream(struct executor *executor, uint32_t id, CUstream *ret_stream);
/*
 * The stream, with the context current in which marks behind its work are taken: its own, which need not be the
 * program's current one for a copy, or the primary one of its green context, which may end before the work does. Of
 * stream 0, the current context's own, nothing changes.
 */
CUresult execute_enter_stream(struct executor *executor, uint32_t id, CUstream *ret_stream);
/* A function, or the function of a kernel in the current context. */
CUresult execute_find_function(struct executor *executor, uint32_t id, CUfunction *ret_function);
/* Its place in the table; NULL: there is none. */
struct handle *execute_function_handle(struct executor *executor, uint32_t id);

/* Is the id one that the guest may mint now: of 'kind', in range, not in use? */
CUresult execute_check_mint(struct executor *executor, enum vgpu_kind kind, uint32_t id);
void execute_mint(struct executor *executor, uint32_t id, uint32_t context, void *object);
/* Forgets the id, after the real object has been destroyed. */
void execute_forget(struct executor *executor, uint32_t id);

/* Generated: executes any API request (opcode >= VGPU_OPCODE_API). */
CUresult execute_api(struct executor *executor, const struct request *request, struct reply *reply);
const char *execute_api_name(uint16_t opcode); /* for logs; "?" if there is none */
enum vgpu_call_class execute_api_class(uint16_t opcode);

/* The driver's entry points that generated and hand-written code calls; NULL where the library lacks one. */
struct driver;
const struct driver *executor_driver(const struct executor *executor);

#endif
