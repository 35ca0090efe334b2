/* SPDX-License-Identifier: Apache-2.0 */
/* Machine code with managed variables, as small as it can be. */
#ifndef TEST_EXECUTOR_MANAGED_FILE_H
#define TEST_EXECUTOR_MANAGED_FILE_H

#include <elf.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SYMBOL_MANAGED 4

/* NVIDIA's numbers. */
#define RELOCATION_32	   1
#define RELOCATION_64	   2
#define RELOCATION_GENERIC 4
#define RELOCATION_LOW	   0x38
#define RELOCATION_HIGH	   0x39

enum {
	SECTION_NULL,
	SECTION_NAMES,
	SECTION_SYMBOLS,
	SECTION_CONSTANT,
	SECTION_TEXT,
	SECTION_INIT,
	SECTION_ZERO,
	SECTION_CONSTANT_RELOCATIONS,
	SECTION_TEXT_RELOCATIONS,
	SECTION_INIT_RELOCATIONS,
	SECTION_DEBUG,
	SECTION_DEBUG_RELOCATIONS,
	SECTION_COUNT,
};

enum { SYMBOL_NULL, SYMBOL_SECTION, SYMBOL_NUMBER, SYMBOL_PLAIN, SYMBOL_ZERO, SYMBOL_POINTER, SYMBOL_COUNT };

/* As nvcc lays them out: a word of a constant bank for each address, or two instructions. */
struct managed_file {
	Elf64_Ehdr header;
	Elf64_Shdr sections[SECTION_COUNT];
	char names[64];
	Elf64_Sym symbols[SYMBOL_COUNT];
	uint64_t constant[4];
	uint32_t text[2][4];
	uint8_t init[24]; /* number at 4, plain at 8, pointer at 16 */
	Elf64_Rela constant_relocations[4];
	Elf64_Rela text_relocations[2];
	Elf64_Rel init_relocations[1];
	uint64_t debug[1];
	Elf64_Rela debug_relocations[1];
};

static const char names[64] = "\0.nv\0number\0plain\0zero\0pointer";
enum { NAME_NUMBER = 5, NAME_PLAIN = 12, NAME_ZERO = 18, NAME_POINTER = 23 };

#define SECTION(section_type, member, section_flags, link, info, entry)                                \
	{                                                                                              \
		.sh_type = (section_type), .sh_offset = offsetof(struct managed_file, member),         \
		.sh_size = sizeof(((struct managed_file *)NULL)->member), .sh_flags = (section_flags), \
		.sh_link = (link), .sh_info = (info), .sh_entsize = (entry), .sh_addralign = 8,        \
	}

#define VARIABLE(name, other, section, value, size)                                                       \
	{                                                                                                 \
		.st_name = (name), .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT), .st_other = (other), \
		.st_shndx = (section), .st_value = (value), .st_size = (size),                            \
	}

static inline struct managed_file managed_file_make(void)
{
	struct managed_file file = {
		.header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1},
			   .e_shoff = offsetof(struct managed_file, sections),
			   .e_shentsize = sizeof(Elf64_Shdr),
			   .e_shnum = SECTION_COUNT,
			   .e_shstrndx = SECTION_NAMES,
			   .e_flags = 0x6005a04},
		.sections = {[SECTION_NAMES] = SECTION(SHT_STRTAB, names, 0, 0, 0, 0),
			     [SECTION_SYMBOLS] = SECTION(SHT_SYMTAB, symbols, 0, SECTION_NAMES, 2, sizeof(Elf64_Sym)),
			     [SECTION_CONSTANT] = SECTION(SHT_PROGBITS, constant, SHF_ALLOC, 0, 0, 0),
			     [SECTION_TEXT] = SECTION(SHT_PROGBITS, text, SHF_ALLOC, 0, 0, 0),
			     [SECTION_INIT] = SECTION(SHT_PROGBITS, init, SHF_ALLOC, 0, 0, 0),
			     [SECTION_ZERO] =
				     {.sh_type = SHT_NOBITS, .sh_size = 40, .sh_flags = SHF_ALLOC, .sh_addralign = 4},
			     [SECTION_CONSTANT_RELOCATIONS] =
				     SECTION(SHT_RELA, constant_relocations, 0, SECTION_SYMBOLS, SECTION_CONSTANT,
					     sizeof(Elf64_Rela)),
			     [SECTION_TEXT_RELOCATIONS] = SECTION(SHT_RELA, text_relocations, 0, SECTION_SYMBOLS,
								  SECTION_TEXT, sizeof(Elf64_Rela)),
			     [SECTION_INIT_RELOCATIONS] = SECTION(SHT_REL, init_relocations, 0, SECTION_SYMBOLS,
								  SECTION_INIT, sizeof(Elf64_Rel)),
			     [SECTION_DEBUG] = SECTION(SHT_PROGBITS, debug, 0, 0, 0, 0),
			     [SECTION_DEBUG_RELOCATIONS] = SECTION(SHT_RELA, debug_relocations, 0, SECTION_SYMBOLS,
								   SECTION_DEBUG, sizeof(Elf64_Rela))},
		.symbols = {[SYMBOL_SECTION] = {.st_info = ELF64_ST_INFO(STB_LOCAL, STT_SECTION),
						.st_shndx = SECTION_INIT},
			    [SYMBOL_NUMBER] = VARIABLE(NAME_NUMBER, SYMBOL_MANAGED, SECTION_INIT, 4, 4),
			    [SYMBOL_PLAIN] = VARIABLE(NAME_PLAIN, 0, SECTION_INIT, 8, 4),
			    [SYMBOL_ZERO] = VARIABLE(NAME_ZERO, SYMBOL_MANAGED, SECTION_ZERO, 4, 36),
			    [SYMBOL_POINTER] = VARIABLE(NAME_POINTER, SYMBOL_MANAGED, SECTION_INIT, 16, 8)},
		.init = {[4] = 42, [8] = 9, [16] = 5},
		.text = {{0x7802, 0xdead, 1, 2}, {0x7802, 0xdead, 3, 4}},
		.constant_relocations = {{0, ELF64_R_INFO((uint64_t)SYMBOL_NUMBER, RELOCATION_64), 0},
					 {8, ELF64_R_INFO((uint64_t)SYMBOL_PLAIN, RELOCATION_64), 0},
					 {16, ELF64_R_INFO((uint64_t)SYMBOL_ZERO, RELOCATION_GENERIC), 12},
					 {24, ELF64_R_INFO((uint64_t)SYMBOL_POINTER, RELOCATION_64), 0}},
		.text_relocations = {{0, ELF64_R_INFO((uint64_t)SYMBOL_ZERO, RELOCATION_LOW), 0},
				     {16, ELF64_R_INFO((uint64_t)SYMBOL_ZERO, RELOCATION_HIGH), 0}},
		.init_relocations = {{16, ELF64_R_INFO((uint64_t)SYMBOL_NUMBER, RELOCATION_64)}},
		.debug_relocations = {{0, ELF64_R_INFO((uint64_t)SYMBOL_NUMBER, RELOCATION_64), 0}},
	};

	memcpy(file.names, names, sizeof(names));
	return file;
}

#endif
