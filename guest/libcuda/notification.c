/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cuDevice*AsyncNotification: who wants to know that the process has more memory than its budget (of MPS). It never
 * has: what goes beyond a tenant's limit is not given. So nobody is ever called, as natively without a budget.
 */
#include <pthread.h>
#include <stdlib.h>

#include "call.h"
#include "context.h"

struct CUasyncCallbackEntry_st {
	struct CUasyncCallbackEntry_st *next;
	CUdevice device;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct CUasyncCallbackEntry_st *entries;

static CUresult device_begin(CUdevice device)
{
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	return !result && !context_primary(device) ? CUDA_ERROR_INVALID_DEVICE : result;
}

API(cuDeviceRegisterAsyncNotification, CUdevice device, CUasyncCallback callback, void *data,
    CUasyncCallbackHandle *handle)
{
	struct CUasyncCallbackEntry_st *entry;
	CUresult result = device_begin(device);

	(void)data;
	if (result)
		return result;
	if (!callback || !handle)
		return CUDA_ERROR_INVALID_VALUE;
	entry = malloc(sizeof(*entry));
	if (!entry)
		return CUDA_ERROR_OUT_OF_MEMORY;
	entry->device = device;
	pthread_mutex_lock(&mutex);
	entry->next = entries;
	entries = entry;
	pthread_mutex_unlock(&mutex);
	*handle = entry;
	return CUDA_SUCCESS;
}

API(cuDeviceUnregisterAsyncNotification, CUdevice device, CUasyncCallbackHandle handle)
{
	struct CUasyncCallbackEntry_st **place = &entries, *ended;
	CUresult result = device_begin(device);

	if (result)
		return result;
	pthread_mutex_lock(&mutex);
	while (*place && (*place != handle || (*place)->device != device))
		place = &(*place)->next;
	ended = *place;
	if (ended)
		*place = ended->next;
	pthread_mutex_unlock(&mutex);
	free(ended);
	return ended ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
