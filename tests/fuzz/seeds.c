/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes what the fuzzers begin with: fuzz_seeds FOLDER makes FOLDER/executor (each request that there is),
 * FOLDER/image (a file of each kind), FOLDER/job (a request of each operation), FOLDER/telemetry (a call of each
 * function of NVML) and FOLDER/mediator.
 */
#include <ar.h>
#include <errno.h>
#include <lz4.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zstd.h>

#include "fatbin.h"
#include "managed_file.h"
#include "nvml_call.h"
#include "executor_records.h"
#include "seeds.h"
#include "victim.h"

#define IMAGE_BYTES_MAX (16u << 10)
#define ZSTD_LEVEL	3

static const char *folder;

_Noreturn void seed_fail(const char *what)
{
	perror(what);
	exit(1);
}

FILE *seed_open(const char *kind, const char *name)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, kind);
	if (mkdir(path, 0777) < 0 && errno != EEXIST)
		seed_fail(path);
	snprintf(path, sizeof(path), "%s/%s/%s", folder, kind, name);
	file = fopen(path, "w");
	if (!file)
		seed_fail(path);
	return file;
}

void seed_close(FILE *file, const char *name)
{
	if (fclose(file) != 0)
		seed_fail(name);
}

static void seed_write(const char *kind, const char *name, const void *data, size_t bytes)
{
	FILE *file = seed_open(kind, name);

	if (fwrite(data, 1, bytes, file) != bytes)
		seed_fail(name);
	seed_close(file, name);
}

struct record {
	struct record_head head;
	uint8_t payload[VICTIM_REQUEST_BYTES_MAX];
} __attribute__((packed));

static const uint64_t address = RECORD_ADDRESS;

static void record_put(FILE *file, const struct record *record)
{
	size_t bytes = sizeof(record->head) + record->head.words * 8u;

	if (fwrite(record, 1, bytes, file) != bytes)
		seed_fail("a record");
}

/* A small number, and the victim's objects. */
static const uint32_t values[] = {
	8,
	VGPU_ID(VGPU_KIND_MODULE, 1),
	VGPU_ID(VGPU_KIND_FUNCTION, 1),
	VGPU_ID(VGPU_KIND_STREAM, 1),
	VGPU_ID(VGPU_KIND_EVENT, 1),
	VGPU_ID(VGPU_KIND_ARRAY, 1),
};

/* Each of the values in each field of the record, one at a time. */
static void values_put(FILE *file, const struct record *base)
{
	for (size_t at = 0; at < base->head.words * 8u; at += sizeof(values[0])) {
		for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
			struct record record = *base;

			memcpy(record.payload + at, &values[i], sizeof(values[i]));
			record_put(file, &record);
		}
	}
}

static void request_put(FILE *file, size_t shape)
{
	const struct record empty = {
		.head = {.shape = (uint16_t)(shape - 1), .words = (uint8_t)(victim_shapes[shape].bytes / 8)}};
	struct record record = empty;

	record_put(file, &record);
	for (size_t at = 0; at < record.head.words * 8u; at += sizeof(address)) {
		record = empty;
		memcpy(record.payload + at, &address, sizeof(address));
		record_put(file, &record);
	}
	values_put(file, &empty);
	memcpy(record.payload, &address, sizeof(address));
	values_put(file, &record);
}

static void requests_write(void)
{
	for (size_t i = 1; i < victim_shape_count; i++) {
		FILE *file = seed_open("executor", victim_shapes[i].name);

		request_put(file, i);
		seed_close(file, victim_shapes[i].name);
	}
}

struct image {
	uint8_t bytes[IMAGE_BYTES_MAX];
	size_t used;
};

static void image_add(struct image *image, const void *data, size_t bytes)
{
	if (bytes > sizeof(image->bytes) - image->used)
		abort();
	memcpy(image->bytes + image->used, data, bytes);
	image->used += bytes;
}

/* 'packed': of 'bytes' when it is unpacked. */
static void entry_add(struct image *image, uint16_t kind, uint64_t flags, const void *payload, size_t payload_bytes,
		      size_t unpacked_bytes)
{
	static const uint8_t padding[8];
	size_t padded = (payload_bytes + 7) & ~(size_t)7;
	struct fatbin_entry entry = {
		.kind = kind,
		.version = 0x101,
		.header_bytes = sizeof(entry),
		.payload_bytes = padded,
		.compressed_bytes = flags ? (uint32_t)payload_bytes : 0,
		.architecture = 90,
		.flags = flags,
		.unpacked_bytes = flags ? unpacked_bytes : 0,
	};

	image_add(image, &entry, sizeof(entry));
	image_add(image, payload, payload_bytes);
	image_add(image, padding, padded - payload_bytes);
}

static void images_write(void)
{
	static const char ptx[] = ".version 8.0\n.target sm_90\n.address_size 64\n.visible .entry k() { ret; }\n";
	struct managed_file elf = managed_file_make();
	struct fatbin_header header = {.magic = FATBIN_MAGIC, .version = 1, .header_bytes = sizeof(header)};
	struct ar_hdr member = {.ar_fmag = {ARFMAG[0], ARFMAG[1]}};
	char size[sizeof(member.ar_size) + 1];
	struct image image = {0};
	char lz4[sizeof(elf) * 2];
	char zstd[sizeof(elf) * 2];
	int lz4_bytes = LZ4_compress_default((const char *)&elf, lz4, sizeof(elf), sizeof(lz4));
	size_t zstd_bytes = ZSTD_compress(zstd, sizeof(zstd), &elf, sizeof(elf), ZSTD_LEVEL);

	if (lz4_bytes <= 0 || ZSTD_isError(zstd_bytes))
		abort();
	seed_write("image", "ptx", ptx, sizeof(ptx) - 1);
	seed_write("image", "elf", &elf, sizeof(elf));
	image_add(&image, &header, sizeof(header));
	entry_add(&image, FATBIN_KIND_ELF, 0, &elf, sizeof(elf), 0);
	entry_add(&image, FATBIN_KIND_PTX, 0, ptx, sizeof(ptx), 0);
	entry_add(&image, FATBIN_KIND_ELF, FATBIN_FLAG_LZ4, lz4, (size_t)lz4_bytes, sizeof(elf));
	entry_add(&image, FATBIN_KIND_ELF, FATBIN_FLAG_ZSTD, zstd, zstd_bytes, sizeof(elf));
	header.entries_bytes = image.used - sizeof(header);
	memcpy(image.bytes, &header, sizeof(header));
	seed_write("image", "fatbin", image.bytes, image.used);

	image.used = 0;
	image_add(&image, ARMAG, SARMAG);
	snprintf(size, sizeof(size), "%-10zu", sizeof(elf));
	memcpy(member.ar_size, size, sizeof(member.ar_size));
	image_add(&image, &member, sizeof(member));
	image_add(&image, &elf, sizeof(elf));
	seed_write("image", "archive", image.bytes, image.used);
}

static void jobs_write(void)
{
	static const struct {
		const char *name;
		const char *text;
	} jobs[] = {
		{"vector_add", "{\"operation\": \"vector_add\", \"array_a\": [1,2,3], \"array_b\": [4,5,6]}\n"},
		{"saxpy",
		 "{\"operation\": \"saxpy\", \"scalar\": 2, \"array_a\": [1.5], \"array_b\": [-1e3], \"id\": 7}\n"},
		{"dot", "{\"operation\": \"dot\", \"array_a\": [1,2], \"array_b\": [3,4], \"id\": \"x\"}\n"},
		{"reduce", "{\"operation\": \"reduce\", \"array_a\": [1,2], \"reduction\": \"max\"}\n"},
		{"matmul", "{\"operation\": \"matmul\", \"matrix_a\": [[1,2]], \"matrix_b\": [[3],[4]]}\n"},
		{"ptx", "{\"operation\": \"ptx\", \"ptx\": \".version 8.0\", \"kernel\": \"k\", \"grid\": [1,1,1], "
			"\"block\": [2,1,1], "
			"\"arguments\": [{\"type\": \"f32\", \"value\": 1}, {\"type\": \"i64\", \"values\": [1,-2]}, "
			"{\"type\": \"u32\", \"count\": 8, \"output\": true}]}\n"},
	};

	for (size_t i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++)
		seed_write("job", jobs[i].name, jobs[i].text, strlen(jobs[i].text));
}

/* Each function as an honest guest calls it. */
static void nvml_calls_write(void)
{
	for (size_t i = 0; i < nvml_function_count; i++) {
		FILE *file = seed_open("telemetry", nvml_functions[i].name);
		struct nvml_call call;

		nvml_call_make(&call, &nvml_functions[i]);
		fputc(0, file);
		if (fwrite(call.words, sizeof(call.words[0]), call.count, file) != call.count)
			seed_fail(nvml_functions[i].name);
		seed_close(file, nvml_functions[i].name);
	}
}

int main(int count, char **arguments)
{
	if (count != 2) {
		fputs("usage: fuzz_seeds FOLDER\n", stderr);
		return 2;
	}
	folder = arguments[1];
	requests_write();
	images_write();
	jobs_write();
	seeds_mediator_write();
	nvml_calls_write();
	return 0;
}
