/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How an entry point of the driver API is defined.
 *
 * Each macro declares and defines exported symbols; the body that follows it is
 * written once.  Where the API has a form for the per-thread default stream
 * (suffix _ptsz or _ptds), the body takes the stream that the form stands for.
 */
#ifndef SOFTGPU_DRIVER_ENTRY_H
#define SOFTGPU_DRIVER_ENTRY_H

#include "cuda_abi.h"

#define ENTRY_EXPORT	__attribute__((visibility("default")))
#define ENTRY_LIST(...) __VA_ARGS__

/* clang-format off */

/* ENTRY(cuInit, (unsigned int flags)) { ... } */
#define ENTRY(name, parameters)                                                                                        \
	ENTRY_EXPORT CUresult name parameters;                                                                         \
	ENTRY_EXPORT CUresult name parameters

/* A further exported name of the same function. */
#define ENTRY_ALIAS(alias, name, parameters)                                                                           \
	ENTRY_EXPORT CUresult alias parameters __attribute__((__alias__(#name)))

/* An asynchronous call: one of the parameters is 'stream'; 'arguments' names them all in order. */
#define ENTRY_STREAM(name, parameters, arguments)                                                                      \
	static CUresult name##_on parameters;                                                                          \
	ENTRY(name, parameters) { return name##_on arguments; }                                                        \
	ENTRY(name##_ptsz, parameters)                                                                                 \
	{                                                                                                              \
		if (!stream)                                                                                           \
			stream = CU_STREAM_PER_THREAD;                                                                 \
		return name##_on arguments;                                                                            \
	}                                                                                                              \
	static CUresult name##_on parameters

/* A synchronous call ordered in the default stream, which the body finds in 'stream'. */
#define ENTRY_DEFAULT_STREAM(name, parameters, arguments)                                                              \
	static CUresult name##_on(CUstream stream, ENTRY_LIST parameters);                                             \
	ENTRY(name, parameters) { return name##_on(CU_STREAM_LEGACY, ENTRY_LIST arguments); }                          \
	ENTRY(name##_ptds, parameters) { return name##_on(CU_STREAM_PER_THREAD, ENTRY_LIST arguments); }               \
	static CUresult name##_on(CUstream stream, ENTRY_LIST parameters)

/* clang-format on */

#endif
