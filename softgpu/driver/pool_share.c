/* SPDX-License-Identifier: Apache-2.0 */
/* Pools that processes share: a pool is known by its file's descriptor, its memory by the place in the file. */
#include <string.h>

#include "arena.h"
#include "driver.h"
#include "entry.h"
#include "memory.h"
#include "pool.h"
#include "pool_file.h"

#define POINTER_MAGIC 0x72746e6974666f73ull /* "softintr" */

/* What is in CUmemPoolPtrExportData. */
struct pointer_data {
	uint64_t magic;
	uint64_t file;
	uint64_t offset;
	uint64_t bytes;
};
_Static_assert(sizeof(struct pointer_data) <= sizeof(CUmemPoolPtrExportData), "it fits");

ENTRY(cuMemPoolExportToShareableHandle,
      (void *ret_handle, CUmemoryPool handle, CUmemAllocationHandleType type, unsigned long long flags))
{
	struct pool *pool;
	int copy;
	CUresult result = pool_acquire(handle, &pool);

	if (result)
		return result;
	if (!ret_handle || flags || type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR || !pool->file ||
	    pool->is_imported) {
		result = CUDA_ERROR_INVALID_VALUE;
	} else {
		copy = pool_file_share(pool->file);
		if (copy < 0)
			result = CUDA_ERROR_OUT_OF_MEMORY;
		else
			*(int *)ret_handle = copy;
		pool->is_exported |= !result;
	}
	object_release(&pool->object);
	return result;
}

ENTRY(cuMemPoolImportFromShareableHandle,
      (CUmemoryPool * ret_pool, void *handle, CUmemAllocationHandleType type, unsigned long long flags))
{
	struct pool_file *file;
	struct pool *pool;
	CUdevice device;
	CUresult result = driver_check();

	if (result)
		return result;
	if (!ret_pool || flags || type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
		return CUDA_ERROR_INVALID_VALUE;
	file = pool_file_open((int)(intptr_t)handle, &device);
	if (!file)
		return CUDA_ERROR_INVALID_VALUE;
	result = memory_pool_create(device, 0, file, &pool);
	if (result)
		return result;
	pool->is_imported = true;
	*ret_pool = (CUmemoryPool)pool;
	return CUDA_SUCCESS;
}

ENTRY(cuMemPoolExportPointer, (CUmemPoolPtrExportData * ret_data, CUdeviceptr address))
{
	struct pointer_data data = {.magic = POINTER_MAGIC};
	struct memory_range range;
	struct pool *pool;
	CUresult result = driver_check();

	if (result)
		return result;
	if (!ret_data || !memory_find(address, &range) || range.base != address || !range.pool)
		return CUDA_ERROR_INVALID_VALUE;
	pool = object_acquire(range.pool, OBJECT_POOL);
	if (!pool)
		return CUDA_ERROR_INVALID_VALUE;
	/* As NVIDIA's driver has it (580.159.04, measured). */
	if (!pool->is_exported) {
		result = CUDA_ERROR_INVALID_VALUE;
	} else {
		data.file = pool_file_identity(pool->file);
		data.offset = range.pool_offset;
		data.bytes = range.bytes;
		memset(ret_data, 0, sizeof(*ret_data));
		memcpy(ret_data, &data, sizeof(data));
	}
	object_release(&pool->object);
	return result;
}

/* Belongs to no context: it stays until it is freed. */
static CUresult pointer_import(struct pool *pool, const struct pointer_data *data, CUdeviceptr *ret_address)
{
	struct memory_range range = {
		.bytes = data->bytes,
		.kind = MEMORY_DEVICE,
		.device = pool->device,
		.pool = pool,
		.pool_offset = data->offset,
	};
	CUresult result;

	if (!pool_take(pool, data->bytes))
		return CUDA_ERROR_OUT_OF_MEMORY;
	result = memory_allocate(&range, ARENA_PAGE_BYTES);
	if (result) {
		pool_return(pool, data->bytes, data->offset);
		return result;
	}
	if (!pool_file_map(pool->file, range.base, data->bytes, data->offset)) {
		(void)memory_free(range.base, MEMORY_MASK(MEMORY_DEVICE), NULL);
		return CUDA_ERROR_MAP_FAILED;
	}
	*ret_address = range.base;
	return CUDA_SUCCESS;
}

ENTRY(cuMemPoolImportPointer, (CUdeviceptr * ret_address, CUmemoryPool handle, CUmemPoolPtrExportData *given))
{
	struct pointer_data data;
	struct pool *pool;
	CUresult result = pool_acquire(handle, &pool);

	if (result)
		return result;
	if (!ret_address || !given || !pool->is_imported) {
		result = CUDA_ERROR_INVALID_VALUE;
		goto release;
	}
	memcpy(&data, given, sizeof(data));
	if (data.magic != POINTER_MAGIC || data.file != pool_file_identity(pool->file) ||
	    !pool_file_holds(pool->file, data.offset, data.bytes))
		result = CUDA_ERROR_INVALID_VALUE;
	else
		result = pointer_import(pool, &data, ret_address);
release:
	object_release(&pool->object);
	return result;
}
