/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every function of api/nvml through the guest library, the mediator and an executor to the fake library
 * (fake_library.c): arguments arrive, results come back whole, nothing else is written, and wrong arguments
 * are refused as NVML does. VGPU_TEST_NVML is the guest library's path.
 */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cuda_abi.h"
#include "nvml_functions.h"
#include "pattern.h"

#define STORAGE_BYTES  (64u << 10)
#define GUARD_BYTES    64
#define GUARD	       0xa5
#define ELEMENTS_ASKED 9 /* more than there are */

/* The arguments of one call, each in memory of its own with a guard behind it. */
struct arguments {
	const struct nvml_function *function;
	uint64_t values[NVML_PARAMETERS_MAX];
	unsigned char *places[NVML_PARAMETERS_MAX];
	size_t bytes[NVML_PARAMETERS_MAX];
	unsigned device;
};

static void *library;
static void *handles[FAKE_DEVICES];
static unsigned char storage[NVML_PARAMETERS_MAX][STORAGE_BYTES + GUARD_BYTES];

static void *symbol(const char *name)
{
	void *function = dlsym(library, name);

	if (!function)
		fail_msg("%s is not exported", name);
	return function;
}

static int call(const struct arguments *arguments)
{
	return nvml_invoke(arguments->function->number, symbol(arguments->function->name), arguments->values);
}

static bool is_pointer(const struct nvml_parameter *parameter)
{
	return parameter->role != NVML_ROLE_DEVICE && parameter->role != NVML_ROLE_IN &&
	       parameter->role != NVML_ROLE_SIZE;
}

static size_t place_bytes(const struct nvml_function *function, unsigned index, unsigned version)
{
	const struct nvml_parameter *parameter = &function->parameters[index];

	switch (parameter->role) {
	case NVML_ROLE_OUT:
	case NVML_ROLE_COUNT:
		return parameter->bytes;
	case NVML_ROLE_VERSIONED:
		return parameter->versions[version] & 0xffffff;
	case NVML_ROLE_ARRAY:
	case NVML_ROLE_VALUES:
		return (size_t)ELEMENTS_ASKED * parameter->bytes;
	default:
		return 0;
	}
}

static void arguments_make(struct arguments *arguments, const struct nvml_function *function, unsigned device,
			   unsigned version)
{
	const uint32_t asked = ELEMENTS_ASKED;

	*arguments = (struct arguments){.function = function};
	if (function->parameters[0].role == NVML_ROLE_DEVICE)
		arguments->device = device;
	for (unsigned i = 0; i < function->parameter_count; i++) {
		const struct nvml_parameter *parameter = &function->parameters[i];
		unsigned char *place = storage[i];

		arguments->places[i] = place;
		arguments->bytes[i] = place_bytes(function, i, version);
		memset(place, GUARD, sizeof(storage[i]));
		if (parameter->role == NVML_ROLE_DEVICE)
			arguments->values[i] = (uintptr_t)handles[i == 0 ? device : FAKE_DEVICES - 1];
		else if (parameter->role == NVML_ROLE_IN)
			arguments->values[i] = pattern_value(function, i);
		else if (parameter->role == NVML_ROLE_SIZE)
			arguments->values[i] = asked;
		else
			arguments->values[i] = (uintptr_t)place;
		if (parameter->role == NVML_ROLE_COUNT)
			memcpy(place, &asked, sizeof(asked));
		if (parameter->role == NVML_ROLE_VALUES || parameter->role == NVML_ROLE_VERSIONED)
			pattern_fill(function, i, 0, false, place, arguments->bytes[i]);
		if (parameter->role == NVML_ROLE_VERSIONED) {
			pattern_fill(function, i, 0, false, place + 4, arguments->bytes[i] - 4);
			memcpy(place, &parameter->versions[version], sizeof(uint32_t));
		}
	}
}

static bool guard_holds(const unsigned char *from, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		if (from[i] != GUARD)
			return false;
	}
	return true;
}

static void results_check(const struct arguments *arguments)
{
	const struct nvml_function *function = arguments->function;

	for (unsigned i = 0; i < function->parameter_count; i++) {
		const struct nvml_parameter *parameter = &function->parameters[i];
		const unsigned char *place = arguments->places[i];
		size_t bytes = arguments->bytes[i];
		size_t from = 0;
		uint32_t count;

		if (!is_pointer(parameter))
			continue;
		if (parameter->role == NVML_ROLE_COUNT) {
			memcpy(&count, place, sizeof(count));
			assert_int_equal(count, FAKE_ELEMENTS);
			from = bytes;
		}
		if (parameter->role == NVML_ROLE_VERSIONED)
			from = 4;
		if (parameter->role == NVML_ROLE_ARRAY &&
		    function->parameters[parameter->partner].role == NVML_ROLE_COUNT)
			bytes = (size_t)FAKE_ELEMENTS * parameter->bytes;
		if (!pattern_matches(function, i, arguments->device, true, place + from, bytes - from))
			fail_msg("%s: parameter %u came back changed", function->name, i);
		if (!guard_holds(place + bytes, GUARD_BYTES))
			fail_msg("%s writes behind parameter %u", function->name, i);
	}
}

/* The one whose entry point does more than to ask. */
static bool is_by_hand(const struct nvml_function *function)
{
	return function->number == NVML_FUNCTION_nvmlSystemGetCudaDriverVersion_v2;
}

static unsigned versions_count(const struct nvml_function *function)
{
	unsigned count = 1;

	for (unsigned i = 0; i < function->parameter_count; i++) {
		while (count < NVML_VERSIONS_MAX && function->parameters[i].versions[count])
			count++;
	}
	return count;
}

static void values_cross_whole(void **state)
{
	struct arguments arguments;

	(void)state;
	for (size_t i = 0; i < nvml_function_count; i++) {
		const struct nvml_function *function = &nvml_functions[i];

		for (unsigned version = 0; version < versions_count(function) && !is_by_hand(function); version++) {
			for (unsigned device = 0; device < FAKE_DEVICES; device++) {
				int result;

				arguments_make(&arguments, function, device, version);
				result = call(&arguments);
				if (result)
					fail_msg("%s: %d", function->name, result);
				results_check(&arguments);
			}
		}
	}
}

static void null_is_refused(void **state)
{
	struct arguments arguments;

	(void)state;
	for (size_t i = 0; i < nvml_function_count; i++) {
		const struct nvml_function *function = &nvml_functions[i];

		for (unsigned index = 0; index < function->parameter_count; index++) {
			const struct nvml_parameter *parameter = &function->parameters[index];
			bool is_optional = parameter->role == NVML_ROLE_ARRAY &&
					   function->parameters[parameter->partner].role == NVML_ROLE_COUNT;
			uint32_t count;

			if (!is_pointer(parameter) && parameter->role != NVML_ROLE_DEVICE)
				continue;
			arguments_make(&arguments, function, 0, 0);
			arguments.values[index] = 0;
			assert_int_equal(call(&arguments),
					 is_optional ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_ERROR_INVALID_ARGUMENT);
			if (!is_optional)
				continue;
			memcpy(&count, arguments.places[parameter->partner], sizeof(count));
			assert_int_equal(count, FAKE_ELEMENTS);
		}
	}
}

static void other_handles_are_refused(void **state)
{
	struct arguments arguments;

	(void)state;
	for (size_t i = 0; i < nvml_function_count; i++) {
		const struct nvml_function *function = &nvml_functions[i];

		if (function->parameters[0].role != NVML_ROLE_DEVICE)
			continue;
		arguments_make(&arguments, function, 0, 0);
		arguments.values[0] = (uintptr_t)handles[0] + FAKE_DEVICES;
		assert_int_equal(call(&arguments), NVML_ERROR_INVALID_ARGUMENT);
		arguments.values[0] = 1;
		assert_int_equal(call(&arguments), NVML_ERROR_INVALID_ARGUMENT);
	}
}

static void other_versions_are_refused(void **state)
{
	struct arguments arguments;
	unsigned checked = 0;

	(void)state;
	for (size_t i = 0; i < nvml_function_count; i++) {
		const struct nvml_function *function = &nvml_functions[i];

		for (unsigned index = 0; index < function->parameter_count; index++) {
			const uint32_t words[] = {0, 1, 0xff000000u | 8, function->parameters[index].versions[0] + 4};

			if (function->parameters[index].role != NVML_ROLE_VERSIONED)
				continue;
			for (size_t word = 0; word < sizeof(words) / sizeof(words[0]); word++) {
				arguments_make(&arguments, function, 0, 0);
				memcpy(arguments.places[index], &words[word], sizeof(words[word]));
				assert_int_equal(call(&arguments), NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
				checked++;
			}
		}
	}
	assert_true(checked > 40);
}

static void little_room_is_told(void **state)
{
	struct arguments arguments;
	unsigned checked = 0;

	(void)state;
	for (size_t i = 0; i < nvml_function_count; i++) {
		const struct nvml_function *function = &nvml_functions[i];

		for (unsigned index = 0; index < function->parameter_count; index++) {
			const uint32_t little = FAKE_ELEMENTS - 1;
			uint32_t count;

			if (function->parameters[index].role != NVML_ROLE_COUNT)
				continue;
			arguments_make(&arguments, function, 0, 0);
			memcpy(arguments.places[index], &little, sizeof(little));
			assert_int_equal(call(&arguments), NVML_ERROR_INSUFFICIENT_SIZE);
			memcpy(&count, arguments.places[index], sizeof(count));
			assert_int_equal(count, FAKE_ELEMENTS);
			for (unsigned other = 0; other < function->parameter_count; other++) {
				if (function->parameters[other].role == NVML_ROLE_ARRAY)
					assert_true(guard_holds(arguments.places[other], arguments.bytes[other]));
			}
			checked++;
		}
	}
	assert_true(checked >= 5);
}

/* Fewer digits than the guest's own library may answer with. */
static void cuda_version_is_the_guests(void **state)
{
	int (*get)(int *) = (int (*)(int *))symbol("nvmlSystemGetCudaDriverVersion_v2");
	const struct nvml_function *function = nvml_function_find(NVML_FUNCTION_nvmlSystemGetCudaDriverVersion_v2);
	int host;
	int version = 0;

	(void)state;
	pattern_fill(function, 0, 0, true, &host, sizeof(host));
	assert_int_equal(get(&version), NVML_SUCCESS);
	assert_int_equal(version, host < CUDA_VERSION ? host : CUDA_VERSION);
}

static int library_open(void **state)
{
	int (*init)(void);
	int (*handle_get)(unsigned int, void **);

	(void)state;
	library = dlopen(getenv("VGPU_TEST_NVML"), RTLD_NOW | RTLD_LOCAL);
	if (!library)
		return -1;
	init = (int (*)(void))dlsym(library, "nvmlInit_v2");
	handle_get = (int (*)(unsigned int, void **))dlsym(library, "nvmlDeviceGetHandleByIndex_v2");
	if (!init || !handle_get || init())
		return -1;
	for (unsigned int i = 0; i < FAKE_DEVICES; i++) {
		if (handle_get(i, &handles[i]))
			return -1;
	}
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_cross_whole),	     cmocka_unit_test(null_is_refused),
		cmocka_unit_test(other_handles_are_refused), cmocka_unit_test(other_versions_are_refused),
		cmocka_unit_test(little_room_is_told),	     cmocka_unit_test(cuda_version_is_the_guests),
	};

	return cmocka_run_group_tests_name("nvml forwarding", tests, library_open, NULL);
}
