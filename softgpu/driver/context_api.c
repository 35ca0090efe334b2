/* SPDX-License-Identifier: Apache-2.0 */
/* cuCtx*: creation, the current context, limits and flags. */
#include "context.h"

#include <stdatomic.h>

#include "device_table.h"
#include "driver.h"
#include "entry.h"
#include "stream.h"

static CUresult create_and_push(CUcontext *ret_handle, unsigned flags, CUdevice device)
{
	struct context *context;
	CUresult result = driver_check();

	if (result)
		return result;
	if (!ret_handle || !context_flags_valid(flags))
		return CUDA_ERROR_INVALID_VALUE;
	if (!device_exists(device))
		return CUDA_ERROR_INVALID_DEVICE;
	result = context_create(device, flags, false, &context);
	if (result)
		return result;
	result = context_push(context);
	if (result) {
		object_retire(context, OBJECT_CONTEXT);
		context_destroy(context);
		return result;
	}
	*ret_handle = (CUcontext)context;
	return CUDA_SUCCESS;
}

ENTRY(cuCtxCreate_v2, (CUcontext * ret_context, unsigned int flags, CUdevice device))
{
	return create_and_push(ret_context, flags, device);
}

ENTRY(cuCtxCreate_v3,
      (CUcontext * ret_context, CUexecAffinityParam *affinity, int count, unsigned int flags, CUdevice device))
{
	if (affinity || count)
		return CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY;
	return create_and_push(ret_context, flags, device);
}

ENTRY(cuCtxCreate_v4, (CUcontext * ret_context, CUctxCreateParams *parameters, unsigned int flags, CUdevice device))
{
	if (parameters && parameters->cigParams)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (parameters && (parameters->execAffinityParams || parameters->numExecAffinityParams))
		return CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY;
	return create_and_push(ret_context, flags, device);
}

ENTRY(cuCtxDestroy_v2, (CUcontext handle))
{
	struct context *context, *top;
	CUresult result = driver_check();

	if (result)
		return result;
	context = object_acquire(handle, OBJECT_CONTEXT);
	if (!context)
		return CUDA_ERROR_INVALID_CONTEXT;
	/* A primary context is released, not destroyed; a green one has a call of its own. */
	if (context->primary || context->base || !object_retire(context, OBJECT_CONTEXT)) {
		object_release(&context->object);
		return CUDA_ERROR_INVALID_CONTEXT;
	}
	top = context_top();
	if (top == context)
		object_release(&context_pop()->object);
	context_destroy(context);
	object_release(&context->object);
	return CUDA_SUCCESS;
}
ENTRY_ALIAS(cuCtxDestroy, cuCtxDestroy_v2, (CUcontext handle));

ENTRY(cuCtxPushCurrent_v2, (CUcontext handle))
{
	struct context *context;
	CUresult result = driver_check();

	if (result)
		return result;
	context = object_acquire(handle, OBJECT_CONTEXT);
	if (!context)
		return CUDA_ERROR_INVALID_CONTEXT;
	result = context_push(context);
	object_release(&context->object);
	return result;
}
ENTRY_ALIAS(cuCtxPushCurrent, cuCtxPushCurrent_v2, (CUcontext handle));

ENTRY(cuCtxPopCurrent_v2, (CUcontext * ret_context))
{
	struct context *context;
	CUresult result = driver_check();

	if (result)
		return result;
	context = context_pop();
	if (!context)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (ret_context)
		*ret_context = (CUcontext)context;
	object_release(&context->object);
	return CUDA_SUCCESS;
}
ENTRY_ALIAS(cuCtxPopCurrent, cuCtxPopCurrent_v2, (CUcontext * ret_context));

/* Replaces the top of the stack; NULL only pops it. */
ENTRY(cuCtxSetCurrent, (CUcontext handle))
{
	struct context *context = NULL, *old;
	CUresult result = driver_check();

	if (result)
		return result;
	if (handle) {
		context = object_acquire(handle, OBJECT_CONTEXT);
		if (!context)
			return CUDA_ERROR_INVALID_CONTEXT;
	}
	old = context_pop();
	if (context) {
		result = context_push(context);
		object_release(&context->object);
	}
	if (old)
		object_release(&old->object);
	return result;
}

ENTRY(cuCtxGetCurrent, (CUcontext * ret_context))
{
	CUresult result = driver_check();

	if (result)
		return result;
	if (!ret_context)
		return CUDA_ERROR_INVALID_VALUE;
	*ret_context = (CUcontext)context_top();
	return CUDA_SUCCESS;
}

ENTRY(cuCtxGetDevice, (CUdevice * ret_device))
{
	struct context *context;
	CUresult result = context_current_unchecked(&context);

	if (result)
		return result;
	if (!ret_device)
		return CUDA_ERROR_INVALID_VALUE;
	*ret_device = context->device;
	return CUDA_SUCCESS;
}

ENTRY(cuCtxGetDevice_v2, (CUdevice * ret_device, CUcontext handle))
{
	struct context *context;
	CUresult result = context_acquire(handle, &context);

	if (result)
		return result;
	if (ret_device)
		*ret_device = context->device;
	else
		result = CUDA_ERROR_INVALID_VALUE;
	object_release(&context->object);
	return result;
}

ENTRY(cuCtxSynchronize, (void))
{
	struct context *context;
	CUresult result = context_current(&context);

	return result ? result : context_synchronize(context_for_streams(context));
}

ENTRY(cuCtxSynchronize_v2, (CUcontext handle))
{
	struct context *context;
	CUresult result = context_acquire_green(handle, &context);

	if (result)
		return result;
	result = context_synchronize(context);
	object_release(&context->object);
	return result;
}

static bool limit_known(CUlimit limit)
{
	return limit == CU_LIMIT_STACK_SIZE || limit == CU_LIMIT_PRINTF_FIFO_SIZE ||
	       limit == CU_LIMIT_MALLOC_HEAP_SIZE || limit == CU_LIMIT_MAX_L2_FETCH_GRANULARITY ||
	       limit == CU_LIMIT_PERSISTING_L2_CACHE_SIZE;
}

ENTRY(cuCtxGetLimit, (size_t * ret_value, CUlimit limit))
{
	struct context *context;
	CUresult result = context_current(&context);

	if (result)
		return result;
	if (!ret_value)
		return CUDA_ERROR_INVALID_VALUE;
	if (!limit_known(limit))
		return CUDA_ERROR_UNSUPPORTED_LIMIT;
	*ret_value = context->limits[limit];
	return CUDA_SUCCESS;
}

ENTRY(cuCtxSetLimit, (CUlimit limit, size_t value))
{
	struct context *context;
	CUresult result = context_current(&context);

	if (result)
		return result;
	if (!limit_known(limit))
		return CUDA_ERROR_UNSUPPORTED_LIMIT;
	/* There is no cache to set aside a part of: the limit stays 0, as on GPUs without it. */
	if (limit == CU_LIMIT_PERSISTING_L2_CACHE_SIZE)
		return value ? CUDA_ERROR_UNSUPPORTED_LIMIT : CUDA_SUCCESS;
	if (limit == CU_LIMIT_MAX_L2_FETCH_GRANULARITY && value > 128)
		return CUDA_ERROR_INVALID_VALUE;
	context->limits[limit] = value;
	return CUDA_SUCCESS;
}

ENTRY(cuCtxGetCacheConfig, (CUfunc_cache * ret_config))
{
	struct context *context;
	CUresult result = context_current(&context);

	if (result)
		return result;
	if (!ret_config)
		return CUDA_ERROR_INVALID_VALUE;
	*ret_config = (CUfunc_cache)context->cache_config;
	return CUDA_SUCCESS;
}

ENTRY(cuCtxSetCacheConfig, (CUfunc_cache config))
{
	struct context *context;
	CUresult result = context_current(&context);

	if (result)
		return result;
	if ((unsigned)config > CU_FUNC_CACHE_PREFER_EQUAL)
		return CUDA_ERROR_INVALID_VALUE;
	context->cache_config = config; /* a preference: there is nothing to divide here */
	return CUDA_SUCCESS;
}

ENTRY(cuCtxGetSharedMemConfig, (CUsharedconfig * ret_config))
{
	struct context *context;
	CUresult result = context_current(&context);

	if (result)
		return result;
	if (!ret_config)
		return CUDA_ERROR_INVALID_VALUE;
	*ret_config = CU_SHARED_MEM_CONFIG_FOUR_BYTE_BANK_SIZE;
	return CUDA_SUCCESS;
}

/* Without effect on devices of fixed bank size, which all since compute capability 5.0 are. */
ENTRY(cuCtxSetSharedMemConfig, (CUsharedconfig config))
{
	struct context *context;
	CUresult result = context_current(&context);

	if (result)
		return result;
	return (unsigned)config > CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

/* The number that contexts of drivers since CUDA 4.0 give, as the real driver does. */
ENTRY(cuCtxGetApiVersion, (CUcontext handle, unsigned int *ret_version))
{
	struct context *context;
	CUresult result = context_acquire(handle, &context);

	if (result)
		return result;
	object_release(&context->object);
	if (!ret_version)
		return CUDA_ERROR_INVALID_VALUE;
	*ret_version = 3020;
	return CUDA_SUCCESS;
}

ENTRY(cuCtxGetStreamPriorityRange, (int *ret_least, int *ret_greatest))
{
	struct context *context;
	CUresult result = context_current(&context);

	if (result)
		return result;
	/* Equal numbers say that priorities have no meaning here. */
	if (ret_least)
		*ret_least = 0;
	if (ret_greatest)
		*ret_greatest = 0;
	return CUDA_SUCCESS;
}

ENTRY(cuCtxGetFlags, (unsigned int *ret_flags))
{
	struct context *context;
	CUresult result = context_current(&context);

	if (result)
		return result;
	if (!ret_flags)
		return CUDA_ERROR_INVALID_VALUE;
	*ret_flags = context->flags;
	return CUDA_SUCCESS;
}

ENTRY(cuCtxSetFlags, (unsigned int flags))
{
	struct context *context;
	CUresult result = context_current(&context);

	if (result)
		return result;
	if (!context_flags_valid(flags))
		return CUDA_ERROR_INVALID_VALUE;
	context->flags = flags;
	return CUDA_SUCCESS;
}

ENTRY(cuCtxGetId, (CUcontext handle, unsigned long long *ret_id))
{
	struct context *context;
	CUresult result = context_acquire_green(handle, &context);

	if (result)
		return result;
	if (ret_id)
		*ret_id = context->id;
	else
		result = CUDA_ERROR_INVALID_VALUE;
	object_release(&context->object);
	return result;
}

ENTRY(cuCtxResetPersistingL2Cache, (void))
{
	struct context *context;

	return context_current(&context);
}

/*
 * All devices' memory can be reached from each of them anyway: what is remembered is what was said, so that a program
 * is told what the real driver would tell it.
 */
static CUresult peer_acquire(CUcontext handle, struct context **ret_context, struct context **ret_peer)
{
	CUresult result = context_current(ret_context);

	if (result)
		return result;
	*ret_peer = object_acquire(handle, OBJECT_CONTEXT);
	return *ret_peer ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

ENTRY(cuCtxEnablePeerAccess, (CUcontext handle, unsigned int flags))
{
	struct context *context, *peer;
	CUresult result = peer_acquire(handle, &context, &peer);
	uint32_t bit;

	if (result)
		return result;
	bit = 1u << peer->device;
	if (flags)
		result = CUDA_ERROR_INVALID_VALUE;
	else if (peer == context)
		result = CUDA_ERROR_INVALID_CONTEXT;
	else if (peer->device == context->device)
		result = CUDA_ERROR_PEER_ACCESS_UNSUPPORTED;
	else if (atomic_fetch_or(&context->peers, bit) & bit)
		result = CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED;
	object_release(&peer->object);
	return result;
}

ENTRY(cuCtxDisablePeerAccess, (CUcontext handle))
{
	struct context *context, *peer;
	CUresult result = peer_acquire(handle, &context, &peer);
	uint32_t bit;

	if (result)
		return result;
	bit = 1u << peer->device;
	if (!(atomic_fetch_and(&context->peers, ~bit) & bit))
		result = CUDA_ERROR_PEER_ACCESS_NOT_ENABLED;
	object_release(&peer->object);
	return result;
}
