/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A trial is one run of one case against the library under test.
 *
 * The first failure of any kind is remembered with its reason; after it every
 * trial_ function does nothing, so cases are written as straight lines and the
 * verdict is read once at the end.  Memory, device memory and modules belong to
 * the trial and are released by trial_end().  One thread only.
 */
#ifndef TESTS_KERNELS_TRIAL_H
#define TESTS_KERNELS_TRIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "driver.h"

enum {
	TRIAL_ALLOCATIONS_MAX = 64,
	TRIAL_MODULES_MAX = 4,
};

struct trial {
	const struct driver *driver;
	const char *ptx_folder;
	bool failed;
	bool skipped;
	char why[512];
	uint64_t random_state;
	size_t host_count, device_count, module_count;
	void *host[TRIAL_ALLOCATIONS_MAX];
	CUdeviceptr device[TRIAL_ALLOCATIONS_MAX];
	struct {
		char name[32];
		CUmodule handle;
	} modules[TRIAL_MODULES_MAX];
};

struct trial_grid {
	unsigned grid[3];
	unsigned block[3];
	unsigned shared_bytes;
	bool cooperative;
};

/* A case is a function and its name in the report; a file of cases exports one array that a NULL name ends. */
struct trial_case {
	const char *name;
	void (*run)(struct trial *trial);
};

void trial_begin(struct trial *trial, const struct driver *driver, const char *ptx_folder);
void trial_end(struct trial *trial);

/* Records the first failure. */
void trial_fail(struct trial *trial, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Ends the case as skipped: the device lacks what it needs. */
void trial_skip(struct trial *trial, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Zeroed host memory; ends the program when there is none, so never NULL. */
void *trial_allocate(struct trial *trial, size_t count, size_t element_bytes);

/* Device memory: a copy of 'bytes' at 'from', or zeros.  0 after a failure. */
CUdeviceptr trial_upload(struct trial *trial, const void *from, size_t bytes);
CUdeviceptr trial_reserve(struct trial *trial, size_t bytes);
/* Writes again what trial_upload made; reads results back into host memory that the trial owns. */
void trial_write(struct trial *trial, CUdeviceptr to, const void *from, size_t bytes);
void *trial_download(struct trial *trial, CUdeviceptr from, size_t bytes);

/* Launches 'kernel' of ptx/'module'.ptx, which is loaded once a trial, and waits for its end. */
void trial_launch(struct trial *trial, const char *module, const char *kernel, struct trial_grid grid,
		  void **parameters);
/* Like cuModuleGetGlobal; fails unless the variable has 'bytes'.  0 after a failure. */
CUdeviceptr trial_global(struct trial *trial, const char *module, const char *name, size_t bytes);

/* Grid of 'count' threads in blocks of 'block'; arguments as an array of pointers. */
#define TRIAL_LINE(count, block_threads)                                                                \
	((struct trial_grid){.grid = {((unsigned)(count) + (block_threads)-1) / (block_threads), 1, 1}, \
			     .block = {(block_threads), 1, 1}})
#define TRIAL_ARGUMENTS(...) ((void *[]){__VA_ARGS__})

/* The same 64-bit sequence in every run. */
uint64_t trial_random(struct trial *trial);
/* Uniform in [low, high), with 24 bits. */
float trial_random_float(struct trial *trial, float low, float high);

/* Each compares 'count' elements and fails with the first that differs. */
void trial_equal_u32(struct trial *trial, const char *what, const uint32_t *got, const uint32_t *expected,
		     size_t count);
void trial_equal_u64(struct trial *trial, const char *what, const uint64_t *got, const uint64_t *expected,
		     size_t count);
/* Any bytes; 'element_bytes' only for the index in the message. */
void trial_equal_bytes(struct trial *trial, const char *what, const void *got, const void *expected, size_t count,
		       size_t element_bytes);
/* |got - expected| <= absolute + relative * |expected|; NaN equals NaN only, infinities themselves. */
void trial_near_float(struct trial *trial, const char *what, const float *got, const float *expected, size_t count,
		      double absolute, double relative);
void trial_near_double(struct trial *trial, const char *what, const double *got, const double *expected, size_t count,
		       double absolute, double relative);

#endif
