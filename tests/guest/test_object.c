/* SPDX-License-Identifier: Apache-2.0 */
/* The table of handles: what a program passes is looked at, never followed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "object_table.h"

static void test_before(void **state)
{
	(void)state;
	assert_null(object_find((void *)0x1000, VGPU_KIND_STREAM));
	assert_true(object_table_prepare());
	assert_true(object_table_prepare());
}

static void test_kinds(void **state)
{
	struct object *stream = object_mint(VGPU_KIND_STREAM, 7);
	struct object *event = object_mint(VGPU_KIND_EVENT, 7);
	uint32_t id;

	(void)state;
	assert_int_equal(VGPU_ID_KIND(stream->id), VGPU_KIND_STREAM);
	assert_int_equal(stream->context, 7);
	assert_ptr_equal(object_find(stream, VGPU_KIND_STREAM), stream);
	assert_null(object_find(stream, VGPU_KIND_EVENT));
	assert_int_equal(object_id(event, VGPU_KIND_EVENT, &id), CUDA_SUCCESS);
	assert_int_equal(id, event->id);
	assert_int_equal(object_id(event, VGPU_KIND_STREAM, &id), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(object_id(event, VGPU_KIND_CONTEXT, &id), CUDA_ERROR_INVALID_CONTEXT);
	object_release(stream);
	object_release(event);
	assert_null(object_find(stream, VGPU_KIND_STREAM));
	assert_int_equal(object_id(stream, VGPU_KIND_STREAM, &id), CUDA_ERROR_INVALID_HANDLE);
}

static void test_garbage(void **state)
{
	struct object *stream = object_mint(VGPU_KIND_STREAM, 0);
	uintptr_t base = (uintptr_t)stream;

	(void)state;
	for (uintptr_t offset = 1; offset < sizeof(*stream); offset++)
		assert_null(object_find((void *)(base + offset), VGPU_KIND_STREAM));
	assert_null(object_find(stream + 1, VGPU_KIND_STREAM));
	assert_null(object_find(NULL, VGPU_KIND_STREAM));
	assert_null(object_find((void *)UINTPTR_MAX, VGPU_KIND_STREAM));
	srand(1);
	for (int i = 0; i < 1000000; i++) {
		uintptr_t guess = (uintptr_t)rand() << 33 ^ (uintptr_t)rand() << 12 ^ (uintptr_t)rand();

		if (guess != base)
			assert_null(object_find((void *)guess, VGPU_KIND_STREAM));
	}
	object_release(stream);
}

/* A stale handle is not taken for the next object. */
static void test_reuse(void **state)
{
	struct object *first = object_mint(VGPU_KIND_MODULE, 0);

	(void)state;
	object_release(first);
	for (int i = 0; i < 500; i++) {
		struct object *next = object_mint(VGPU_KIND_MODULE, 0);

		assert_ptr_not_equal(next, first);
		object_release(next);
	}
	/* But slots do come back: the table does not grow with their use. */
	for (int i = 0; i < 200000; i++) {
		struct object *next = object_mint(VGPU_KIND_MODULE, 0);

		assert_non_null(next);
		object_release(next);
	}
}

static void test_exhaustion(void **state)
{
	struct object *objects[300];
	int count = 0;

	(void)state;
	while (count < 300 && (objects[count] = object_mint(VGPU_KIND_CONTEXT, 0)))
		count++;
	assert_int_equal(count, 256);
	for (int i = 0; i < count; i++)
		for (int j = 0; j < i; j++)
			assert_int_not_equal(objects[i]->id, objects[j]->id);
	object_release(objects[17]);
	assert_ptr_equal(object_mint(VGPU_KIND_CONTEXT, 0), objects[17]);
}

static bool count_visit(struct object *object, void *argument)
{
	(void)object;
	++*(int *)argument;
	return true;
}

static void test_each(void **state)
{
	struct object *kept[5];
	int count = 0;

	(void)state;
	for (int i = 0; i < 5; i++)
		kept[i] = object_mint(VGPU_KIND_LIBRARY, 0);
	object_release(kept[2]);
	object_each(VGPU_KIND_LIBRARY, count_visit, &count);
	assert_int_equal(count, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_before), cmocka_unit_test(test_kinds),	  cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_reuse),  cmocka_unit_test(test_exhaustion), cmocka_unit_test(test_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
