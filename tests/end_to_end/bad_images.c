/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Module images that are truncated, corrupt or not images at all. Each must be refused with an error of
 * images (or, where the damage happens to be harmless, load); a good module must load and run afterwards.
 *
 * usage: bad_images GOOD.ptx
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "fatbin.h"

struct wrapper {
	uint32_t magic;
	uint32_t version;
	const void *data;
	const void *more;
};

static struct driver driver;
static CUresult (*load_with_options)(CUmodule *module, const void *image, unsigned count, CUjit_option *options,
				     void **values);
static unsigned trials, failures;

static void report(bool passed, const char *name, const char *why)
{
	trials++;
	failures += !passed;
	printf("%s %u - %s%s%s\n", passed ? "ok" : "not ok", trials, name, passed ? "" : " # ", passed ? "" : why);
	fflush(stdout);
}

static bool is_image_error(CUresult result)
{
	return result == CUDA_ERROR_INVALID_IMAGE || result == CUDA_ERROR_INVALID_PTX ||
	       result == CUDA_ERROR_NO_BINARY_FOR_GPU || result == CUDA_ERROR_UNSUPPORTED_PTX_VERSION ||
	       result == CUDA_ERROR_INVALID_SOURCE || result == CUDA_ERROR_SHARED_OBJECT_SYMBOL_NOT_FOUND ||
	       result == CUDA_ERROR_INVALID_VALUE;
}

static void expect_refused(const char *name, const void *image)
{
	CUmodule module = NULL;
	CUresult result = driver.module_load_data(&module, image);

	report(is_image_error(result), name, driver_error_name(&driver, result));
	if (!result)
		driver.module_unload(module);
}

/* Any result but one of a lost context or a success that cannot be unloaded. */
static bool is_harmless(const void *image)
{
	CUmodule module = NULL;
	CUresult result = driver.module_load_data(&module, image);

	return result ? is_image_error(result) : driver.module_unload(module) == CUDA_SUCCESS;
}

static char *file_read(const char *path, size_t *ret_bytes)
{
	FILE *file = fopen(path, "rb");
	char *text = NULL;
	long bytes;

	if (!file)
		return NULL;
	if (!fseek(file, 0, SEEK_END) && (bytes = ftell(file)) > 0 && !fseek(file, 0, SEEK_SET)) {
		text = calloc(1, (size_t)bytes + 1);
		if (text && fread(text, 1, (size_t)bytes, file) != (size_t)bytes) {
			free(text);
			text = NULL;
		}
		*ret_bytes = (size_t)bytes;
	}
	fclose(file);
	return text;
}

static void try_text(const char *good, size_t bytes)
{
	char *copy = malloc(bytes + 1);
	unsigned harmless = 0, tried = 0;
	uint32_t chaos = 12345;

	if (!copy)
		abort();
	for (size_t cut = bytes / 16; cut < bytes - bytes / 16; cut += bytes / 16) {
		memcpy(copy, good, cut);
		copy[cut] = 0;
		tried++;
		harmless += is_harmless(copy);
	}
	report(harmless == tried, "truncated PTX", "a truncated text gave no error of images");
	harmless = tried = 0;
	for (unsigned round = 0; round < 100; round++) {
		memcpy(copy, good, bytes + 1);
		for (unsigned change = 0; change < 4; change++) {
			chaos = chaos * 1664525 + 1013904223;
			copy[chaos % bytes] = (char)(1 + (chaos >> 24) % 255);
		}
		tried++;
		harmless += is_harmless(copy);
	}
	report(harmless == tried, "corrupt PTX", "a corrupt text gave no error of images");
	free(copy);
}

static void try_fatbins(const char *good, size_t bytes)
{
	size_t padded = (bytes + 8) / 8 * 8;
	size_t all = sizeof(struct fatbin_header) + sizeof(struct fatbin_entry) + padded;
	/* Behind the image lie readable bytes: lengths that claim too much must be found out, not fault. */
	unsigned char *image = calloc(1, all + (1 << 20));
	struct fatbin_header *header = (void *)image;
	struct fatbin_entry *entry = (void *)(header + 1);
	struct wrapper wrapper = {0x466243b1, 1, image, NULL};
	CUmodule module;

	if (!image)
		abort();
	*header = (struct fatbin_header){FATBIN_MAGIC, 1, sizeof(*header), sizeof(*entry) + padded};
	*entry = (struct fatbin_entry){
		.kind = 1,
		.version = 0x101,
		.header_bytes = sizeof(*entry),
		.payload_bytes = padded,
		.minor = 0,
		.major = 8,
		.architecture = 75,
		.flags = 0x41,
		.unpacked_bytes = 0,
	};
	memcpy(entry + 1, good, bytes);
	report(!driver.module_load_data(&module, image) && !driver.module_unload(module), "a good fatbin loads", "");
	report(!driver.module_load_data(&module, &wrapper) && !driver.module_unload(module), "a good wrapper loads",
	       "");

	header->entries_bytes = 16;
	expect_refused("fatbin shorter than its entry", image);
	header->entries_bytes = sizeof(*entry) + padded;
	header->header_bytes = 4;
	expect_refused("fatbin header too short", image);
	header->header_bytes = sizeof(*header);
	entry->header_bytes = 8;
	expect_refused("entry header too short", image);
	entry->header_bytes = 0xffffffff;
	expect_refused("entry header past the end", image);
	entry->header_bytes = sizeof(*entry);
	entry->payload_bytes = ~0ull - 7;
	expect_refused("entry payload overflows", image);
	entry->payload_bytes = padded;
	entry->flags |= 0x2000;
	entry->compressed_bytes = 100;
	entry->unpacked_bytes = 1ull << 60;
	expect_refused("LZ4 entry that claims an absurd size", image);
	entry->unpacked_bytes = 4096;
	expect_refused("LZ4 entry with garbage", image);
	entry->flags = (entry->flags & ~0x2000ull) | 0x8000;
	expect_refused("zstd entry with garbage", image);
	entry->flags = 0x41;
	entry->kind = 2;
	expect_refused("machine code that is no ELF", image);
	entry->kind = 77;
	expect_refused("entry of an unknown kind", image);
	free(image);
}

static void try_unknown_instruction(void)
{
	static const char text[] = ".version 8.0\n.target sm_75\n.address_size 64\n"
				   ".visible .entry k()\n{\n\tfrobnicate.u32 %r1, %r2;\n\tret;\n}\n";
	char log[512] = "";
	CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
	void *values[] = {log, (void *)sizeof(log)};
	CUmodule module;
	CUresult result = load_with_options(&module, text, 2, options, values);

	report(is_image_error(result), "unknown instruction is refused", driver_error_name(&driver, result));
	report(strstr(log, "frobnicate") != NULL, "the log names the unknown instruction", log);
}

int main(int argument_count, char **arguments)
{
	CUcontext context;
	CUmodule module;
	size_t bytes = 0;
	char *good = argument_count == 2 ? file_read(arguments[1], &bytes) : NULL;
	const char *problem = driver_open("libcuda.so.1", &driver);

	if (!good || problem) {
		fprintf(stderr, "usage: bad_images GOOD.ptx (%s)\n", problem ? problem : "no file");
		return 2;
	}
	load_with_options = (CUresult(*)(CUmodule *, const void *, unsigned, CUjit_option *, void **))dlsym(
		driver.library, "cuModuleLoadDataEx");
	if (!load_with_options || driver.init(0) || driver.primary_retain(&context, 0) || driver.set_current(context)) {
		fprintf(stderr, "bad_images: the driver does not start\n");
		return 2;
	}
	expect_refused("an empty text", "");
	expect_refused("a text that is not PTX", "hello, world\n");
	expect_refused("half an ELF header", "\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\276\0\1\0\0\0\0\0\0\0\0\0\0\0"
					     "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
	try_text(good, bytes);
	try_fatbins(good, bytes);
	try_unknown_instruction();
	report(!driver.module_load_data(&module, good) && !driver.module_unload(module), "a good module still loads",
	       "");
	printf("1..%u\n", trials);
	return failures != 0;
}
