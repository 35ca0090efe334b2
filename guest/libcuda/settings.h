/* SPDX-License-Identifier: Apache-2.0 */
/* What the program's environment says about the driver, for the greeting. */
#ifndef VGPU_GUEST_SETTINGS_H
#define VGPU_GUEST_SETTINGS_H

#include <stdint.h>

/* vgpu_hello.settings. */
uint32_t settings_read(void);

#endif
