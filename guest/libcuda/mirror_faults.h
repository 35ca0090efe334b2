/* SPDX-License-Identifier: Apache-2.0 */
/* The thread that serves touches of mirrored memory. */
#ifndef VGPU_MIRROR_FAULTS_H
#define VGPU_MIRROR_FAULTS_H

#include <stdbool.h>

#include "cuda_abi.h"

struct fault;

/* Starts it, once in the process. False: there is none. */
bool mirror_faults_start(void);

/* Of mirror.c: who has touched goes on when it returns; if it fails, dies of it after the second. */
CUresult mirror_touch_serve(const struct fault *fault);
void mirror_touch_refuse(const struct fault *fault);

#endif
