/* SPDX-License-Identifier: Apache-2.0 */
#include "cubin.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"

/* The sections before the texts. */
enum {
	SECTION_NULL,
	SECTION_NAMES,
	SECTION_SYMBOL_NAMES,
	SECTION_SYMBOLS,
	SECTION_VALUES,
	SECTION_ADDRESSES,
	SECTION_ADDRESS_RELOCATIONS,
	SECTION_VALUE_RELOCATIONS,
	SECTION_TEXTS,
};

struct bytes {
	uint8_t *data;
	size_t used;
	size_t capacity;
	bool failed; /* for lack of memory */
};

/* The place of what was added; its content is zeros without 'data'. */
static size_t bytes_add(struct bytes *bytes, const void *data, size_t count)
{
	size_t place = bytes->used;

	if (bytes->failed || count > bytes->capacity - bytes->used) {
		size_t capacity = 2 * (bytes->used + count) + 64;
		uint8_t *grown = bytes->failed ? NULL : realloc(bytes->data, capacity);

		if (!grown) {
			bytes->failed = true;
			return 0;
		}
		bytes->data = grown;
		bytes->capacity = capacity;
	}
	if (count && data)
		memcpy(bytes->data + place, data, count);
	else if (count)
		memset(bytes->data + place, 0, count);
	bytes->used += count;
	return place;
}

static void bytes_align(struct bytes *bytes, size_t alignment)
{
	bytes_add(bytes, NULL, (alignment - bytes->used % alignment) % alignment);
}

static uint32_t name_add(struct bytes *names, const char *name)
{
	return (uint32_t)bytes_add(names, name, strlen(name) + 1);
}

struct writer {
	struct bytes sections[SECTION_TEXTS];
	size_t alignment; /* of the values */
	uint32_t symbol_count;
};

static uint32_t symbol_add(struct writer *writer, const char *name, const Elf64_Sym *symbol)
{
	Elf64_Sym named = *symbol;

	named.st_name = name_add(&writer->sections[SECTION_SYMBOL_NAMES], name);
	named.st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT);
	bytes_add(&writer->sections[SECTION_SYMBOLS], &named, sizeof(named));
	return writer->symbol_count++;
}

static void relocation_add(struct bytes *relocations, uint64_t offset, uint32_t symbol, uint64_t addend)
{
	const Elf64_Rela entry = {
		.r_offset = offset,
		.r_info = ELF64_R_INFO((uint64_t)symbol, CUBIN_RELOCATION_64),
		.r_addend = (int64_t)addend,
	};

	bytes_add(relocations, &entry, sizeof(entry));
}

/* The variable's symbol, its value, and the word that is its address. */
static void managed_add(struct writer *writer, const struct engine_managed *managed)
{
	struct bytes *values = &writer->sections[SECTION_VALUES];
	struct bytes *addresses = &writer->sections[SECTION_ADDRESSES];
	Elf64_Sym symbol = {
		.st_other = CUBIN_SYMBOL_MANAGED,
		.st_shndx = SECTION_VALUES,
		.st_size = managed->bytes,
	};
	uint32_t index;

	bytes_align(values, managed->alignment);
	if (managed->alignment > writer->alignment)
		writer->alignment = managed->alignment;
	/* The engine's memory is this process's. */
	symbol.st_value = bytes_add(values, (const void *)(uintptr_t)managed->address, managed->bytes);
	index = symbol_add(writer, managed->name, &symbol);
	relocation_add(&writer->sections[SECTION_ADDRESS_RELOCATIONS], addresses->used, index, 0);
	bytes_add(addresses, NULL, sizeof(uint64_t));
}

/* The symbol of a managed variable, by its name; 0: it is none. */
static uint32_t managed_symbol(const struct engine_module *module, const char *name)
{
	struct engine_managed managed;

	for (uint32_t i = 0; name && engine_module_managed_at(module, i, &managed); i++)
		if (!strcmp(managed.name, name))
			return i + 1;
	return 0;
}

/* Addresses among the initial values, which are those of the module that ends with the link. */
static void addresses_add(struct writer *writer, const struct engine_module *module, uint32_t managed)
{
	const struct bytes *symbols = &writer->sections[SECTION_SYMBOLS];
	struct engine_address address;
	Elf64_Sym variable;

	if (symbols->failed)
		return;
	memcpy(&variable, symbols->data + (managed + 1) * sizeof(variable), sizeof(variable));
	for (size_t i = 0; engine_module_managed_address_at(module, managed, i, &address); i++) {
		uint32_t symbol = managed_symbol(module, address.variable);

		if (!symbol)
			symbol = symbol_add(writer, address.variable ? address.variable : "", &(Elf64_Sym){0});
		relocation_add(&writer->sections[SECTION_VALUE_RELOCATIONS], variable.st_value + address.offset, symbol,
			       address.addend);
	}
}

static void section_add(struct bytes *file, Elf64_Shdr *section, const void *data, size_t bytes)
{
	bytes_align(file, section->sh_addralign);
	section->sh_offset = bytes_add(file, data, bytes);
	section->sh_size = bytes;
}

/* Names, types and the rest of the headers, then the file. */
static CUresult file_make(struct writer *writer, const struct image *image, struct bytes *file)
{
	static const struct {
		const char *name;
		uint32_t type, link, info;
		uint64_t flags, entry_bytes, alignment;
	} kinds[] = {
		[SECTION_NAMES] = {".shstrtab", SHT_STRTAB, 0, 0, 0, 0, 1},
		[SECTION_SYMBOL_NAMES] = {".strtab", SHT_STRTAB, 0, 0, 0, 0, 1},
		[SECTION_SYMBOLS] = {".symtab", SHT_SYMTAB, SECTION_SYMBOL_NAMES, 1, 0, sizeof(Elf64_Sym), 8},
		[SECTION_VALUES] = {CUBIN_VALUES_SECTION, SHT_PROGBITS, 0, 0, SHF_ALLOC | SHF_WRITE, 0, 1},
		[SECTION_ADDRESSES] = {CUBIN_ADDRESS_SECTION, SHT_PROGBITS, 0, 0, SHF_ALLOC, 0, 8},
		[SECTION_ADDRESS_RELOCATIONS] = {".rela" CUBIN_ADDRESS_SECTION, SHT_RELA, SECTION_SYMBOLS,
						 SECTION_ADDRESSES, 0, sizeof(Elf64_Rela), 8},
		[SECTION_VALUE_RELOCATIONS] = {".rela" CUBIN_VALUES_SECTION, SHT_RELA, SECTION_SYMBOLS, SECTION_VALUES,
					       0, sizeof(Elf64_Rela), 8},
	};
	Elf64_Ehdr header = {
		.e_type = ET_EXEC,
		.e_machine = CUBIN_MACHINE,
		.e_version = EV_CURRENT,
		.e_flags = (DEVICE_CAPABILITY_MAJOR * 10 + DEVICE_CAPABILITY_MINOR) << 8,
		.e_ehsize = sizeof(Elf64_Ehdr),
		.e_shentsize = sizeof(Elf64_Shdr),
		.e_shnum = (Elf64_Half)(SECTION_TEXTS + image->count),
		.e_shstrndx = SECTION_NAMES,
	};
	struct bytes *names = &writer->sections[SECTION_NAMES];
	Elf64_Shdr *sections = calloc(SECTION_TEXTS + image->count, sizeof(*sections));
	uint32_t text_name;

	if (!sections)
		return CUDA_ERROR_OUT_OF_MEMORY;
	bytes_add(file, NULL, sizeof(header));
	for (size_t i = SECTION_NAMES; i < SECTION_TEXTS; i++)
		sections[i].sh_name = name_add(names, kinds[i].name);
	text_name = name_add(names, CUBIN_TEXT_SECTION);
	for (size_t i = SECTION_NAMES; i < SECTION_TEXTS; i++) {
		sections[i].sh_type = kinds[i].type;
		sections[i].sh_link = kinds[i].link;
		sections[i].sh_info = kinds[i].info;
		sections[i].sh_flags = kinds[i].flags;
		sections[i].sh_entsize = kinds[i].entry_bytes;
		sections[i].sh_addralign = i == SECTION_VALUES ? writer->alignment : kinds[i].alignment;
		section_add(file, &sections[i], writer->sections[i].data, writer->sections[i].used);
		file->failed = file->failed || writer->sections[i].failed;
	}
	for (size_t i = 0; i < image->count; i++) {
		Elf64_Shdr *section = &sections[SECTION_TEXTS + i];

		*section = (Elf64_Shdr){.sh_name = text_name, .sh_type = SHT_PROGBITS, .sh_addralign = 1};
		section_add(file, section, image->texts[i].text, image->texts[i].bytes);
	}
	bytes_align(file, 8);
	header.e_shoff = bytes_add(file, sections, (SECTION_TEXTS + image->count) * sizeof(*sections));
	free(sections);
	if (file->failed)
		return CUDA_ERROR_OUT_OF_MEMORY;
	memcpy(header.e_ident, CUBIN_MAGIC, sizeof(CUBIN_MAGIC) - 1);
	memcpy(file->data, &header, sizeof(header));
	return CUDA_SUCCESS;
}

CUresult cubin_write(const struct image *image, const struct engine_module *module, void **ret_data, size_t *ret_bytes)
{
	struct writer writer = {.alignment = 1};
	struct engine_managed managed;
	struct bytes file = {0};
	uint32_t count = 0;
	CUresult result;

	if (image->count > SHN_LORESERVE - SECTION_TEXTS - 1)
		return CUDA_ERROR_INVALID_IMAGE;
	name_add(&writer.sections[SECTION_NAMES], "");
	name_add(&writer.sections[SECTION_SYMBOL_NAMES], "");
	bytes_add(&writer.sections[SECTION_SYMBOLS], NULL, sizeof(Elf64_Sym));
	writer.symbol_count = 1;
	while (engine_module_managed_at(module, count, &managed)) {
		managed_add(&writer, &managed);
		count++;
	}
	for (uint32_t i = 0; i < count; i++)
		addresses_add(&writer, module, i);
	result = file_make(&writer, image, &file);
	for (size_t i = 0; i < SECTION_TEXTS; i++)
		free(writer.sections[i].data);
	if (result) {
		free(file.data);
		return result;
	}
	*ret_data = file.data;
	*ret_bytes = file.used;
	return CUDA_SUCCESS;
}
