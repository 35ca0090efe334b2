/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the kernels of an image may use printf (print.h says what that is good for). */
#ifndef EXECUTOR_IMAGE_PRINT_H
#define EXECUTOR_IMAGE_PRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* PTX or ELF. */
bool image_code_may_print(const uint8_t *code, size_t bytes);

/* A fatbin that is sound (image_check.h). What is too large to unpack is taken to print. */
bool image_fatbin_may_print(const uint8_t *fatbin);

#endif
