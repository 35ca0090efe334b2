/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The physical memory of virtual memory management.  It is a piece of one sparse memory
 * file, so that it can be mapped at several addresses of the arena; the piece is
 * punched out of the file when the last handle and mapping are gone, and its
 * place is not used again.  What may be shared with other processes is a file of
 * its own, which is its handle.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arena.h"
#include "device_table.h"
#include "driver.h"
#include "entry.h"
#include "memory.h"
#include "virtual.h"

pthread_mutex_t virtual_lock = PTHREAD_MUTEX_INITIALIZER;

static int file = -1; /* the common one */
static uint64_t file_bytes;

static void physical_destroy(struct object *object)
{
	struct physical *physical = (struct physical *)object;

	/* Should it fail, the pages stay until the process ends; nobody else sees them. */
	if (physical->file < 0)
		(void)fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)physical->offset,
				(off_t)physical->bytes);
	else
		close(physical->file);
	arena_discharge(physical->properties.location.id, physical->bytes);
	free(physical);
}

int physical_file(const struct physical *physical)
{
	return physical->file < 0 ? file : physical->file;
}

/* What lies behind the memory in a file of its own. */
#define SHARE_MAGIC	 0x75706774666f7301ull
#define SHARE_PAGE_BYTES 4096u

struct share_page {
	uint64_t magic;
	uint64_t bytes;
	CUmemAllocationProp properties;
};

static CUresult properties_check(const CUmemAllocationProp *properties)
{
	CUresult result = driver_check();

	if (result)
		return result;
	if (!properties || properties->type != CU_MEM_ALLOCATION_TYPE_PINNED)
		return CUDA_ERROR_INVALID_VALUE;
	if ((properties->requestedHandleTypes != CU_MEM_HANDLE_TYPE_NONE &&
	     properties->requestedHandleTypes != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) ||
	    properties->location.type != CU_MEM_LOCATION_TYPE_DEVICE || properties->allocFlags.usage ||
	    properties->allocFlags.gpuDirectRDMACapable)
		return CUDA_ERROR_NOT_SUPPORTED;
	return device_exists(properties->location.id) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

ENTRY(cuMemGetAllocationGranularity,
      (size_t * ret_bytes, const CUmemAllocationProp *properties, CUmemAllocationGranularity_flags option))
{
	CUresult result = properties_check(properties);

	if (result)
		return result;
	if (!ret_bytes ||
	    (option != CU_MEM_ALLOC_GRANULARITY_MINIMUM && option != CU_MEM_ALLOC_GRANULARITY_RECOMMENDED))
		return CUDA_ERROR_INVALID_VALUE;
	*ret_bytes = GRANULARITY_BYTES;
	return CUDA_SUCCESS;
}

/* With the lock. */
static bool file_extend(uint64_t bytes)
{
	if (file < 0)
		file = memfd_create("softgpu", MFD_CLOEXEC);
	return file >= 0 && ftruncate(file, (off_t)(file_bytes + bytes)) == 0;
}

/* A file for the memory and a page behind it that says what it is. -1: there is no memory. */
static int own_file_make(uint64_t bytes, const CUmemAllocationProp *properties)
{
	struct share_page page = {.magic = SHARE_MAGIC, .bytes = bytes, .properties = *properties};
	int own = memfd_create("softgpu-shared", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (own < 0)
		return -1;
	page.properties.win32HandleMetaData = NULL;
	/* Whoever maps it relies on its length. */
	if (ftruncate(own, (off_t)(bytes + SHARE_PAGE_BYTES)) == 0 &&
	    pwrite(own, &page, sizeof(page), (off_t)bytes) == (ssize_t)sizeof(page) &&
	    fcntl(own, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0)
		return own;
	close(own);
	return -1;
}

/* Takes over 'own' (-1: a piece of the common file), in any case. With the lock. */
static CUresult physical_make(uint64_t bytes, const CUmemAllocationProp *properties, int own,
			      CUmemGenericAllocationHandle *ret_handle)
{
	struct physical *physical = calloc(1, sizeof(*physical));

	if (!physical || !arena_charge(properties->location.id, bytes))
		goto fail;
	if (own < 0 && !file_extend(bytes)) {
		arena_discharge(properties->location.id, bytes);
		goto fail;
	}
	object_prepare(&physical->object, OBJECT_PHYSICAL, NULL, physical_destroy);
	physical->file = own;
	physical->bytes = bytes;
	physical->handles = 1;
	physical->properties = *properties;
	if (own < 0) {
		physical->offset = file_bytes;
		file_bytes += bytes;
	}
	if (!object_publish(&physical->object)) {
		object_release(&physical->object);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	*ret_handle = (uintptr_t)physical;
	return CUDA_SUCCESS;
fail:
	if (own >= 0)
		close(own);
	free(physical);
	return CUDA_ERROR_OUT_OF_MEMORY;
}

/* With the lock. */
static CUresult physical_create(uint64_t bytes, const CUmemAllocationProp *properties,
				CUmemGenericAllocationHandle *ret_handle)
{
	int own = -1;

	if (properties->requestedHandleTypes != CU_MEM_HANDLE_TYPE_NONE) {
		own = own_file_make(bytes, properties);
		if (own < 0)
			return CUDA_ERROR_OUT_OF_MEMORY;
	}
	return physical_make(bytes, properties, own, ret_handle);
}

ENTRY(cuMemCreate, (CUmemGenericAllocationHandle * ret_handle, size_t bytes, const CUmemAllocationProp *properties,
		    unsigned long long flags))
{
	CUresult result = properties_check(properties);

	if (result)
		return result;
	if (!ret_handle || !bytes || bytes % GRANULARITY_BYTES || flags)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&virtual_lock);
	result = physical_create(bytes, properties, ret_handle);
	pthread_mutex_unlock(&virtual_lock);
	return result;
}

struct physical *physical_acquire(CUmemGenericAllocationHandle handle)
{
	return object_acquire((const void *)(uintptr_t)handle, OBJECT_PHYSICAL);
}

ENTRY(cuMemRelease, (CUmemGenericAllocationHandle handle))
{
	CUresult result = driver_check();
	struct physical *physical;

	if (result)
		return result;
	pthread_mutex_lock(&virtual_lock);
	physical = physical_acquire(handle);
	if (!physical)
		result = CUDA_ERROR_INVALID_VALUE;
	else if (--physical->handles == 0)
		object_release(object_retire(physical, OBJECT_PHYSICAL));
	object_release(physical ? &physical->object : NULL);
	pthread_mutex_unlock(&virtual_lock);
	return result;
}

ENTRY(cuMemGetAllocationPropertiesFromHandle,
      (CUmemAllocationProp * ret_properties, CUmemGenericAllocationHandle handle))
{
	CUresult result = driver_check();
	struct physical *physical;

	if (result)
		return result;
	if (!ret_properties)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&virtual_lock);
	physical = physical_acquire(handle);
	if (physical)
		*ret_properties = physical->properties;
	else
		result = CUDA_ERROR_INVALID_VALUE;
	object_release(physical ? &physical->object : NULL);
	pthread_mutex_unlock(&virtual_lock);
	return result;
}

ENTRY(cuMemExportToShareableHandle,
      (void *ret_handle, CUmemGenericAllocationHandle handle, CUmemAllocationHandleType type, unsigned long long flags))
{
	CUresult result = driver_check();
	struct physical *physical;

	if (result)
		return result;
	if (!ret_handle || flags || type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&virtual_lock);
	physical = physical_acquire(handle);
	if (physical && physical->file >= 0) {
		int copy = fcntl(physical->file, F_DUPFD_CLOEXEC, 0);

		*(int *)ret_handle = copy;
		result = copy < 0 ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
	} else {
		result = CUDA_ERROR_INVALID_VALUE;
	}
	object_release(physical ? &physical->object : NULL);
	pthread_mutex_unlock(&virtual_lock);
	return result;
}

/* Is it a file as own_file_make() makes them? Who made it is not to be trusted with more than its bytes. */
static bool share_read(int shared, struct share_page *ret_page)
{
	int seals = fcntl(shared, F_GET_SEALS);
	struct stat status;

	return seals >= 0 && seals & F_SEAL_SHRINK && fstat(shared, &status) == 0 &&
	       status.st_size > (off_t)SHARE_PAGE_BYTES &&
	       (status.st_size - SHARE_PAGE_BYTES) % GRANULARITY_BYTES == 0 &&
	       pread(shared, ret_page, sizeof(*ret_page), status.st_size - SHARE_PAGE_BYTES) ==
		       (ssize_t)sizeof(*ret_page) &&
	       ret_page->magic == SHARE_MAGIC && ret_page->bytes == (uint64_t)status.st_size - SHARE_PAGE_BYTES;
}

ENTRY(cuMemImportFromShareableHandle,
      (CUmemGenericAllocationHandle * ret_handle, void *shareable, CUmemAllocationHandleType type))
{
	CUresult result = driver_check();
	int shared = (int)(intptr_t)shareable;
	struct share_page page;
	int own;

	if (result)
		return result;
	if (!ret_handle || type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR || !share_read(shared, &page) ||
	    properties_check(&page.properties))
		return CUDA_ERROR_INVALID_VALUE;
	own = fcntl(shared, F_DUPFD_CLOEXEC, 0);
	if (own < 0)
		return CUDA_ERROR_OUT_OF_MEMORY;
	pthread_mutex_lock(&virtual_lock);
	result = physical_make(page.bytes, &page.properties, own, ret_handle);
	pthread_mutex_unlock(&virtual_lock);
	return result;
}

ENTRY(cuMemRetainAllocationHandle, (CUmemGenericAllocationHandle * ret_handle, void *address))
{
	CUresult result = driver_check();
	struct memory_range range;
	struct physical *physical;

	if (result)
		return result;
	if (!ret_handle)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&virtual_lock);
	if (!memory_find((uintptr_t)address, &range) || range.kind != MEMORY_MAPPED) {
		result = CUDA_ERROR_INVALID_VALUE;
		goto unlock;
	}
	physical = (struct physical *)range.physical;
	if (!physical->handles) {
		object_retain(&physical->object);
		if (!object_publish(&physical->object)) {
			object_release(&physical->object);
			result = CUDA_ERROR_OUT_OF_MEMORY;
			goto unlock;
		}
	}
	physical->handles++;
	*ret_handle = (uintptr_t)physical;
unlock:
	pthread_mutex_unlock(&virtual_lock);
	return result;
}
