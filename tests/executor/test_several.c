/* SPDX-License-Identifier: Apache-2.0 */
/* Launches on several devices: what a guest claims of their number, their lengths and their parameters. */
#include <string.h>

#include "one_module.h"

#define STREAM VGPU_ID(VGPU_KIND_STREAM, 1)

/* The kernel has three of 8 bytes: where the sum of the other two goes. */
enum { PARAMETERS = 3, LAUNCHES = 3 };

static uint64_t device;

struct launch {
	struct vgpu_launch launch;
	uint64_t parameters[PARAMETERS];
};

struct several {
	struct wire_cuLaunchCooperativeKernelMultiDevice request;
	struct launch launches[LAUNCHES];
};

static struct several several_of(uint32_t count)
{
	struct several several = {
		.request = {.launch_count = count, .launches_bytes = count * (uint32_t)sizeof(several.launches[0])}};

	for (uint32_t i = 0; i < LAUNCHES; i++)
		several.launches[i] = (struct launch){
			.launch = {.function = FUNCTION(1),
				   .stream = STREAM,
				   .grid = {1, 1, 1},
				   .block = {1, 1, 1},
				   .parameter_bytes = sizeof(several.launches[i].parameters)},
			.parameters = {device, 3, 4},
		};
	return several;
}

static uint32_t send(const struct several *several)
{
	return peer_call(&peer, VGPU_CALL_cuLaunchCooperativeKernelMultiDevice, context, several,
			 sizeof(several->request) + several->request.launches_bytes);
}

static int setup(void **state)
{
	peer_setup(state);
	WORKS(cuStreamCreate, .phStream = STREAM);
	WORKS(cuMemAlloc_v2, .bytesize = 4096);
	device = ((const struct wire_cuMemAlloc_v2_reply *)peer.reply)->dptr;
	module_load(1);
	return 0;
}

static void launches_are_made(void **state)
{
	struct several several = several_of(LAUNCHES);

	(void)state;
	assert_int_equal(send(&several), CUDA_SUCCESS);
	several.request.flags = 4;
	assert_int_equal(send(&several), CUDA_ERROR_INVALID_VALUE);
}

static void names_are_looked_up(void **state)
{
	struct several several = several_of(2);

	(void)state;
	several.launches[1].launch.function = FUNCTION(2);
	assert_int_equal(send(&several), CUDA_ERROR_INVALID_HANDLE);
	several = several_of(2);
	several.launches[1].launch.stream = VGPU_ID(VGPU_KIND_STREAM, 2);
	assert_int_equal(send(&several), CUDA_ERROR_INVALID_HANDLE);
	several.launches[1].launch.stream = 0;
	assert_int_equal(send(&several), CUDA_ERROR_INVALID_HANDLE);
}

/* The driver would read beyond what came. */
static void parameters_must_be_there(void **state)
{
	struct several several = several_of(1);

	(void)state;
	several.launches[0].launch.parameter_bytes = sizeof(uint64_t) * 2;
	several.request.launches_bytes -= sizeof(uint64_t);
	assert_int_equal(send(&several), CUDA_ERROR_INVALID_VALUE);
	several.launches[0].launch.parameter_bytes = sizeof(uint64_t) * 2 + 7;
	several.request.launches_bytes += sizeof(uint64_t);
	assert_int_equal(send(&several), CUDA_ERROR_INVALID_VALUE);
	several.launches[0].launch.parameter_bytes = 0;
	several.request.launches_bytes = sizeof(struct vgpu_launch);
	assert_int_equal(send(&several), CUDA_ERROR_INVALID_VALUE);
}

static void malformed(const struct several *several)
{
	struct peer_end end;

	assert_int_equal(send(several), UINT32_MAX);
	end = peer_wait(&peer);
	assert_false(end.by_signal);
	assert_int_equal(end.error, VGPU_ERROR_PROTOCOL);
}

static void none(void **state)
{
	const struct several several = several_of(0);

	(void)state;
	malformed(&several);
}

static void more_than_there_are_devices(void **state)
{
	struct several several = several_of(1);

	(void)state;
	several.request.launch_count = VGPU_LAUNCHES_MAX + 1;
	malformed(&several);
}

static void more_than_came(void **state)
{
	struct several several = several_of(2);

	(void)state;
	several.request.launch_count = 3;
	malformed(&several);
}

static void fewer_than_came(void **state)
{
	struct several several = several_of(2);

	(void)state;
	several.request.launch_count = 1;
	malformed(&several);
}

static void parameters_that_are_not_there(void **state)
{
	struct several several = several_of(2);

	(void)state;
	several.launches[1].launch.parameter_bytes += 1;
	malformed(&several);
}

static void attributes(void **state)
{
	struct several several = several_of(2);

	(void)state;
	several.launches[0].launch.attribute_count = 1;
	malformed(&several);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(launches_are_made, setup, peer_teardown),
		cmocka_unit_test_setup_teardown(names_are_looked_up, setup, peer_teardown),
		cmocka_unit_test_setup_teardown(parameters_must_be_there, setup, peer_teardown),
		cmocka_unit_test_setup_teardown(none, setup, peer_teardown),
		cmocka_unit_test_setup_teardown(more_than_there_are_devices, setup, peer_teardown),
		cmocka_unit_test_setup_teardown(more_than_came, setup, peer_teardown),
		cmocka_unit_test_setup_teardown(fewer_than_came, setup, peer_teardown),
		cmocka_unit_test_setup_teardown(parameters_that_are_not_there, setup, peer_teardown),
		cmocka_unit_test_setup_teardown(attributes, setup, peer_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
