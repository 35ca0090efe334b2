/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Event sets.  The host's events are not forwarded: a device supports none, so none can be registered, and
 * a set stays empty. Waiting for an empty set ends with its timeout.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include "device.h"
#include "entry.h"
#include "library.h"

#define SET_MAGIC 0x53545645u

struct event_set {
	uint32_t magic;
};

static bool set_is_valid(const struct event_set *set)
{
	return set && set->magic == SET_MAGIC;
}

NVML_API(nvmlEventSetCreate, struct event_set **ret_set)
{
	struct event_set *set;
	int result = library_check();

	if (result)
		return result;
	if (!ret_set)
		return NVML_ERROR_INVALID_ARGUMENT;
	set = malloc(sizeof(*set));
	if (!set)
		return NVML_ERROR_MEMORY;
	set->magic = SET_MAGIC;
	*ret_set = set;
	return NVML_SUCCESS;
}

NVML_API(nvmlEventSetFree, struct event_set *set)
{
	int result = library_check();

	if (result)
		return result;
	if (!set_is_valid(set))
		return NVML_ERROR_INVALID_ARGUMENT;
	set->magic = 0;
	free(set);
	return NVML_SUCCESS;
}

NVML_API(nvmlDeviceGetSupportedEventTypes, const struct nvml_device *device, unsigned long long *types)
{
	unsigned int index;
	int result = library_check();

	if (result)
		return result;
	if (!types || !device_index(device, &index))
		return NVML_ERROR_INVALID_ARGUMENT;
	*types = 0;
	return NVML_SUCCESS;
}

NVML_API(nvmlDeviceRegisterEvents, const struct nvml_device *device, unsigned long long types, struct event_set *set)
{
	unsigned int index;
	int result = library_check();

	if (result)
		return result;
	if (!set_is_valid(set) || !device_index(device, &index))
		return NVML_ERROR_INVALID_ARGUMENT;
	return types ? NVML_ERROR_NOT_SUPPORTED : NVML_SUCCESS;
}

NVML_API(nvmlEventSetWait_v2, struct event_set *set, void *data, unsigned int timeout_ms)
{
	struct timespec pause = {.tv_sec = timeout_ms / 1000, .tv_nsec = (long)(timeout_ms % 1000) * 1000000};
	int result = library_check();

	if (result)
		return result;
	if (!data || !set_is_valid(set))
		return NVML_ERROR_INVALID_ARGUMENT;
	while (nanosleep(&pause, &pause) < 0 && errno == EINTR)
		;
	return NVML_ERROR_TIMEOUT;
}

NVML_API(nvmlEventSetWait, struct event_set *set, void *data, unsigned int timeout_ms)
{
	return nvmlEventSetWait_v2(set, data, timeout_ms);
}
