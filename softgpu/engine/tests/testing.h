/* SPDX-License-Identifier: Apache-2.0 */
/* cmocka needs these, in this order. */
#ifndef SOFTGPU_TESTS_TESTING_H
#define SOFTGPU_TESTS_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
