/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts: their life, and what of them is answered in the guest. */
#include "context.h"

#include "array.h"
#include "context_storage.h"
#include "coredump.h"
#include "device.h"
#include "host_calls.h"
#include "lock.h"
#include "memory.h"
#include "mirror.h"
#include "registered.h"
#include "module.h"
#include "object_table.h"
#include "session.h"

static struct object *primaries[SESSION_DEVICES_MAX];
static struct lock primary_lock;
static uint64_t number_last;

static uint64_t number_next(void)
{
	return __atomic_add_fetch(&number_last, 1, __ATOMIC_RELAXED);
}

void context_begin(struct object *context, CUdevice device, unsigned int flags)
{
	context->words[CONTEXT_DEVICE] = (uint64_t)device;
	context->words[CONTEXT_FLAGS] = flags;
	__atomic_store_n(&context->words[CONTEXT_LIFE], number_next(), __ATOMIC_RELEASE);
}

CUresult contexts_prepare(uint32_t device_count)
{
	for (uint32_t i = 0; i < device_count; i++) {
		if (primaries[i])
			continue;
		primaries[i] = object_mint(VGPU_KIND_CONTEXT, 0);
		if (!primaries[i])
			return CUDA_ERROR_OUT_OF_MEMORY;
		context_begin(primaries[i], (CUdevice)i, 0);
	}
	return CUDA_SUCCESS;
}

struct object *context_find(CUcontext handle)
{
	return object_find(handle, VGPU_KIND_CONTEXT);
}

CUresult context_current_error(void)
{
	if (thread_state.is_host_function)
		return CUDA_ERROR_NOT_PERMITTED;
	return thread_state.current ? CUDA_ERROR_CONTEXT_IS_DESTROYED : CUDA_ERROR_INVALID_CONTEXT;
}

CUresult context_of(CUcontext handle, struct object **ret_context)
{
	struct object *context = handle ? context_find(handle) : context_current();

	if (!context)
		return handle ? CUDA_ERROR_INVALID_CONTEXT : context_current_error();
	*ret_context = context;
	return CUDA_SUCCESS;
}

struct object *context_primary(CUdevice device)
{
	return device >= 0 && (uint32_t)device < session.device_count ? primaries[device] : NULL;
}

struct find_wish {
	uint32_t id;
	struct object *found;
};

static bool find_visit(struct object *object, void *argument)
{
	struct find_wish *wish = argument;

	if (object->id == wish->id)
		wish->found = object;
	return !wish->found;
}

struct object *context_by_id(uint32_t id)
{
	struct find_wish wish = {.id = id};

	object_each(VGPU_KIND_CONTEXT, find_visit, &wish);
	return wish.found;
}

static bool child_visit(struct object *object, void *argument)
{
	if (object->context == *(const uint32_t *)argument)
		object_release(object);
	return true;
}

/* What calls in it have left behind is nothing to what gets its id. */
static void error_drop(const struct object *context)
{
	(void)channel_take_deferred(session.channel, context->id);
}

/* What ended with the context on the host ends here too. */
static void children_release(struct object *context)
{
	uint32_t id = context->id;

	modules_forget_context(id);
	textures_forget_context(id);
	references_forget_context(id);
	coredumps_forget_context(id);
	arrays_forget_context(id);
	object_each(VGPU_KIND_STREAM, child_visit, &id);
	object_each(VGPU_KIND_EVENT, child_visit, &id);
	registered_forget_context(id);
	mirror_forget_context(id);
	memory_forget_context(id);
}

void context_end(struct object *context)
{
	context_storage_end(context);
	children_release(context);
	error_drop(context);
}

static bool green_visit(struct object *object, void *argument)
{
	struct object *primary = argument;

	if (object->context == primary->id) {
		context_end(object);
		object_release(object);
		primary->words[CONTEXT_REFERENCES] -= primary->words[CONTEXT_REFERENCES] > 0;
	}
	return true;
}

/* Beside life and activity a primary context's object stays as it is. */
static void primary_deactivate(struct object *context)
{
	/* On the host they end with it. */
	object_each(VGPU_KIND_CONTEXT, green_visit, context);
	context_storage_clear(context);
	children_release(context);
	context->words[CONTEXT_ACTIVE] = 0;
	context->words[CONTEXT_VERSION] = 0;
}

static CUresult primary_begin(CUdevice device, struct object **ret_context)
{
	if (!session_ready())
		return CUDA_ERROR_NOT_INITIALIZED;
	*ret_context = context_primary(device);
	return *ret_context ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUresult context_primary_retain(CUdevice device, struct object **ret_context)
{
	struct object *context;
	CUresult result = primary_begin(device, &context);

	if (result)
		return result;
	lock_take(&primary_lock);
	if (!context->words[CONTEXT_ACTIVE]) {
		result = host_cuDevicePrimaryCtxRetain(0, context->id, device, (uint32_t)context->words[CONTEXT_FLAGS]);
		if (!result)
			context->words[CONTEXT_ACTIVE] = number_next();
	}
	if (!result) {
		context->words[CONTEXT_REFERENCES]++;
		*ret_context = context;
	}
	lock_release(&primary_lock);
	return result;
}

API(cuDevicePrimaryCtxRetain, CUcontext *pctx, CUdevice dev)
{
	struct object *context;
	CUresult result = primary_begin(dev, &context);

	if (result)
		return result;
	if (!pctx)
		return CUDA_ERROR_INVALID_VALUE;
	result = context_primary_retain(dev, &context);
	if (!result)
		*pctx = (CUcontext)context;
	return result;
}

CUresult context_primary_release(CUdevice dev)
{
	struct object *context;
	CUresult result = primary_begin(dev, &context);

	if (result)
		return result;
	lock_take(&primary_lock);
	if (context->words[CONTEXT_REFERENCES] == 0) {
		result = CUDA_ERROR_INVALID_CONTEXT;
	} else if (--context->words[CONTEXT_REFERENCES] == 0 && context->words[CONTEXT_ACTIVE]) {
		primary_deactivate(context);
		result = host_cuDevicePrimaryCtxRelease_v2(0, context->id, dev);
		error_drop(context);
	}
	lock_release(&primary_lock);
	return result;
}

API(cuDevicePrimaryCtxRelease_v2, CUdevice dev)
{
	return context_primary_release(dev);
}

API(cuDevicePrimaryCtxRelease, CUdevice dev)
{
	return context_primary_release(dev);
}

API(cuDevicePrimaryCtxReset_v2, CUdevice dev)
{
	struct object *context;
	CUresult result = primary_begin(dev, &context);

	if (result)
		return result;
	lock_take(&primary_lock);
	if (context->words[CONTEXT_ACTIVE]) {
		CUresult released;

		primary_deactivate(context);
		result = host_cuDevicePrimaryCtxReset_v2(0, dev);
		/* So that the next retain, whoever makes it, begins a new life on the host. */
		released = host_cuDevicePrimaryCtxRelease_v2(0, context->id, dev);
		error_drop(context);
		if (!result)
			result = released;
	}
	lock_release(&primary_lock);
	return result;
}

API(cuDevicePrimaryCtxReset, CUdevice dev)
{
	return cuDevicePrimaryCtxReset_v2(dev);
}

API(cuDevicePrimaryCtxGetState, CUdevice dev, unsigned int *flags, int *active)
{
	struct object *context;
	CUresult result = primary_begin(dev, &context);

	if (result)
		return result;
	if (!flags || !active)
		return CUDA_ERROR_INVALID_VALUE;
	*flags = (unsigned int)context->words[CONTEXT_FLAGS];
	*active = context->words[CONTEXT_ACTIVE] != 0;
	return CUDA_SUCCESS;
}

static bool flags_valid(unsigned int flags)
{
	/* Not those of coredumps, which the host refuses. */
	const unsigned int known = CU_CTX_SCHED_MASK | CU_CTX_MAP_HOST | CU_CTX_LMEM_RESIZE_TO_MAX | CU_CTX_SYNC_MEMOPS;
	unsigned int schedule = flags & CU_CTX_SCHED_MASK;

	return !(flags & ~known) && (schedule == CU_CTX_SCHED_AUTO || schedule == CU_CTX_SCHED_SPIN ||
				     schedule == CU_CTX_SCHED_YIELD || schedule == CU_CTX_SCHED_BLOCKING_SYNC);
}

API(cuDevicePrimaryCtxSetFlags_v2, CUdevice dev, unsigned int flags)
{
	struct object *context;
	CUresult result = primary_begin(dev, &context);

	if (result)
		return result;
	if (!flags_valid(flags))
		return CUDA_ERROR_INVALID_VALUE;
	lock_take(&primary_lock);
	if (context->words[CONTEXT_ACTIVE])
		result = host_cuDevicePrimaryCtxSetFlags_v2(0, dev, flags);
	if (!result)
		context->words[CONTEXT_FLAGS] = flags;
	lock_release(&primary_lock);
	return result;
}

API(cuDevicePrimaryCtxSetFlags, CUdevice dev, unsigned int flags)
{
	return cuDevicePrimaryCtxSetFlags_v2(dev, flags);
}

API(cuCtxCreate_v2, CUcontext *pctx, unsigned int flags, CUdevice dev)
{
	struct object *context;
	CUresult result;

	if (!session_ready())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!pctx || !flags_valid(flags))
		return CUDA_ERROR_INVALID_VALUE;
	if (!context_primary(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	context = object_mint(VGPU_KIND_CONTEXT, 0);
	if (!context)
		return CUDA_ERROR_OUT_OF_MEMORY;
	result = host_cuCtxCreate_v2(0, context->id, flags, dev);
	if (result)
		goto failed;
	context_begin(context, dev, flags);
	context->words[CONTEXT_ACTIVE] = number_next();
	context->words[CONTEXT_REFERENCES] = 1;
	result = context_stack_push(context);
	if (result) {
		(void)host_cuCtxDestroy_v2(0, context->id);
		goto failed;
	}
	*pctx = (CUcontext)context;
	return CUDA_SUCCESS;

failed:
	object_release(context);
	return result;
}

API(cuCtxCreate, CUcontext *pctx, unsigned int flags, CUdevice dev)
{
	return cuCtxCreate_v2(pctx, flags, dev);
}

API(cuDeviceGetExecAffinitySupport, int *supported, CUexecAffinityType type, CUdevice dev)
{
	if (!session_ready())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!supported || type != CU_EXEC_AFFINITY_TYPE_SM_COUNT)
		return CUDA_ERROR_INVALID_VALUE;
	if (!context_primary(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	*supported = 0;
	return CUDA_SUCCESS;
}

API(cuCtxCreate_v3, CUcontext *pctx, CUexecAffinityParam *parameters, int count, unsigned int flags, CUdevice dev)
{
	if (!session_ready())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (count < 0 || (count > 0 && !parameters))
		return CUDA_ERROR_INVALID_VALUE;
	return count ? CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY : cuCtxCreate_v2(pctx, flags, dev);
}

API(cuCtxCreate_v4, CUcontext *pctx, CUctxCreateParams *parameters, unsigned int flags, CUdevice dev)
{
	if (!session_ready())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (parameters && parameters->cigParams)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (parameters)
		return cuCtxCreate_v3(pctx, parameters->execAffinityParams, parameters->numExecAffinityParams, flags,
				      dev);
	return cuCtxCreate_v2(pctx, flags, dev);
}

API(cuCtxDestroy_v2, CUcontext ctx)
{
	struct object *context;
	CUresult result;

	if (!session_ready())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!ctx)
		return CUDA_ERROR_INVALID_VALUE;
	context = context_find(ctx);
	if (!context || primaries[context->words[CONTEXT_DEVICE]] == context || context->context)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (thread_state.current == context)
		context_stack_pop();
	context_end(context);
	result = host_cuCtxDestroy_v2(0, context->id);
	error_drop(context);
	object_release(context);
	return result;
}

API(cuCtxDestroy, CUcontext ctx)
{
	return cuCtxDestroy_v2(ctx);
}

API(cuCtxAttach, CUcontext *pctx, unsigned int flags)
{
	struct object *context = context_current();

	if (!session_ready())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!pctx || flags)
		return CUDA_ERROR_INVALID_VALUE;
	if (!context)
		return context_current_error();
	__atomic_fetch_add(&context->words[CONTEXT_REFERENCES], 1, __ATOMIC_RELAXED);
	*pctx = (CUcontext)context;
	return CUDA_SUCCESS;
}

API(cuCtxDetach, CUcontext ctx)
{
	struct object *context;

	if (!session_ready())
		return CUDA_ERROR_NOT_INITIALIZED;
	context = context_find(ctx);
	if (!context || context != context_current())
		return CUDA_ERROR_INVALID_CONTEXT;
	if (context->words[CONTEXT_REFERENCES] <= 1)
		return cuCtxDestroy_v2(ctx);
	__atomic_fetch_sub(&context->words[CONTEXT_REFERENCES], 1, __ATOMIC_RELAXED);
	return CUDA_SUCCESS;
}
