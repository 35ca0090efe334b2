/* SPDX-License-Identifier: Apache-2.0 */
#include "pool_file.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arena.h"
#include "device_table.h"

#define POOL_MAGIC 0x6c6f6f7074666f73ull /* "softpool" */

/* The file's first page. */
struct pool_page {
	uint64_t magic;
	uint32_t bus; /* of the device */
	uint32_t reserved;
};

struct pool_file {
	pthread_mutex_t lock;
	int descriptor;
	uint64_t identity;
	uint64_t bytes; /* whole pages; of our own pool */
};

static uint64_t whole_pages(uint64_t bytes)
{
	return (bytes + ARENA_PAGE_BYTES - 1) & ~(uint64_t)(ARENA_PAGE_BYTES - 1);
}

/* Takes over the descriptor, in any case. */
static struct pool_file *file_make(int descriptor)
{
	struct pool_file *file = calloc(1, sizeof(*file));
	struct stat status;

	if (!file || fstat(descriptor, &status)) {
		close(descriptor);
		free(file);
		return NULL;
	}
	pthread_mutex_init(&file->lock, NULL);
	file->descriptor = descriptor;
	file->identity = (uint64_t)status.st_ino;
	file->bytes = ARENA_PAGE_BYTES;
	return file;
}

struct pool_file *pool_file_create(CUdevice device)
{
	struct pool_page page = {.magic = POOL_MAGIC, .bus = device_bus(device)};
	int descriptor = memfd_create("softgpu-pool", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (descriptor < 0)
		return NULL;
	/* Whoever maps it relies on its length. */
	if (ftruncate(descriptor, (off_t)ARENA_PAGE_BYTES) == 0 &&
	    pwrite(descriptor, &page, sizeof(page), 0) == (ssize_t)sizeof(page) &&
	    fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK) == 0)
		return file_make(descriptor);
	close(descriptor);
	return NULL;
}

static bool device_find(uint32_t bus, CUdevice *ret_device)
{
	for (CUdevice device = 0; device < device_count(); device++) {
		if (device_bus(device) == bus) {
			*ret_device = device;
			return true;
		}
	}
	return false;
}

/* Who made it is not to be trusted with more than its bytes. */
struct pool_file *pool_file_open(int descriptor, CUdevice *ret_device)
{
	int seals = fcntl(descriptor, F_GET_SEALS);
	struct pool_page page;
	int own;

	if (seals < 0 || !(seals & F_SEAL_SHRINK) ||
	    pread(descriptor, &page, sizeof(page), 0) != (ssize_t)sizeof(page) || page.magic != POOL_MAGIC ||
	    !device_find(page.bus, ret_device))
		return NULL;
	own = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
	return own < 0 ? NULL : file_make(own);
}

void pool_file_close(struct pool_file *file)
{
	if (!file)
		return;
	close(file->descriptor);
	pthread_mutex_destroy(&file->lock);
	free(file);
}

int pool_file_share(const struct pool_file *file)
{
	return fcntl(file->descriptor, F_DUPFD_CLOEXEC, 0);
}

uint64_t pool_file_identity(const struct pool_file *file)
{
	return file->identity;
}

bool pool_file_extend(struct pool_file *file, uint64_t bytes, uint64_t *ret_offset)
{
	uint64_t pages = whole_pages(bytes);
	bool extended;

	pthread_mutex_lock(&file->lock);
	extended = pages >= bytes && pages < (uint64_t)INT64_MAX - file->bytes &&
		   ftruncate(file->descriptor, (off_t)(file->bytes + pages)) == 0;
	if (extended) {
		*ret_offset = file->bytes;
		file->bytes += pages;
	}
	pthread_mutex_unlock(&file->lock);
	return extended;
}

void pool_file_punch(const struct pool_file *file, uint64_t offset, uint64_t bytes)
{
	/* Should it fail, the pages stay until the pool ends. */
	if (bytes)
		(void)fallocate(file->descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
				(off_t)whole_pages(bytes));
}

bool pool_file_holds(const struct pool_file *file, uint64_t offset, uint64_t bytes)
{
	struct stat status;

	return bytes && offset >= ARENA_PAGE_BYTES && offset % ARENA_PAGE_BYTES == 0 &&
	       fstat(file->descriptor, &status) == 0 && offset < (uint64_t)status.st_size &&
	       bytes <= (uint64_t)status.st_size - offset;
}

bool pool_file_map(const struct pool_file *file, uint64_t address, uint64_t bytes, uint64_t offset)
{
	uint64_t pages = whole_pages(bytes);

	if (mmap((void *)address, pages, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file->descriptor,
		 (off_t)offset) == MAP_FAILED)
		return false;
	(void)madvise((void *)address, pages, MADV_DONTDUMP);
	return true;
}
