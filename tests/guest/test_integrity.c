/* SPDX-License-Identifier: Apache-2.0 */
/* The integrity hash against integrity_reference.py, which reaches it by another way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "integrity.h"

static struct integrity_process process_of(uint32_t runtime_version)
{
	return (struct integrity_process){
		.driver_version = 13000,
		.runtime_version = runtime_version,
		.process_id = 4711,
		.thread = 0x89abcdef,
		.cudart_table = 0x7f0000001000,
		.integrity_table = 0x7f0000002000,
		.integrity_function = 0x55550000abcd,
		.unix_seconds = 1700000000,
	};
}

static void test_hash(void **state)
{
	/* Printed by integrity_reference.py: without a device, with one, with two. */
	static const uint64_t expected[3][2] = {
		{0xec0cc259c564119a, 0x93177c9ed9e32bc9},
		{0x82f6cae03531594d, 0x1f87af5d6f3a4042},
		{0x9a95cbe1f3e69523, 0x9ba1859e20e17faf},
	};
	struct integrity_process process = process_of(13002);
	struct integrity_device devices[2] = {{.pci_bus = 1}, {.pci_bus = 0x41, .pci_device = 3}};

	(void)state;
	for (uint8_t i = 0; i < 16; i++) {
		devices[0].uuid[i] = i;
		devices[1].uuid[i] = (uint8_t)(100 + i);
	}
	for (size_t count = 0; count < 3; count++) {
		uint64_t hash[2];

		integrity_compute(&process, devices, count, hash);
		assert_memory_equal(hash, expected[count], sizeof(hash));
	}
}

static void test_fixed(void **state)
{
	struct integrity_process process = process_of(13000);
	uint64_t hash[2];

	(void)state;
	integrity_compute(&process, NULL, 0, hash);
	assert_true(hash[0] == 0x3341181c03cb675c && hash[1] == 0x8ed383aa1f4cd1e8);
	process = process_of(12081);
	integrity_compute(&process, NULL, 0, hash);
	assert_true(hash[0] == 0x1841181c03cb675c && hash[1] == 0x8ed383aa1f4cd1e8);
}

/* Every input counts. */
static void test_sensitive(void **state)
{
	struct integrity_process process = process_of(13002);
	uint64_t reference[2];

	(void)state;
	integrity_compute(&process, NULL, 0, reference);
	for (size_t i = 0; i < sizeof(process); i++) {
		uint64_t hash[2];

		if (i >= 4 && i < 8) /* the runtime's version chooses the form */
			continue;
		process = process_of(13002);
		((uint8_t *)&process)[i] ^= 0x10;
		integrity_compute(&process, NULL, 0, hash);
		assert_memory_not_equal(hash, reference, sizeof(hash));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hash),
		cmocka_unit_test(test_fixed),
		cmocka_unit_test(test_sensitive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
