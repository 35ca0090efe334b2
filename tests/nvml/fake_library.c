/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A strict libnvidia-ml.so.1 for the host: every function of api/nvml gives values that the test can
 * foretell. What it would be undefined to pass to the real library ends the process.
 *
 * With FAKE_NVML_ANY_VALUES in the environment any values of arguments will do, for tests that send others;
 * what memory and handles must be stays strict. Device 0 then lies where the strict driver's device does.
 *
 * All processes of the machine, and one that does not exist, use each device. With FAKE_NVML_GROWTH the one that asks
 * has so many bytes more each time.
 */
#include "fake_library.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cuda_abi.h"
#include "nvml_abi.h"
#include "pattern.h"

#define FOREIGN_PROCESS 4000000 /* beyond what the kernel gives */
#define PROCESSES_MAX	4096
#define PROCESS_BYTES	(1ull << 20)
#define TOTAL_BYTES	(80ull << 30)

struct nvml_device {
	unsigned number;
};

static struct nvml_device devices[FAKE_DEVICES] = {{0}, {1}, {2}};
static bool is_initialised;
static bool takes_any_values;

static void require(bool holds, const struct nvml_function *function, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fake NVML: %s: %s\n", function ? function->name : "-", what);
	abort();
}

static unsigned device_number(const struct nvml_function *function, uint64_t argument)
{
	const struct nvml_device *device = (const struct nvml_device *)(uintptr_t)argument;

	require(device >= devices && device < devices + FAKE_DEVICES, function, "no device");
	return device->number;
}

static bool version_is_known(const struct nvml_parameter *parameter, uint32_t word)
{
	for (unsigned i = 0; i < NVML_VERSIONS_MAX && parameter->versions[i]; i++) {
		if (parameter->versions[i] == word)
			return true;
	}
	return false;
}

/* Elements that the program has room for. */
static size_t room_of(const struct nvml_function *function, const uint64_t *arguments, unsigned index)
{
	unsigned partner = function->parameters[index].partner;

	if (function->parameters[partner].role == NVML_ROLE_SIZE)
		return (uint32_t)arguments[partner];
	return *(const uint32_t *)(uintptr_t)arguments[partner];
}

static void argument_check(const struct nvml_function *function, const uint64_t *arguments, unsigned index)
{
	const struct nvml_parameter *parameter = &function->parameters[index];
	const void *place = (const void *)(uintptr_t)arguments[index];
	uint32_t word;

	switch (parameter->role) {
	case NVML_ROLE_DEVICE:
		device_number(function, arguments[index]);
		break;
	case NVML_ROLE_IN:
		require(takes_any_values || arguments[index] == pattern_value(function, index), function,
			"another value");
		break;
	case NVML_ROLE_VERSIONED:
		require(place, function, "no structure");
		memcpy(&word, place, sizeof(word));
		require(version_is_known(parameter, word), function, "another version");
		require(takes_any_values ||
				pattern_matches(function, index, 0, false, (const char *)place + sizeof(word),
						(word & 0xffffff) - sizeof(word)),
			function, "another structure");
		break;
	case NVML_ROLE_VALUES:
		require(takes_any_values || pattern_matches(function, index, 0, false, place,
							    room_of(function, arguments, index) * parameter->bytes),
			function, "other values");
		break;
	case NVML_ROLE_OUT:
	case NVML_ROLE_COUNT:
		require(place, function, "no place for a result");
		break;
	case NVML_ROLE_ARRAY:
		require(place || room_of(function, arguments, index) == 0, function, "no place for an array");
		break;
	default:
		break;
	}
}

static void result_give(const struct nvml_function *function, const uint64_t *arguments, unsigned index,
			unsigned device)
{
	const struct nvml_parameter *parameter = &function->parameters[index];
	char *place = (char *)(uintptr_t)arguments[index];
	uint32_t word;

	switch (parameter->role) {
	case NVML_ROLE_OUT:
		pattern_fill(function, index, device, true, place, parameter->bytes);
		break;
	case NVML_ROLE_VERSIONED:
		memcpy(&word, place, sizeof(word));
		pattern_fill(function, index, device, true, place + sizeof(word), (word & 0xffffff) - sizeof(word));
		break;
	case NVML_ROLE_ARRAY:
	case NVML_ROLE_VALUES:
		pattern_fill(function, index, device, true, place,
			     room_of(function, arguments, index) * parameter->bytes);
		break;
	default:
		break;
	}
}

/* Where tests/executor/strict_driver.c has its device: its attributes are their numbers and 100000. */
static void strict_place_give(struct nvml_pci_info *info)
{
	info->domain = 100000 + CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID;
	info->bus = 100000 + CU_DEVICE_ATTRIBUTE_PCI_BUS_ID;
	info->device = 100000 + CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID;
}

int fake_call(enum nvml_function_number number, const uint64_t *arguments)
{
	const struct nvml_function *function = nvml_function_find(number);
	unsigned device = 0;

	require(is_initialised, function, "not initialised");
	for (unsigned i = 0; i < function->parameter_count; i++)
		argument_check(function, arguments, i);
	if (function->parameters[0].role == NVML_ROLE_DEVICE)
		device = device_number(function, arguments[0]);
	for (unsigned i = 0; i < function->parameter_count; i++) {
		uint32_t *count = (uint32_t *)(uintptr_t)arguments[i];
		uint32_t room;

		if (function->parameters[i].role != NVML_ROLE_COUNT)
			continue;
		room = *count;
		*count = FAKE_ELEMENTS;
		if (room < FAKE_ELEMENTS)
			return NVML_ERROR_INSUFFICIENT_SIZE;
	}
	for (unsigned i = 0; i < function->parameter_count; i++)
		result_give(function, arguments, i, device);
	if (number == NVML_FUNCTION_nvmlDeviceGetPciInfo_v3 && device == 0 && takes_any_values)
		strict_place_give((struct nvml_pci_info *)(uintptr_t)arguments[1]);
	return NVML_SUCCESS;
}

FAKE_API(nvmlInit_v2, void)
{
	is_initialised = true;
	takes_any_values = getenv("FAKE_NVML_ANY_VALUES") != NULL;
	return NVML_SUCCESS;
}

FAKE_API(nvmlDeviceGetCount_v2, unsigned int *count)
{
	*count = FAKE_DEVICES;
	return NVML_SUCCESS;
}

FAKE_API(nvmlDeviceGetHandleByIndex_v2, unsigned int index, struct nvml_device **device)
{
	require(index < FAKE_DEVICES, NULL, "no device of that index");
	*device = &devices[index];
	return NVML_SUCCESS;
}

FAKE_API(nvmlDeviceGetMemoryInfo, struct nvml_device *device, struct nvml_memory *memory)
{
	device_number(NULL, (uintptr_t)device);
	*memory = (struct nvml_memory){.total = TOTAL_BYTES, .free = TOTAL_BYTES / 2, .used = TOTAL_BYTES / 2};
	return NVML_SUCCESS;
}

static unsigned int processes_list(unsigned int *ids, unsigned int room)
{
	DIR *folder = opendir("/proc");
	struct dirent *entry;
	unsigned int count = 0;

	require(folder && room == PROCESSES_MAX, NULL, "little room for processes");
	ids[count++] = FOREIGN_PROCESS;
	while ((entry = readdir(folder)) && count < room) {
		unsigned int id = (unsigned int)strtoul(entry->d_name, NULL, 10);

		if (id)
			ids[count++] = id;
	}
	closedir(folder);
	return count;
}

FAKE_API(nvmlDeviceGetComputeRunningProcesses_v3, struct nvml_device *device, unsigned int *count,
	 struct nvml_process_v2 *processes)
{
	static unsigned int ids[PROCESSES_MAX];
	static unsigned long long own_bytes = PROCESS_BYTES;
	const char *growth = getenv("FAKE_NVML_GROWTH");

	device_number(NULL, (uintptr_t)device);
	*count = processes_list(ids, *count);
	for (unsigned int i = 0; i < *count; i++)
		processes[i] = (struct nvml_process_v2){
			.pid = ids[i],
			.used_bytes = ids[i] == (unsigned int)getpid() ? own_bytes : PROCESS_BYTES,
		};
	own_bytes += growth ? strtoull(growth, NULL, 10) : 0;
	return NVML_SUCCESS;
}

FAKE_API(nvmlDeviceGetProcessUtilization, struct nvml_device *device, struct nvml_utilization *samples,
	 unsigned int *count, unsigned long long since_us)
{
	static unsigned int ids[PROCESSES_MAX];

	device_number(NULL, (uintptr_t)device);
	*count = processes_list(ids, *count);
	for (unsigned int i = 0; i < *count; i++)
		samples[i] = (struct nvml_utilization){
			.pid = ids[i],
			.time_us = since_us + 1,
			.compute = 12,
			.memory = 34,
			.encoder = 5,
			.decoder = 6,
		};
	return NVML_SUCCESS;
}
