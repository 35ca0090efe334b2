/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtual memory management: handles of physical memory.
 *
 * A handle's object lives as long as the program holds it or has it mapped, and
 * the host's handle as long as the object: that is how long the memory lives in
 * any case, and so a handle can be retained through a mapping without the host.
 */
#ifndef VGPU_VIRTUAL_H
#define VGPU_VIRTUAL_H

#include "object.h"

/* object.words of a memory handle; under the lock of virtual.c. */
enum memory_handle_word {
	MEMORY_HANDLE_BYTES,
	MEMORY_HANDLE_DEVICE,
	MEMORY_HANDLE_COMPRESSION, /* and what it is for, from bit 16 on */
	MEMORY_HANDLE_TYPES,	   /* of handles for other processes */
	MEMORY_HANDLE_REFERENCES,  /* that the program has to release */
	MEMORY_HANDLE_MAPPINGS,
};

/* For what the executor keeps count of; CUDA_ERROR_INVALID_VALUE: there is none that the program holds. */
CUresult memory_handle_id(CUmemGenericAllocationHandle handle, uint32_t *ret_id);

/* The handle's object, which a mapping that is being made holds; CUDA_ERROR_INVALID_VALUE: there is none. */
CUresult memory_handle_map(CUmemGenericAllocationHandle handle, struct object **ret_object);
/* The mapping has ended, or was not made. */
CUresult memory_handle_unmap(uint32_t context, struct object *object);

/* What the program learns as a handle, of an object that nobody else knows yet. */
CUmemGenericAllocationHandle memory_handle_publish(struct object *object, uint64_t bytes,
						   const CUmemAllocationProp *properties);

#endif
