/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Guest driver of the virtual GPU: what its files share.
 *   vgpu_pci.c      probe, remove, interrupts
 *   vgpu_channel.c  registers, opening and closing channels
 *   vgpu_file.c     /dev/vgpu0 (the promise is in vgpu_uapi.h)
 *
 * Lifetimes.  struct vgpu_device is counted by its embedded struct device:
 * the PCI driver holds one count, every open file another.  The registers, the
 * memory and the interrupts go with the PCI device: after vgpu_device_end()
 * 'gone' is set and nothing touches them any more, open files answer ENODEV
 * and POLLHUP until they are closed.
 *
 * Locks.  'lock' (spin, irqs on: never taken in hard interrupts) guards 'gone',
 * 'used' of each channel and the registers.  'files' (mutex) guards 'mapping'
 * and 'mm' of each channel and makes mmap and removal exclude each other.  It is
 * taken inside the mmap lock, 'lock' inside it.
 */
#ifndef VGPU_H
#define VGPU_H

#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/spinlock.h>
#include <linux/version.h>
#include <linux/wait.h>

#include "vgpu_device.h"
#include "vgpu_uapi.h"

#define VGPU_NAME "vgpu"

struct vgpu_device;

struct vgpu_channel {
	struct vgpu_device *device;
	unsigned int index;
	bool used;  /* belongs to an open file */
	bool ready; /* that has seen it so */
	bool lost;
	atomic_t interrupts; /* since the last read */
	wait_queue_head_t wait;
	struct address_space *mapping; /* of the open file */
	struct mm_struct *mm;	       /* of the process that opened it */
};

struct vgpu_device {
	struct device dev;
	struct cdev cdev;
	int minor;
	struct pci_dev *pci;
	void __iomem *registers;
	phys_addr_t registers_address;
	phys_addr_t memory_address;
	u32 channel_count;
	u64 channel_bytes;
	u32 vm_id;
	u32 version;
	u32 features;

	spinlock_t lock;
	struct mutex files;
	bool gone;
	wait_queue_head_t states; /* woken when the state of any channel may have changed */
	struct vgpu_channel channels[VGPU_CHANNELS_MAX];
};

/* Opens a free channel and waits until it is ready. Errors as vgpu_uapi.h says for open(). */
int vgpu_channel_open(struct vgpu_device *device, struct vgpu_channel **ret_channel);
void vgpu_channel_close(struct vgpu_channel *channel);
void vgpu_channel_info(struct vgpu_channel *channel, struct vgpu_ioctl_info *ret_info);
bool vgpu_channel_gone(struct vgpu_channel *channel);

/* After vector 0, or when the guest has slept: looks which channels were lost and wakes who waits. */
void vgpu_states_changed(struct vgpu_device *device);
/* Ends what runs on the host, forbids the registers and wakes everybody. */
void vgpu_device_end(struct vgpu_device *device);

/* The character device: vgpu_device_create gives a device with one count. */
struct vgpu_device *vgpu_device_create(struct pci_dev *pci);
int vgpu_device_publish(struct vgpu_device *device);
void vgpu_device_withdraw(struct vgpu_device *device);
int vgpu_files_init(void);
void vgpu_files_exit(void);

#endif
