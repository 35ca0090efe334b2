/* SPDX-License-Identifier: Apache-2.0 */
/* cuDevicePrimaryCtx*: the context that all users of the runtime API share. */
#include <pthread.h>

#include "context.h"
#include "device_table.h"
#include "entry.h"

struct primary {
	struct context *context; /* NULL: inactive; else the table's reference */
	unsigned users;
	unsigned flags; /* for the next one */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct primary primaries[DEVICES_MAX];

ENTRY(cuDevicePrimaryCtxRetain, (CUcontext * ret_context, CUdevice device))
{
	CUresult result = device_check(device);
	struct primary *primary;

	if (result)
		return result;
	primary = &primaries[device];
	if (!ret_context)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&lock);
	if (!primary->context)
		result = context_create(device, primary->flags, true, &primary->context);
	if (!result) {
		primary->users++;
		*ret_context = (CUcontext)primary->context;
	}
	pthread_mutex_unlock(&lock);
	return result;
}

/* Under the lock. */
static void primary_end(struct primary *primary)
{
	struct context *context = primary->context;

	primary->context = NULL;
	if (context && object_retire(context, OBJECT_CONTEXT))
		context_destroy(context);
}

ENTRY(cuDevicePrimaryCtxRelease_v2, (CUdevice device))
{
	CUresult result = device_check(device);
	struct primary *primary;

	if (result)
		return result;
	primary = &primaries[device];
	pthread_mutex_lock(&lock);
	if (!primary->users)
		result = CUDA_ERROR_INVALID_CONTEXT;
	else if (--primary->users == 0)
		primary_end(primary);
	pthread_mutex_unlock(&lock);
	return result;
}
ENTRY_ALIAS(cuDevicePrimaryCtxRelease, cuDevicePrimaryCtxRelease_v2, (CUdevice device));

/* Those who retained it keep the right to release it. */
ENTRY(cuDevicePrimaryCtxReset_v2, (CUdevice device))
{
	CUresult result = device_check(device);
	struct primary *primary;

	if (result)
		return result;
	primary = &primaries[device];
	pthread_mutex_lock(&lock);
	primary_end(primary);
	pthread_mutex_unlock(&lock);
	return CUDA_SUCCESS;
}
ENTRY_ALIAS(cuDevicePrimaryCtxReset, cuDevicePrimaryCtxReset_v2, (CUdevice device));

ENTRY(cuDevicePrimaryCtxSetFlags_v2, (CUdevice device, unsigned int flags))
{
	CUresult result = device_check(device);
	struct primary *primary;

	if (result)
		return result;
	primary = &primaries[device];
	if (!context_flags_valid(flags))
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&lock);
	primary->flags = flags;
	if (primary->context)
		primary->context->flags = flags;
	pthread_mutex_unlock(&lock);
	return CUDA_SUCCESS;
}
ENTRY_ALIAS(cuDevicePrimaryCtxSetFlags, cuDevicePrimaryCtxSetFlags_v2, (CUdevice device, unsigned int flags));

ENTRY(cuDevicePrimaryCtxGetState, (CUdevice device, unsigned int *ret_flags, int *ret_active))
{
	CUresult result = device_check(device);
	struct primary *primary;

	if (result)
		return result;
	primary = &primaries[device];
	pthread_mutex_lock(&lock);
	if (ret_flags)
		*ret_flags = primary->flags;
	if (ret_active)
		*ret_active = primary->context ? 1 : 0;
	pthread_mutex_unlock(&lock);
	return CUDA_SUCCESS;
}
