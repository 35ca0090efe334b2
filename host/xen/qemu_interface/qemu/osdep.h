/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The part of QEMU's interface that the device's files (host/qemu) use, over
 * GLib's main loop, so that the very same files serve here.  Names and meanings
 * are QEMU's (include/qemu/main-loop.h, event_notifier.h, timer.h;
 * include/exec/memory.h).  The other headers of this folder only include this.
 */
#ifndef VGPU_XEN_QEMU_OSDEP_H
#define VGPU_XEN_QEMU_OSDEP_H

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef uint64_t hwaddr;

#define ARRAY_SIZE(array)				      G_N_ELEMENTS(array)
#define OBJECT_DECLARE_SIMPLE_TYPE(InstanceType, MODULE_NAME) typedef struct InstanceType InstanceType;

typedef struct PCIDevice {
	char unused;
} PCIDevice;

typedef struct MemoryRegion {
	int fd;
	void *memory;
} MemoryRegion;

static inline int memory_region_get_fd(MemoryRegion *region)
{
	return region->fd;
}

static inline void *memory_region_get_ram_ptr(MemoryRegion *region)
{
	return region->memory;
}

typedef struct EventNotifier {
	int fd;
} EventNotifier;

/* 0, or -errno. */
int event_notifier_init(EventNotifier *notifier, int active);
void event_notifier_cleanup(EventNotifier *notifier);
int event_notifier_set(EventNotifier *notifier);
int event_notifier_test_and_clear(EventNotifier *notifier);

static inline int event_notifier_get_fd(const EventNotifier *notifier)
{
	return notifier->fd;
}

typedef void IOHandler(void *opaque);

/* NULL for both: the descriptor is no longer watched. Only reading is. */
void qemu_set_fd_handler(int fd, IOHandler *readable, IOHandler *writable, void *opaque);

typedef enum { QEMU_CLOCK_REALTIME } QEMUClockType;
typedef void QEMUTimerCB(void *opaque);
typedef struct QEMUTimer QEMUTimer;

int64_t qemu_clock_get_ms(QEMUClockType type);
QEMUTimer *timer_new_ms(QEMUClockType type, QEMUTimerCB *callback, void *opaque);
void timer_mod(QEMUTimer *timer, int64_t expire_ms);
void timer_free(QEMUTimer *timer);

typedef struct {
	unsigned char data[16];
} QemuUUID;

/* Of the domain, set by main.c. */
extern QemuUUID qemu_uuid;
extern bool qemu_uuid_set;
const char *qemu_get_vm_name(void);

#endif
