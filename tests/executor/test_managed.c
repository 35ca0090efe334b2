/* SPDX-License-Identifier: Apache-2.0 */
/* Machine code whose managed variables are moved: what comes of it, what is refused, and files that lie. */
#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "managed_elf.h"
#include "vgpu_managed.h"

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
struct file {
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

#define SECTION(section_type, member, section_flags, link, info, entry)                                           \
	{                                                                                                         \
		.sh_type = (section_type), .sh_offset = offsetof(struct file, member),                            \
		.sh_size = sizeof(((struct file *)NULL)->member), .sh_flags = (section_flags), .sh_link = (link), \
		.sh_info = (info), .sh_entsize = (entry), .sh_addralign = 8,                                      \
	}

#define VARIABLE(name, other, section, value, size)                                                       \
	{                                                                                                 \
		.st_name = (name), .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT), .st_other = (other), \
		.st_shndx = (section), .st_value = (value), .st_size = (size),                            \
	}

static struct file file_make(void)
{
	struct file file = {
		.header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1},
			   .e_shoff = offsetof(struct file, sections),
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

/* Of the exact size, so that a sanitizer sees every access beyond. */
static CUresult move(struct file *file, uint8_t **ret_memory, uint64_t *ret_bytes)
{
	uint8_t *copy = malloc(sizeof(*file));
	struct managed_elf managed;
	uint8_t *memory = NULL;
	CUresult result;

	assert_non_null(copy);
	memcpy(copy, file, sizeof(*file));
	result = managed_elf_find(copy, sizeof(*file), &managed);
	if (!result && managed.count) {
		/* Lies may ask for more than there is. */
		memory = managed.bytes < 1u << 20 ? malloc(managed.bytes) : NULL;
		result = memory ? managed_elf_place(&managed, (uintptr_t)memory) : CUDA_ERROR_OUT_OF_MEMORY;
	}
	*ret_bytes = managed.bytes;
	managed_elf_release(&managed);
	memcpy(file, copy, sizeof(*file));
	free(copy);
	*ret_memory = memory;
	return result;
}

static CUresult move_only(struct file *file)
{
	uint64_t bytes;
	uint8_t *memory;
	CUresult result = move(file, &memory, &bytes);

	free(memory);
	return result;
}

/* Where the table says that it is. */
static uint64_t place_of(const uint8_t *memory, const char *name)
{
	const struct vgpu_managed_table *table = (const void *)memory;

	for (uint32_t i = 0; i < table->count; i++) {
		const struct vgpu_managed_variable *variable = &table->variables[i];

		assert_int_equal(strlen((const char *)memory + variable->name_offset), variable->name_bytes);
		if (strcmp((const char *)memory + variable->name_offset, name) == 0)
			return (uintptr_t)memory + variable->offset;
	}
	fail_msg("no variable %s", name);
	return 0;
}

static void variables_are_moved(void **state)
{
	struct file file = file_make();
	const struct file before = file;
	uint64_t number, zero, pointer, bytes;
	uint8_t *memory;

	(void)state;
	assert_int_equal(move(&file, &memory, &bytes), CUDA_SUCCESS);
	number = place_of(memory, "number");
	zero = place_of(memory, "zero");
	pointer = place_of(memory, "pointer");
	assert_int_equal(((struct vgpu_managed_table *)memory)->count, 3);
	/* Each is aligned as in its section, and has its value: an address of the others included. */
	assert_int_equal(number % 8, 4);
	assert_int_equal(pointer % 8, 0);
	assert_int_equal(*(uint32_t *)(uintptr_t)number, 42);
	assert_int_equal(*(uint64_t *)(uintptr_t)pointer, number + 5);
	for (size_t i = 0; i < 36; i++)
		assert_int_equal(((uint8_t *)(uintptr_t)zero)[i], 0);
	/* The code has the addresses, and other relocations stay. */
	assert_int_equal(file.constant[0], number);
	assert_int_equal(file.constant[1], 0);
	assert_int_equal(file.constant[2], zero + 12);
	assert_int_equal(file.constant[3], pointer);
	assert_int_equal(file.text[0][1], (uint32_t)zero);
	assert_int_equal(file.text[1][1], zero >> 32);
	assert_int_equal(file.text[0][0], before.text[0][0]);
	assert_int_equal(file.text[0][2], before.text[0][2]);
	assert_int_equal(file.sections[SECTION_CONSTANT_RELOCATIONS].sh_size, sizeof(Elf64_Rela));
	assert_memory_equal(&file.constant_relocations[0], &before.constant_relocations[1], sizeof(Elf64_Rela));
	assert_int_equal(file.sections[SECTION_TEXT_RELOCATIONS].sh_size, 0);
	assert_int_equal(file.sections[SECTION_INIT_RELOCATIONS].sh_size, 0);
	assert_int_equal(file.sections[SECTION_DEBUG_RELOCATIONS].sh_size, sizeof(Elf64_Rela));
	assert_int_equal(file.symbols[SYMBOL_NUMBER].st_other | file.symbols[SYMBOL_ZERO].st_other, 0);
	free(memory);
}

static void without_variables_nothing_happens(void **state)
{
	struct file file = file_make();
	struct file before;

	(void)state;
	for (size_t i = 0; i < SYMBOL_COUNT; i++)
		file.symbols[i].st_other = 0;
	before = file;
	assert_int_equal(move_only(&file), CUDA_SUCCESS);
	assert_memory_equal(&file, &before, sizeof(file));
}

static void what_is_unknown_is_refused(void **state)
{
	struct file file = file_make();

	(void)state;
	file.constant_relocations[0].r_info = ELF64_R_INFO((uint64_t)SYMBOL_NUMBER, RELOCATION_32);
	assert_int_equal(move_only(&file), CUDA_ERROR_NOT_SUPPORTED);
	/* The initial value of a variable that is moved is where another is that is not. */
	file = file_make();
	file.init_relocations[0].r_info = ELF64_R_INFO((uint64_t)SYMBOL_PLAIN, RELOCATION_64);
	assert_int_equal(move_only(&file), CUDA_ERROR_NOT_SUPPORTED);
	/* All of a section, of which only some is moved. */
	file = file_make();
	file.constant_relocations[1].r_info = ELF64_R_INFO((uint64_t)SYMBOL_SECTION, RELOCATION_64);
	assert_int_equal(move_only(&file), CUDA_ERROR_NOT_SUPPORTED);
	/* Half of an addend cannot be added to. */
	file = file_make();
	file.sections[SECTION_TEXT_RELOCATIONS].sh_type = SHT_REL;
	file.sections[SECTION_TEXT_RELOCATIONS].sh_entsize = sizeof(Elf64_Rel);
	file.sections[SECTION_TEXT_RELOCATIONS].sh_size = sizeof(Elf64_Rel);
	assert_int_equal(move_only(&file), CUDA_ERROR_NOT_SUPPORTED);
}

static void lies_are_refused(void **state)
{
	struct file file = file_make();

	(void)state;
	file.symbols[SYMBOL_NUMBER].st_value = sizeof(file.init) - 3;
	assert_int_equal(move_only(&file), CUDA_ERROR_INVALID_IMAGE);
	file = file_make();
	file.symbols[SYMBOL_ZERO].st_size = UINT64_MAX - 2;
	assert_int_equal(move_only(&file), CUDA_ERROR_INVALID_IMAGE);
	file = file_make();
	file.symbols[SYMBOL_ZERO].st_shndx = SECTION_COUNT;
	assert_int_equal(move_only(&file), CUDA_ERROR_INVALID_IMAGE);
	file = file_make();
	file.symbols[SYMBOL_NUMBER].st_name = sizeof(file.names);
	assert_int_equal(move_only(&file), CUDA_ERROR_INVALID_IMAGE);
	file = file_make();
	file.constant_relocations[0].r_offset = sizeof(file.constant) - 7;
	assert_int_equal(move_only(&file), CUDA_ERROR_INVALID_IMAGE);
	file = file_make();
	file.constant_relocations[0].r_offset = UINT64_MAX - 3;
	assert_int_equal(move_only(&file), CUDA_ERROR_INVALID_IMAGE);
	file = file_make();
	file.text_relocations[0].r_info = ELF64_R_INFO((uint64_t)SYMBOL_COUNT, RELOCATION_LOW);
	assert_int_equal(move_only(&file), CUDA_ERROR_INVALID_IMAGE);
	file = file_make();
	file.sections[SECTION_ZERO].sh_addralign = 24;
	assert_int_equal(move_only(&file), CUDA_ERROR_INVALID_IMAGE);
	file = file_make();
	file.sections[SECTION_CONSTANT_RELOCATIONS].sh_info = SECTION_COUNT;
	assert_int_equal(move_only(&file), CUDA_ERROR_INVALID_IMAGE);
}

/* Relocations that write over the headers: the driver is not to read what comes of it. */
static void headers_are_not_written_over(void **state)
{
	struct file file = file_make();

	(void)state;
	file.sections[SECTION_CONSTANT].sh_offset = offsetof(struct file, sections[SECTION_NAMES].sh_offset);
	file.constant_relocations[0].r_offset = 0;
	assert_int_equal(move_only(&file), CUDA_ERROR_INVALID_IMAGE);
}

/* With a byte or two changed anything may come of it, but no access beyond the file or the memory. */
static void damage_is_harmless(void **state)
{
	const struct file sound = file_make();
	uint32_t seed = 1;

	(void)state;
	for (size_t place = 0; place < sizeof(sound); place++) {
		for (size_t turn = 0; turn < 4; turn++) {
			struct file file = sound;

			seed = seed * 1664525 + 1013904223;
			((uint8_t *)&file)[place] ^= (uint8_t)(seed >> 24 | 1);
			if (turn & 1)
				((uint8_t *)&file)[seed % sizeof(file)] = (uint8_t)(seed >> 16);
			(void)move_only(&file);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(variables_are_moved),		cmocka_unit_test(without_variables_nothing_happens),
		cmocka_unit_test(what_is_unknown_is_refused),	cmocka_unit_test(lies_are_refused),
		cmocka_unit_test(headers_are_not_written_over), cmocka_unit_test(damage_is_harmless),
	};

	return cmocka_run_group_tests_name("managed variables of machine code", tests, NULL, NULL);
}
