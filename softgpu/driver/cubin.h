/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our machine code: an ELF file that has its PTX texts in sections of their own.  The linker makes one of texts with
 * managed variables, laid out as in NVIDIA's files: each managed variable is a symbol of .nv.global.init, and its
 * address a word of .nv.constant4, in the order of the symbols, with a relocation.  Where a word has no relocation it
 * is the address of memory that has the variable's value already.
 */
#ifndef SOFTGPU_DRIVER_CUBIN_H
#define SOFTGPU_DRIVER_CUBIN_H

#include "image.h"

#define CUBIN_MAGIC \
	"\x7f"      \
	"ELF\x02\x01\x01\xff"	  /* the last one is the ABI: no GPU's */
#define CUBIN_MACHINE	      190 /* EM_CUDA */
#define CUBIN_SYMBOL_MANAGED  4	  /* in st_other */
#define CUBIN_RELOCATION_64   2
#define CUBIN_TEXT_SECTION    ".softgpu.ptx"
#define CUBIN_VALUES_SECTION  ".nv.global.init"
#define CUBIN_ADDRESS_SECTION ".nv.constant4"

/*
 * Of a file that begins with CUBIN_MAGIC, and has the bytes that its headers promise: adds its texts and placements.
 * INVALID_IMAGE where it is damaged.
 */
CUresult cubin_read(const void *data, struct image *image);

/* The file of texts that have been loaded as 'module', which has managed variables. */
CUresult cubin_write(const struct image *image, const struct engine_module *module, void **ret_data, size_t *ret_bytes);

#endif
