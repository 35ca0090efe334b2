/* SPDX-License-Identifier: Apache-2.0 */
#include "iommu.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VENDOR_NVIDIA 0x10de
#define CLASS_DISPLAY 0x03 /* the upper byte of three */

static unsigned long number_read(const char *device, const char *name)
{
	char path[PATH_MAX + 32];
	char text[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", device, name);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (!fgets(text, sizeof(text), file))
		text[0] = '\0';
	fclose(file);
	return strtoul(text, NULL, 0);
}

/* The last part of what the link names; "" where there is none. */
static void link_name_read(const char *device, const char *name, char *target, size_t bytes)
{
	char path[PATH_MAX + 32];
	char link[PATH_MAX];
	ssize_t length;
	const char *slash;

	target[0] = '\0';
	snprintf(path, sizeof(path), "%s/%s", device, name);
	length = readlink(path, link, sizeof(link) - 1);
	if (length < 0)
		return;
	link[length] = '\0';
	slash = strrchr(link, '/');
	snprintf(target, bytes, "%.60s", slash ? slash + 1 : link);
}

/* Devices of a group are passed through together. */
static int group_size(const char *device)
{
	char path[PATH_MAX + 32];
	const struct dirent *entry;
	DIR *folder;
	int count = 0;

	snprintf(path, sizeof(path), "%s/iommu_group/devices", device);
	folder = opendir(path);
	while (folder && (entry = readdir(folder)))
		count += entry->d_name[0] != '.';
	if (folder)
		closedir(folder);
	return count;
}

json_t *iommu_look(const char *sysfs)
{
	char path[PATH_MAX - 300];
	json_t *rows = json_array();
	const struct dirent *entry;
	DIR *folder;

	snprintf(path, sizeof(path), "%s/bus/pci/devices", sysfs);
	folder = opendir(path);
	while (folder && (entry = readdir(folder))) {
		char device[PATH_MAX];
		char driver[64];
		char group[64];

		snprintf(device, sizeof(device), "%s/%s", path, entry->d_name);
		if (entry->d_name[0] == '.' || number_read(device, "vendor") != VENDOR_NVIDIA ||
		    number_read(device, "class") >> 16 != CLASS_DISPLAY)
			continue;
		link_name_read(device, "driver", driver, sizeof(driver));
		link_name_read(device, "iommu_group", group, sizeof(group));
		json_array_append_new(rows,
				      json_pack("{s:s, s:s, s:b, s:s, s:i, s:b}", "pci", entry->d_name, "driver",
						driver, "iommu", group[0] != '\0', "group", group, "devices_in_group",
						group_size(device), "passed_through",
						strcmp(driver, "vfio-pci") == 0 || strcmp(driver, "pciback") == 0));
	}
	if (folder)
		closedir(folder);
	return rows;
}
