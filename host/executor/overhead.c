/* SPDX-License-Identifier: Apache-2.0 */
#include "overhead.h"

#include "driver.h"
#include "executor.h"
#include "limit.h"
#include "vgpu_api_wire.h"

/* The id of a context on the device, the current one if it is; 0: there is none. */
static uint32_t context_on(const struct executor *executor, CUdevice device)
{
	const struct context *current = executor->contexts.current;
	struct handle *handle;
	uint32_t index = 0;

	if (current && current->device == device)
		return current->id;
	while ((handle = handles_next(&executor->handles, VGPU_KIND_CONTEXT, &index))) {
		const struct context *context = (const struct context *)(uintptr_t)handle->cache;

		if (context->device == device)
			return context->id;
	}
	return 0;
}

/* The software GPU's memory is the process's own: what is not free is ours. */
static bool software_bytes(struct executor *executor, CUdevice device, uint64_t *ret_bytes)
{
	uint32_t context = context_on(executor, device);
	size_t free_bytes, total_bytes;

	if (!context) {
		*ret_bytes = 0;
		/* Physical memory needs no context, and does not say whose it is. */
		return executor->handles.tables[VGPU_KIND_MEMORY_HANDLE].count == 0;
	}
	if (!context_enter(executor, context) ||
	    executor->driver.cuMemGetInfo_v2(&free_bytes, &total_bytes) != CUDA_SUCCESS)
		return false;
	*ret_bytes = total_bytes - free_bytes;
	return true;
}

static bool library_bytes(struct executor *executor, CUdevice device, uint64_t *ret_bytes)
{
	struct telemetry *telemetry = &executor->telemetry;

	/* It takes time to start, which nobody without a limit is to pay. */
	if (!__atomic_load_n(&executor->gate.permit->limits.memory_bytes, __ATOMIC_RELAXED))
		return false;
	if (!telemetry->is_open)
		(void)telemetry_open(executor);
	return telemetry_own_bytes(telemetry, driver_pci_place(&executor->driver, device), ret_bytes);
}

static void mark_take(struct executor *executor, CUdevice device, struct overhead_mark *ret_mark)
{
	*ret_mark = (struct overhead_mark){.device = device};
	if (!executor->tenant)
		return;
	if (driver_is_softgpu(&executor->driver))
		ret_mark->is_known = software_bytes(executor, device, &ret_mark->bytes);
	else
		ret_mark->is_known = library_bytes(executor, device, &ret_mark->bytes);
}

/* What has been taken since the mark; 0 where it is not known. */
static uint64_t taken_since(struct executor *executor, const struct overhead_mark *mark)
{
	struct overhead_mark now;

	mark_take(executor, mark->device, &now);
	return mark->is_known && now.is_known && now.bytes > mark->bytes ? now.bytes - mark->bytes : 0;
}

static CUresult charge(struct executor *executor, CUdevice device, uint64_t bytes, uint64_t *sum)
{
	CUresult result = reserve_charge(executor, bytes);

	if (result)
		return result;
	*sum += bytes;
	account_overhead_add(executor, device, bytes);
	return CUDA_SUCCESS;
}

static void release(struct executor *executor, CUdevice device, uint64_t bytes, uint64_t *sum)
{
	if (bytes > *sum)
		bytes = *sum;
	*sum -= bytes;
	memory_release(executor, bytes);
	account_overhead_add(executor, device, -bytes);
}

void overhead_context_begin(struct executor *executor, CUdevice device, struct overhead_mark *ret_mark)
{
	mark_take(executor, device, ret_mark);
	/* NVML lists a process once it has a context. */
	if (executor->tenant && !ret_mark->is_known && executor->telemetry.is_open && executor->telemetry.library)
		*ret_mark = (struct overhead_mark){.device = device, .is_known = true};
}

CUresult overhead_context_end(struct executor *executor, struct context *context, const struct overhead_mark *mark)
{
	return charge(executor, mark->device, taken_since(executor, mark), &context->own_bytes);
}

void overhead_module_begin(struct executor *executor, struct overhead_mark *ret_mark)
{
	const struct context *context = executor->contexts.current;

	*ret_mark = (struct overhead_mark){.device = -1};
	if (context)
		mark_take(executor, context->device, ret_mark);
}

CUresult overhead_module_end(struct executor *executor, const struct overhead_mark *mark)
{
	struct context *context = context_owner(executor, executor->contexts.current);

	if (!context || !mark->is_known)
		return CUDA_SUCCESS;
	return charge(executor, mark->device, taken_since(executor, mark), &context->module_bytes);
}

void overhead_module_gone(struct executor *executor, const struct overhead_mark *mark)
{
	struct context *context = context_owner(executor, executor->contexts.current);
	struct overhead_mark now;

	if (!context || !mark->is_known)
		return;
	mark_take(executor, mark->device, &now);
	if (now.is_known && now.bytes < mark->bytes)
		release(executor, mark->device, mark->bytes - now.bytes, &context->module_bytes);
}

CUresult overhead_use_begin(struct executor *executor, struct overhead_mark *ret_mark)
{
	*ret_mark = (struct overhead_mark){.device = -1};
	if (!executor->tenant || !__atomic_load_n(&executor->gate.permit->limits.memory_bytes, __ATOMIC_RELAXED))
		return CUDA_SUCCESS;
	if (executor->has_overdrawn && memory_is_exceeded(executor))
		return CUDA_ERROR_OUT_OF_MEMORY;
	overhead_module_begin(executor, ret_mark);
	return CUDA_SUCCESS;
}

void overhead_use_end(struct executor *executor, const struct overhead_mark *mark)
{
	struct context *context = context_owner(executor, executor->contexts.current);
	uint64_t bytes = context && mark->is_known ? taken_since(executor, mark) : 0;

	if (!bytes)
		return;
	memory_note(executor, bytes);
	context->module_bytes += bytes;
	account_overhead_add(executor, mark->device, bytes);
	executor->has_overdrawn = memory_is_exceeded(executor);
}

bool overhead_opcode_loads(uint16_t opcode)
{
	switch (opcode) {
	case VGPU_OPCODE_FUNCTION_INFO:
	case VGPU_CALL_cuModuleGetFunction:
	case VGPU_CALL_cuModuleGetGlobal_v2:
	case VGPU_CALL_cuLibraryGetModule:
	case VGPU_CALL_cuLibraryGetGlobal:
	case VGPU_CALL_cuKernelGetFunction:
		return true;
	default:
		return false;
	}
}

void overhead_forget_modules(struct executor *executor, struct context *context)
{
	release(executor, context->device, context->module_bytes, &context->module_bytes);
}

void overhead_forget_context(struct executor *executor, struct context *context)
{
	overhead_forget_modules(executor, context);
	release(executor, context->device, context->own_bytes, &context->own_bytes);
}
