/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note OR Apache-2.0 */
/*
 * What vgpu.ko gives to a process in the guest: /dev/vgpu0.
 *
 * open()   takes a free channel and waits (killable) until it is ready:
 *          ENODEV no mediator on the host, EBUSY no free channel, ETIMEDOUT,
 *          EPERM the host refuses this VM's programs (quarantine, a limit, its
 *          pool), ENOMEM the host's memory, EIO otherwise; the kernel log has more.
 * mmap()   below channel_bytes: the channel's memory, or whole pages of it;
 *          offset VGPU_MMAP_DOORBELL: one page, a 32-bit store of any value
 *          rings the doorbell.
 * read()   of 8 bytes: like an eventfd, the number of interrupts since the last
 *          read; blocks while it is 0 unless O_NONBLOCK; EPIPE when the channel
 *          is lost, by the guest's sleep too.
 * poll()   POLLIN when read() would not block; POLLHUP | POLLERR when the
 *          channel is lost.
 * ioctl()  VGPU_IOCTL_INFO.
 * close()  and the death of the process in any way end the executor on the host
 *          and give everything back.  A child made by fork() must not use it.
 */
#ifndef VGPU_UAPI_H
#define VGPU_UAPI_H

#ifdef __KERNEL__
#include <linux/types.h>
#include <linux/ioctl.h>
#else
#include <linux/types.h>
#include <sys/ioctl.h>
#endif

#define VGPU_MMAP_DOORBELL (1ULL << 40)

struct vgpu_ioctl_info {
	__u32 version; /* VGPU_PROTOCOL_VERSION of the device */
	__u32 features;
	__u32 channel;
	__u32 generation;
	__u64 channel_bytes;
	__u32 vm_id;
	__u32 state; /* enum vgpu_channel_state */
	__u32 error; /* enum vgpu_channel_error */
	__u32 reserved[3];
};

#define VGPU_IOCTL_INFO _IOR('V', 0x01, struct vgpu_ioctl_info)

#endif
