/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every range of addresses that the GPU may use: device memory in the arena,
 * and host memory that was pinned or registered.
 *
 * The table is guarded by a lock for readers and one writer.  A copy holds it
 * for reading while it runs, so that memory cannot be taken away under it.
 */
#ifndef SOFTGPU_DRIVER_MEMORY_H
#define SOFTGPU_DRIVER_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cuda_abi.h"

struct context;
struct engine_memory;
struct object;
struct pool;

enum memory_kind {
	MEMORY_DEVICE,	   /* cuMemAlloc and pools */
	MEMORY_MANAGED,	   /* cuMemAllocManaged: in the arena, so the same address on both sides */
	MEMORY_GRAPH,	   /* of an allocation node: there as long as that is */
	MEMORY_VARIABLE,   /* of a module, by the engine */
	MEMORY_HOST,	   /* cuMemHostAlloc */
	MEMORY_REGISTERED, /* cuMemHostRegister */
	MEMORY_ARRAY,	   /* of an array or a mipmapped array */
	MEMORY_OPENED,	   /* cuIpcOpenMemHandle: another process's, in a block of the arena */
	MEMORY_MAPPED,	   /* cuMemMap, in a reserved block of the arena */
};

struct memory_range {
	uint64_t base;
	uint64_t bytes; /* as asked for */
	enum memory_kind kind;
	unsigned flags; /* of the call that made it */
	unsigned attach_flags;
	bool synchronous;	 /* CU_POINTER_ATTRIBUTE_SYNC_MEMOPS */
	uint64_t id;		 /* CU_POINTER_ATTRIBUTE_BUFFER_ID */
	CUdevice device;	 /* whose memory it is; of host memory that of the context */
	struct context *context; /* the owner; not a reference, since the owner releases its ranges first */
	struct pool *pool;	 /* a reference, or NULL */
	uint64_t pool_offset;	 /* in the pool's file, if it has one */
	struct object *physical; /* of MEMORY_MAPPED: a reference */
	uint32_t access_devices; /* MEMORY_MAPPED: a bit for each device that cuMemSetAccess lets at it */
	bool live;		 /* MEMORY_GRAPH: a launch has allocated it, and nothing freed it */
	bool has_free_node;	 /* MEMORY_GRAPH */
};

static inline bool memory_kind_is_host(enum memory_kind kind)
{
	return kind == MEMORY_HOST || kind == MEMORY_REGISTERED;
}

/* Device memory: 'range' says kind, flags, device, context and pool; base and id are filled in.  OUT_OF_MEMORY. */
CUresult memory_allocate(struct memory_range *range, size_t alignment);

/* Adds host memory or a mapping.  HOST_MEMORY_ALREADY_REGISTERED where it overlaps a known range. */
CUresult memory_register(const struct memory_range *range);

/* Takes the range that starts at 'base' out of the table, if its kind is in the mask, and frees arena memory. */
CUresult memory_free(uint64_t base, unsigned kind_mask, struct memory_range *ret_range);
#define MEMORY_MASK(kind) (1u << (kind))

/* The range that holds 'address', copied. */
bool memory_find(uint64_t address, struct memory_range *ret_range);

/* Changes flags of the range that holds 'address'; false when there is none. */
bool memory_set_synchronous(uint64_t address, bool synchronous);

/* What cuMemSetAccess says of the MEMORY_MAPPED range that starts at 'base'. */
void memory_set_access(uint64_t base, uint32_t devices);

/* Sets a flag of the MEMORY_GRAPH range that starts at 'base'; false: there is none, or it had that value. */
bool memory_set_live(uint64_t base, bool live);
bool memory_set_free_node(uint64_t base, bool has_free_node);

/* Of a device's MEMORY_GRAPH: bytes that are live, bytes that there are, and the most of both since
 * memory_graph_forget(). */
struct memory_graph_usage {
	uint64_t used, used_high;
	uint64_t reserved, reserved_high;
};
struct memory_graph_usage memory_graph_usage(CUdevice device);
void memory_graph_forget(CUdevice device, bool used, bool reserved);

/* Frees all that a context owns, host memory that it allocated included. */
void memory_release_owned(struct context *context);

/* Nobody frees memory between lock and unlock. */
void memory_lock(void);
void memory_unlock(void);

enum memory_class {
	MEMORY_CLASS_UNKNOWN, /* pageable host memory, or nothing at all */
	MEMORY_CLASS_HOST,    /* wholly inside pinned or registered memory */
	MEMORY_CLASS_DEVICE,  /* wholly inside one allocation of the arena, or mappings side by side */
	MEMORY_CLASS_INVALID, /* in the arena but not allocated, or over the end of a range */
};

/* What [address, address + bytes) is.  Under memory_lock() the answer stays true. */
enum memory_class memory_classify(uint64_t address, uint64_t bytes);

/* The program wants every operation on the memory at 'address' to be synchronous.  Under memory_lock(). */
bool memory_is_synchronous(uint64_t address);

/* The engine's view. */
void memory_engine_fill(struct engine_memory *memory);

/*
 * The device whose memory the engine takes in this thread, for the module that it loads or the grid that it launches.
 * Device 0 unless it was said; the heap of device malloc(), which all devices share, is device 0's.
 */
void memory_engine_device_set(CUdevice device);

#endif
