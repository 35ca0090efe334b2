/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "executor.h"
#include "limit.h"
#include "log.h"
#include "nvml_functions.h"
#include "settings.h"
#include "start.h"
#include "tenant.h"
#include "vgpu_api_wire.h"
#include "visible.h"

static uint64_t features_offered(const struct executor *executor)
{
	return VGPU_FEATURE_FUNCTION_END | VGPU_FEATURE_ERROR_OF |
	       (executor->pass >= 0 ? VGPU_FEATURE_HOST_MAP | VGPU_FEATURE_HOST_PLACE : 0) |
	       (executor->can_share ? VGPU_FEATURE_SHARE : 0) |
	       (executor->channel.area_bytes ? VGPU_FEATURE_HOST_AREA | VGPU_FEATURE_HOST_PLACE : 0);
}

/* A kernel of the guest's could take an executor over whose memory it reaches. The mediator has looked, on its host. */
static CUresult devices_check(const struct executor *executor)
{
	const struct driver *driver = &executor->driver;
	int count = 0;

	if (executor->allows_pageable || driver->cuDeviceGetCount(&count) != CUDA_SUCCESS)
		return CUDA_SUCCESS;
	for (int i = 0; i < count; i++) {
		CUdevice device;

		if (driver->cuDeviceGet(&device, i) != CUDA_SUCCESS || !driver_reaches_host(driver, device))
			continue;
		log_write("GPU %d is not used: its kernels reach all memory of their process; load nvidia-uvm with "
			  "uvm_disable_hmm=1, or set allow-pageable-access",
			  i);
		return CUDA_ERROR_SYSTEM_NOT_READY;
	}
	return CUDA_SUCCESS;
}

/* Not before it is known that the guest process wants CUDA at all. */
static void driver_start(struct executor *executor, bool has_wish)
{
	executor->init_result = executor->driver.cuInit(0);
	if (!executor->init_result)
		executor->init_result = devices_check(executor);
	if (executor->init_result)
		log_write("cuInit FAILED: %s (%d)", driver_error_name(&executor->driver, executor->init_result),
			  executor->init_result);
	else
		executor->driver_is_software = driver_is_software(&executor->driver);
	/* Why it fails may be the program's wish, which says nothing of the driver. */
	if (!has_wish || !executor->init_result)
		start_driver_send(executor);
}

static void cuda_greet(struct executor *executor, const struct vgpu_hello *hello, bool has_wish,
		       struct vgpu_hello_reply *answer)
{
	const struct driver *driver = &executor->driver;
	int version = 0;
	int count = 0;

	driver_start(executor, has_wish);
	answer->features = hello->features & features_offered(executor);
	executor->features = answer->features;
	answer->api_checksum = VGPU_API_CHECKSUM;
	answer->init_result = (uint32_t)executor->init_result;
	if (driver->cuDriverGetVersion(&version) == CUDA_SUCCESS)
		answer->driver_version = (uint32_t)version;
	if (!executor->init_result && driver->cuDeviceGetCount(&count) == CUDA_SUCCESS)
		answer->device_count = count < SNAPSHOT_DEVICES_MAX ? (uint32_t)count : SNAPSHOT_DEVICES_MAX;
	answer->driver_is_software = executor->driver_is_software;
}

static void telemetry_greet(struct executor *executor, struct vgpu_hello_reply *answer)
{
	executor->telemetry.is_serving = true;
	answer->features = VGPU_FEATURE_TELEMETRY;
	answer->api_checksum = NVML_API_CHECKSUM;
	answer->init_result = (uint32_t)telemetry_open(executor);
	answer->device_count = executor->telemetry.device_count;
	answer->driver_is_software = executor->telemetry.library == NULL;
}

CUresult hello_execute(struct executor *executor, const struct request *request, struct reply *reply)
{
	struct vgpu_hello hello;
	struct vgpu_hello_reply answer = {.version = VGPU_PROTOCOL_VERSION};

	if (request->payload_bytes < sizeof(hello) || executor->is_greeted || executor->is_refused)
		return EXECUTE_PROTOCOL;
	memcpy(&hello, request->payload, sizeof(hello));
	hello.process_name[sizeof(hello.process_name) - 1] = '\0';
	tenant_process_tell(executor, hello.process_id, hello.features & VGPU_FEATURE_TELEMETRY);
	if (hello.features & VGPU_FEATURE_TELEMETRY)
		telemetry_greet(executor, &answer);
	else {
		bool has_wish = request->payload_bytes > sizeof(hello);

		settings_follow(hello.settings);
		if (has_wish)
			visible_devices_wish((const char *)request->payload + sizeof(hello),
					     request->payload_bytes - sizeof(hello));
		cuda_greet(executor, &hello, has_wish, &answer);
	}
	memcpy(reply->payload, &answer, sizeof(answer));
	reply->bytes = sizeof(answer);
	/* The guest sees from the reply that they do not fit together; it gets nothing else. */
	if (hello.version >> 16 == VGPU_PROTOCOL_MAJOR && hello.api_checksum == answer.api_checksum) {
		executor->is_greeted = true;
		executor->counters->process_id = hello.process_id;
		log_write("vm_id=%u channel=%u: process %u (%s) connected", executor->vm_id, executor->channel_number,
			  hello.process_id, hello.process_name);
	} else {
		executor->is_refused = true;
		log_write("vm_id=%u channel=%u: process %u (%s) has a library of another version (%u.%u, %08x)",
			  executor->vm_id, executor->channel_number, hello.process_id, hello.process_name,
			  hello.version >> 16, hello.version & 0xffff, hello.api_checksum);
	}
	return CUDA_SUCCESS;
}

static CUresult device_read(const struct driver *driver, int ordinal, struct vgpu_snapshot_reply *snapshot)
{
	CUuuid uuid;
	CUdevice device;
	size_t total;
	CUresult result = driver->cuDeviceGet(&device, ordinal);

	if (!result)
		result = driver->cuDeviceGetName(snapshot->name, sizeof(snapshot->name), device);
	if (!result)
		result = driver->cuDeviceTotalMem_v2(&total, device);
	if (!result)
		result = driver->cuDeviceGetPCIBusId(snapshot->pci_bus_id, sizeof(snapshot->pci_bus_id), device);
	if (!result)
		result = driver->cuDeviceGetUuid(&uuid, device);
	if (result)
		return result;
	snapshot->total_bytes = total;
	memcpy(snapshot->uuid, &uuid, sizeof(uuid));
	if (driver->cuDeviceGetUuid_v2 && driver->cuDeviceGetUuid_v2(&uuid, device) != CUDA_SUCCESS)
		memcpy(&uuid, snapshot->uuid, sizeof(uuid));
	memcpy(snapshot->uuid_v2, &uuid, sizeof(uuid));
	snapshot->luid_result =
		(uint32_t)(driver->cuDeviceGetLuid
				   ? driver->cuDeviceGetLuid(snapshot->luid, &snapshot->luid_node_mask, device)
				   : CUDA_ERROR_NOT_SUPPORTED);
	snapshot->attribute_count = VGPU_ATTRIBUTES_MAX;
	for (int i = 0; i < VGPU_ATTRIBUTES_MAX; i++) {
		int value = 0;

		snapshot->attribute_results[i] =
			(uint16_t)driver->cuDeviceGetAttribute(&value, (CUdevice_attribute)i, device);
		snapshot->attribute_values[i] = value;
	}
	return CUDA_SUCCESS;
}

CUresult snapshot_execute(struct executor *executor, const struct request *request, struct reply *reply)
{
	const struct vgpu_snapshot_request *arguments = request->payload;
	struct vgpu_snapshot_reply **kept;
	uint64_t free_bytes = 0;
	CUresult result;

	if (request->payload_bytes < sizeof(*arguments))
		return EXECUTE_PROTOCOL;
	if (executor->init_result)
		return executor->init_result;
	if (arguments->device >= SNAPSHOT_DEVICES_MAX)
		return CUDA_ERROR_INVALID_DEVICE;
	kept = &executor->snapshots.devices[arguments->device];
	if (!*kept) {
		struct vgpu_snapshot_reply *snapshot = calloc(1, sizeof(*snapshot));

		if (!snapshot)
			return CUDA_ERROR_OUT_OF_MEMORY;
		result = device_read(&executor->driver, (int)arguments->device, snapshot);
		if (result) {
			free(snapshot);
			return result;
		}
		*kept = snapshot;
	}
	memcpy(reply->payload, *kept, sizeof(**kept));
	limit_memory_view(executor, &free_bytes, &((struct vgpu_snapshot_reply *)(void *)reply->payload)->total_bytes);
	reply->bytes = sizeof(**kept);
	return CUDA_SUCCESS;
}
