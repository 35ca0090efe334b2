/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Machine code that lies packed in a fatbin, checked as the driver will see it.
 *
 * Of a fatbin the driver unpacks what a device of its own can run, which is of the device's family: of the same major
 * number of the compute capability (CUDA C++ programming guide, binary compatibility). The rest is left as it is, for
 * to unpack all that a library has for other GPUs would take several times as long.
 */
#ifndef EXECUTOR_IMAGE_PACKED_H
#define EXECUTOR_IMAGE_PACKED_H

#include <stdint.h>

#include "cuda_abi.h"

struct driver;

/* The families of the driver's devices, a bit for each; all, where it does not say. */
uint64_t image_families(const struct driver *driver);

/* What an image may have packed, together: a page of it can be a GiB of zeros, and a processor unpacks some 400 MB/s.
 */
#define IMAGE_UNPACKED_BYTES_MAX (4ull << 30)

/*
 * Of a fatbin that is sound (image_check.h). *unpacked_bytes is of what was checked of the image so far, and grows.
 * INVALID_IMAGE, also for more than the image may have; OUT_OF_MEMORY.
 */
CUresult image_packed_check(const uint8_t *fatbin, uint64_t families, uint64_t *unpacked_bytes);

#endif
