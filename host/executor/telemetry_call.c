/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of functions of api/nvml, as protocol/vgpu_nvml.h lays them out. */
#include <string.h>

#include "executor.h"
#include "nvml_functions.h"
#include "telemetry.h"
#include "vgpu_nvml.h"

/* The generator keeps what the parameters of one function take together below this. */
#define STORAGE_BYTES (48u << 10)

struct call {
	const struct nvml_function *function;
	uint32_t present;
	uint64_t arguments[NVML_PARAMETERS_MAX]; /* values, or addresses in storage */
	uint64_t counts[NVML_PARAMETERS_MAX];	 /* SIZE, COUNT: elements asked for */
	uint32_t bytes[NVML_PARAMETERS_MAX];	 /* VERSIONED: of the structure */
	uint8_t *storage;
	size_t storage_used;
};

struct reader {
	const uint8_t *at;
	size_t bytes;
};

static size_t padded(size_t bytes)
{
	return (bytes + 7) & ~(size_t)7;
}

static bool reader_take(struct reader *reader, void *ret_value, size_t bytes)
{
	if (reader->bytes < padded(bytes))
		return false;
	memcpy(ret_value, reader->at, bytes);
	reader->at += padded(bytes);
	reader->bytes -= padded(bytes);
	return true;
}

/* Zeroed room; NULL: more than any function of the description needs. */
static void *storage_take(struct call *call, size_t bytes)
{
	uint8_t *place = call->storage + call->storage_used;

	if (padded(bytes) > STORAGE_BYTES - call->storage_used)
		return NULL;
	call->storage_used += padded(bytes);
	memset(place, 0, padded(bytes));
	return place;
}

static bool version_is_known(const struct nvml_parameter *parameter, uint32_t word)
{
	for (unsigned i = 0; i < NVML_VERSIONS_MAX && parameter->versions[i]; i++) {
		if (parameter->versions[i] == word)
			return true;
	}
	return false;
}

/* False: the guest broke the protocol. */
static bool versioned_read(struct call *call, unsigned index, struct reader *reader)
{
	const struct nvml_parameter *parameter = &call->function->parameters[index];
	uint32_t word;
	void *place;

	if (reader->bytes < sizeof(word))
		return false;
	memcpy(&word, reader->at, sizeof(word));
	if (!version_is_known(parameter, word))
		return false;
	call->bytes[index] = word & 0xffffff;
	place = storage_take(call, call->bytes[index]);
	call->arguments[index] = (uintptr_t)place;
	return place && reader_take(reader, place, call->bytes[index]);
}

static bool elements_reserve(struct call *call, unsigned index, void **ret_place)
{
	const struct nvml_parameter *parameter = &call->function->parameters[index];

	*ret_place = storage_take(call, call->counts[parameter->partner] * parameter->bytes);
	call->arguments[index] = (uintptr_t)*ret_place;
	return *ret_place != NULL;
}

/*
 * Takes what crosses of one parameter. False: the guest broke the protocol. *result: what NVML says of a
 * value that only a library of another kind would have let through.
 */
static bool parameter_read(struct call *call, unsigned index, struct reader *reader, const struct telemetry *telemetry,
			   int *result)
{
	const struct nvml_parameter *parameter = &call->function->parameters[index];
	uint64_t value = 0;
	void *place;

	switch (parameter->role) {
	case NVML_ROLE_DEVICE:
		if (!reader_take(reader, &value, sizeof(value)))
			return false;
		if (value >= telemetry->device_count)
			*result = NVML_ERROR_INVALID_ARGUMENT;
		else
			call->arguments[index] = (uintptr_t)telemetry->devices[value].handle;
		return true;
	case NVML_ROLE_IN:
		if (!reader_take(reader, &value, sizeof(value)))
			return false;
		if (parameter->maximum != 0 && value > parameter->maximum)
			*result = NVML_ERROR_INVALID_ARGUMENT;
		call->arguments[index] = value;
		return true;
	case NVML_ROLE_SIZE:
	case NVML_ROLE_COUNT:
		if (!reader_take(reader, &value, sizeof(value)) || value > parameter->maximum)
			return false;
		call->arguments[index] = call->counts[index] = value;
		return true;
	case NVML_ROLE_VERSIONED:
		return versioned_read(call, index, reader);
	case NVML_ROLE_VALUES:
		return elements_reserve(call, index, &place) &&
		       reader_take(reader, place, call->counts[parameter->partner] * parameter->bytes);
	default:
		return true;
	}
}

/* Gives results a place, once all sizes are known. */
static bool parameter_place(struct call *call, unsigned index)
{
	const struct nvml_parameter *parameter = &call->function->parameters[index];
	uint32_t count;
	void *place;

	switch (parameter->role) {
	case NVML_ROLE_OUT:
		place = storage_take(call, parameter->bytes);
		call->arguments[index] = (uintptr_t)place;
		return place != NULL;
	case NVML_ROLE_COUNT:
		count = (uint32_t)call->counts[index];
		place = storage_take(call, sizeof(count));
		call->arguments[index] = (uintptr_t)place;
		if (place)
			memcpy(place, &count, sizeof(count));
		return place != NULL;
	case NVML_ROLE_ARRAY:
		/* The library would write to where there is nothing. */
		if (!(call->present & 1u << index))
			return call->counts[parameter->partner] == 0;
		return elements_reserve(call, index, &place);
	default:
		return true;
	}
}

/* Bytes that a parameter gives back. */
static size_t result_bytes(const struct call *call, unsigned index, int result)
{
	const struct nvml_parameter *parameter = &call->function->parameters[index];
	uint64_t count;
	uint32_t counted;

	if (result != NVML_SUCCESS)
		return 0;
	switch (parameter->role) {
	case NVML_ROLE_OUT:
		return parameter->bytes;
	case NVML_ROLE_VERSIONED:
		return call->bytes[index];
	case NVML_ROLE_ARRAY:
	case NVML_ROLE_VALUES:
		if (parameter->role == NVML_ROLE_ARRAY && !(call->present & 1u << index))
			return 0;
		count = call->counts[parameter->partner];
		if (call->function->parameters[parameter->partner].role == NVML_ROLE_COUNT) {
			memcpy(&counted, (const void *)(uintptr_t)call->arguments[parameter->partner], sizeof(counted));
			if (counted < count)
				count = counted;
		}
		return (size_t)count * parameter->bytes;
	default:
		return 0;
	}
}

static void reply_write(const struct call *call, int result, struct reply *reply)
{
	const struct vgpu_nvml_reply header = {.result = result};
	uint8_t *at = reply->payload;

	memcpy(at, &header, sizeof(header));
	at += sizeof(header);
	for (unsigned i = 0; i < call->function->parameter_count; i++) {
		const void *place = (const void *)(uintptr_t)call->arguments[i];
		size_t bytes = result_bytes(call, i, result);
		uint64_t counted = 0;

		if (call->function->parameters[i].role == NVML_ROLE_COUNT &&
		    (result == NVML_SUCCESS || result == NVML_ERROR_INSUFFICIENT_SIZE)) {
			memcpy(&counted, place, sizeof(uint32_t));
			memcpy(at, &counted, sizeof(counted));
			at += sizeof(counted);
		} else if (bytes && place) {
			memset(at, 0, padded(bytes));
			memcpy(at, place, bytes);
			at += padded(bytes);
		}
	}
	reply->bytes = (size_t)(at - reply->payload);
}

static int function_call(const struct executor *executor, const struct call *call)
{
	const struct telemetry *telemetry = &executor->telemetry;
	void *function = telemetry_function(telemetry, call->function->name);

	/* Processors and memory of the host are not those of the guest. */
	if (call->function->is_local_only && executor->vm_id != 0)
		return NVML_ERROR_NOT_SUPPORTED;
	if (!function)
		return telemetry->library ? NVML_ERROR_FUNCTION_NOT_FOUND : NVML_ERROR_NOT_SUPPORTED;
	return nvml_invoke(call->function->number, function, call->arguments);
}

CUresult telemetry_call_execute(struct executor *executor, const struct request *request, struct reply *reply)
{
	static _Alignas(8) uint8_t storage[STORAGE_BYTES];
	struct call call = {.storage = storage};
	struct reader reader = {.at = request->payload, .bytes = request->payload_bytes};
	struct vgpu_nvml_call header;
	int result = NVML_SUCCESS;

	if (!reader_take(&reader, &header, sizeof(header)))
		return EXECUTE_PROTOCOL;
	call.function = nvml_function_find(header.function);
	call.present = header.present;
	if (!call.function)
		return EXECUTE_PROTOCOL;
	for (unsigned i = 0; i < call.function->parameter_count; i++) {
		if (!parameter_read(&call, i, &reader, &executor->telemetry, &result))
			return EXECUTE_PROTOCOL;
	}
	if (reader.bytes != 0)
		return EXECUTE_PROTOCOL;
	for (unsigned i = 0; i < call.function->parameter_count; i++) {
		if (!parameter_place(&call, i))
			return EXECUTE_PROTOCOL;
	}
	if (result == NVML_SUCCESS)
		result = function_call(executor, &call);
	reply_write(&call, result, reply);
	return CUDA_SUCCESS;
}

_Static_assert(sizeof(struct vgpu_nvml_reply) + STORAGE_BYTES + 8 * NVML_PARAMETERS_MAX <=
		       VGPU_RECORD_BYTES_MAX - sizeof(struct vgpu_record),
	       "what a function gives back fits into a reply");
