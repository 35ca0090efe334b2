/* SPDX-License-Identifier: Apache-2.0 */
/* What the program's environment says about the driver, put into the executor's own. */
#ifndef EXECUTOR_SETTINGS_H
#define EXECUTOR_SETTINGS_H

#include <stdint.h>

/*
 * Of vgpu_hello.settings, before cuInit and before the program's CUDA_VISIBLE_DEVICES. What the mediator or its
 * operator has set stays; the order of devices also where they have chosen devices, whose numbers would mean others.
 */
void settings_follow(uint32_t settings);

#endif
