/* SPDX-License-Identifier: Apache-2.0 */
#include "compile_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "compile_cache_folder.h"

#define KEY_BYTES_MAX (256u << 20)
#define KIND_MAX      2u
#define HOST_BEGIN    "HOST"

/* FNV-1a; the second one begins elsewhere. They name the file, and tell one that is damaged. */
#define HASH_PRIME	  0x100000001b3ull
#define HASH_BEGIN	  0xcbf29ce484222325ull
#define HASH_BEGIN_SECOND 0x9e3779b97f4a7c15ull

/* A file is this, the key and the code. */
struct code_file {
	char magic[8];
	uint64_t key_bytes;
	uint64_t code_bytes;
	uint64_t code_hash;
};

static const char magic[8] = "vgpucc1";

struct compile_key {
	char *folder;
	char name[COMPILE_CACHE_NAME_BYTES];
	size_t bytes;
	uint8_t data[];
};

static uint64_t hash(uint64_t value, const uint8_t *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		value = (value ^ bytes[i]) * HASH_PRIME;
	return value;
}

static uint8_t *key_add(uint8_t *place, const void *bytes, size_t count)
{
	if (count)
		memcpy(place, bytes, count);
	return place + count;
}

/* With its end, so that two strings are never another two. */
static uint8_t *key_string_add(uint8_t *place, const char *text)
{
	return key_add(place, text, strlen(text) + 1);
}

/*
 * Callers of another version could have other arguments: then there is no cache for them. Whether a pointer is one is
 * asked of the kernel, for looking would end the program.
 */
static bool call_is_known(uint32_t kind, const char *host)
{
	char begin[sizeof(HOST_BEGIN) - 1];
	struct iovec to = {.iov_base = begin, .iov_len = sizeof(begin)};
	struct iovec from = {.iov_base = (void *)(uintptr_t)host, .iov_len = sizeof(begin)};

	return kind >= 1 && kind <= KIND_MAX &&
	       process_vm_readv(getpid(), &to, 1, &from, 1, 0) == (ssize_t)sizeof(begin) &&
	       memcmp(begin, HOST_BEGIN, sizeof(begin)) == 0;
}

CUresult compile_cache_open(struct compile_key **ret_key, uint32_t kind, const void *input, uint32_t input_bytes,
			    const char *options, const char *host, const char *build, uint32_t architecture,
			    uint32_t is_specific)
{
	const uint32_t numbers[] = {kind, architecture, is_specific};
	const char *strings[] = {options ? options : "", host, build ? build : ""};
	size_t bytes = sizeof(numbers) + input_bytes;
	struct compile_key *key;
	uint8_t *place;

	if (!ret_key || (!input && input_bytes))
		return CUDA_ERROR_INVALID_VALUE;
	if (!call_is_known(kind, host))
		return CUDA_ERROR_NOT_INITIALIZED;
	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
		bytes += strlen(strings[i]) + 1;
	if (bytes > KEY_BYTES_MAX)
		return CUDA_ERROR_NOT_INITIALIZED;
	key = malloc(sizeof(*key) + bytes);
	if (!key)
		return CUDA_ERROR_OUT_OF_MEMORY;
	key->folder = compile_cache_folder();
	if (!key->folder) {
		free(key);
		return CUDA_ERROR_NOT_INITIALIZED;
	}
	place = key_add(key->data, numbers, sizeof(numbers));
	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
		place = key_string_add(place, strings[i]);
	key_add(place, input, input_bytes);
	key->bytes = bytes;
	snprintf(key->name, sizeof(key->name), "%016llx%016llx", (unsigned long long)hash(HASH_BEGIN, key->data, bytes),
		 (unsigned long long)hash(HASH_BEGIN_SECOND, key->data, bytes));
	*ret_key = key;
	return CUDA_SUCCESS;
}

CUresult compile_cache_close(struct compile_key *key)
{
	if (key)
		free(key->folder);
	free(key);
	return CUDA_SUCCESS;
}

/* False: less is there. */
static bool bytes_read(int fd, void *to, size_t count)
{
	uint8_t *place = to;

	while (count) {
		ssize_t got = read(fd, place, count);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		place += got;
		count -= (size_t)got;
	}
	return true;
}

static bool bytes_write(int fd, const void *from, size_t count)
{
	const uint8_t *place = from;

	while (count) {
		ssize_t written = write(fd, place, count);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return false;
		place += written;
		count -= (size_t)written;
	}
	return true;
}

/* Is it the file of the key, and whole? Leaves it at the code. */
static bool file_begin(int fd, const struct compile_key *key, struct code_file *ret_file)
{
	struct stat status;
	uint8_t *read_key;
	bool is_same;

	/* Code that another user has put into a folder for all is none. */
	if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || status.st_uid != geteuid() ||
	    !bytes_read(fd, ret_file, sizeof(*ret_file)))
		return false;
	if (memcmp(ret_file->magic, magic, sizeof(magic)) != 0 || ret_file->key_bytes != key->bytes ||
	    ret_file->code_bytes > UINT32_MAX ||
	    (uint64_t)status.st_size != sizeof(*ret_file) + ret_file->key_bytes + ret_file->code_bytes)
		return false;
	read_key = malloc(key->bytes);
	is_same = read_key && bytes_read(fd, read_key, key->bytes) && memcmp(read_key, key->data, key->bytes) == 0;
	free(read_key);
	return is_same;
}

/* The code, by malloc(); NULL: it is not there as it was written. */
static void *file_code(int fd, const struct code_file *file)
{
	uint8_t *code = malloc(file->code_bytes ? file->code_bytes : 1);

	if (code && bytes_read(fd, code, file->code_bytes) &&
	    hash(HASH_BEGIN, code, file->code_bytes) == file->code_hash)
		return code;
	free(code);
	return NULL;
}

CUresult compile_cache_find(const struct compile_key *key, uint64_t which, void **ret_code, uint32_t *ret_bytes)
{
	CUresult result = CUDA_ERROR_NOT_FOUND;
	struct code_file file;
	char path[PATH_MAX];
	void *code;
	int fd;

	if (!key || which || !ret_code || !ret_bytes)
		return CUDA_ERROR_INVALID_VALUE;
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", key->folder, key->name) >= sizeof(path))
		return CUDA_ERROR_NOT_FOUND;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return CUDA_ERROR_NOT_FOUND;
	code = file_begin(fd, key, &file) ? file_code(fd, &file) : NULL;
	if (code) {
		/* Those that were used last stay longest; where the time cannot be set the file only goes sooner. */
		(void)!futimens(fd, NULL);
		*ret_code = code;
		*ret_bytes = (uint32_t)file.code_bytes;
		result = CUDA_SUCCESS;
	}
	close(fd);
	return result;
}

CUresult compile_cache_give(void *code)
{
	free(code);
	return CUDA_SUCCESS;
}

static bool file_write(int fd, const struct compile_key *key, const void *code, uint32_t bytes)
{
	struct code_file file = {
		.key_bytes = key->bytes,
		.code_bytes = bytes,
		.code_hash = hash(HASH_BEGIN, code, bytes),
	};

	memcpy(file.magic, magic, sizeof(magic));
	return bytes_write(fd, &file, sizeof(file)) && bytes_write(fd, key->data, key->bytes) &&
	       bytes_write(fd, code, bytes);
}

CUresult compile_cache_store(const struct compile_key *key, uint64_t which, const void *code, uint32_t bytes)
{
	char path[PATH_MAX], made[PATH_MAX];
	bool is_written;
	int fd;

	if (!key || which || (!code && bytes))
		return CUDA_ERROR_INVALID_VALUE;
	if (sizeof(struct code_file) + key->bytes + bytes > compile_cache_bytes_max())
		return CUDA_SUCCESS;
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", key->folder, key->name) >= sizeof(path) ||
	    (size_t)snprintf(made, sizeof(made), "%s/" COMPILE_CACHE_MADE "XXXXXX", key->folder) >= sizeof(made) ||
	    !compile_cache_folder_make(key->folder))
		return CUDA_ERROR_OPERATING_SYSTEM;
	fd = mkostemp(made, O_CLOEXEC);
	if (fd < 0)
		return CUDA_ERROR_OPERATING_SYSTEM;
	is_written = file_write(fd, key, code, bytes);
	/* What is in its place is whole at each moment, whoever else writes it or reads it. */
	if (close(fd) < 0 || !is_written || rename(made, path) < 0) {
		unlink(made);
		return CUDA_ERROR_OPERATING_SYSTEM;
	}
	compile_cache_trim(key->folder);
	return CUDA_SUCCESS;
}
