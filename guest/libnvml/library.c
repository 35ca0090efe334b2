/* SPDX-License-Identifier: Apache-2.0 */
#include "library.h"

#include <stddef.h>

#include "connection.h"
#include "entry.h"

/* nvmlInitWithFlags: not to fail without a GPU, not to attach to GPUs at start. Neither makes a difference here. */
#define INIT_FLAGS_KNOWN 0x3u

/* Atomic; no lock, which the child of a fork could find taken. */
static unsigned int init_count;

int library_check(void)
{
	return __atomic_load_n(&init_count, __ATOMIC_ACQUIRE) ? NVML_SUCCESS : NVML_ERROR_UNINITIALIZED;
}

int library_count(unsigned int *count, unsigned int value)
{
	int result = library_check();

	if (result)
		return result;
	if (!count)
		return NVML_ERROR_INVALID_ARGUMENT;
	*count = value;
	return NVML_SUCCESS;
}

int library_refuse(int result)
{
	int status = library_check();

	return status ? status : result;
}

static int init(void)
{
	/* In the child of a fork too, which has inherited the count but no connection. */
	int result = connection_open();

	if (!result)
		__atomic_fetch_add(&init_count, 1, __ATOMIC_ACQ_REL);
	return result;
}

NVML_API(nvmlInit_v2, void)
{
	return init();
}

NVML_API(nvmlInit, void)
{
	return init();
}

NVML_API(nvmlInitWithFlags, unsigned int flags)
{
	return flags & ~INIT_FLAGS_KNOWN ? NVML_ERROR_INVALID_ARGUMENT : init();
}

NVML_API(nvmlShutdown, void)
{
	unsigned int count = __atomic_load_n(&init_count, __ATOMIC_ACQUIRE);

	do {
		if (count == 0)
			return NVML_ERROR_UNINITIALIZED;
	} while (!__atomic_compare_exchange_n(&init_count, &count, count - 1, false, __ATOMIC_ACQ_REL,
					      __ATOMIC_ACQUIRE));
	/* Whoever initialises meanwhile gets another connection with the next request. */
	if (count == 1)
		connection_close();
	return NVML_SUCCESS;
}

__attribute__((visibility("default"))) const char *nvmlErrorString(int result);
const char *nvmlErrorString(int result)
{
	return nvml_result_text(result);
}
