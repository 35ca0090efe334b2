/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Managed variables of machine code (a cubin).
 *
 * As nvcc's tools write them (observed with CUDA 13.0, sm_75 to sm_120): a managed variable is a symbol of .nv.global
 * or .nv.global.init with a bit of its own in st_other, and all code and data reach it through relocations. So it is
 * moved by resolving those relocations here and taking the bit away: the driver then knows of no managed variable,
 * and what the code uses lies where we want it. A copy that nothing names stays in the device's memory.
 *
 * The file comes from a guest, maybe packed: all of it is checked here, first by image_elf_is_sound().
 */
#ifndef EXECUTOR_MANAGED_ELF_H
#define EXECUTOR_MANAGED_ELF_H

#include <elf.h>
#include <stddef.h>
#include <stdint.h>

#include "cuda_abi.h"

#define MANAGED_VARIABLES_MAX 4096

struct managed_variable {
	uint64_t symbol; /* its index */
	uint64_t value;	 /* where it is in its section */
	uint64_t bytes;
	uint64_t offset; /* in the memory of vgpu_managed.h */
	const char *name;
	uint32_t section;
	uint32_t name_bytes;
	uint32_t name_offset;
};

struct managed_elf {
	uint8_t *elf;
	size_t elf_bytes;
	Elf64_Shdr *sections;
	size_t section_count;
	uint64_t sections_offset;
	size_t symbols;		   /* the section; 0: none */
	unsigned int finished_for; /* code beside the usual one is for others than this architecture (90 of sm_90); 0:
				      there is none */
	struct managed_variable *variables; /* by symbol */
	size_t count;
	uint64_t bytes;	 /* of the memory that they need with their table */
	const char *why; /* CUDA_ERROR_NOT_SUPPORTED: for the log */
};

/*
 * Finds the variables and gives them their places; 'count' is 0 if there are none. 'elf' has to stay where it is.
 * CUDA_ERROR_NOT_SUPPORTED: they cannot be moved. CUDA_ERROR_INVALID_IMAGE: the file contradicts itself.
 * managed_elf_release() in any case, which leaves the file to the caller.
 */
CUresult managed_elf_find(uint8_t *elf, size_t bytes, struct managed_elf *ret_managed);

/*
 * Moves them into the memory at 'address', which has that many bytes: rewrites the file, and writes the table and the
 * initial values. Once, and the file is of no use if it fails.
 */
CUresult managed_elf_place(struct managed_elf *managed, uint64_t address);

void managed_elf_release(struct managed_elf *managed);

#endif
