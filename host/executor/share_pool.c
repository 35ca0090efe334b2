/* SPDX-License-Identifier: Apache-2.0 */
#include "share_pool.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "control_socket.h"
#include "driver.h"
#include "executor.h"
#include "executor_calls.h"

struct shared_pool {
	struct shared_pool *next;
	uint32_t id; /* wire id */
	CUdevice device;
	uint64_t number; /* of an imported pool that of the pool that it is */
	bool is_imported;
	bool is_published;
};

static struct shared_pool *shared_pool_find(const struct executor *executor, uint32_t id)
{
	struct shared_pool *pool = executor->shares.pools;

	while (pool && pool->id != id)
		pool = pool->next;
	return pool;
}

static void shared_pool_add(struct executor *executor, struct shared_pool *pool)
{
	pool->next = executor->shares.pools;
	executor->shares.pools = pool;
}

static void shared_pool_remove(struct executor *executor, struct shared_pool *pool)
{
	struct shared_pool **place = &executor->shares.pools;

	while (*place != pool)
		place = &(*place)->next;
	*place = pool->next;
	free(pool);
}

/* A pool that was imported outlives its executor, and with it would process id and count: another one may have them. */
static bool number_make(uint64_t *ret_number)
{
	return getrandom(ret_number, sizeof(*ret_number), 0) == (ssize_t)sizeof(*ret_number);
}

static void pool_name(const struct executor *executor, const struct shared_pool *pool, struct control_message *message)
{
	struct vgpu_share_pool name = {
		.number = pool->number,
		.pci_place = driver_pci_place(&executor->driver, pool->device),
	};

	message->share.kind = VGPU_SHARE_POOL;
	memcpy(message->share.handle, &name, sizeof(name));
}

void shared_pool_note(struct executor *executor, uint32_t id, CUdeviceptr address)
{
	const struct shared_pool *pool = id ? shared_pool_find(executor, id) : NULL;
	struct allocation *allocation = pool ? account_find(executor, address) : NULL;

	if (allocation)
		allocation->pool = pool->number;
}

CUresult execute_cuMemPoolCreateShared(struct executor *executor, const struct request *request,
				       const struct wire_cuMemPoolCreateShared *arguments)
{
	CUmemPoolProps properties = {
		.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
		.handleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
		.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = arguments->dev},
		.maxSize = arguments->max_bytes,
	};
	struct shared_pool *shared;
	CUmemoryPool pool = NULL;
	CUresult result;

	if (!executor->driver.cuMemPoolCreate || !executor->can_share ||
	    arguments->handle_types != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = execute_check_mint(executor, VGPU_KIND_MEMORY_POOL, arguments->pool);
	if (result)
		return result;
	shared = calloc(1, sizeof(*shared));
	if (!shared)
		return CUDA_ERROR_OUT_OF_MEMORY;
	result = number_make(&shared->number) ? executor->driver.cuMemPoolCreate(&pool, &properties)
					      : CUDA_ERROR_OPERATING_SYSTEM;
	if (result) {
		free(shared);
		return result;
	}
	shared->id = arguments->pool;
	shared->device = arguments->dev;
	shared_pool_add(executor, shared);
	execute_mint(executor, arguments->pool, request->context, pool);
	return CUDA_SUCCESS;
}

CUresult execute_cuMemPoolDestroy(struct executor *executor, const struct request *request,
				  const struct wire_cuMemPoolDestroy *arguments)
{
	struct shared_pool *shared = shared_pool_find(executor, arguments->pool);
	struct control_message message = {.fd_count = 0};
	void *pool;
	CUresult result = execute_find(executor, VGPU_KIND_MEMORY_POOL, arguments->pool, &pool);

	(void)request;
	if (result)
		return result;
	if (!executor->driver.cuMemPoolDestroy)
		return CUDA_ERROR_NOT_SUPPORTED;
	/* A descriptor that stayed with the mediator would keep the pool. */
	if (shared && shared->is_published) {
		pool_name(executor, shared, &message);
		if (!share_tell_withdrawn(executor, &message))
			return CUDA_ERROR_SYSTEM_NOT_READY;
		shared->is_published = false;
	}
	result = reserve_pool_destroy(executor, pool);
	if (result)
		return result;
	if (shared)
		shared_pool_remove(executor, shared);
	execute_forget(executor, arguments->pool);
	return CUDA_SUCCESS;
}

CUresult execute_cuMemPoolExportToShareableHandle(struct executor *executor, const struct request *request,
						  const struct wire_cuMemPoolExportToShareableHandle *arguments,
						  struct wire_cuMemPoolExportToShareableHandle_reply *reply,
						  void *reply_shareable, size_t capacity)
{
	struct shared_pool *shared = shared_pool_find(executor, arguments->pool);
	struct control_message message = {.fd_count = 1};
	int descriptor = -1;
	void *pool;
	CUresult result = execute_find(executor, VGPU_KIND_MEMORY_POOL, arguments->pool, &pool);

	(void)reply, (void)reply_shareable, (void)capacity;
	if (result)
		return result;
	if (!executor->driver.cuMemPoolExportToShareableHandle)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!shared || shared->is_imported)
		return CUDA_ERROR_INVALID_VALUE;
	result = executor->driver.cuMemPoolExportToShareableHandle(&descriptor, pool,
								   CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0);
	if (result)
		return result;
	/* The same pool keeps its number, and so its token. */
	pool_name(executor, shared, &message);
	message.fds[0] = descriptor;
	result = share_publish(executor, request, &message);
	if (result == EXECUTE_DEFERRED)
		shared->is_published = true;
	close(descriptor);
	return result;
}

CUresult execute_cuMemPoolImportFromShareableHandle(struct executor *executor, const struct request *request,
						    const struct wire_cuMemPoolImportFromShareableHandle *arguments,
						    struct wire_cuMemPoolImportFromShareableHandle_reply *reply)
{
	CUresult result = execute_check_mint(executor, VGPU_KIND_MEMORY_POOL, arguments->pool);

	(void)reply;
	if (result)
		return result;
	if (!executor->driver.cuMemPoolImportFromShareableHandle || !executor->driver.cuMemPoolDestroy)
		return CUDA_ERROR_NOT_SUPPORTED;
	return share_query(executor, request, VGPU_SHARE_POOL, arguments->shareable.reserved, 0, arguments->pool);
}

/* Devices may have other numbers in the process that made the pool. */
static CUresult device_find(const struct driver *driver, uint32_t pci_place, CUdevice *ret_device)
{
	int count = 0;
	CUresult result = driver->cuDeviceGetCount(&count);

	for (CUdevice device = 0; !result && device < count; device++) {
		if (driver_pci_place(driver, device) == pci_place) {
			*ret_device = device;
			return CUDA_SUCCESS;
		}
	}
	return result ? result : CUDA_ERROR_INVALID_DEVICE;
}

CUresult shared_pool_open(struct executor *executor, const struct share_wait *wait,
			  const struct control_message *message, int32_t *ret_device)
{
	struct vgpu_share_pool name;
	struct shared_pool *shared;
	CUmemoryPool pool = NULL;
	/* The guest may have taken the id for something else meanwhile. */
	CUresult result = execute_check_mint(executor, VGPU_KIND_MEMORY_POOL, wait->id);

	if (!result && message->fd_count != 1)
		result = CUDA_ERROR_INVALID_VALUE;
	if (result)
		return result;
	memcpy(&name, message->share.handle, sizeof(name));
	shared = calloc(1, sizeof(*shared));
	if (!shared)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*shared = (struct shared_pool){.id = wait->id, .number = name.number, .is_imported = true};
	result = device_find(&executor->driver, name.pci_place, &shared->device);
	if (!result)
		result = executor->driver.cuMemPoolImportFromShareableHandle(
			&pool, (void *)(intptr_t)message->fds[0], CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0);
	if (result) {
		free(shared);
		return result;
	}
	shared_pool_add(executor, shared);
	executor->request = &wait->request;
	execute_mint(executor, wait->id, wait->request.context, pool);
	executor->request = NULL;
	*ret_device = shared->device;
	return CUDA_SUCCESS;
}

CUresult execute_cuMemPoolExportPointer(struct executor *executor, const struct request *request,
					const struct wire_cuMemPoolExportPointer *arguments,
					struct wire_cuMemPoolExportPointer_reply *reply, void *reply_data,
					size_t capacity)
{
	const struct allocation *allocation = account_find(executor, arguments->ptr);
	struct control_message message = {.share = {.kind = VGPU_SHARE_POINTER}};
	struct vgpu_share_pointer name = {0};
	CUmemPoolPtrExportData data = {0};
	CUresult result;

	_Static_assert(sizeof(name.data) == sizeof(data), "the driver's words fit");
	_Static_assert(sizeof(name) <= VGPU_SHARE_HANDLE_BYTES, "and so does the name");
	(void)reply, (void)reply_data, (void)capacity;
	if (!executor->driver.cuMemPoolExportPointer)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!allocation || !allocation->pool)
		return CUDA_ERROR_INVALID_VALUE;
	result = executor->driver.cuMemPoolExportPointer(&data, arguments->ptr);
	if (result)
		return result;
	memcpy(name.data, &data, sizeof(data));
	name.bytes = allocation->bytes;
	name.pool = allocation->pool;
	memcpy(message.share.handle, &name, sizeof(name));
	return share_publish(executor, request, &message);
}

CUresult execute_cuMemPoolImportPointer(struct executor *executor, const struct request *request,
					const struct wire_cuMemPoolImportPointer *arguments,
					struct wire_cuMemPoolImportPointer_reply *reply)
{
	const struct shared_pool *shared = shared_pool_find(executor, arguments->pool);

	(void)reply;
	if (!shared || !shared->is_imported)
		return CUDA_ERROR_INVALID_VALUE;
	if (!executor->driver.cuMemPoolImportPointer)
		return CUDA_ERROR_NOT_SUPPORTED;
	return share_query(executor, request, VGPU_SHARE_POINTER, arguments->data.reserved, 0, arguments->pool);
}

CUresult shared_pool_open_pointer(struct executor *executor, uint32_t id, const struct vgpu_share_pointer *name,
				  uint64_t *ret_address)
{
	/* It may be gone by now. */
	const struct shared_pool *shared = shared_pool_find(executor, id);
	CUmemPoolPtrExportData data;
	CUdeviceptr address = 0;
	void *pool;
	CUresult result = execute_find(executor, VGPU_KIND_MEMORY_POOL, id, &pool);

	if (!result && (!shared || !shared->is_imported || shared->number != name->pool))
		result = CUDA_ERROR_INVALID_VALUE;
	if (!result)
		result = account_admit(executor, "cuMemPoolImportPointer", name->bytes);
	if (result)
		return result;
	memcpy(&data, name->data, sizeof(data));
	result = executor->driver.cuMemPoolImportPointer(&address, pool, &data);
	account_add(executor, "cuMemPoolImportPointer", result, address, name->bytes, 0);
	*ret_address = address;
	return result;
}
