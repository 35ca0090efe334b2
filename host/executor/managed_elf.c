/* SPDX-License-Identifier: Apache-2.0 */
#include "managed_elf.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "image_check.h"
#include "vgpu_managed.h"

/* In st_other, beside the visibility (cuda-gdb's sources call it STO_CUDA_MANAGED). */
#define SYMBOL_MANAGED 4u

/* Relocations by an address: a word of 64 bits, and half of one in an instruction's second word (volta and later). */
#define RELOCATION_64	      2u
#define RELOCATION_GENERIC_64 4u
#define RELOCATION_CODE_LOW   0x38u
#define RELOCATION_CODE_HIGH  0x39u
#define CODE_BYTES	      16u
#define CODE_IMMEDIATE_OFFSET 4u

/* Code that the driver finishes for another GPU of the family when it loads it has symbols of its own. */
#define SECTION_MERCURY_SYMBOLS	 0x70000085u
#define FLAGS_ARCHITECTURE_SHIFT 8
#define FLAGS_ARCHITECTURE_MASK	 0xffu

#define VARIABLE_ALIGNMENT_MAX 4096u
#define VARIABLES_ALIGNMENT    256u

/* Of the file as it came: what is written into it may lie over its headers. */
static const Elf64_Shdr *section_at(const struct managed_elf *managed, size_t index)
{
	return &managed->sections[index];
}

static CUresult sections_read(struct managed_elf *managed)
{
	Elf64_Ehdr header;

	memcpy(&header, managed->elf, sizeof(header));
	if (header.e_shnum == 0)
		return CUDA_SUCCESS;
	managed->sections = calloc(header.e_shnum, sizeof(*managed->sections));
	if (!managed->sections)
		return CUDA_ERROR_OUT_OF_MEMORY;
	managed->section_count = header.e_shnum;
	managed->sections_offset = header.e_shoff;
	memcpy(managed->sections, managed->elf + header.e_shoff, header.e_shnum * sizeof(*managed->sections));
	for (size_t i = 0; i < managed->section_count; i++) {
		if (managed->sections[i].sh_type == SECTION_MERCURY_SYMBOLS)
			managed->finished_for = header.e_flags >> FLAGS_ARCHITECTURE_SHIFT & FLAGS_ARCHITECTURE_MASK;
	}
	return CUDA_SUCCESS;
}

static Elf64_Sym symbol_read(const struct managed_elf *managed, const Elf64_Shdr *symbols, uint64_t index)
{
	Elf64_Sym symbol;

	memcpy(&symbol, managed->elf + symbols->sh_offset + index * sizeof(symbol), sizeof(symbol));
	return symbol;
}

static CUresult refuse(struct managed_elf *managed, const char *why)
{
	managed->why = why;
	return CUDA_ERROR_NOT_SUPPORTED;
}

/* The table of symbols; a file may have none. */
static CUresult symbols_find(struct managed_elf *managed)
{
	for (size_t i = 0; i < managed->section_count; i++) {
		const Elf64_Shdr *section = section_at(managed, i);

		if (section->sh_type != SHT_SYMTAB)
			continue;
		if (managed->symbols || i == 0 || section->sh_entsize != sizeof(Elf64_Sym) ||
		    section->sh_size % sizeof(Elf64_Sym) ||
		    section_at(managed, section->sh_link)->sh_type != SHT_STRTAB)
			return CUDA_ERROR_INVALID_IMAGE;
		managed->symbols = i;
	}
	return CUDA_SUCCESS;
}

static bool is_managed(const Elf64_Sym *symbol)
{
	return (symbol->st_other & SYMBOL_MANAGED) && ELF64_ST_TYPE(symbol->st_info) == STT_OBJECT;
}

static CUresult variable_read(struct managed_elf *managed, const Elf64_Shdr *symbols, uint64_t index)
{
	struct managed_variable *variable = &managed->variables[managed->count];
	Elf64_Sym symbol = symbol_read(managed, symbols, index);
	const Elf64_Shdr *names = section_at(managed, symbols->sh_link);
	const Elf64_Shdr *section;
	size_t name_bytes;

	if (symbol.st_shndx == SHN_UNDEF || symbol.st_shndx >= managed->section_count ||
	    symbol.st_name >= names->sh_size)
		return CUDA_ERROR_INVALID_IMAGE;
	section = section_at(managed, symbol.st_shndx);
	if (section->sh_type != SHT_PROGBITS && section->sh_type != SHT_NOBITS)
		return refuse(managed, "one is in a section of an unknown kind");
	if (symbol.st_value > section->sh_size || symbol.st_size > section->sh_size - symbol.st_value)
		return CUDA_ERROR_INVALID_IMAGE;
	/* The table of names ends with a NUL (image_check.c). */
	name_bytes = strlen((const char *)managed->elf + names->sh_offset + symbol.st_name);
	*variable = (struct managed_variable){
		.symbol = index,
		.value = symbol.st_value,
		.bytes = symbol.st_size,
		.name = (const char *)managed->elf + names->sh_offset + symbol.st_name,
		.section = symbol.st_shndx,
		.name_bytes = (uint32_t)name_bytes,
	};
	managed->count++;
	return CUDA_SUCCESS;
}

static CUresult variables_read(struct managed_elf *managed, const Elf64_Shdr *symbols)
{
	uint64_t symbol_count = symbols->sh_size / sizeof(Elf64_Sym);
	CUresult result = CUDA_SUCCESS;
	size_t count = 0;

	for (uint64_t i = 0; i < symbol_count; i++) {
		Elf64_Sym symbol = symbol_read(managed, symbols, i);

		count += is_managed(&symbol);
	}
	if (count > MANAGED_VARIABLES_MAX)
		return refuse(managed, "there are too many");
	if (count == 0)
		return CUDA_SUCCESS;
	managed->variables = calloc(count, sizeof(*managed->variables));
	if (!managed->variables)
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (uint64_t i = 0; i < symbol_count && !result; i++) {
		Elf64_Sym symbol = symbol_read(managed, symbols, i);

		if (is_managed(&symbol))
			result = variable_read(managed, symbols, i);
	}
	return result;
}

/* As far from a multiple of the section's alignment as in the section: whatever the variable's own is, it is kept. */
static bool variable_lay_out(const struct managed_elf *managed, struct managed_variable *variable, uint64_t *end)
{
	uint64_t alignment = section_at(managed, variable->section)->sh_addralign;

	if (alignment == 0)
		alignment = 1;
	if (alignment > VARIABLE_ALIGNMENT_MAX || alignment & (alignment - 1))
		return false;
	*end += (variable->value - *end) & (alignment - 1);
	variable->offset = *end;
	return !__builtin_add_overflow(*end, variable->bytes, end);
}

/* The table, the names, the variables. */
static CUresult variables_lay_out(struct managed_elf *managed)
{
	uint64_t end = sizeof(struct vgpu_managed_table) + managed->count * sizeof(struct vgpu_managed_variable);

	for (size_t i = 0; i < managed->count; i++) {
		managed->variables[i].name_offset = (uint32_t)end;
		end += managed->variables[i].name_bytes + 1;
		if (end > UINT32_MAX)
			return refuse(managed, "their names are too long");
	}
	end = (end + VARIABLES_ALIGNMENT - 1) & ~(uint64_t)(VARIABLES_ALIGNMENT - 1);
	for (size_t i = 0; i < managed->count; i++) {
		if (!variable_lay_out(managed, &managed->variables[i], &end))
			return CUDA_ERROR_INVALID_IMAGE;
	}
	managed->bytes = end;
	return CUDA_SUCCESS;
}

CUresult managed_elf_find(uint8_t *elf, size_t bytes, struct managed_elf *ret_managed)
{
	CUresult result;

	*ret_managed = (struct managed_elf){.elf = elf, .elf_bytes = bytes};
	if (!image_elf_is_sound(elf, bytes))
		return CUDA_ERROR_INVALID_IMAGE;
	result = sections_read(ret_managed);
	if (!result)
		result = symbols_find(ret_managed);
	if (!result && ret_managed->symbols)
		result = variables_read(ret_managed, section_at(ret_managed, ret_managed->symbols));
	if (!result && ret_managed->count)
		result = variables_lay_out(ret_managed);
	return result;
}

/* The variable of a symbol, NULL: it is none. */
static const struct managed_variable *variable_of(const struct managed_elf *managed, uint64_t symbol)
{
	size_t low = 0;
	size_t high = managed->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (managed->variables[middle].symbol < symbol)
			low = middle + 1;
		else
			high = middle;
	}
	return low < managed->count && managed->variables[low].symbol == symbol ? &managed->variables[low] : NULL;
}

/* One section of relocations. */
struct relocations {
	const Elf64_Shdr *section;
	const Elf64_Shdr *target;
	const Elf64_Shdr *symbols;
	size_t entry_bytes;
	bool has_addends; /* else the addend is what is in the place */
};

static uint64_t word_read(const uint8_t *place, size_t bytes)
{
	uint64_t word = 0;

	memcpy(&word, place, bytes);
	return word;
}

/* Writes what the driver would, if the variable were where it now is. */
static CUresult relocation_resolve(struct managed_elf *managed, const struct relocations *relocations,
				   const Elf64_Rela *entry, uint64_t address)
{
	uint32_t kind = (uint32_t)ELF64_R_TYPE(entry->r_info);
	bool is_of_code = kind == RELOCATION_CODE_LOW || kind == RELOCATION_CODE_HIGH;
	size_t bytes = is_of_code ? CODE_BYTES : sizeof(uint64_t);
	uint8_t *place;
	uint32_t half;

	if (!is_of_code && kind != RELOCATION_64 && kind != RELOCATION_GENERIC_64)
		return refuse(managed, "a relocation is of an unknown kind");
	if (relocations->target->sh_type == SHT_NOBITS || entry->r_offset > relocations->target->sh_size ||
	    bytes > relocations->target->sh_size - entry->r_offset)
		return CUDA_ERROR_INVALID_IMAGE;
	place = managed->elf + relocations->target->sh_offset + entry->r_offset;
	if (!is_of_code) {
		address += relocations->has_addends ? (uint64_t)entry->r_addend : word_read(place, sizeof(address));
		memcpy(place, &address, sizeof(address));
		return CUDA_SUCCESS;
	}
	place += CODE_IMMEDIATE_OFFSET;
	if (!relocations->has_addends && word_read(place, sizeof(half)))
		return refuse(managed, "an instruction has half of an addend");
	address += (uint64_t)entry->r_addend;
	half = (uint32_t)(kind == RELOCATION_CODE_LOW ? address : address >> 32);
	memcpy(place, &half, sizeof(half));
	return CUDA_SUCCESS;
}

/* A relocation that stays must be none of what we move: initial values, or all that is in a section. */
static CUresult relocation_keep(struct managed_elf *managed, const struct relocations *relocations,
				const Elf64_Rela *entry)
{
	Elf64_Sym symbol = symbol_read(managed, relocations->symbols, ELF64_R_SYM(entry->r_info));

	for (size_t i = 0; i < managed->count; i++) {
		const struct managed_variable *variable = &managed->variables[i];

		if (variable->section == relocations->section->sh_info &&
		    entry->r_offset < variable->value + variable->bytes &&
		    variable->value < entry->r_offset + sizeof(uint64_t))
			return refuse(managed, "the initial value of one is an address that only the driver knows");
		if (ELF64_ST_TYPE(symbol.st_info) == STT_SECTION && symbol.st_shndx == variable->section)
			return refuse(managed, "a relocation names a whole section");
	}
	return CUDA_SUCCESS;
}

static CUresult relocations_read(const struct managed_elf *managed, size_t index, struct relocations *ret_relocations)
{
	struct relocations relocations = {.section = section_at(managed, index)};

	relocations.has_addends = relocations.section->sh_type == SHT_RELA;
	relocations.entry_bytes = relocations.has_addends ? sizeof(Elf64_Rela) : sizeof(Elf64_Rel);
	if (relocations.section->sh_info >= managed->section_count ||
	    relocations.section->sh_size % relocations.entry_bytes ||
	    (relocations.section->sh_size && relocations.section->sh_entsize != relocations.entry_bytes))
		return CUDA_ERROR_INVALID_IMAGE;
	relocations.target = section_at(managed, relocations.section->sh_info);
	relocations.symbols = section_at(managed, relocations.section->sh_link);
	if (relocations.section->sh_link != managed->symbols)
		return CUDA_ERROR_INVALID_IMAGE;
	*ret_relocations = relocations;
	return CUDA_SUCCESS;
}

/* Resolves those of managed variables and moves the others up. */
static CUresult section_resolve(struct managed_elf *managed, size_t index, uint64_t address)
{
	struct relocations relocations;
	uint64_t kept = 0;
	CUresult result = relocations_read(managed, index, &relocations);

	/* What only debuggers read may go on naming the copy. */
	if (result || !(relocations.target->sh_flags & SHF_ALLOC))
		return result;
	for (uint64_t at = 0; at < relocations.section->sh_size && !result; at += relocations.entry_bytes) {
		uint8_t *entries = managed->elf + relocations.section->sh_offset;
		const struct managed_variable *variable;
		Elf64_Rela entry = {0};

		memcpy(&entry, entries + at, relocations.entry_bytes);
		if (ELF64_R_SYM(entry.r_info) >= relocations.symbols->sh_size / sizeof(Elf64_Sym))
			return CUDA_ERROR_INVALID_IMAGE;
		variable = variable_of(managed, ELF64_R_SYM(entry.r_info));
		if (variable) {
			result = relocation_resolve(managed, &relocations, &entry, address + variable->offset);
			continue;
		}
		result = relocation_keep(managed, &relocations, &entry);
		memcpy(entries + kept, &entry, relocations.entry_bytes);
		kept += relocations.entry_bytes;
	}
	memcpy(managed->elf + managed->sections_offset + index * sizeof(Elf64_Shdr) + offsetof(Elf64_Shdr, sh_size),
	       &kept, sizeof(kept));
	return result;
}

static CUresult relocations_resolve(struct managed_elf *managed, uint64_t address)
{
	CUresult result = CUDA_SUCCESS;

	for (size_t i = 0; i < managed->section_count && !result; i++) {
		uint32_t type = section_at(managed, i)->sh_type;

		if (type == SHT_REL || type == SHT_RELA)
			result = section_resolve(managed, i, address);
	}
	return result;
}

/* After the relocations, some of which are of initial values. */
static void variable_initialize(const struct managed_elf *managed, const struct managed_variable *variable,
				uint8_t *memory)
{
	const Elf64_Shdr *section = section_at(managed, variable->section);

	if (section->sh_type == SHT_NOBITS)
		memset(memory + variable->offset, 0, variable->bytes);
	else
		memcpy(memory + variable->offset, managed->elf + section->sh_offset + variable->value, variable->bytes);
}

static void symbol_plain(struct managed_elf *managed, uint64_t index)
{
	const Elf64_Shdr *symbols = section_at(managed, managed->symbols);
	Elf64_Sym symbol = symbol_read(managed, symbols, index);

	symbol.st_other &= (unsigned char)~SYMBOL_MANAGED;
	memcpy(managed->elf + symbols->sh_offset + index * sizeof(symbol), &symbol, sizeof(symbol));
}

/* The memory is the guest's to write at any time: nothing is read back from it. */
static void table_write(const struct managed_elf *managed, uint8_t *memory)
{
	const struct vgpu_managed_table table = {.count = (uint32_t)managed->count};

	memcpy(memory, &table, sizeof(table));
	for (size_t i = 0; i < managed->count; i++) {
		const struct managed_variable *variable = &managed->variables[i];
		const struct vgpu_managed_variable entry = {
			.offset = variable->offset,
			.bytes = variable->bytes,
			.name_offset = variable->name_offset,
			.name_bytes = variable->name_bytes,
		};

		memcpy(memory + sizeof(table) + i * sizeof(entry), &entry, sizeof(entry));
		memcpy(memory + variable->name_offset, variable->name, variable->name_bytes + 1u);
	}
}

CUresult managed_elf_place(struct managed_elf *managed, uint64_t address)
{
	uint8_t *memory = (uint8_t *)(uintptr_t)address;
	CUresult result = relocations_resolve(managed, address);

	if (result)
		return result;
	table_write(managed, memory);
	for (size_t i = 0; i < managed->count; i++) {
		variable_initialize(managed, &managed->variables[i], memory);
		symbol_plain(managed, managed->variables[i].symbol);
	}
	/* Whatever was written over its headers: the driver reads them. */
	return image_elf_is_sound(managed->elf, managed->elf_bytes) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_IMAGE;
}

void managed_elf_release(struct managed_elf *managed)
{
	free(managed->variables);
	free(managed->sections);
	*managed = (struct managed_elf){0};
}
