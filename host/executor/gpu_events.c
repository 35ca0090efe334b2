/* SPDX-License-Identifier: Apache-2.0 */
#include "gpu_events.h"

#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "nvml.h"
#include "nvml_functions.h"

/* nvml.h: values of its enumerations, and its structure. */
#define NVML_EVENT_ECC_DOUBLE	0x2ull
#define NVML_EVENT_XID_CRITICAL 0x8ull

#define WAIT_MS 1000

struct nvml_event {
	void *device;
	unsigned long long type;
	unsigned long long data; /* the Xid */
	unsigned int gpu_instance;
	unsigned int compute_instance;
};

typedef int nvml_event_types(void *handle, unsigned long long *types);
typedef int nvml_set_create(void **set);
typedef int nvml_register(void *handle, unsigned long long types, void *set);
typedef int nvml_set_wait(void *set, struct nvml_event *event, unsigned int timeout_ms);

struct library {
	struct nvml nvml;
	nvml_event_types *event_types;
	nvml_set_create *set_create;
	nvml_register *register_events;
	nvml_set_wait *set_wait;
};

/* False: there is none, or it is older than what is needed of it. */
static bool library_open(struct library *ret_library)
{
	struct nvml nvml;

	if (nvml_open(&nvml) != NVML_SUCCESS)
		return false;
	*ret_library = (struct library){
		.nvml = nvml,
		.event_types = (nvml_event_types *)nvml_function(&nvml, "nvmlDeviceGetSupportedEventTypes"),
		.set_create = (nvml_set_create *)nvml_function(&nvml, "nvmlEventSetCreate"),
		.register_events = (nvml_register *)nvml_function(&nvml, "nvmlDeviceRegisterEvents"),
		.set_wait = (nvml_set_wait *)nvml_function(&nvml, "nvmlEventSetWait_v2"),
	};
	return ret_library->event_types && ret_library->set_create && ret_library->register_events &&
	       ret_library->set_wait;
}

/* How many GPUs report events to the set. */
static unsigned devices_register(const struct library *library, void *set)
{
	unsigned registered = 0;
	unsigned int count = 0;

	if (library->nvml.count(&count) != NVML_SUCCESS)
		return 0;
	for (unsigned int i = 0; i < count; i++) {
		unsigned long long types = 0;
		void *handle = NULL;

		if (library->nvml.handle(i, &handle) != NVML_SUCCESS ||
		    library->event_types(handle, &types) != NVML_SUCCESS)
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

	if (library->nvml.uuid(event->device, uuid, sizeof(uuid) - 1) != NVML_SUCCESS)
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
