/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtual memory management.  Physical memory is a piece of one sparse memory
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
#include "object.h"

/* As on the GPUs of today. */
#define GRANULARITY_BYTES ((uint64_t)2 << 20)

struct physical {
	struct object object;
	int file;	 /* -1: a piece of the common one */
	uint64_t offset; /* in the file */
	uint64_t bytes;
	unsigned handles; /* that the program has to release; 0: only mappings are left */
	CUmemAllocationProp properties;
};

/* Orders all calls of this file. */
static pthread_mutex_t virtual_lock = PTHREAD_MUTEX_INITIALIZER;
static int file = -1;
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

/* With the lock and a reference for the caller. */
static struct physical *physical_acquire(CUmemGenericAllocationHandle handle)
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

ENTRY(cuMemAddressReserve,
      (CUdeviceptr * ret_address, size_t bytes, size_t alignment, CUdeviceptr hint, unsigned long long flags))
{
	CUresult result = driver_check();

	(void)hint; /* a hint that is not followed */
	if (result)
		return result;
	if (!ret_address || !bytes || bytes % GRANULARITY_BYTES || alignment & (alignment - 1) || flags)
		return CUDA_ERROR_INVALID_VALUE;
	*ret_address = arena_reserve(bytes, alignment < GRANULARITY_BYTES ? GRANULARITY_BYTES : alignment);
	return *ret_address ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

/* Nothing is mapped in [address, address + bytes)? With the lock. */
static bool is_unmapped(uint64_t address, uint64_t bytes)
{
	struct memory_range range;

	for (uint64_t at = address; at < address + bytes; at += GRANULARITY_BYTES) {
		if (memory_find(at, &range))
			return false;
	}
	return true;
}

ENTRY(cuMemAddressFree, (CUdeviceptr address, size_t bytes))
{
	CUresult result = driver_check();

	if (result)
		return result;
	pthread_mutex_lock(&virtual_lock);
	if (arena_reserved(address, bytes, true) && is_unmapped(address, bytes))
		arena_release(address);
	else
		result = CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_unlock(&virtual_lock);
	return result;
}

/* With the lock and a reference that is the mapping's on success. */
static CUresult map(struct physical *physical, uint64_t address, uint64_t bytes, uint64_t offset)
{
	struct memory_range range = {
		.base = address,
		.bytes = bytes,
		.kind = MEMORY_MAPPED,
		.device = physical->properties.location.id,
		.physical = &physical->object,
	};

	if (offset > physical->bytes || bytes > physical->bytes - offset || !arena_reserved(address, bytes, false) ||
	    !is_unmapped(address, bytes))
		return CUDA_ERROR_INVALID_VALUE;
	if (mmap((void *)address, bytes, PROT_NONE, MAP_SHARED | MAP_FIXED, physical->file < 0 ? file : physical->file,
		 (off_t)(physical->offset + offset)) == MAP_FAILED)
		return CUDA_ERROR_OUT_OF_MEMORY;
	return memory_register(&range);
}

ENTRY(cuMemMap,
      (CUdeviceptr address, size_t bytes, size_t offset, CUmemGenericAllocationHandle handle, unsigned long long flags))
{
	CUresult result = driver_check();
	struct physical *physical;

	if (result)
		return result;
	if (!bytes || address % GRANULARITY_BYTES || bytes % GRANULARITY_BYTES || offset % GRANULARITY_BYTES || flags)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&virtual_lock);
	physical = physical_acquire(handle);
	result = physical ? map(physical, address, bytes, offset) : CUDA_ERROR_INVALID_VALUE;
	if (physical && result)
		object_release(&physical->object);
	pthread_mutex_unlock(&virtual_lock);
	return result;
}

/* Is [address, address + bytes) made of whole mappings? With the lock. */
static bool is_whole(uint64_t address, uint64_t bytes)
{
	struct memory_range range;

	if (!bytes || !arena_reserved(address, bytes, false))
		return false;
	while (bytes) {
		if (!memory_find(address, &range) || range.kind != MEMORY_MAPPED || range.base != address ||
		    range.bytes > bytes)
			return false;
		address += range.bytes;
		bytes -= range.bytes;
	}
	return true;
}

/* With the lock. */
static CUresult unmap(uint64_t address, uint64_t bytes)
{
	struct memory_range range;

	/* First from the table, so that no copy is running there. */
	for (uint64_t at = address; at < address + bytes; at += range.bytes) {
		CUresult result = memory_free(at, MEMORY_MASK(MEMORY_MAPPED), &range);

		if (result)
			return result;
		object_release(range.physical);
	}
	if (mmap((void *)address, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) ==
	    MAP_FAILED)
		return CUDA_ERROR_OUT_OF_MEMORY;
	(void)madvise((void *)address, bytes, MADV_DONTDUMP);
	return CUDA_SUCCESS;
}

ENTRY(cuMemUnmap, (CUdeviceptr address, size_t bytes))
{
	CUresult result = driver_check();

	if (result)
		return result;
	pthread_mutex_lock(&virtual_lock);
	result = is_whole(address, bytes) ? unmap(address, bytes) : CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_unlock(&virtual_lock);
	return result;
}

/* With the lock. */
static CUresult access_set(uint64_t address, uint64_t bytes, CUdevice device, bool accessible)
{
	struct memory_range range;

	if (!is_whole(address, bytes))
		return CUDA_ERROR_INVALID_VALUE;
	for (uint64_t at = address; at < address + bytes; at += range.bytes) {
		uint32_t devices;

		if (!memory_find(at, &range))
			return CUDA_ERROR_INVALID_VALUE;
		devices = accessible ? range.access_devices | 1u << device : range.access_devices & ~(1u << device);
		/* The pages are the process's: whom one device is let at, all can reach. */
		if (mprotect((void *)at, range.bytes, devices ? PROT_READ | PROT_WRITE : PROT_NONE))
			return CUDA_ERROR_OUT_OF_MEMORY;
		memory_set_access(at, devices);
	}
	return CUDA_SUCCESS;
}

static CUresult descriptor_check(const CUmemAccessDesc *descriptor)
{
	if (descriptor->location.type != CU_MEM_LOCATION_TYPE_DEVICE || !device_exists(descriptor->location.id))
		return CUDA_ERROR_INVALID_VALUE;
	/* Memory that can be read only is not built here. */
	if (descriptor->flags == CU_MEM_ACCESS_FLAGS_PROT_READ)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (descriptor->flags != CU_MEM_ACCESS_FLAGS_PROT_NONE &&
	    descriptor->flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

ENTRY(cuMemSetAccess, (CUdeviceptr address, size_t bytes, const CUmemAccessDesc *descriptors, size_t count))
{
	CUresult result = driver_check();

	if (result)
		return result;
	if (!descriptors || !count)
		return CUDA_ERROR_INVALID_VALUE;
	for (size_t index = 0; !result && index < count; index++)
		result = descriptor_check(&descriptors[index]);
	pthread_mutex_lock(&virtual_lock);
	for (size_t index = 0; !result && index < count; index++)
		result = access_set(address, bytes, descriptors[index].location.id,
				    descriptors[index].flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
	pthread_mutex_unlock(&virtual_lock);
	return result;
}

ENTRY(cuMemGetAccess, (unsigned long long *ret_flags, const CUmemLocation *location, CUdeviceptr address))
{
	CUresult result = driver_check();
	struct memory_range range;

	if (result)
		return result;
	if (!ret_flags || !location || location->type != CU_MEM_LOCATION_TYPE_DEVICE || !device_exists(location->id) ||
	    !memory_find(address, &range) || range.kind != MEMORY_MAPPED)
		return CUDA_ERROR_INVALID_VALUE;
	*ret_flags = range.access_devices & 1u << location->id ? CU_MEM_ACCESS_FLAGS_PROT_READWRITE
							       : CU_MEM_ACCESS_FLAGS_PROT_NONE;
	return CUDA_SUCCESS;
}
