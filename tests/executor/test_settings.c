/* SPDX-License-Identifier: Apache-2.0 */
/* What of the program's environment the driver gets to see: the variables and values of a fixed list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "peer.h"
#include "vgpu_settings.h"
#include "vgpu_wire.h"

static struct peer peer;

/* The CUDA variables that an executor's driver has after a greeting. */
static void driver_check(uint32_t settings, const char *wish, const char *wanted)
{
	struct {
		struct vgpu_hello hello;
		char wish[64];
	} greeting = {
		.hello = {.version = VGPU_PROTOCOL_VERSION, .api_checksum = VGPU_API_CHECKSUM, .settings = settings}};
	struct vgpu_snapshot_request question = {0};
	struct vgpu_snapshot_reply snapshot;
	char name[256] = "strict test driver";

	if (wish)
		strcpy(greeting.wish, wish);
	assert_true(peer_start(&peer, getenv("VGPU_TEST_DRIVER"), PEER_CHANNEL_BYTES));
	assert_int_equal(
		peer_call(&peer, VGPU_OPCODE_HELLO, 0, &greeting, wish ? sizeof(greeting) : sizeof(greeting.hello)),
		CUDA_SUCCESS);
	assert_int_equal(peer_call(&peer, VGPU_OPCODE_SNAPSHOT, 0, &question, sizeof(question)), CUDA_SUCCESS);
	memcpy(&snapshot, peer.reply, sizeof(snapshot));
	strcat(name, wanted);
	assert_string_equal(snapshot.name, name);
	assert_false(peer_close(&peer).by_signal);
}

static void test_values(void **state)
{
	(void)state;
	driver_check(0, NULL, "");
	driver_check(2 | 3 << 2 | 2 << 4, NULL,
		     " CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_MODULE_LOADING=EAGER CUDA_MODULE_DATA_LOADING=LAZY");
	driver_check(1 | 1 << 7, "0", " CUDA_DEVICE_ORDER=FASTEST_FIRST CUDA_DISABLE_PTX_JIT=1 CUDA_VISIBLE_DEVICES=0");
	driver_check(1 << 6 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11, NULL,
		     " CUDA_FORCE_PTX_JIT=1 CUDA_FORCE_JIT=1 CUDA_DISABLE_JIT=1 CUDA_CACHE_DISABLE=1"
		     " CUDA_DEVICE_MAX_CONNECTIONS=1");
	driver_check(8 << 11, NULL, " CUDA_DEVICE_MAX_CONNECTIONS=8");
}

/* Numbers without a value, and bits without a field. */
static void test_other_values(void **state)
{
	(void)state;
	driver_check(3 | 9u << 11 | 0xffffu << 15, NULL, "");
	driver_check(15u << 11, NULL, "");
	driver_check(UINT32_MAX, NULL,
		     " CUDA_MODULE_LOADING=EAGER CUDA_MODULE_DATA_LOADING=EAGER CUDA_FORCE_PTX_JIT=1"
		     " CUDA_DISABLE_PTX_JIT=1 CUDA_FORCE_JIT=1 CUDA_DISABLE_JIT=1 CUDA_CACHE_DISABLE=1");
}

/* What is set for the executor is not the program's to change. */
static void test_operator(void **state)
{
	(void)state;
	setenv("CUDA_MODULE_LOADING", "LAZY", 1);
	driver_check(3 << 2 | 1 << 10, NULL, " CUDA_MODULE_LOADING=LAZY CUDA_CACHE_DISABLE=1");
	unsetenv("CUDA_MODULE_LOADING");
	setenv("CUDA_VISIBLE_DEVICES", "0", 1);
	driver_check(2 | 3 << 2, NULL, " CUDA_VISIBLE_DEVICES=0 CUDA_MODULE_LOADING=EAGER");
	unsetenv("CUDA_VISIBLE_DEVICES");
}

/* No two fields share a bit, and each holds the numbers of its values. */
static void test_layout(void **state)
{
	uint32_t taken = 0;

	(void)state;
	for (size_t i = 0; i < VGPU_SETTINGS_COUNT; i++) {
		const struct vgpu_setting *setting = &vgpu_settings[i];
		const uint32_t field = ((1u << setting->bits) - 1) << setting->shift;
		uint32_t count = 0;

		while (count < VGPU_SETTING_VALUES_MAX && setting->values[count])
			count++;
		assert_true(count < 1u << setting->bits);
		assert_int_equal(taken & field, 0);
		taken |= field;
	}
}

/* What the tests themselves were started with. */
static void environment_clear(void)
{
	for (char **variable = environ; *variable;) {
		char name[128];

		snprintf(name, sizeof(name), "%.*s", (int)strcspn(*variable, "="), *variable);
		if (strncmp(name, "CUDA_", 5) == 0 && unsetenv(name) == 0)
			variable = environ;
		else
			variable++;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_other_values),
		cmocka_unit_test(test_operator),
		cmocka_unit_test(test_layout),
	};

	environment_clear();
	setenv("VGPU_TEST_SETTINGS", "1", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
