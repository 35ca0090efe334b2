/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that has used all that might go on working behind its back, prints "idle", and does nothing until a line
 * comes on its standard input: streams and events, kernels in sequences that come again and again, short and long
 * copies of pageable memory and of pinned memory, and NVML where there is one. Then it computes once more, and has
 * failed if that does. For idle.py.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "device.h"
#include "tenant_ptx.h"

enum { STREAMS = 4, LAUNCHES = 4096, LAUNCHES_IN_A_ROW = 1024, THREADS = 256, LONG_COPY_BYTES = 8 << 20 };

/* NVML's functions, whose types no header here gives. */
typedef int nvml_start(void);
typedef int nvml_handle(unsigned index, void **device);
typedef int nvml_temperature(void *device, int sensor, unsigned *value);

/* What it said: 0, or the step that failed. */
static int nvml_use(void)
{
	void *library = dlopen("libnvidia-ml.so.1", RTLD_NOW);
	nvml_start *start = library ? (nvml_start *)dlsym(library, "nvmlInit_v2") : NULL;
	nvml_handle *handle = library ? (nvml_handle *)dlsym(library, "nvmlDeviceGetHandleByIndex_v2") : NULL;
	nvml_temperature *temperature = library ? (nvml_temperature *)dlsym(library, "nvmlDeviceGetTemperature") : NULL;
	unsigned value;
	void *device;

	if (!start || !handle || !temperature)
		return 1;
	if (start())
		return 2;
	return handle(0, &device) || temperature(device, 0, &value) ? 3 : 0;
}

static void launches(CUfunction work, CUdeviceptr results, const CUstream *streams)
{
	unsigned iterations = 1, seed = 0;
	void *parameters[] = {&results, &iterations, &seed};

	for (unsigned i = 0; i < LAUNCHES; i++) {
		CUstream stream = streams[i / LAUNCHES_IN_A_ROW % STREAMS];

		CHECK(driver.launch(work, 1, 1, 1, THREADS, 1, 1, 0, stream, parameters, NULL));
	}
	CHECK(driver.synchronize());
}

static void copies(CUdeviceptr device, void *host)
{
	static const size_t sizes[] = {64, 16 << 10, 200 << 10, 1 << 20, LONG_COPY_BYTES};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		CHECK(driver.copy_to_device(device, host, sizes[i]));
		CHECK(driver.copy_to_host(host, device, sizes[i]));
	}
}

int main(void)
{
	CUdeviceptr results, memory;
	CUstream streams[STREAMS];
	CUevent events[STREAMS];
	CUmodule module;
	CUfunction work;
	void *pageable = calloc(1, LONG_COPY_BYTES), *pinned;
	char line[8];
	int nvml;

	if (!pageable)
		return 1;
	device_start("libcuda.so.1", 0);
	CHECK(driver.module_load_data(&module, tenant_ptx));
	CHECK(driver.module_get_function(&work, module, "work"));
	CHECK(driver.memory_allocate(&results, THREADS * sizeof(unsigned)));
	CHECK(driver.memory_allocate(&memory, LONG_COPY_BYTES));
	CHECK(driver.host_allocate(&pinned, LONG_COPY_BYTES, 0));
	for (int i = 0; i < STREAMS; i++) {
		CHECK(driver.stream_create(&streams[i], 1));
		CHECK(driver.event_create(&events[i], 0));
	}
	launches(work, results, streams);
	copies(memory, pageable);
	copies(memory, pinned);
	for (int i = 0; i < STREAMS; i++)
		CHECK(driver.event_record(events[i], streams[i]));
	nvml = nvml_use();
	printf("idle, nvml %d\n", nvml);
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return 1;
	for (int i = 0; i < STREAMS; i++)
		CHECK(driver.event_query(events[i]));
	launches(work, results, streams);
	free(pageable);
	return 0;
}
