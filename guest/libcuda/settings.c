/* SPDX-License-Identifier: Apache-2.0 */
#include "settings.h"

#include <stdlib.h>
#include <string.h>

#include "vgpu_settings.h"

/* Its number in the list, 0: it is not there. */
static uint32_t value_find(const struct vgpu_setting *setting, const char *value)
{
	for (uint32_t i = 0; i < VGPU_SETTING_VALUES_MAX && setting->values[i]; i++) {
		if (strcmp(value, setting->values[i]) == 0)
			return i + 1;
	}
	return 0;
}

uint32_t settings_read(void)
{
	uint32_t settings = 0;

	for (size_t i = 0; i < VGPU_SETTINGS_COUNT; i++) {
		const char *value = getenv(vgpu_settings[i].name);

		if (value)
			settings |= value_find(&vgpu_settings[i], value) << vgpu_settings[i].shift;
	}
	return settings;
}
