/* SPDX-License-Identifier: Apache-2.0 */
/* Allocation of device memory, and memory pools. */
#include "capture.h"
#include "executor.h"
#include "executor_calls.h"
#include "limit.h"
#include "share_pool.h"
#include "vgpu_address.h"

/* What NVIDIA's driver makes a multiple of; what it does make is charged. */
#define PITCH_BYTES 512u

/* What was freed by a posted call is free to the program; true: there were such, which the driver has made only now. */
static bool frees_make_room(struct executor *executor, CUresult result)
{
	return result == CUDA_ERROR_OUT_OF_MEMORY && pending_end_posted(executor);
}

CUresult execute_cuMemAlloc_v2(struct executor *executor, const struct request *request,
			       const struct wire_cuMemAlloc_v2 *arguments, struct wire_cuMemAlloc_v2_reply *reply)
{
	CUdeviceptr address = 0;
	CUresult result = account_admit(executor, "cuMemAlloc", arguments->bytesize);

	if (!result) {
		result = executor->driver.cuMemAlloc_v2(&address, arguments->bytesize);
		account_add(executor, "cuMemAlloc", result, address, arguments->bytesize, request->context);
	}
	if (frees_make_room(executor, result))
		return execute_cuMemAlloc_v2(executor, request, arguments, reply);
	reply->dptr = address;
	return result;
}

CUresult execute_cuMemAllocPitch_v2(struct executor *executor, const struct request *request,
				    const struct wire_cuMemAllocPitch_v2 *arguments,
				    struct wire_cuMemAllocPitch_v2_reply *reply)
{
	const struct driver *driver = &executor->driver;
	CUdeviceptr address = 0;
	size_t pitch = 0;
	uint64_t bytes;
	CUresult result;

	if (__builtin_add_overflow(arguments->WidthInBytes, PITCH_BYTES - 1, &bytes) ||
	    __builtin_mul_overflow(bytes / PITCH_BYTES * PITCH_BYTES, arguments->Height, &bytes))
		return CUDA_ERROR_INVALID_VALUE;
	result = account_admit(executor, "cuMemAllocPitch", bytes);
	if (!result) {
		result = driver->cuMemAllocPitch_v2(&address, &pitch, arguments->WidthInBytes, arguments->Height,
						    arguments->ElementSizeBytes);
		if (!result && __builtin_mul_overflow(pitch, arguments->Height, &bytes))
			bytes = UINT64_MAX;
		if (!result)
			result = account_adjust(executor, bytes);
		if (result && address) {
			driver->cuMemFree_v2(address);
			address = 0;
			pitch = 0;
		}
		account_add(executor, "cuMemAllocPitch", result, address, bytes, request->context);
	}
	if (frees_make_room(executor, result))
		return execute_cuMemAllocPitch_v2(executor, request, arguments, reply);
	reply->dptr = address;
	reply->pPitch = pitch;
	return result;
}

static CUresult memory_free(struct executor *executor, uint64_t address)
{
	CUresult result = executor->driver.cuMemFree_v2(address);

	if (!result) {
		account_remove(executor, address);
		graph_memory_free(executor, address);
	}
	return result;
}

CUresult execute_cuMemFree_v2(struct executor *executor, const struct request *request,
			      const struct wire_cuMemFree_v2 *arguments)
{
	const struct allocation *allocation = account_find(executor, arguments->dptr);
	struct context *context = allocation ? context_find(executor, allocation->context) : NULL;

	/* A pool's memory, which is no context's, and a graph's the driver frees without waiting. */
	return context ? pending_add_end(executor, request, context, memory_free, arguments->dptr)
		       : memory_free(executor, arguments->dptr);
}

/* The tenant's quota is its device's memory. */
CUresult execute_cuMemGetInfo_v2(struct executor *executor, const struct request *request,
				 struct wire_cuMemGetInfo_v2_reply *reply)
{
	size_t free_bytes = 0;
	size_t total_bytes = 0;
	CUresult result;

	(void)request;
	if (!executor->driver.cuMemGetInfo_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = executor->driver.cuMemGetInfo_v2(&free_bytes, &total_bytes);
	reserve_refresh(executor);
	reply->free = free_bytes;
	reply->total = total_bytes;
	limit_memory_view(executor, &reply->free, &reply->total);
	return result;
}

/* Pool 0 is the device's current pool. */
static CUresult pool_find(struct executor *executor, uint32_t id, CUmemoryPool *ret_pool)
{
	void *object = NULL;
	CUresult result = id ? execute_find(executor, VGPU_KIND_MEMORY_POOL, id, &object) : CUDA_SUCCESS;

	if (!result)
		*ret_pool = object;
	return result;
}

CUresult execute_cuMemAllocFromPoolAsync(struct executor *executor, const struct request *request,
					 const struct wire_cuMemAllocFromPoolAsync *arguments,
					 struct wire_cuMemAllocFromPoolAsync_reply *reply)
{
	const struct driver *driver = &executor->driver;
	CUdeviceptr address = 0;
	uint64_t capture = 0;
	CUmemoryPool pool, source = NULL;
	CUstream stream;
	CUresult result = pool_find(executor, arguments->pool, &pool);

	if (!result)
		result = execute_find_stream(executor, arguments->hStream, &stream);
	if (!result && !(pool ? (void *)driver->cuMemAllocFromPoolAsync : (void *)driver->cuMemAllocAsync))
		result = CUDA_ERROR_NOT_SUPPORTED;
	if (!result)
		result = capture_find(executor, stream, &capture);
	if (!result && !capture)
		result = reserve_pool_find(executor, pool, arguments->hStream, &source);
	if (!result)
		result = capture ? graph_memory_admit(executor, arguments->bytesize)
				 : account_admit(executor, "cuMemAllocAsync", arguments->bytesize);
	if (result)
		return result;
	if (pool)
		result = driver->cuMemAllocFromPoolAsync(&address, arguments->bytesize, pool, stream);
	else
		result = driver->cuMemAllocAsync(&address, arguments->bytesize, stream);
	if (!result && source) {
		result = reserve_allocated(executor, source, executor->account.admitted);
		if (result) {
			(void)driver->cuMemFreeAsync(address, stream);
			address = 0;
		}
	}
	/* A pool's memory does not end with the context that allocated it. */
	if (capture)
		graph_memory_add(executor, result, (struct graph_memory_place){.capture = capture}, address,
				 arguments->bytesize);
	else
		account_add(executor, "cuMemAllocAsync", result, address, arguments->bytesize, 0);
	if (!result && source)
		account_find(executor, address)->source = source;
	if (!result && !capture)
		shared_pool_note(executor, arguments->pool, address);
	(void)request;
	reply->dptr = address;
	return result;
}

CUresult execute_cuMemFreeAsync(struct executor *executor, const struct request *request,
				const struct wire_cuMemFreeAsync *arguments)
{
	uint64_t capture = 0;
	CUstream stream;
	CUresult result = execute_find_stream(executor, arguments->hStream, &stream);

	(void)request;
	if (!result)
		result = capture_find(executor, stream, &capture);
	if (!result && capture)
		result = graph_memory_admit(executor, 0);
	if (result)
		return result;
	result = executor->driver.cuMemFreeAsync ? executor->driver.cuMemFreeAsync(arguments->dptr, stream)
						 : CUDA_ERROR_NOT_SUPPORTED;
	if (capture) {
		graph_memory_add(executor, result, (struct graph_memory_place){.capture = capture}, arguments->dptr, 0);
	} else if (!result) {
		account_remove(executor, arguments->dptr);
		graph_memory_free(executor, arguments->dptr);
		memory_wait_note_free(executor, arguments->hStream);
	}
	return result;
}

CUresult execute_cuMemPoolCreate(struct executor *executor, const struct request *request,
				 const struct wire_cuMemPoolCreate *arguments)
{
	/* The rest of the properties describes sharing with other processes (share_pool.c). */
	CUmemPoolProps properties = {
		.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
		.handleTypes = CU_MEM_HANDLE_TYPE_NONE,
		.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = arguments->dev},
		.maxSize = arguments->max_bytes,
	};
	CUmemoryPool pool = NULL;
	CUresult result;

	if (!executor->driver.cuMemPoolCreate)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = execute_check_mint(executor, VGPU_KIND_MEMORY_POOL, arguments->pool);
	if (!result)
		result = executor->driver.cuMemPoolCreate(&pool, &properties);
	if (!result)
		execute_mint(executor, arguments->pool, request->context, pool);
	return result;
}

/* The attributes whose value is an int; those of the others have 64 bits (API reference). */
static bool attribute_is_int(uint32_t attribute)
{
	return attribute == CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES ||
	       attribute == CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC ||
	       attribute == CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES;
}

CUresult execute_cuMemPoolSetAttribute(struct executor *executor, const struct request *request,
				       const struct wire_cuMemPoolSetAttribute *arguments)
{
	cuuint64_t wide = arguments->value;
	int narrow = (int)arguments->value;
	void *value = attribute_is_int(arguments->attr) ? (void *)&narrow : (void *)&wide;
	void *pool;
	CUresult result = execute_find(executor, VGPU_KIND_MEMORY_POOL, arguments->pool, &pool);

	(void)request;
	if (result)
		return result;
	if (!executor->driver.cuMemPoolSetAttribute)
		return CUDA_ERROR_NOT_SUPPORTED;
	return executor->driver.cuMemPoolSetAttribute(pool, (CUmemPool_attribute)arguments->attr, value);
}

CUresult execute_cuMemPoolGetAttribute(struct executor *executor, const struct request *request,
				       const struct wire_cuMemPoolGetAttribute *arguments,
				       struct wire_cuMemPoolGetAttribute_reply *reply)
{
	cuuint64_t wide = 0;
	int narrow = 0;
	bool is_int = attribute_is_int(arguments->attr);
	void *pool;
	CUresult result = execute_find(executor, VGPU_KIND_MEMORY_POOL, arguments->pool, &pool);

	(void)request;
	if (result)
		return result;
	if (!executor->driver.cuMemPoolGetAttribute)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = executor->driver.cuMemPoolGetAttribute(pool, (CUmemPool_attribute)arguments->attr,
							is_int ? (void *)&narrow : (void *)&wide);
	reply->value = is_int ? (cuuint64_t)narrow : wide;
	return result;
}

/*
 * It is the guest that waits, for the executor's own copies and fills are asynchronous ones; the driver says of which
 * memory the attribute can be set.
 */
CUresult execute_cuPointerSetAttribute(struct executor *executor, const struct request *request,
				       const struct wire_cuPointerSetAttribute *arguments)
{
	unsigned int value = arguments->value != 0;

	(void)request;
	if (!executor->driver.cuPointerSetAttribute)
		return CUDA_ERROR_NOT_SUPPORTED;
	/* What lies elsewhere may be registered memory of this process's own. */
	if (arguments->attribute != CU_POINTER_ATTRIBUTE_SYNC_MEMOPS || !vgpu_address_is_device(arguments->ptr, 1))
		return CUDA_ERROR_INVALID_VALUE;
	return executor->driver.cuPointerSetAttribute(&value, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, arguments->ptr);
}

CUresult execute_cuMemPoolSetAccess(struct executor *executor, const struct request *request,
				    const struct wire_cuMemPoolSetAccess *arguments)
{
	CUmemAccessDesc descriptor = {
		.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = arguments->dev},
		.flags = (CUmemAccess_flags)arguments->flags,
	};
	void *pool;
	CUresult result = execute_find(executor, VGPU_KIND_MEMORY_POOL, arguments->pool, &pool);

	(void)request;
	if (result)
		return result;
	if (!executor->driver.cuMemPoolSetAccess)
		return CUDA_ERROR_NOT_SUPPORTED;
	return executor->driver.cuMemPoolSetAccess(pool, &descriptor, 1);
}

CUresult execute_cuMemPoolGetAccess(struct executor *executor, const struct request *request,
				    const struct wire_cuMemPoolGetAccess *arguments,
				    struct wire_cuMemPoolGetAccess_reply *reply)
{
	CUmemLocation location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = arguments->dev};
	CUmemAccess_flags flags = CU_MEM_ACCESS_FLAGS_PROT_NONE;
	void *pool;
	CUresult result = execute_find(executor, VGPU_KIND_MEMORY_POOL, arguments->memPool, &pool);

	(void)request;
	if (result)
		return result;
	if (!executor->driver.cuMemPoolGetAccess)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = executor->driver.cuMemPoolGetAccess(&flags, pool, &location);
	reply->flags = (uint32_t)flags;
	return result;
}
