/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lies where: a map of the addresses that the program got from the library,
 * by which untyped pointers are told apart.  Thread safe; a lookup takes a lock
 * for the time of a binary search.
 */
#ifndef VGPU_MEMORY_MAP_H
#define VGPU_MEMORY_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "cuda_abi.h"

enum memory_kind {
	MEMORY_NONE = 0,
	MEMORY_DEVICE,	   /* cuMemAlloc */
	MEMORY_POOL,	   /* cuMemAllocAsync */
	MEMORY_GRAPH,	   /* of a graph, whose launches allocate it at the same address */
	MEMORY_GLOBAL,	   /* a variable of a module */
	MEMORY_MAPPED,	   /* cuMemMap; the owner is the memory handle */
	MEMORY_OPENED,	   /* another process's, cuIpcOpenMemHandle */
	MEMORY_MANAGED,	   /* cuMemAllocManaged: shared with the executor, at the same address */
	MEMORY_MIRRORED,   /* the same where none can be shared: the device's, with pages here (mirror.h) */
	MEMORY_PINNED,	   /* shared with the executor, at the same address */
	MEMORY_PLAIN,	   /* asked for as pinned, but the executor cannot reach it */
	MEMORY_REGISTERED, /* the program's own, cuMemHostRegister; the executor cannot reach it */
	MEMORY_MOVED,	   /* the same, in pages that are now shared with the executor (registered.c) */
};

/* What cuMemAdvise and cuMemPrefetchAsync said of managed memory; a location of type INVALID: nothing. */
struct memory_advice {
	bool is_read_mostly;
	bool is_host_accessing; /* cuMemAdvise, ACCESSED_BY */
	uint64_t accessing;	/* devices, a bit each */
	CUmemLocation preferred;
	CUmemLocation prefetched; /* last */
};

/* CU_POINTER_ATTRIBUTE_SYNC_MEMOPS. */
enum memory_synchrony {
	SYNCHRONY_USUAL, /* the program has said nothing */
	SYNCHRONY_OFF,
	SYNCHRONY_ON, /* synchronous operations on the memory wait, also those that need not */
};

struct memory_range {
	uint64_t address;
	uint64_t bytes;
	uint64_t id; /* unique in the process: CU_POINTER_ATTRIBUTE_BUFFER_ID */
	enum memory_kind kind;
	uint32_t context; /* wire id, 0: outlives contexts */
	uint32_t owner;	  /* wire id of a variable's module or library, or of a mapping's memory handle */
	uint32_t flags;	  /* of cuMemHostAlloc or cuMemHostRegister */
	CUdevice device;
	enum memory_synchrony synchrony;
	struct memory_advice advice;
};

static inline bool memory_kind_is_device(enum memory_kind kind)
{
	return kind == MEMORY_DEVICE || kind == MEMORY_POOL || kind == MEMORY_GRAPH || kind == MEMORY_GLOBAL ||
	       kind == MEMORY_MAPPED || kind == MEMORY_OPENED || kind == MEMORY_MIRRORED;
}

static inline bool memory_kind_is_managed(enum memory_kind kind)
{
	return kind == MEMORY_MANAGED || kind == MEMORY_MIRRORED;
}

/* The same bytes at the same address here and in the executor. */
static inline bool memory_kind_is_shared(enum memory_kind kind)
{
	return kind == MEMORY_PINNED || kind == MEMORY_MANAGED || kind == MEMORY_MOVED;
}

/* Notes a range, whose id is set here; one that it overlaps is stale, and forgotten. */
CUresult memory_note(const struct memory_range *range);
CUresult memory_note_global(uint64_t address, uint64_t bytes, CUdevice device, uint32_t context, uint32_t owner);

/* The range that the address lies in; false: none. */
bool memory_lookup(uint64_t address, struct memory_range *ret_range);

/* Sets the advice of the range that the address lies in; false: none. */
bool memory_advise(uint64_t address, const struct memory_advice *advice);

/* Sets the synchrony of the range that the address lies in; false: none. */
bool memory_set_synchrony(uint64_t address, enum memory_synchrony synchrony);

/* Is all of [address, address + bytes) in ranges that a device reaches? They may lie side by side. */
bool memory_is_spanned(uint64_t address, uint64_t bytes);

/* Does any range overlap [address, address + bytes)? */
bool memory_overlaps(uint64_t address, uint64_t bytes);

/* Removes the range that begins at the address if its kind is one of the mask (1 << kind); false: there is none. */
bool memory_remove(uint64_t address, unsigned int kinds, struct memory_range *ret_range);

/* Removes a range of the context if its kind is one of the mask; false: there is none. */
bool memory_remove_of_context(uint32_t context, unsigned int kinds, struct memory_range *ret_range);

void memory_forget_context(uint32_t context);
void memory_forget_owner(uint32_t owner);

/*
 * Must a synchronous operation on it have ended when it returns? Where the program can look at the memory while the
 * device works on it, and where the program says so.
 */
bool memory_is_synchronous(uint64_t address);

/* Is it device memory, as far as anybody can tell? */
bool memory_is_device(uint64_t address);

/* Does memory of a graph begin there? Only the host knows whether it is allocated at the time. */
bool memory_is_of_graph(uint64_t address);

#endif
