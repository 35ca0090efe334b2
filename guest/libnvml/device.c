/* SPDX-License-Identifier: Apache-2.0 */
/* Handles, and the ways to find one. */
#include "device.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "connection.h"
#include "entry.h"
#include "library.h"
#include "nvml_abi.h"
#include "remote.h"

#define DEVICES_MAX	 64
#define IDENTITY_BYTES	 96
#define UUID_TYPE_TEXT	 1
#define UUID_TYPE_BINARY 2

/* Something to point at: no program looks behind a handle. */
struct nvml_device {
	char nothing;
};

static struct nvml_device devices[DEVICES_MAX];

bool device_index(const struct nvml_device *device, unsigned int *ret_index)
{
	uintptr_t offset = (uintptr_t)device - (uintptr_t)devices;

	if (offset >= connection_device_count())
		return false;
	*ret_index = (unsigned int)offset;
	return true;
}

static unsigned int device_count(void)
{
	unsigned int count = connection_device_count();

	return count < DEVICES_MAX ? count : DEVICES_MAX;
}

int device_find(unsigned int index, struct nvml_device **ret_device)
{
	int result = library_check();

	if (result)
		return result;
	if (!ret_device || index >= device_count())
		return NVML_ERROR_INVALID_ARGUMENT;
	*ret_device = &devices[index];
	return NVML_SUCCESS;
}

NVML_API(nvmlDeviceGetCount_v2, unsigned int *count)
{
	return library_count(count, device_count());
}

NVML_API(nvmlDeviceGetCount, unsigned int *count)
{
	return nvmlDeviceGetCount_v2(count);
}

NVML_API(nvmlDeviceGetHandleByIndex_v2, unsigned int index, struct nvml_device **device)
{
	return device_find(index, device);
}

NVML_API(nvmlDeviceGetHandleByIndex, unsigned int index, struct nvml_device **device)
{
	return device_find(index, device);
}

NVML_API(nvmlDeviceGetIndex, struct nvml_device *device, unsigned int *index)
{
	int result = library_check();

	if (result)
		return result;
	return index && device_index(device, index) ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT;
}

/* Asks for a text about one device. */
static int text_get(enum nvml_function_number number, struct nvml_device *device, char *text, uint32_t bytes)
{
	const uint64_t arguments[] = {(uintptr_t)device, (uintptr_t)text, bytes};

	return remote_call(number, arguments);
}

/* The device whose text is 'wanted'. */
static int text_find(enum nvml_function_number number, const char *wanted, struct nvml_device **ret_device)
{
	int result = library_check();

	if (result)
		return result;
	if (!wanted || !ret_device)
		return NVML_ERROR_INVALID_ARGUMENT;
	for (unsigned int i = 0; i < device_count(); i++) {
		char text[IDENTITY_BYTES] = "";

		if (text_get(number, &devices[i], text, sizeof(text)) != NVML_SUCCESS)
			continue;
		text[sizeof(text) - 1] = '\0';
		if (strcmp(text, wanted) == 0) {
			*ret_device = &devices[i];
			return NVML_SUCCESS;
		}
	}
	return NVML_ERROR_NOT_FOUND;
}

NVML_API(nvmlDeviceGetHandleByUUID, const char *uuid, struct nvml_device **device)
{
	return text_find(NVML_FUNCTION_nvmlDeviceGetUUID, uuid, device);
}

NVML_API(nvmlDeviceGetHandleBySerial, const char *serial, struct nvml_device **device)
{
	return text_find(NVML_FUNCTION_nvmlDeviceGetSerial, serial, device);
}

NVML_API(nvmlDeviceGetHandleByUUIDV, const struct nvml_uuid *uuid, struct nvml_device **device)
{
	char text[64];
	const unsigned char *b;
	int result = library_check();

	if (result)
		return result;
	if (!uuid || !device)
		return NVML_ERROR_INVALID_ARGUMENT;
	if (uuid->version != NVML_VERSION_WORD(struct nvml_uuid, 1))
		return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
	b = uuid->bytes;
	if (uuid->type == UUID_TYPE_TEXT)
		snprintf(text, sizeof(text), "%.*s", (int)sizeof(uuid->text), uuid->text);
	else if (uuid->type == UUID_TYPE_BINARY)
		snprintf(text, sizeof(text), "GPU-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
			 b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
			 b[15]);
	else
		return NVML_ERROR_INVALID_ARGUMENT;
	return text_find(NVML_FUNCTION_nvmlDeviceGetUUID, text, device);
}

static int pci_get(struct nvml_device *device, struct nvml_pci_info *info)
{
	const uint64_t arguments[] = {(uintptr_t)device, (uintptr_t)info};

	return remote_call(NVML_FUNCTION_nvmlDeviceGetPciInfo_v3, arguments);
}

/* [domain:]bus:device[.function], hexadecimal. */
static bool place_parse(const char *text, unsigned int place[3])
{
	if (sscanf(text, "%x:%x:%x", &place[0], &place[1], &place[2]) == 3)
		return true;
	place[0] = 0;
	return sscanf(text, "%x:%x", &place[1], &place[2]) == 2;
}

NVML_API(nvmlDeviceGetHandleByPciBusId_v2, const char *bus_id, struct nvml_device **device)
{
	unsigned int place[3];
	int result = library_check();

	if (result)
		return result;
	if (!bus_id || !device || !place_parse(bus_id, place))
		return NVML_ERROR_INVALID_ARGUMENT;
	for (unsigned int i = 0; i < device_count(); i++) {
		struct nvml_pci_info info;

		if (pci_get(&devices[i], &info) == NVML_SUCCESS && info.domain == place[0] && info.bus == place[1] &&
		    info.device == place[2]) {
			*device = &devices[i];
			return NVML_SUCCESS;
		}
	}
	return NVML_ERROR_NOT_FOUND;
}

NVML_API(nvmlDeviceGetHandleByPciBusId, const char *bus_id, struct nvml_device **device)
{
	return nvmlDeviceGetHandleByPciBusId_v2(bus_id, device);
}

/* Programs of earlier versions have less room. */
static int pci_get_part(struct nvml_device *device, void *place, size_t bytes)
{
	struct nvml_pci_info info;
	int result;

	if (!place)
		return library_refuse(NVML_ERROR_INVALID_ARGUMENT);
	result = pci_get(device, &info);
	if (!result)
		memcpy(place, &info, bytes);
	return result;
}

NVML_API(nvmlDeviceGetPciInfo, struct nvml_device *device, struct nvml_pci_info_v1 *info)
{
	return pci_get_part(device, info, sizeof(*info));
}

NVML_API(nvmlDeviceGetPciInfo_v2, struct nvml_device *device, struct nvml_pci_info_v2 *info)
{
	return pci_get_part(device, info, offsetof(struct nvml_pci_info_v2, reserved));
}

NVML_API(nvmlDeviceGetNvLinkRemotePciInfo, struct nvml_device *device, unsigned int link, struct nvml_pci_info_v2 *info)
{
	struct nvml_pci_info whole;
	const uint64_t arguments[] = {(uintptr_t)device, link, (uintptr_t)&whole};
	int result;

	if (!info)
		return library_refuse(NVML_ERROR_INVALID_ARGUMENT);
	result = remote_call(NVML_FUNCTION_nvmlDeviceGetNvLinkRemotePciInfo_v2, arguments);
	if (!result)
		memcpy(info, &whole, offsetof(struct nvml_pci_info_v2, reserved));
	return result;
}

/* The guest sees whole devices. */
NVML_API(nvmlDeviceIsMigDeviceHandle, struct nvml_device *device, unsigned int *is_mig)
{
	unsigned int index;
	int result = library_check();

	if (result)
		return result;
	if (!is_mig || !device_index(device, &index))
		return NVML_ERROR_INVALID_ARGUMENT;
	*is_mig = 0;
	return NVML_SUCCESS;
}

NVML_API(nvmlDeviceGetMaxMigDeviceCount, struct nvml_device *device, unsigned int *count)
{
	return nvmlDeviceIsMigDeviceHandle(device, count);
}
