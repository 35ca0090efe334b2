/* SPDX-License-Identifier: Apache-2.0 */
/* What the executor asks of nvidia-uvm (host/executor/uvm.h), with modules that know different flags. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "uvm.h"

#define INVALID_ARGUMENT 0x1f /* NV_ERR_INVALID_ARGUMENT */
#define FILE_OF_TEST	 7
#define FLAG_OF_CALLER	 0x2ull

static uint64_t known;
static uint64_t accepted;
static unsigned calls;

/* As uvm_va_space_create() does. */
static int module_call(int file, unsigned long request, void *argument)
{
	struct uvm_initialize *initialize = argument;

	calls++;
	assert_int_equal(file, FILE_OF_TEST);
	assert_int_equal(request, UVM_INITIALIZE);
	if (initialize->flags & ~known) {
		initialize->status = INVALID_ARGUMENT;
		return 0;
	}
	accepted = initialize->flags;
	return 0;
}

static void expect_accepted(uint64_t module_knows, uint64_t flags)
{
	struct uvm_initialize initialize = {.flags = FLAG_OF_CALLER, .status = 99};

	known = module_knows;
	accepted = 0;
	assert_int_equal(uvm_initialize(module_call, FILE_OF_TEST, &initialize), 0);
	assert_int_equal(initialize.status, 0);
	assert_int_equal(accepted, flags);
}

static void test_flags_that_modules_know(void **state)
{
	(void)state;
	expect_accepted(0x7, 0x7);
	expect_accepted(0x3, 0x3);
	expect_accepted(0x2, 0x2);
}

static void test_refusal_is_the_callers(void **state)
{
	struct uvm_initialize initialize = {.flags = FLAG_OF_CALLER};

	(void)state;
	known = 0;
	assert_int_equal(uvm_initialize(module_call, FILE_OF_TEST, &initialize), 0);
	assert_int_equal(initialize.status, INVALID_ARGUMENT);
	assert_int_equal(initialize.flags, FLAG_OF_CALLER);
}

static int failing_call(int file, unsigned long request, void *argument)
{
	(void)file;
	(void)request;
	(void)argument;
	calls++;
	errno = EBADF;
	return -1;
}

static void test_failure_is_not_repeated(void **state)
{
	struct uvm_initialize initialize = {0};

	(void)state;
	calls = 0;
	assert_int_equal(uvm_initialize(failing_call, FILE_OF_TEST, &initialize), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(calls, 1);
}

static int busy_call(int file, unsigned long request, void *argument)
{
	(void)file;
	(void)request;
	((struct uvm_initialize *)argument)->status = UVM_STATUS_BUSY;
	calls++;
	return 0;
}

static void test_busy_module_is_not_asked_for_less(void **state)
{
	struct uvm_initialize initialize = {0};

	(void)state;
	calls = 0;
	assert_int_equal(uvm_initialize(busy_call, FILE_OF_TEST, &initialize), 0);
	assert_int_equal(initialize.status, UVM_STATUS_BUSY);
	assert_int_equal(calls, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flags_that_modules_know),
		cmocka_unit_test(test_refusal_is_the_callers),
		cmocka_unit_test(test_failure_is_not_repeated),
		cmocka_unit_test(test_busy_module_is_not_asked_for_less),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
