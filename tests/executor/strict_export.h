/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_STRICT_EXPORT_H
#define TEST_STRICT_EXPORT_H

#include "cuda_abi.h"

/* Declares and defines a function of the strict driver. */
#define EXPORT(name, ...)                                                  \
	__attribute__((visibility("default"))) CUresult name(__VA_ARGS__); \
	__attribute__((visibility("default"))) CUresult name(__VA_ARGS__)

#endif
