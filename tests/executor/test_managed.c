/* SPDX-License-Identifier: Apache-2.0 */
/* Machine code whose managed variables are moved: what comes of it, what is refused, and files that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "managed_elf.h"
#include "managed_file.h"
#include "vgpu_managed.h"

/* Of the exact size, so that a sanitizer sees every access beyond. */
static CUresult move(struct managed_file *file, uint8_t **ret_memory, uint64_t *ret_bytes)
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

static CUresult move_only(struct managed_file *file)
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
	struct managed_file file = managed_file_make();
	const struct managed_file before = file;
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
	struct managed_file file = managed_file_make();
	struct managed_file before;

	(void)state;
	for (size_t i = 0; i < SYMBOL_COUNT; i++)
		file.symbols[i].st_other = 0;
	before = file;
	assert_int_equal(move_only(&file), CUDA_SUCCESS);
	assert_memory_equal(&file, &before, sizeof(file));
}

static void what_is_unknown_is_refused(void **state)
{
	struct managed_file file = managed_file_make();

	(void)state;
	file.constant_relocations[0].r_info = ELF64_R_INFO((uint64_t)SYMBOL_NUMBER, RELOCATION_32);
	assert_int_equal(move_only(&file), CUDA_ERROR_NOT_SUPPORTED);
	/* The initial value of a variable that is moved is where another is that is not. */
	file = managed_file_make();
	file.init_relocations[0].r_info = ELF64_R_INFO((uint64_t)SYMBOL_PLAIN, RELOCATION_64);
	assert_int_equal(move_only(&file), CUDA_ERROR_NOT_SUPPORTED);
	/* All of a section, of which only some is moved. */
	file = managed_file_make();
	file.constant_relocations[1].r_info = ELF64_R_INFO((uint64_t)SYMBOL_SECTION, RELOCATION_64);
	assert_int_equal(move_only(&file), CUDA_ERROR_NOT_SUPPORTED);
	/* Half of an addend cannot be added to. */
	file = managed_file_make();
	file.sections[SECTION_TEXT_RELOCATIONS].sh_type = SHT_REL;
	file.sections[SECTION_TEXT_RELOCATIONS].sh_entsize = sizeof(Elf64_Rel);
	file.sections[SECTION_TEXT_RELOCATIONS].sh_size = sizeof(Elf64_Rel);
	assert_int_equal(move_only(&file), CUDA_ERROR_NOT_SUPPORTED);
}

static void lies_are_refused(void **state)
{
	struct managed_file file = managed_file_make();

	(void)state;
	file.symbols[SYMBOL_NUMBER].st_value = sizeof(file.init) - 3;
	assert_int_equal(move_only(&file), CUDA_ERROR_INVALID_IMAGE);
	file = managed_file_make();
	file.symbols[SYMBOL_ZERO].st_size = UINT64_MAX - 2;
	assert_int_equal(move_only(&file), CUDA_ERROR_INVALID_IMAGE);
	file = managed_file_make();
	file.symbols[SYMBOL_ZERO].st_shndx = SECTION_COUNT;
	assert_int_equal(move_only(&file), CUDA_ERROR_INVALID_IMAGE);
	file = managed_file_make();
	file.symbols[SYMBOL_NUMBER].st_name = sizeof(file.names);
	assert_int_equal(move_only(&file), CUDA_ERROR_INVALID_IMAGE);
	file = managed_file_make();
	file.constant_relocations[0].r_offset = sizeof(file.constant) - 7;
	assert_int_equal(move_only(&file), CUDA_ERROR_INVALID_IMAGE);
	file = managed_file_make();
	file.constant_relocations[0].r_offset = UINT64_MAX - 3;
	assert_int_equal(move_only(&file), CUDA_ERROR_INVALID_IMAGE);
	file = managed_file_make();
	file.text_relocations[0].r_info = ELF64_R_INFO((uint64_t)SYMBOL_COUNT, RELOCATION_LOW);
	assert_int_equal(move_only(&file), CUDA_ERROR_INVALID_IMAGE);
	file = managed_file_make();
	file.sections[SECTION_ZERO].sh_addralign = 24;
	assert_int_equal(move_only(&file), CUDA_ERROR_INVALID_IMAGE);
	file = managed_file_make();
	file.sections[SECTION_CONSTANT_RELOCATIONS].sh_info = SECTION_COUNT;
	assert_int_equal(move_only(&file), CUDA_ERROR_INVALID_IMAGE);
}

/* Relocations that write over the headers: the driver is not to read what comes of it. */
static void headers_are_not_written_over(void **state)
{
	struct managed_file file = managed_file_make();

	(void)state;
	file.sections[SECTION_CONSTANT].sh_offset = offsetof(struct managed_file, sections[SECTION_NAMES].sh_offset);
	file.constant_relocations[0].r_offset = 0;
	assert_int_equal(move_only(&file), CUDA_ERROR_INVALID_IMAGE);
}

/* With a byte or two changed anything may come of it, but no access beyond the file or the memory. */
static void damage_is_harmless(void **state)
{
	const struct managed_file sound = managed_file_make();
	uint32_t seed = 1;

	(void)state;
	for (size_t place = 0; place < sizeof(sound); place++) {
		for (size_t turn = 0; turn < 4; turn++) {
			struct managed_file file = sound;

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
