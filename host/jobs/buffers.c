/* SPDX-License-Identifier: Apache-2.0 */
#include "buffers.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "job.h"

/* Whole numbers up to here are exact in double precision. */
#define WHOLE_MAX 9007199254740992.0

bool failure_set(struct failure *failure, const char *format, ...)
{
	va_list arguments;

	if (failure->text[0])
		return false;
	va_start(arguments, format);
	vsnprintf(failure->text, sizeof(failure->text), format, arguments);
	va_end(arguments);
	return false;
}

static size_t number_bytes(enum number_type type)
{
	return type == NUMBER_F64 || type == NUMBER_I64 || type == NUMBER_U64 ? 8 : 4;
}

bool number_type_find(const char *name, enum number_type *ret_type)
{
	static const char *const names[NUMBER_TYPE_COUNT] = {
		[NUMBER_F32] = "f32", [NUMBER_F64] = "f64", [NUMBER_I32] = "i32",
		[NUMBER_U32] = "u32", [NUMBER_I64] = "i64", [NUMBER_U64] = "u64",
	};

	for (int i = 0; i < NUMBER_TYPE_COUNT; i++) {
		if (name && strcmp(name, names[i]) == 0) {
			*ret_type = (enum number_type)i;
			return true;
		}
	}
	return false;
}

bool number_write(const json_t *number, enum number_type type, void *place, const char *name, struct failure *failure)
{
	json_int_t whole = json_integer_value(number);
	double real = json_number_value(number);
	float single = (float)real;
	bool fits;

	if (!json_is_number(number))
		return failure_set(failure, "%s has an element that is no number", name);
	switch (type) {
	case NUMBER_F64:
		memcpy(place, &real, sizeof(real));
		return true;
	case NUMBER_F32:
		if (isinf(single))
			return failure_set(failure, "%s has an element that is too large for f32", name);
		memcpy(place, &single, sizeof(single));
		return true;
	case NUMBER_I32:
		fits = whole >= INT32_MIN && whole <= INT32_MAX;
		break;
	case NUMBER_U32:
		fits = whole >= 0 && whole <= UINT32_MAX;
		break;
	case NUMBER_U64:
		fits = whole >= 0;
		break;
	default:
		fits = true;
	}
	if (!json_is_integer(number) || !fits)
		return failure_set(failure, "%s has an element that is no whole number of its type", name);
	memcpy(place, &whole, number_bytes(type));
	return true;
}

static bool buffer_add(struct buffers *buffers, size_t bytes, CUdeviceptr *ret_address, struct failure *failure)
{
	CUresult result;

	if (buffers->count == BUFFERS_MAX)
		return failure_set(failure, "too many arrays");
	result = buffers->gpu->allocate(ret_address, bytes);
	if (result)
		return failure_set(failure, "device memory: %s", gpu_error_name(buffers->gpu, result));
	buffers->addresses[buffers->count++] = *ret_address;
	return true;
}

bool buffer_fill(struct buffers *buffers, const json_t *list, enum number_type type, const char *name,
		 CUdeviceptr *ret_address, struct failure *failure)
{
	size_t count = json_array_size(list);
	size_t element = number_bytes(type);
	bool filled = true;
	uint8_t *bytes;
	CUresult result;

	if (!json_is_array(list) || count == 0 || count > JOB_ELEMENTS_MAX)
		return failure_set(failure, "%s is no list of 1 to %u numbers", name, JOB_ELEMENTS_MAX);
	bytes = malloc(count * element);
	if (!bytes)
		return failure_set(failure, "out of memory");
	for (size_t i = 0; i < count && filled; i++)
		filled = number_write(json_array_get(list, i), type, bytes + i * element, name, failure);
	if (filled)
		filled = buffer_add(buffers, count * element, ret_address, failure);
	if (filled) {
		result = buffers->gpu->copy_in(*ret_address, bytes, count * element);
		if (result)
			filled = failure_set(failure, "copy to the GPU: %s", gpu_error_name(buffers->gpu, result));
	}
	free(bytes);
	return filled;
}

bool buffer_make(struct buffers *buffers, size_t count, enum number_type type, CUdeviceptr *ret_address,
		 struct failure *failure)
{
	CUresult result;

	if (count == 0 || count > JOB_ELEMENTS_MAX)
		return failure_set(failure, "an array of %zu elements: 1 to %u are possible", count, JOB_ELEMENTS_MAX);
	if (!buffer_add(buffers, count * number_bytes(type), ret_address, failure))
		return false;
	result = buffers->gpu->clear(*ret_address, 0, count * number_bytes(type));
	return !result || failure_set(failure, "device memory: %s", gpu_error_name(buffers->gpu, result));
}

/* NULL: it cannot be said in JSON. */
static json_t *number_read(const uint8_t *place, enum number_type type, bool whole)
{
	double real = 0;
	float single;
	int32_t small;
	uint32_t natural;
	int64_t large;

	switch (type) {
	case NUMBER_I32:
		memcpy(&small, place, sizeof(small));
		return json_integer(small);
	case NUMBER_U32:
		memcpy(&natural, place, sizeof(natural));
		return json_integer(natural);
	case NUMBER_I64:
	case NUMBER_U64:
		memcpy(&large, place, sizeof(large));
		return type == NUMBER_U64 && large < 0 ? NULL : json_integer(large);
	case NUMBER_F32:
		memcpy(&single, place, sizeof(single));
		real = (double)single;
		break;
	default:
		memcpy(&real, place, sizeof(real));
	}
	if (!isfinite(real))
		return NULL;
	if (whole && fabs(real) <= WHOLE_MAX && rint(real) == real)
		return json_integer((json_int_t)real);
	return json_real(real);
}

json_t *buffer_read(struct buffers *buffers, CUdeviceptr address, size_t count, enum number_type type, bool whole,
		    struct failure *failure)
{
	size_t element = number_bytes(type);
	uint8_t *bytes = malloc(count * element);
	json_t *list = json_array();
	CUresult result;

	if (!bytes || !list) {
		failure_set(failure, "out of memory");
		goto failed;
	}
	result = buffers->gpu->copy_out(bytes, address, count * element);
	if (result) {
		failure_set(failure, "the kernel failed: %s", gpu_error_name(buffers->gpu, result));
		goto failed;
	}
	for (size_t i = 0; i < count; i++) {
		if (json_array_append_new(list, number_read(bytes + i * element, type, whole)) < 0) {
			failure_set(failure, "element %zu of the result is not a finite number", i);
			goto failed;
		}
	}
	free(bytes);
	return list;
failed:
	free(bytes);
	json_decref(list);
	return NULL;
}

void buffers_release(struct buffers *buffers)
{
	while (buffers->count > 0)
		buffers->gpu->release(buffers->addresses[--buffers->count]);
}
