/* SPDX-License-Identifier: Apache-2.0 */
#include "library.h"

#include <pthread.h>
#include <stddef.h>

#include "connection.h"
#include "entry.h"

/* nvmlInitWithFlags: not to fail without a GPU, not to attach to GPUs at start. Neither makes a difference here. */
#define INIT_FLAGS_KNOWN 0x3u

static pthread_mutex_t init_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned int init_count;

int library_check(void)
{
	return __atomic_load_n(&init_count, __ATOMIC_ACQUIRE) ? NVML_SUCCESS : NVML_ERROR_UNINITIALIZED;
}

int library_refuse(int result)
{
	int status = library_check();

	return status ? status : result;
}

static int init(void)
{
	int result;

	pthread_mutex_lock(&init_lock);
	/* In the child of a fork too, which has inherited the count but no connection. */
	result = connection_open();
	if (!result)
		__atomic_store_n(&init_count, init_count + 1, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&init_lock);
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
	int result;

	pthread_mutex_lock(&init_lock);
	result = library_check();
	if (!result) {
		__atomic_store_n(&init_count, init_count - 1, __ATOMIC_RELEASE);
		if (init_count == 0)
			connection_close();
	}
	pthread_mutex_unlock(&init_lock);
	return result;
}

__attribute__((visibility("default"))) const char *nvmlErrorString(int result);
const char *nvmlErrorString(int result)
{
	return nvml_result_text(result);
}
