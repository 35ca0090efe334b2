/* SPDX-License-Identifier: Apache-2.0 */
/* Registered memory among other blocks of the heap: a test of registered_memory.c. After cmocka.h. */
#ifndef TEST_REGISTERED_HEAP_H
#define TEST_REGISTERED_HEAP_H

#include "registered_bytes.h"

void test_heap(void **state);

#endif
