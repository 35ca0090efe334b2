// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/vgpuN: what a process sees.  See vgpu_uapi.h.
 */
#include <linux/idr.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "vgpu.h"

#define VGPU_MINORS 16

static dev_t first_number;
static struct class *vgpu_class;
static DEFINE_IDA(minors);

static int vgpu_open(struct inode *inode, struct file *file)
{
	struct vgpu_device *device = container_of(inode->i_cdev, struct vgpu_device, cdev);
	struct vgpu_channel *channel;
	int rc;

	if (!current->mm)
		return -EINVAL;
	get_device(&device->dev);
	rc = vgpu_channel_open(device, &channel);
	if (rc) {
		put_device(&device->dev);
		return rc;
	}
	mutex_lock(&device->files);
	channel->mapping = file->f_mapping;
	channel->mm = current->mm;
	mmgrab(channel->mm);
	mutex_unlock(&device->files);
	file->private_data = channel;
	return stream_open(inode, file);
}

/* After the last munmap: a mapping holds its file. */
static int vgpu_release(struct inode *inode, struct file *file)
{
	struct vgpu_channel *channel = file->private_data;
	struct vgpu_device *device = channel->device;
	struct mm_struct *mm;

	mutex_lock(&device->files);
	channel->mapping = NULL;
	mm = channel->mm;
	channel->mm = NULL;
	mutex_unlock(&device->files);
	mmdrop(mm);
	vgpu_channel_close(channel);
	put_device(&device->dev);
	return 0;
}

static bool vgpu_readable(struct vgpu_channel *channel)
{
	return atomic_read(&channel->interrupts) || READ_ONCE(channel->lost) || vgpu_channel_gone(channel);
}

static ssize_t vgpu_read(struct file *file, char __user *buffer, size_t bytes, loff_t *offset)
{
	struct vgpu_channel *channel = file->private_data;
	u64 count;

	if (bytes < sizeof(count))
		return -EINVAL;
	for (;;) {
		count = (u32)atomic_xchg(&channel->interrupts, 0);
		if (count)
			return copy_to_user(buffer, &count, sizeof(count)) ? -EFAULT : sizeof(count);
		if (vgpu_channel_gone(channel))
			return -ENODEV;
		if (READ_ONCE(channel->lost))
			return -EPIPE;
		if (file->f_flags & O_NONBLOCK)
			return -EAGAIN;
		if (wait_event_interruptible(channel->wait, vgpu_readable(channel)))
			return -ERESTARTSYS;
	}
}

static __poll_t vgpu_poll(struct file *file, poll_table *table)
{
	struct vgpu_channel *channel = file->private_data;
	__poll_t events = 0;

	poll_wait(file, &channel->wait, table);
	if (vgpu_readable(channel))
		events |= EPOLLIN | EPOLLRDNORM;
	if (READ_ONCE(channel->lost) || vgpu_channel_gone(channel))
		events |= EPOLLHUP | EPOLLERR;
	return events;
}

static long vgpu_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	struct vgpu_ioctl_info info;

	if (command != VGPU_IOCTL_INFO)
		return -ENOTTY;
	vgpu_channel_info(file->private_data, &info);
	return copy_to_user((void __user *)argument, &info, sizeof(info)) ? -EFAULT : 0;
}

static void vma_flags_change(struct vm_area_struct *vma, vm_flags_t set, vm_flags_t clear)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	vm_flags_mod(vma, set, clear);
#else
	vma->vm_flags = (vma->vm_flags | set) & ~clear;
#endif
}

struct memory_map {
	struct mm_struct *mm;
	unsigned long frame;
	pgprot_t protection;
};

static int memory_pte_set(pte_t *pte, unsigned long address, void *data)
{
	struct memory_map *map = data;

	set_pte_at(map->mm, address, pte, pte_mkspecial(pfn_pte(map->frame++, map->protection)));
	return 0;
}

/*
 * The channel's memory is the host's RAM and must be cacheable. remap_pfn_range() would follow the
 * MTRRs, which have what the firmware puts below 4 GiB (vgpu_memory_move_high cannot help behind a
 * bridge) uncached; and it would reserve a memory type for each mapping, of which x86 gives none
 * back, and complains, for a mapping that is taken away in parts. So the entries are written here.
 */
static int memory_map(struct vm_area_struct *vma, phys_addr_t address, size_t bytes)
{
	struct memory_map map = {
		.mm = vma->vm_mm,
		.frame = address >> PAGE_SHIFT,
		.protection = pgprot_decrypted(vma->vm_page_prot),
	};

	return apply_to_page_range(vma->vm_mm, vma->vm_start, bytes, memory_pte_set, &map);
}

static int vgpu_mmap_range(struct vgpu_channel *channel, struct vm_area_struct *vma)
{
	struct vgpu_device *device = channel->device;
	size_t bytes = vma->vm_end - vma->vm_start;
	phys_addr_t doorbell = device->registers_address + VGPU_DOORBELLS + channel->index * VGPU_DOORBELL_STRIDE;

	/* A forked child must not inherit it: the channel belongs to one process. */
	vma_flags_change(vma, VM_IO | VM_PFNMAP | VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP, VM_MAYEXEC);
	if (vma->vm_pgoff <= device->channel_bytes >> PAGE_SHIFT &&
	    bytes <= device->channel_bytes - (vma->vm_pgoff << PAGE_SHIFT))
		return memory_map(vma,
				  device->memory_address + channel->index * device->channel_bytes +
					  (vma->vm_pgoff << PAGE_SHIFT),
				  bytes);
	if (vma->vm_pgoff == VGPU_MMAP_DOORBELL >> PAGE_SHIFT && bytes == PAGE_SIZE)
		return io_remap_pfn_range(vma, vma->vm_start, doorbell >> PAGE_SHIFT, bytes,
					  pgprot_noncached(vma->vm_page_prot));
	return -EINVAL;
}

static int vgpu_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct vgpu_channel *channel = file->private_data;
	int rc;

	if (!(vma->vm_flags & VM_SHARED) || vma->vm_flags & VM_EXEC)
		return -EINVAL;
	/* A channel belongs to the process that opened it. */
	if (channel->mm != current->mm)
		return -EPERM;
	mutex_lock(&channel->device->files);
	rc = vgpu_channel_gone(channel) ? -ENODEV : vgpu_mmap_range(channel, vma);
	mutex_unlock(&channel->device->files);
	return rc;
}

static const struct file_operations vgpu_operations = {
	.owner = THIS_MODULE,
	.open = vgpu_open,
	.release = vgpu_release,
	.read = vgpu_read,
	.poll = vgpu_poll,
	.unlocked_ioctl = vgpu_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = vgpu_mmap,
};

static void vgpu_device_release(struct device *dev)
{
	struct vgpu_device *device = container_of(dev, struct vgpu_device, dev);

	ida_free(&minors, device->minor);
	kfree(device);
}

struct vgpu_device *vgpu_device_create(struct pci_dev *pci)
{
	struct vgpu_device *device = kzalloc(sizeof(*device), GFP_KERNEL);
	int rc;
	u32 i;

	if (!device)
		return ERR_PTR(-ENOMEM);
	device->minor = ida_alloc_max(&minors, VGPU_MINORS - 1, GFP_KERNEL);
	if (device->minor < 0) {
		rc = device->minor;
		kfree(device);
		return ERR_PTR(rc);
	}
	device->pci = pci;
	spin_lock_init(&device->lock);
	mutex_init(&device->files);
	init_waitqueue_head(&device->states);
	for (i = 0; i < VGPU_CHANNELS_MAX; i++) {
		device->channels[i].device = device;
		device->channels[i].index = i;
		init_waitqueue_head(&device->channels[i].wait);
	}
	device_initialize(&device->dev);
	device->dev.parent = &pci->dev;
	device->dev.class = vgpu_class;
	device->dev.devt = first_number + device->minor;
	device->dev.release = vgpu_device_release;
	cdev_init(&device->cdev, &vgpu_operations);
	device->cdev.owner = THIS_MODULE;
	rc = dev_set_name(&device->dev, VGPU_NAME "%d", device->minor);
	if (rc) {
		put_device(&device->dev);
		return ERR_PTR(rc);
	}
	return device;
}

int vgpu_device_publish(struct vgpu_device *device)
{
	return cdev_device_add(&device->cdev, &device->dev);
}

/* Takes the channel's memory and doorbell out of the process that has it open. */
static void channel_unmap(struct vgpu_channel *channel)
{
	struct vgpu_device *device = channel->device;
	struct mm_struct *mm;

	mutex_lock(&device->files);
	mm = channel->mm;
	if (mm)
		mmgrab(mm);
	mutex_unlock(&device->files);
	if (!mm)
		return;
	/* An mmap that began before the device was gone is only found by unmapping after it has ended. */
	mmap_read_lock(mm);
	mmap_read_unlock(mm);
	mmdrop(mm);
	mutex_lock(&device->files);
	if (channel->mapping)
		unmap_mapping_range(channel->mapping, 0, 0, 1);
	mutex_unlock(&device->files);
}

void vgpu_device_withdraw(struct vgpu_device *device)
{
	u32 i;

	cdev_device_del(&device->cdev, &device->dev);
	for (i = 0; i < device->channel_count; i++)
		channel_unmap(&device->channels[i]);
}

/* Ordinary users may compute, as with a real GPU's device files. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
static char *vgpu_devnode(const struct device *dev, umode_t *mode)
#else
static char *vgpu_devnode(struct device *dev, umode_t *mode)
#endif
{
	if (mode)
		*mode = 0666;
	return NULL;
}

int vgpu_files_init(void)
{
	int rc = alloc_chrdev_region(&first_number, 0, VGPU_MINORS, VGPU_NAME);

	if (rc)
		return rc;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
	vgpu_class = class_create(VGPU_NAME);
#else
	vgpu_class = class_create(THIS_MODULE, VGPU_NAME);
#endif
	if (IS_ERR(vgpu_class)) {
		unregister_chrdev_region(first_number, VGPU_MINORS);
		return PTR_ERR(vgpu_class);
	}
	vgpu_class->devnode = vgpu_devnode;
	return 0;
}

void vgpu_files_exit(void)
{
	class_destroy(vgpu_class);
	unregister_chrdev_region(first_number, VGPU_MINORS);
}
