/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Managed memory where host and device cannot share any: device memory that has pages of the program at the same
 * address, as on devices without concurrent access (CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS is 0). Before the
 * device may look at it, what the program has written goes up and the pages go; a touch of the program brings
 * a block of them back, by a thread of the library's own (faults.h).
 *
 * Who gives the device work that may touch such memory says so before (mirror_use_begin()) and after it has
 * been posted: in between no touch is served, so the program's memory is not to be touched there. Any thread may call.
 */
#ifndef VGPU_MIRROR_H
#define VGPU_MIRROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cuda_abi.h"

struct call_piece;
struct transfer;

struct mirror_span {
	uint64_t address;
	uint64_t bytes;
	bool is_written;
};

#define MIRROR_SPANS_MAX 2

/* What work of the device touches. */
struct mirror_use {
	bool is_everything; /* else the spans, where there is mirrored memory in them */
	bool is_any_stream; /* with everything: not 'stream' alone */
	size_t span_count;
	struct mirror_span spans[MIRROR_SPANS_MAX];
	uint32_t context; /* where it is done; 0: it is on its way already */
	uint32_t stream;
};

extern uint32_t mirror_count;

static inline bool mirrors_exist(void)
{
	return __builtin_expect(__atomic_load_n(&mirror_count, __ATOMIC_ACQUIRE) != 0, 0);
}

/* Can it be had, after cuInit? The process must be allowed to catch its own page faults. */
bool mirror_is_supported(void);

/* Memory of zeros, 'attachment' as for cuMemAllocManaged. */
CUresult mirror_allocate(uint32_t context, size_t bytes, unsigned int attachment, uint64_t *ret_address);

/* Of the range that begins there; nothing of the device is at work with it. */
CUresult mirror_free(uint64_t address);

/* The context has ended, and its memory with it. */
void mirror_forget_context(uint32_t context);

/* cuStreamAttachMemAsync. */
void mirror_attach(uint64_t address, unsigned int attachment, uint32_t context, uint32_t stream);

/* Brings to one side what it does not have of the span, behind what the stream does; nothing while other streams may
 * be at work with it. */
CUresult mirror_prefetch(uint64_t address, size_t bytes, bool to_host, uint32_t context, uint32_t stream);

/* On success the work is to be posted at once, then mirror_use_end(). */
CUresult mirror_use_begin(const struct mirror_use *use);
void mirror_use_end(void);

/*
 * The program has waited for a stream, or for all of a context; mirror_works() was that before. A touch does not wait
 * for it again. Where the kernel's accesses are not caught (faults.h), little memory is all brought then, so that they
 * find it.
 */
uint64_t mirror_works(void);
void mirror_synchronized(uint32_t context, uint32_t stream, bool is_context, uint64_t works_before);

/* Around a function of the program that the device waits for: what it has written goes up before that goes on. */
void mirror_function_end(void);

/* What the device does for a call, in the context; false: it touches no memory (mirror_calls.c). */
bool mirror_use_of_call(uint16_t opcode, uint32_t context, const struct call_piece *pieces, struct mirror_use *ret_use);

/* transfer_up() and transfer_down() of device memory that may be mirrored. */
CUresult mirror_transfer_up(const struct transfer *transfer);
CUresult mirror_transfer_down(const struct transfer *transfer);

#endif
