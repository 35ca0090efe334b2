/* SPDX-License-Identifier: Apache-2.0 */
#include "gpu_events.h"

#include <dlfcn.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

/* nvml.h: values of its enumerations, and its structure. */
#define LIBRARY			"libnvidia-ml.so.1"
#define NVML_SUCCESS		0
#define NVML_ERROR_TIMEOUT	10
#define NVML_ERROR_GPU_IS_LOST	15
#define NVML_EVENT_ECC_DOUBLE	0x2ull
#define NVML_EVENT_XID_CRITICAL 0x8ull
#define NVML_DEVICE_UUID_BYTES	96

#define WAIT_MS 1000

struct nvml_event {
	void *device;
	unsigned long long type;
	unsigned long long data; /* the Xid */
	unsigned int gpu_instance;
	unsigned int compute_instance;
};

typedef int nvml_no_arguments(void);
typedef int nvml_count(unsigned int *count);
typedef int nvml_handle(unsigned int index, void **handle);
typedef int nvml_uuid(void *handle, char *uuid, unsigned int bytes);
typedef int nvml_event_types(void *handle, unsigned long long *types);
typedef int nvml_set_create(void **set);
typedef int nvml_register(void *handle, unsigned long long types, void *set);
typedef int nvml_set_wait(void *set, struct nvml_event *event, unsigned int timeout_ms);

struct library {
	nvml_no_arguments *init;
	nvml_count *count;
	nvml_handle *handle;
	nvml_uuid *uuid;
	nvml_event_types *event_types;
	nvml_set_create *set_create;
	nvml_register *register_events;
	nvml_set_wait *set_wait;
};

/* False: there is none, or it is older than what is needed of it. */
static bool library_open(struct library *ret_library)
{
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	struct library found;

	if (!library)
		return false;
	found = (struct library){
		.init = (nvml_no_arguments *)dlsym(library, "nvmlInit_v2"),
		.count = (nvml_count *)dlsym(library, "nvmlDeviceGetCount_v2"),
		.handle = (nvml_handle *)dlsym(library, "nvmlDeviceGetHandleByIndex_v2"),
		.uuid = (nvml_uuid *)dlsym(library, "nvmlDeviceGetUUID"),
		.event_types = (nvml_event_types *)dlsym(library, "nvmlDeviceGetSupportedEventTypes"),
		.set_create = (nvml_set_create *)dlsym(library, "nvmlEventSetCreate"),
		.register_events = (nvml_register *)dlsym(library, "nvmlDeviceRegisterEvents"),
		.set_wait = (nvml_set_wait *)dlsym(library, "nvmlEventSetWait_v2"),
	};
	*ret_library = found;
	return found.init && found.count && found.handle && found.uuid && found.event_types && found.set_create &&
	       found.register_events && found.set_wait && found.init() == NVML_SUCCESS;
}

/* How many GPUs report events to the set. */
static unsigned devices_register(const struct library *library, void *set)
{
	unsigned registered = 0;
	unsigned int count = 0;

	if (library->count(&count) != NVML_SUCCESS)
		return 0;
	for (unsigned int i = 0; i < count; i++) {
		unsigned long long types = 0;
		void *handle = NULL;

		if (library->handle(i, &handle) != NVML_SUCCESS || library->event_types(handle, &types) != NVML_SUCCESS)
			continue;
		types &= NVML_EVENT_XID_CRITICAL | NVML_EVENT_ECC_DOUBLE;
		if (types && library->register_events(handle, types, set) == NVML_SUCCESS)
			registered++;
	}
	return registered;
}

static void event_print(const struct library *library, const struct nvml_event *event)
{
	char uuid[NVML_DEVICE_UUID_BYTES] = "";

	if (library->uuid(event->device, uuid, sizeof(uuid) - 1) != NVML_SUCCESS)
		return;
	if (event->type == NVML_EVENT_XID_CRITICAL)
		printf("uuid=%s xid=%llu\n", uuid, event->data);
	else if (event->type == NVML_EVENT_ECC_DOUBLE)
		printf("uuid=%s ecc=1\n", uuid);
}

/* Is there somebody at the other end of the pipe? */
static bool output_is_read(void)
{
	struct pollfd output = {.fd = STDOUT_FILENO};

	return fflush(stdout) == 0 && poll(&output, 1, 0) == 0;
}

int gpu_events_run(void)
{
	struct library library;
	struct nvml_event event;
	bool lost_is_told = false;
	void *set = NULL;

	if (!library_open(&library) || library.set_create(&set) != NVML_SUCCESS || !devices_register(&library, set))
		return 0;
	while (output_is_read()) {
		int result = library.set_wait(set, &event, WAIT_MS);

		if (result == NVML_SUCCESS) {
			event_print(&library, &event);
		} else if (result == NVML_ERROR_GPU_IS_LOST) {
			/* It says so at once each time, while the others go on. */
			if (!lost_is_told)
				fprintf(stderr, "a GPU is lost\n");
			lost_is_told = true;
			usleep(WAIT_MS * 1000);
		} else if (result != NVML_ERROR_TIMEOUT) {
			fprintf(stderr, "NVML's events end with error %d\n", result);
			return 1;
		}
	}
	return 0;
}
