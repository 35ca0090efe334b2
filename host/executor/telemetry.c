/* SPDX-License-Identifier: Apache-2.0 */
#include "telemetry.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "driver.h"
#include "executor.h"
#include "limit.h"
#include "log.h"
#include "nvml_abi.h"
#include "nvml_functions.h"
#include "telemetry_driver.h"
#include "tenant.h"
#include "vgpu_nvml.h"

#define LIBRARY "libnvidia-ml.so.1"

/* Of one device, in the library's list; more would not fit into a reply. */
#define HOST_PROCESSES_MAX 4096

typedef int nvml_init(void);
typedef int nvml_count(unsigned int *count);
typedef int nvml_handle(unsigned int index, void **handle);
typedef int nvml_pci(void *handle, struct nvml_pci_info *info);
typedef int nvml_memory(void *handle, struct nvml_memory *memory);
typedef int nvml_processes(void *handle, unsigned int *count, struct nvml_process_v2 *processes);
typedef int nvml_utilizations(void *handle, struct nvml_utilization *samples, unsigned int *count, uint64_t since_us);

void *telemetry_function(const struct telemetry *telemetry, const char *name)
{
	return telemetry->library ? dlsym(telemetry->library, name) : telemetry_driver_function(name);
}

/* Where CUDA is told which devices it may show, NVML is not: it has to be compared. */
static bool cuda_is_restricted(void)
{
	return getenv("CUDA_VISIBLE_DEVICES") != NULL;
}

static bool cuda_shows(const struct driver *driver, uint32_t pci_place)
{
	int count = 0;

	if (driver->cuDeviceGetCount(&count) != CUDA_SUCCESS)
		return false;
	for (int i = 0; i < count; i++) {
		if (driver_pci_place(driver, i) == pci_place)
			return true;
	}
	return false;
}

static void device_add(struct executor *executor, void *handle, uint32_t pci_place)
{
	struct telemetry *telemetry = &executor->telemetry;
	struct telemetry_device *device = &telemetry->devices[telemetry->device_count];

	if (telemetry->library && cuda_is_restricted() && !cuda_shows(&executor->driver, pci_place))
		return;
	*device = (struct telemetry_device){.handle = handle, .pci_place = pci_place};
	telemetry->device_count++;
}

static int devices_list(struct executor *executor)
{
	struct telemetry *telemetry = &executor->telemetry;
	nvml_count *count_get = (nvml_count *)telemetry_function(telemetry, "nvmlDeviceGetCount_v2");
	nvml_handle *handle_get = (nvml_handle *)telemetry_function(telemetry, "nvmlDeviceGetHandleByIndex_v2");
	nvml_pci *pci_get = (nvml_pci *)telemetry_function(telemetry, "nvmlDeviceGetPciInfo_v3");
	unsigned int count = 0;
	int result;

	if (!count_get || !handle_get || !pci_get)
		return NVML_ERROR_FUNCTION_NOT_FOUND;
	result = count_get(&count);
	if (result)
		return result;
	for (unsigned int i = 0; i < count && telemetry->device_count < TELEMETRY_DEVICES_MAX; i++) {
		struct nvml_pci_info pci = {0};
		void *handle = NULL;

		/* A device that is lost does not take the others with it. */
		if (handle_get(i, &handle) == NVML_SUCCESS && pci_get(handle, &pci) == NVML_SUCCESS)
			device_add(executor, handle, VGPU_PCI_PLACE(pci.domain, pci.bus, pci.device));
	}
	return NVML_SUCCESS;
}

int telemetry_open(struct executor *executor)
{
	struct telemetry *telemetry = &executor->telemetry;
	nvml_init *init;
	int result;

	telemetry->is_open = true;
	if (!driver_is_softgpu(&executor->driver)) {
		telemetry->library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
		if (!telemetry->library)
			log_write("no NVML, the CUDA driver is asked instead: %s", dlerror());
	}
	if (!telemetry->library) {
		result = telemetry_driver_open(&executor->driver);
	} else {
		init = (nvml_init *)telemetry_function(telemetry, "nvmlInit_v2");
		result = init ? init() : NVML_ERROR_FUNCTION_NOT_FOUND;
		if (!result && cuda_is_restricted() && executor->driver.cuInit(0) != CUDA_SUCCESS)
			log_write("cuInit failed: telemetry shows no devices");
	}
	if (!result)
		result = devices_list(executor);
	if (result)
		log_write("telemetry FAILED: %s (%d)", nvml_result_text(result), result);
	return result;
}

bool telemetry_own_bytes(const struct telemetry *telemetry, uint32_t pci_place, uint64_t *ret_bytes)
{
	static struct nvml_process_v2 processes[HOST_PROCESSES_MAX];
	nvml_processes *get =
		(nvml_processes *)telemetry_function(telemetry, "nvmlDeviceGetComputeRunningProcesses_v3");
	unsigned int count = HOST_PROCESSES_MAX;

	if (!telemetry->library || !get)
		return false;
	for (uint32_t i = 0; i < telemetry->device_count; i++) {
		if (telemetry->devices[i].pci_place != pci_place)
			continue;
		if (get(telemetry->devices[i].handle, &count, processes) != NVML_SUCCESS || count > HOST_PROCESSES_MAX)
			return false;
		for (unsigned int j = 0; j < count; j++) {
			*ret_bytes = processes[j].used_bytes;
			if (processes[j].pid == (unsigned int)getpid())
				return *ret_bytes != NVML_VALUE_NOT_AVAILABLE;
		}
	}
	return false;
}

/*
 * The library knows better than our own count what a process has: contexts and modules take memory too. It
 * names processes as the host does, so one in a namespace of its own is not found, and keeps our count.
 */
static void use_refine(const struct telemetry *telemetry, const struct telemetry_device *device, struct tenant_use *use)
{
	static struct nvml_process_v2 processes[HOST_PROCESSES_MAX];
	nvml_processes *get =
		(nvml_processes *)telemetry_function(telemetry, "nvmlDeviceGetComputeRunningProcesses_v3");
	unsigned int count = HOST_PROCESSES_MAX;

	if (!get || get(device->handle, &count, processes) != NVML_SUCCESS || count > HOST_PROCESSES_MAX)
		return;
	for (size_t i = 0; i < use->count; i++) {
		for (unsigned int j = 0; j < count; j++) {
			if (processes[j].pid == use->processes[i].executor_process &&
			    processes[j].used_bytes != NVML_VALUE_NOT_AVAILABLE)
				use->processes[i].memory_bytes = processes[j].used_bytes;
		}
	}
}

/* The device of a request, or NULL with the result for the reply. */
static const struct telemetry_device *use_fetch(struct executor *executor,
						const struct vgpu_nvml_device_request *arguments,
						struct tenant_use *ret_use, int32_t *ret_result)
{
	const struct telemetry *telemetry = &executor->telemetry;
	const struct telemetry_device *device;

	*ret_result = NVML_ERROR_INVALID_ARGUMENT;
	if (arguments->device >= telemetry->device_count)
		return NULL;
	device = &telemetry->devices[arguments->device];
	*ret_result = NVML_ERROR_TIMEOUT;
	if (!tenant_use_fetch(executor, device->pci_place, ret_use))
		return NULL;
	*ret_result = NVML_SUCCESS;
	use_refine(telemetry, device, ret_use);
	return device;
}

static int32_t memory_read(const struct telemetry *telemetry, const struct telemetry_device *device,
			   const struct tenant_use *use, struct vgpu_nvml_memory_reply *answer)
{
	nvml_memory *get = (nvml_memory *)telemetry_function(telemetry, "nvmlDeviceGetMemoryInfo");
	struct nvml_memory real = {0};
	struct tenant_memory view;
	int result = get ? get(device->handle, &real) : NVML_ERROR_NOT_SUPPORTED;

	if (result)
		return result;
	view = tenant_memory_view(use->quota_bytes, real.total, real.free, tenant_used_bytes(use));
	answer->total_bytes = view.total_bytes;
	answer->free_bytes = view.free_bytes;
	answer->used_bytes = view.used_bytes;
	return NVML_SUCCESS;
}

static CUresult memory_execute(struct executor *executor, const struct request *request, struct reply *reply)
{
	static struct tenant_use use;
	struct vgpu_nvml_memory_reply answer = {0};
	struct vgpu_nvml_device_request arguments;
	const struct telemetry_device *device;

	if (request->payload_bytes < sizeof(arguments))
		return EXECUTE_PROTOCOL;
	memcpy(&arguments, request->payload, sizeof(arguments));
	device = use_fetch(executor, &arguments, &use, &answer.result);
	if (device)
		answer.result = memory_read(&executor->telemetry, device, &use, &answer);
	memcpy(reply->payload, &answer, sizeof(answer));
	reply->bytes = sizeof(answer);
	return CUDA_SUCCESS;
}

static CUresult processes_execute(struct executor *executor, const struct request *request, struct reply *reply)
{
	static struct tenant_use use;
	struct vgpu_nvml_processes_reply answer = {0};
	struct vgpu_nvml_device_request arguments;
	uint8_t *place = reply->payload + sizeof(answer);

	if (request->payload_bytes < sizeof(arguments))
		return EXECUTE_PROTOCOL;
	memcpy(&arguments, request->payload, sizeof(arguments));
	if (use_fetch(executor, &arguments, &use, &answer.result)) {
		answer.count = (uint32_t)use.count;
		for (size_t i = 0; i < use.count; i++) {
			const struct vgpu_nvml_process process = {
				.process_id = use.processes[i].process_id,
				.used_bytes = use.processes[i].memory_bytes,
			};

			memcpy(place + i * sizeof(process), &process, sizeof(process));
		}
	}
	memcpy(reply->payload, &answer, sizeof(answer));
	reply->bytes = sizeof(answer) + answer.count * sizeof(struct vgpu_nvml_process);
	return CUDA_SUCCESS;
}

/* The process of the tenant behind an id on the host; NULL: it is somebody else's. */
static const struct vgpu_control_tenant_process *own_find(const struct tenant_use *use, uint32_t executor_process)
{
	for (size_t i = 0; i < use->count; i++) {
		if (use->processes[i].executor_process == executor_process)
			return &use->processes[i];
	}
	return NULL;
}

/* Keeps of the library's samples those of the tenant. */
static int32_t utilization_read(const struct telemetry *telemetry, const struct telemetry_device *device,
				const struct tenant_use *use, uint64_t since_us, uint8_t *place, uint32_t *ret_count)
{
	static struct nvml_utilization samples[HOST_PROCESSES_MAX];
	nvml_utilizations *get = (nvml_utilizations *)telemetry_function(telemetry, "nvmlDeviceGetProcessUtilization");
	unsigned int count = HOST_PROCESSES_MAX;
	int result = get ? get(device->handle, samples, &count, since_us) : NVML_ERROR_NOT_SUPPORTED;

	if (result)
		return result;
	for (unsigned int i = 0; i < count && i < HOST_PROCESSES_MAX && *ret_count < VGPU_NVML_PROCESSES_MAX; i++) {
		const struct vgpu_control_tenant_process *own = own_find(use, samples[i].pid);
		struct vgpu_nvml_utilization utilization = {
			.compute = samples[i].compute,
			.memory = samples[i].memory,
			.encoder = samples[i].encoder,
			.decoder = samples[i].decoder,
			.time_us = samples[i].time_us,
		};

		if (!own)
			continue;
		utilization.process_id = own->process_id;
		memcpy(place + *ret_count * sizeof(utilization), &utilization, sizeof(utilization));
		++*ret_count;
	}
	return *ret_count ? NVML_SUCCESS : NVML_ERROR_NOT_FOUND;
}

static CUresult utilization_execute(struct executor *executor, const struct request *request, struct reply *reply)
{
	static struct tenant_use use;
	struct vgpu_nvml_processes_reply answer = {0};
	struct vgpu_nvml_device_request arguments;
	const struct telemetry_device *device;

	if (request->payload_bytes < sizeof(arguments))
		return EXECUTE_PROTOCOL;
	memcpy(&arguments, request->payload, sizeof(arguments));
	device = use_fetch(executor, &arguments, &use, &answer.result);
	if (device)
		answer.result = utilization_read(&executor->telemetry, device, &use, arguments.since_us,
						 reply->payload + sizeof(answer), &answer.count);
	memcpy(reply->payload, &answer, sizeof(answer));
	reply->bytes = sizeof(answer) + answer.count * sizeof(struct vgpu_nvml_utilization);
	return CUDA_SUCCESS;
}

_Static_assert(sizeof(struct vgpu_nvml_processes_reply) +
			       VGPU_NVML_PROCESSES_MAX * sizeof(struct vgpu_nvml_utilization) <=
		       VGPU_RECORD_BYTES_MAX - sizeof(struct vgpu_record),
	       "a list of processes fits into a reply");

bool telemetry_admits(struct executor *executor)
{
	struct telemetry *telemetry = &executor->telemetry;
	uint64_t now = schedule_now();
	uint64_t wait_ns = gate_work_waits(executor) ? limit_telemetry_wait(executor, now) : 0;

	if (wait_ns && !telemetry->delayed_until_ns)
		counter_add(&executor->gate.own->delays, 1);
	telemetry->delayed_until_ns = wait_ns ? now + wait_ns : 0;
	return !wait_ns;
}

static CUresult request_answer(struct executor *executor, const struct request *request, struct reply *reply)
{
	switch (request->opcode) {
	case VGPU_OPCODE_NVML_CALL:
		return telemetry_call_execute(executor, request, reply);
	case VGPU_OPCODE_NVML_MEMORY:
		return memory_execute(executor, request, reply);
	case VGPU_OPCODE_NVML_PROCESSES:
		return processes_execute(executor, request, reply);
	case VGPU_OPCODE_NVML_UTILIZATION:
		return utilization_execute(executor, request, reply);
	default:
		return EXECUTE_PROTOCOL;
	}
}

CUresult telemetry_execute(struct executor *executor, const struct request *request, struct reply *reply)
{
	uint64_t began = schedule_now();
	CUresult result = request_answer(executor, request, reply);
	uint64_t now = schedule_now();

	limit_telemetry_pay(executor, now - began, now);
	return result;
}
