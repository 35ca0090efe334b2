/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks for printf in the code of modules and libraries, in a thread beside the calls: unpacking takes milliseconds for
 * each of the hundred libraries that PyTorch loads. While an image is looked at its kernels are taken to print.
 */
#ifndef EXECUTOR_PRINT_SCAN_H
#define EXECUTOR_PRINT_SCAN_H

#include "image.h"
#include "print.h"

/* When the driver has taken the image in, or refused it; it is released here. 'print' is there as long as the process.
 */
void print_scan(struct print *print, struct image *image);

#endif
