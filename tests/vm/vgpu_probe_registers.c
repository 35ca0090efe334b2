/* SPDX-License-Identifier: Apache-2.0 */
/* Scenarios of vgpu_probe in which root in the guest uses the device's registers beside the driver. */
#include <fcntl.h>
#include <sched.h>
#include <sys/io.h>
#include <sys/mman.h>

#include "vgpu_device.h"
#include "vgpu_probe.h"

#define BUSY_PROCESSOR 1
#define ACPI_HOTPLUG   0xcc0

/* Root in the guest writes anything to any register with any width. */
int run_fuzz(const char *resource, int seconds, uint64_t seed)
{
	const uint64_t end = now_ns() + (uint64_t)seconds * 1000000000u;
	uint64_t state = seed * 2654435761u + 1, writes = 0;
	int file = open(resource, O_RDWR | O_SYNC);
	volatile unsigned char *registers;

	CHECK(file >= 0, "%s", resource);
	registers = mmap(NULL, VGPU_BAR0_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	CHECK(registers != MAP_FAILED, "map %s", resource);
	while (now_ns() < end) {
		for (int i = 0; i < 200; i++, writes++) {
			uint64_t word = random_next(&state), value = random_next(&state);
			uint32_t at = (uint32_t)(word >> 8) % VGPU_BAR0_BYTES;

			if (word % 4 == 0) /* mostly commands: the rest of the space is empty */
				at = VGPU_CHANNEL_REGISTERS + at % (VGPU_CHANNELS_MAX * VGPU_CHANNEL_STRIDE);
			if (word % 4 == 1)
				at = at % 0x40;
			if (word % 16 > 4) {
				at = VGPU_CHANNEL_REGISTERS + at % VGPU_CHANNELS_MAX * VGPU_CHANNEL_STRIDE;
				value = value % 4;
			}
			at &= ~7u;
			switch (word >> 60) {
			case 0:
				registers[at + value % 8] = (unsigned char)value;
				break;
			case 1:
				*(volatile uint16_t *)(registers + at + value % 7) = (uint16_t)value;
				break;
			case 2:
				*(volatile uint64_t *)(registers + at) = value;
				break;
			case 3:
				(void)*(volatile uint32_t *)(registers + at);
				break;
			case 4:
				*(volatile uint32_t *)(registers + at + value % 5) = (uint32_t)value;
				break;
			default:
				*(volatile uint32_t *)(registers + at) = (uint32_t)value;
			}
		}
	}
	printf("%llu writes\n", (unsigned long long)writes);
	return 0;
}

/* Root: one processor does nothing but read a channel's register, or write the one that resets the device. */
int run_hammer(uint64_t registers, bool resets)
{
	int file = open("/dev/mem", O_RDWR | O_SYNC);
	volatile unsigned char *at =
		mmap(NULL, VGPU_BAR0_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, (off_t)registers);
	cpu_set_t processors;

	CHECK((void *)at != MAP_FAILED, "map %llx", (unsigned long long)registers);
	CHECK(*(volatile uint32_t *)(at + VGPU_REGISTER_MAGIC) == VGPU_MAGIC, "no device is there");
	CPU_ZERO(&processors);
	CPU_SET(BUSY_PROCESSOR, &processors);
	CHECK(sched_setaffinity(0, sizeof(processors), &processors) == 0, "bind");
	printf("hammering\n");
	fflush(stdout);
	for (;;) {
		if (resets)
			*(volatile uint32_t *)(at + VGPU_REGISTER_RESET) = 1;
		else
			(void)*(volatile uint32_t *)(at + VGPU_CHANNEL_REGISTERS + VGPU_CHANNEL_STATE);
	}
}

/* Root: has the slots of PCI's hot-plug give up what is in their first places, without a word to the kernel. */
int run_eject(void)
{
	CHECK(iopl(3) == 0, "iopl");
	/* QEMU's docs/specs/acpi_pci_hotplug.rst, at the place of q35: which bus, and what of it. */
	for (unsigned bus = 0; bus < 2; bus++) {
		outl(bus, ACPI_HOTPLUG + 0x10);
		outl(1, ACPI_HOTPLUG + 0x08);
	}
	return 0;
}
