/* SPDX-License-Identifier: Apache-2.0 */
#include "remote.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "connection.h"
#include "device.h"
#include "library.h"
#include "vgpu_nvml.h"
#include "vgpu_wire.h"

/* Most replies are short; threads of some programs have little stack. */
#define REPLY_BYTES_ON_STACK 1024

/* One call on its way; nothing of it outlives remote_call(). */
struct outgoing {
	const struct nvml_function *function;
	const uint64_t *arguments;
	struct vgpu_nvml_call header;
	uint64_t values[NVML_PARAMETERS_MAX]; /* what crosses of scalars */
	uint32_t bytes[NVML_PARAMETERS_MAX];  /* of VERSIONED */
	struct connection_piece pieces[NVML_PARAMETERS_MAX + 1];
	size_t piece_count;
};

struct reader {
	const uint8_t *at;
	size_t bytes;
};

static size_t padded(size_t bytes)
{
	return (bytes + 7) & ~(size_t)7;
}

static void *pointer_of(const struct outgoing *call, unsigned index)
{
	return (void *)(uintptr_t)call->arguments[index];
}

static void piece_add(struct outgoing *call, const void *data, size_t bytes)
{
	call->pieces[call->piece_count++] = (struct connection_piece){data, bytes};
}

static void value_add(struct outgoing *call, unsigned index, uint64_t value)
{
	call->values[index] = value;
	piece_add(call, &call->values[index], sizeof(call->values[index]));
}

static int versioned_prepare(struct outgoing *call, unsigned index)
{
	const struct nvml_parameter *parameter = &call->function->parameters[index];
	uint32_t word;

	memcpy(&word, pointer_of(call, index), sizeof(word));
	for (unsigned i = 0; i < NVML_VERSIONS_MAX && parameter->versions[i]; i++) {
		if (parameter->versions[i] != word)
			continue;
		call->bytes[index] = word & 0xffffff;
		piece_add(call, pointer_of(call, index), call->bytes[index]);
		return NVML_SUCCESS;
	}
	return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
}

/* Elements that a COUNT has room for: none where the array is not there. */
static uint32_t count_of(const struct outgoing *call, unsigned index)
{
	const struct nvml_parameter *parameters = call->function->parameters;
	uint32_t count;

	memcpy(&count, pointer_of(call, index), sizeof(count));
	if (count > parameters[index].maximum)
		count = parameters[index].maximum;
	for (unsigned i = 0; i < call->function->parameter_count; i++) {
		if (parameters[i].role == NVML_ROLE_ARRAY && parameters[i].partner == index && !pointer_of(call, i))
			return 0;
	}
	return count;
}

static bool is_pointer(const struct nvml_parameter *parameter)
{
	return parameter->role != NVML_ROLE_DEVICE && parameter->role != NVML_ROLE_IN &&
	       parameter->role != NVML_ROLE_SIZE;
}

/* May it be NULL? An array that is counted may: then only the count is wanted. */
static bool is_optional(const struct nvml_function *function, const struct nvml_parameter *parameter)
{
	return parameter->role == NVML_ROLE_ARRAY && function->parameters[parameter->partner].role == NVML_ROLE_COUNT;
}

static int parameter_prepare(struct outgoing *call, unsigned index)
{
	const struct nvml_parameter *parameter = &call->function->parameters[index];
	uint32_t size = (uint32_t)call->arguments[index];
	unsigned int device;

	if (is_pointer(parameter)) {
		if (pointer_of(call, index))
			call->header.present |= 1u << index;
		else if (!is_optional(call->function, parameter))
			return NVML_ERROR_INVALID_ARGUMENT;
	}
	switch (parameter->role) {
	case NVML_ROLE_DEVICE:
		if (!device_index(pointer_of(call, index), &device))
			return NVML_ERROR_INVALID_ARGUMENT;
		value_add(call, index, device);
		return NVML_SUCCESS;
	case NVML_ROLE_IN:
		value_add(call, index, call->arguments[index]);
		return NVML_SUCCESS;
	case NVML_ROLE_SIZE:
		value_add(call, index, size < parameter->maximum ? size : parameter->maximum);
		return NVML_SUCCESS;
	case NVML_ROLE_COUNT:
		value_add(call, index, count_of(call, index));
		return NVML_SUCCESS;
	case NVML_ROLE_VERSIONED:
		return versioned_prepare(call, index);
	case NVML_ROLE_VALUES:
		/* What is beyond the maximum could neither be asked for nor given. */
		if ((uint32_t)call->arguments[parameter->partner] != call->values[parameter->partner])
			return NVML_ERROR_INVALID_ARGUMENT;
		piece_add(call, pointer_of(call, index), call->values[parameter->partner] * parameter->bytes);
		return NVML_SUCCESS;
	default:
		return NVML_SUCCESS;
	}
}

/* Stores the next bytes of the reply; false: there are not so many. */
static bool reader_store(struct reader *reader, void *place, size_t bytes)
{
	if (reader->bytes < padded(bytes))
		return false;
	if (bytes)
		memcpy(place, reader->at, bytes);
	reader->at += padded(bytes);
	reader->bytes -= padded(bytes);
	return true;
}

static bool count_store(struct outgoing *call, unsigned index, struct reader *reader)
{
	uint64_t value;
	uint32_t count;

	if (!reader_store(reader, &value, sizeof(value)))
		return false;
	count = (uint32_t)value;
	memcpy(pointer_of(call, index), &count, sizeof(count));
	/* From now on: how many elements follow. */
	if (count < call->values[index])
		call->values[index] = count;
	return true;
}

static bool parameter_store(struct outgoing *call, unsigned index, int result, struct reader *reader)
{
	const struct nvml_parameter *parameter = &call->function->parameters[index];

	if (parameter->role == NVML_ROLE_COUNT)
		return count_store(call, index, reader);
	if (result != NVML_SUCCESS)
		return true;
	switch (parameter->role) {
	case NVML_ROLE_OUT:
		return reader_store(reader, pointer_of(call, index), parameter->bytes);
	case NVML_ROLE_VERSIONED:
		return reader_store(reader, pointer_of(call, index), call->bytes[index]);
	case NVML_ROLE_ARRAY:
	case NVML_ROLE_VALUES:
		if (!pointer_of(call, index))
			return true;
		return reader_store(reader, pointer_of(call, index),
				    call->values[parameter->partner] * parameter->bytes);
	default:
		return true;
	}
}

/* The longest reply there can be. */
static size_t reply_bytes_max(const struct outgoing *call)
{
	size_t bytes = sizeof(struct vgpu_nvml_reply);

	for (unsigned i = 0; i < call->function->parameter_count; i++) {
		const struct nvml_parameter *parameter = &call->function->parameters[i];

		if (parameter->role == NVML_ROLE_ARRAY || parameter->role == NVML_ROLE_VALUES)
			bytes += padded(call->values[parameter->partner] * parameter->bytes);
		else
			bytes += padded(parameter->bytes);
	}
	return bytes;
}

/* NVML's result: the reply's, or that of a reply which is none. */
static int reply_take(struct outgoing *call, struct reader *reader)
{
	struct vgpu_nvml_reply header;

	if (!reader_store(reader, &header, sizeof(header)))
		return NVML_ERROR_UNKNOWN;
	if (header.result != NVML_SUCCESS && header.result != NVML_ERROR_INSUFFICIENT_SIZE)
		return header.result;
	for (unsigned i = 0; i < call->function->parameter_count; i++) {
		if (!parameter_store(call, i, header.result, reader))
			return NVML_ERROR_UNKNOWN;
	}
	return header.result;
}

static int call_exchange(struct outgoing *call)
{
	_Alignas(8) uint8_t on_stack[REPLY_BYTES_ON_STACK];
	size_t bytes = reply_bytes_max(call);
	uint8_t *reply = bytes <= sizeof(on_stack) ? on_stack : malloc(bytes);
	struct reader reader = {.at = reply};
	int result;

	if (!reply)
		return NVML_ERROR_MEMORY;
	result =
		connection_request(VGPU_OPCODE_NVML_CALL, call->pieces, call->piece_count, reply, bytes, &reader.bytes);
	if (!result)
		result = reply_take(call, &reader);
	if (reply != on_stack)
		free(reply);
	return result;
}

int remote_call(enum nvml_function_number number, const uint64_t *arguments)
{
	struct outgoing call = {.function = nvml_function_find(number), .arguments = arguments};
	int result = library_check();

	call.header.function = number;
	piece_add(&call, &call.header, sizeof(call.header));
	for (unsigned i = 0; !result && i < call.function->parameter_count; i++)
		result = parameter_prepare(&call, i);
	return result ? result : call_exchange(&call);
}
