/* SPDX-License-Identifier: Apache-2.0 */
#include "managed_image.h"

#include <stdlib.h>
#include <string.h>

#include "executor.h"
#include "executor_calls.h"
#include "image_packed.h"
#include "image_unpack.h"
#include "jit_options.h"
#include "log.h"
#include "vgpu_managed.h"

/* Code that is larger is not looked at. */
#define CODE_BYTES_MAX (256ull << 20)

/* As PTX has it (PTX ISA, .attribute). */
#define PTX_MANAGED ".managed"

#define ARCHITECTURE_FACTOR 10

/* Of the memory that the guest gives. */
#define MANAGED_ALIGNMENT 4096u

/* Of its owner. */
struct code {
	uint8_t *bytes;
	size_t count;
};

enum form_kind {
	FORM_ELF,
	FORM_PTX,
	FORM_PIECES, /* the pieces of a wrapper, which the driver links */
};

/* One form of an image, of which the driver takes one. */
struct form {
	enum form_kind kind;
	uint32_t rank;	     /* the driver takes the highest that it can run; 0: none */
	const uint8_t *code; /* of an entry of a fatbin as the entry says */
	size_t bytes;
	struct fatbin_entry entry;
	bool is_packed;
};

/* Machine code goes before what is to be compiled (CUDA C++ programming guide, application compatibility). */
#define RANK_ELF 0x10000u

static uint32_t architecture_of_device(const struct executor *executor)
{
	const struct driver *driver = &executor->driver;
	int major = 0;
	int minor = 0;
	CUdevice device = executor->contexts.current ? executor->contexts.current->device : 0;

	if (driver->cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device) ||
	    driver->cuDeviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device))
		return 0;
	return (uint32_t)(major * ARCHITECTURE_FACTOR + minor);
}

/* 0: not for this device. */
static uint32_t entry_rank(const struct fatbin_entry *entry, uint32_t architecture)
{
	if (entry->architecture == 0 || entry->architecture > architecture)
		return 0;
	if (entry->kind == FATBIN_KIND_PTX)
		return entry->architecture;
	if (entry->kind == FATBIN_KIND_ELF &&
	    entry->architecture / ARCHITECTURE_FACTOR == architecture / ARCHITECTURE_FACTOR)
		return RANK_ELF + entry->architecture;
	return 0;
}

/* Of a fatbin that is sound the best form that ranks below that, if it is better than *form. */
static void fatbin_choose(const uint8_t *fatbin, uint32_t architecture, uint32_t below, struct form *form)
{
	struct fatbin_entries entries = fatbin_entries_of(fatbin);
	struct fatbin_entry entry;
	const uint8_t *payload;

	while (fatbin_entries_next(&entries, &entry, &payload) > 0) {
		uint32_t rank = entry_rank(&entry, architecture);

		if (rank < below && rank > form->rank)
			*form = (struct form){
				.rank = rank,
				.kind = entry.kind == FATBIN_KIND_ELF ? FORM_ELF : FORM_PTX,
				.code = payload,
				.bytes = entry.payload_bytes,
				.entry = entry,
				.is_packed = image_entry_is_packed(&entry),
			};
	}
}

/* The best form that ranks below that; its rank is 0 if there is none. */
static struct form form_choose(const struct image *image, uint32_t architecture, uint32_t below)
{
	struct form form = {0};

	switch (image->kind) {
	case IMAGE_PTX:
	case IMAGE_ELF:
		if (below > RANK_ELF)
			form = (struct form){
				.kind = image->kind == IMAGE_PTX ? FORM_PTX : FORM_ELF,
				.rank = RANK_ELF,
				.code = image->pointer,
				.bytes = image->pointer_bytes,
			};
		break;
	case IMAGE_FATBIN:
		fatbin_choose(image->pointer, architecture, below, &form);
		break;
	default:
		fatbin_choose(image->wrapper.fatbin, architecture, below, &form);
		if (!form.rank && below > 1 && image->prelinked[0])
			form = (struct form){.kind = FORM_PIECES, .rank = 1};
		break;
	}
	return form;
}

/* A copy of the form's code, unpacked, with a NUL behind it. */
static CUresult form_copy(const struct form *form, struct code *ret_code)
{
	uint64_t bytes = form->is_packed ? form->entry.unpacked_bytes : form->bytes;
	uint8_t *copy;

	if (bytes > CODE_BYTES_MAX)
		return CUDA_ERROR_NOT_SUPPORTED;
	copy = malloc(bytes + 1);
	if (!copy)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (form->is_packed)
		bytes = image_entry_unpack(&form->entry, form->code, copy);
	else
		memcpy(copy, form->code, bytes);
	copy[bytes] = 0;
	*ret_code = (struct code){.bytes = copy, .count = bytes};
	return CUDA_SUCCESS;
}

static CUresult pieces_add(const struct driver *driver, CUlinkState state, const struct image *image)
{
	CUresult result = CUDA_SUCCESS;

	for (size_t i = 0; image->prelinked[i] && !result; i++) {
		struct fatbin_header header;

		memcpy(&header, image->prelinked[i], sizeof(header));
		result = driver->cuLinkAddData_v2(state, CU_JIT_INPUT_FATBINARY, (void *)(uintptr_t)image->prelinked[i],
						  header.header_bytes + header.entries_bytes, "piece", 0, NULL, NULL);
	}
	return result;
}

/* Compiles a text, NULL: the pieces of the image, to machine code. */
static CUresult code_link(const struct driver *driver, const struct image *image, struct jit_options *options,
			  const uint8_t *text, struct code *ret_code)
{
	void *linked = NULL;
	CUlinkState state;
	size_t bytes = 0;
	CUresult result;

	if (!driver->cuLinkCreate_v2 || !driver->cuLinkAddData_v2 || !driver->cuLinkComplete || !driver->cuLinkDestroy)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = driver->cuLinkCreate_v2(options->count, options->ids, options->values, &state);
	if (result)
		return result;
	if (text)
		result = driver->cuLinkAddData_v2(state, CU_JIT_INPUT_PTX, (void *)(uintptr_t)text,
						  strlen((const char *)text) + 1, "image", 0, NULL, NULL);
	else
		result = pieces_add(driver, state, image);
	if (!result)
		result = driver->cuLinkComplete(state, &linked, &bytes);
	if (!result) {
		ret_code->bytes = malloc(bytes ? bytes : 1);
		ret_code->count = bytes;
		result = ret_code->bytes ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
	}
	if (!result)
		memcpy(ret_code->bytes, linked, bytes);
	driver->cuLinkDestroy(state);
	return result;
}

/* Does a text, or do the texts of the pieces, speak of managed variables? Then it is worth compiling. */
static bool text_names_managed(const struct code *text)
{
	return memmem(text->bytes, text->count, PTX_MANAGED, strlen(PTX_MANAGED));
}

static bool pieces_name_managed(const struct image *image, uint32_t architecture)
{
	bool found = false;

	for (size_t i = 0; image->prelinked[i] && !found; i++) {
		struct form form = {0};
		struct code text;

		fatbin_choose(image->prelinked[i], architecture, RANK_ELF, &form);
		if (!form.rank || form_copy(&form, &text))
			continue;
		found = text_names_managed(&text);
		free(text.bytes);
	}
	return found;
}

/* What is not packed need not be copied to be looked at. */
static bool elf_has_managed(const struct form *form)
{
	struct managed_elf managed;
	bool has;

	/* Only managed_elf_place() writes to the file. */
	has = managed_elf_find((uint8_t *)(uintptr_t)form->code, form->bytes, &managed) || managed.count;
	managed_elf_release(&managed);
	return has;
}

/* The machine code of a form, if it may have managed variables: 'bytes' is NULL if it has none. */
static CUresult form_compile(const struct driver *driver, const struct image *image, const struct form *form,
			     uint32_t architecture, struct jit_options *options, struct code *ret_code)
{
	struct code text = {0};
	CUresult result;

	*ret_code = (struct code){0};
	if (form->kind == FORM_ELF && !form->is_packed && !elf_has_managed(form))
		return CUDA_SUCCESS;
	if (form->kind == FORM_PIECES)
		return pieces_name_managed(image, architecture) ? code_link(driver, image, options, NULL, ret_code)
								: CUDA_SUCCESS;
	if (form->kind == FORM_ELF)
		return form_copy(form, ret_code);
	result = form_copy(form, &text);
	if (!result && text_names_managed(&text))
		result = code_link(driver, image, options, text.bytes, ret_code);
	free(text.bytes);
	return result;
}

/* Would the driver take this machine code, rather than another form of the image? Only it can tell. */
static bool form_is_taken(const struct driver *driver, const struct form *form, const struct form *next,
			  const struct code *code)
{
	CUlibrary library;
	CUresult result;

	if (form->kind != FORM_ELF || !next->rank || !driver->cuLibraryLoadData)
		return true;
	result = driver->cuLibraryLoadData(&library, code->bytes, NULL, NULL, 0, NULL, NULL, 0);
	if (!result)
		driver->cuLibraryUnload(library);
	return result != CUDA_ERROR_NO_BINARY_FOR_GPU;
}

/* The variables of a form; false: another form has to be looked at. */
static bool form_examine(struct executor *executor, const struct form *form, const struct form *next,
			 uint32_t architecture, struct code *code, CUresult *result)
{
	struct managed_image *managed = &executor->managed;

	if (!code->bytes)
		return true;
	*result = managed_elf_find(code->bytes, code->count, &managed->elf);
	if (*result || !managed->elf.count)
		return true;
	if (!form_is_taken(&executor->driver, form, next, code)) {
		managed_elf_release(&managed->elf);
		return false;
	}
	if (managed->elf.finished_for && managed->elf.finished_for != architecture) {
		managed->elf.why = "the code is for another GPU of the family";
		*result = CUDA_ERROR_NOT_SUPPORTED;
		return true;
	}
	managed->code = code->bytes;
	code->bytes = NULL;
	return true;
}

static CUresult image_examine(struct executor *executor, const struct image *image, struct jit_options *options)
{
	uint32_t architecture = architecture_of_device(executor);
	struct form form = form_choose(image, architecture, UINT32_MAX);
	CUresult result = CUDA_SUCCESS;
	bool is_done = false;

	while (form.rank && !result && !is_done) {
		struct form next = form_choose(image, architecture, form.rank);
		struct code code;

		result = form_compile(&executor->driver, image, &form, architecture, options, &code);
		if (!result) {
			is_done = form_examine(executor, &form, &next, architecture, &code, &result);
			free(code.bytes);
		}
		form = next;
	}
	return result;
}

CUresult execute_cuModuleExamineManaged(struct executor *executor, const struct request *request,
					const struct wire_cuModuleExamineManaged *arguments, const void *wire_options,
					struct wire_cuModuleExamineManaged_reply *reply)
{
	const struct jit_request wanted = {
		.wire = wire_options,
		.wire_bytes = arguments->options_bytes,
		.count = arguments->option_count,
	};
	struct managed_image *managed = &executor->managed;
	struct jit_options options = {0};
	struct image image;
	CUresult result;

	(void)request;
	managed_image_release(managed);
	result = image_take(&executor->stage, arguments->image_kind, image_families(&executor->driver), &image);
	if (result)
		return result;
	result = jit_options_build(&options, &wanted, 0);
	if (!result)
		result = image_examine(executor, &image, &options);
	jit_options_release(&options);
	stage_put_back(&executor->stage, image.staged, image.staged_bytes);
	image.staged = NULL;
	image_release(&image);
	reply->bytes = managed->code ? managed->elf.bytes : VGPU_MANAGED_NONE;
	/* To compile takes one, and the memory will be that of one. */
	if ((managed->code || result == CUDA_ERROR_INVALID_CONTEXT) && !executor->contexts.current) {
		managed_image_release(managed);
		reply->bytes = VGPU_MANAGED_NEEDS_CONTEXT;
	}
	if (managed->elf.why)
		log_write("managed variables stay out of the program's reach: %s", managed->elf.why);
	if (!managed->code)
		managed_image_release(managed);
	/* What is wrong with the image the driver will say when it is loaded. */
	return CUDA_SUCCESS;
}

CUresult execute_cuModulePlaceManaged(struct executor *executor, const struct request *request,
				      const struct wire_cuModulePlaceManaged *arguments)
{
	struct managed_image *managed = &executor->managed;
	CUresult result;

	(void)request;
	if (!managed->code || managed->is_placed || arguments->address % MANAGED_ALIGNMENT ||
	    !pinned_holds(&executor->pinned, arguments->address, managed->elf.bytes))
		return CUDA_ERROR_INVALID_VALUE;
	result = managed_elf_place(&managed->elf, arguments->address);
	managed->is_placed = !result;
	if (managed->elf.why)
		log_write("managed variables stay out of the program's reach: %s", managed->elf.why);
	return result;
}

const void *managed_image_of(const struct executor *executor, const struct image *image)
{
	return executor->managed.is_placed ? executor->managed.code : image->pointer;
}

void managed_image_release(struct managed_image *managed)
{
	managed_elf_release(&managed->elf);
	free(managed->code);
	*managed = (struct managed_image){0};
}
