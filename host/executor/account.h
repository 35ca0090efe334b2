/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the guest process has allocated: bytes by device address, their sum in
 * the counters that the mediator reads. The one place where a quota will be
 * enforced.
 */
#ifndef EXECUTOR_ACCOUNT_H
#define EXECUTOR_ACCOUNT_H

#include <stddef.h>
#include <stdint.h>

#include "execute.h"
#include "log.h"

struct allocation {
	CUdeviceptr address; /* 0: free slot */
	uint64_t bytes;	     /* as asked for */
	uint64_t charged;    /* what that takes */
	uint32_t context;
	CUdevice device;     /* of the context; -1: unknown */
	uint32_t opens;	     /* of another process's memory by CUDA IPC; 0: it is ours */
	CUmemoryPool source; /* that it is from; NULL: none (reserve.h) */
	uint64_t pool;	     /* number of the pool for other processes that it is from (share_pool.h); 0: none */
};

/* An open-addressed hash table, at most half full. */
struct account {
	struct allocation *slots;
	size_t capacity; /* a power of two */
	size_t count;
	uint64_t admitted; /* charged for the allocation that is being made */
	struct log_limit log_limit;
};

void account_open(struct account *account);

/* Before an allocation: logs it, makes room to remember it and charges what it takes (limit.h). */
CUresult account_admit(struct executor *executor, const char *call, uint64_t bytes);

/* Afterwards, where it has turned out to take 'bytes': CUDA_ERROR_OUT_OF_MEMORY, and the caller gives it back. */
CUresult account_adjust(struct executor *executor, uint64_t bytes);

/* After each one that was admitted: remembers it, and logs the outcome. */
void account_add(struct executor *executor, const char *call, CUresult result, CUdeviceptr address, uint64_t bytes,
		 uint32_t context);

/* The guest process has one context more or less on the device: what telemetry shows. */
void account_context_add(struct executor *executor, CUdevice device);
void account_context_remove(struct executor *executor, CUdevice device);

/* The driver has taken so much more of the device for itself (overhead.h); a difference, modulo 2^64. */
void account_overhead_add(struct executor *executor, CUdevice device, uint64_t bytes);

/* What has no address, such as an array, is accounted for under this. */
static inline uint64_t account_handle_key(const void *object)
{
	return (uintptr_t)object;
}

/* What begins at the address; NULL: nothing. Until the next call. */
struct allocation *account_find(const struct executor *executor, CUdeviceptr address);

/* After an address was freed. */
void account_remove(struct executor *executor, CUdeviceptr address);
void account_forget_context(struct executor *executor, uint32_t context);

#endif
