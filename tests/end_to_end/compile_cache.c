/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What NVRTC and nvJitLink keep of what they compile, by the private table that they call, with any libcuda.so.1. Run
 * by test_streams.py. Each case is a process of its own (compile_cache CASE), for the driver reads the environment
 * once.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cuda_abi.h"

CUresult cuInit(unsigned flags);
CUresult cuGetExportTable(const void **table, const CUuuid *uuid);

#define CHECK(condition)                                                                \
	do {                                                                            \
		if (!(condition)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			exit(1);                                                        \
		}                                                                       \
	} while (0)

enum { SMALL_BYTES = 5000, LARGE_BYTES = 40000, LARGE_COUNT = 6, SIZE_MAX_BYTES = 100000 };

struct key;
static CUresult (*key_open)(struct key **key, unsigned kind, const void *input, unsigned bytes, const char *options,
			    const char *host, const char *build, unsigned architecture, unsigned is_specific);
static CUresult (*key_close)(struct key *key);
static CUresult (*code_find)(struct key *key, uint64_t which, void **code, unsigned *bytes);
static CUresult (*code_store)(struct key *key, uint64_t which, const void *code, unsigned bytes);
static CUresult (*code_give)(void *code);

static void table_get(void)
{
	static const CUuuid uuid = {"\xda\x91\x51\xd3\x3a\xe6\xcc\x41\xa5\xc0\x4f\x26\xd5\x33\xe3\x28"};
	const void *const *table;
	const void *untyped = NULL;

	CHECK(cuInit(0) == CUDA_SUCCESS);
	CHECK(cuGetExportTable(&untyped, &uuid) == CUDA_SUCCESS);
	table = untyped;
	CHECK((uintptr_t)table[0] == 7 * sizeof(table[0]));
	memcpy(&key_open, &table[1], sizeof(key_open));
	memcpy(&key_close, &table[2], sizeof(key_close));
	memcpy(&code_find, &table[3], sizeof(code_find));
	memcpy(&code_store, &table[4], sizeof(code_store));
	memcpy(&code_give, &table[6], sizeof(code_give));
}

static struct key *opened(const char *input, const char *options, unsigned architecture, unsigned is_specific)
{
	struct key *key = NULL;

	CHECK(key_open(&key, 2, input, (unsigned)strlen(input), options, "HOST64", "Aug 20 202514:13:52", architecture,
		       is_specific) == CUDA_SUCCESS);
	return key;
}

static unsigned char *code_make(unsigned bytes, unsigned char first)
{
	unsigned char *code = malloc(bytes);

	CHECK(code);
	for (unsigned i = 0; i < bytes; i++)
		code[i] = (unsigned char)(first + i * 7);
	return code;
}

/* NULL: the answer is that there is none. */
static void expect(const char *input, const char *options, unsigned architecture, unsigned is_specific,
		   const unsigned char *code, unsigned code_bytes)
{
	struct key *key = opened(input, options, architecture, is_specific);
	void *found = NULL;
	unsigned bytes = 0;
	CUresult result = code_find(key, 0, &found, &bytes);

	CHECK(result == (code ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND));
	if (code) {
		CHECK(bytes == code_bytes);
		CHECK(memcmp(found, code, bytes) == 0);
		CHECK(code_give(found) == CUDA_SUCCESS);
	}
	CHECK(key_close(key) == CUDA_SUCCESS);
}

static void store(const char *input, const char *options, const unsigned char *code, unsigned bytes)
{
	struct key *key = opened(input, options, 90, 0);

	CHECK(code_store(key, 0, code, bytes) == CUDA_SUCCESS);
	CHECK(key_close(key) == CUDA_SUCCESS);
}

static void case_store(void)
{
	unsigned char *code = code_make(SMALL_BYTES, 1);

	expect("one", " -arch=compute_90", 90, 0, NULL, 0);
	store("one", " -arch=compute_90", code, SMALL_BYTES);
	expect("one", " -arch=compute_90", 90, 0, code, SMALL_BYTES);
	free(code);
}

/* Another process finds it, and nothing for what differs in anything. */
static void case_find(void)
{
	unsigned char *code = code_make(SMALL_BYTES, 1);

	expect("one", " -arch=compute_90", 90, 0, code, SMALL_BYTES);
	expect("two", " -arch=compute_90", 90, 0, NULL, 0);
	expect("one", " -arch=compute_90 -g", 90, 0, NULL, 0);
	expect("one", " -arch=compute_90", 80, 0, NULL, 0);
	expect("one", " -arch=compute_90", 90, 1, NULL, 0);
	free(code);
}

static void case_none(void)
{
	expect("one", " -arch=compute_90", 90, 0, NULL, 0);
}

static void case_disabled(void)
{
	struct key *key;

	CHECK(key_open(&key, 2, "one", 3, "", "HOST64", "Aug 20 202514:13:52", 90, 0) == CUDA_ERROR_NOT_INITIALIZED);
}

/* The last ones are there, the first one is not. */
static void case_many(void)
{
	char input[16];

	for (unsigned i = 0; i < LARGE_COUNT; i++) {
		unsigned char *code = code_make(LARGE_BYTES, (unsigned char)i);

		snprintf(input, sizeof(input), "many %u", i);
		store(input, "", code, LARGE_BYTES);
		expect(input, "", 90, 0, code, LARGE_BYTES);
		free(code);
	}
	expect("many 0", "", 90, 0, NULL, 0);
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {{"store", case_store},
	     {"find", case_find},
	     {"none", case_none},
	     {"disabled", case_disabled},
	     {"many", case_many}};

static const char *program;

static void run(const char *name)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		execl("/proc/self/exe", program, name, NULL);
		_exit(127);
	}
	CHECK(child > 0 && waitpid(child, &status, 0) == child);
	printf("%s: %d\n", name, status);
	CHECK(status == 0);
}

/* Of what our library keeps: each file, and how many bytes in all; 'damage' changes one in the middle. */
static uint64_t files_walk(const char *folder, int damage)
{
	uint64_t bytes = 0;
	struct dirent *entry;
	DIR *directory = opendir(folder);

	CHECK(directory);
	while ((entry = readdir(directory))) {
		struct stat status;
		int fd;

		if (entry->d_name[0] == '.')
			continue;
		fd = openat(dirfd(directory), entry->d_name, O_RDWR);
		CHECK(fd >= 0 && fstat(fd, &status) == 0);
		bytes += (uint64_t)status.st_size;
		if (damage == 1)
			CHECK(pwrite(fd, "\xff\x01", 2, status.st_size / 2) == 2);
		if (damage == 2)
			CHECK(ftruncate(fd, status.st_size / 2) == 0);
		close(fd);
	}
	closedir(directory);
	return bytes;
}

static void remove_all(const char *folder)
{
	char command[300];

	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	CHECK(system(command) == 0);
}

int main(int count, char **words)
{
	char place[] = "/tmp/vgpu-compile-XXXXXX";
	char folder[64];

	program = words[0];
	for (size_t i = 0; count > 1 && i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (strcmp(words[1], cases[i].name) == 0) {
			table_get();
			cases[i].run();
			return 0;
		}
	}
	CHECK(mkdtemp(place));
	snprintf(folder, sizeof(folder), "%s/vgpu-cuda", place);
	setenv("CUDA_CACHE_PATH", place, 1);
	run("store");
	run("find");
	setenv("CUDA_CACHE_DISABLE", "1", 1);
	run("disabled");
	unsetenv("CUDA_CACHE_DISABLE");
	/* How it is kept is our own affair. */
	if (!getenv("VGPU_NATIVE")) {
		files_walk(folder, 1);
		run("none");
		run("store");
		run("find");
		files_walk(folder, 2);
		run("none");
		setenv("CUDA_CACHE_MAXSIZE", "100000", 1);
		run("many");
		CHECK(files_walk(folder, 0) <= SIZE_MAX_BYTES);
	}
	remove_all(place);
	puts("passed");
	return 0;
}
