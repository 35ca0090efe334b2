// SPDX-License-Identifier: GPL-2.0
/*
 * The PCI side: finds the device, checks what it says of itself, and connects
 * its interrupts.
 */
#include <linux/interrupt.h>
#include <linux/module.h>

#include "vgpu.h"

#define VGPU_BAR_REGISTERS 0
#define VGPU_BAR_MEMORY	   1

#define VGPU_VECTOR_STATES   0
#define VGPU_VECTOR(channel) (1 + (channel))

/* Threaded, since it reads registers of many channels. */
static irqreturn_t vgpu_states_interrupt(int irq, void *data)
{
	vgpu_states_changed(data);
	return IRQ_HANDLED;
}

static irqreturn_t vgpu_channel_interrupt(int irq, void *data)
{
	struct vgpu_channel *channel = data;

	atomic_inc(&channel->interrupts);
	wake_up_all(&channel->wait);
	return IRQ_HANDLED;
}

/*
 * Firmware often puts the memory below 4 GiB, where the MTRRs say uncached and
 * so overrule the write-back mapping that it needs. Above they say write-back.
 * Failing is harmless: the kernel then assigns the old kind of place again.
 */
static void vgpu_memory_move_high(struct pci_dev *pci)
{
	struct resource *memory = &pci->resource[VGPU_BAR_MEMORY];
	u16 command;

	if (!(memory->flags & IORESOURCE_MEM_64) || memory->start >= (1ULL << 32))
		return;
	pci_read_config_word(pci, PCI_COMMAND, &command);
	pci_write_config_word(pci, PCI_COMMAND, command & ~PCI_COMMAND_MEMORY);
	pci_release_resource(pci, VGPU_BAR_MEMORY);
	if (pci_assign_resource(pci, VGPU_BAR_MEMORY))
		pci_warn(pci, "no address for the shared memory\n");
	pci_write_config_word(pci, PCI_COMMAND, command);
}

static int vgpu_map(struct vgpu_device *device)
{
	struct pci_dev *pci = device->pci;
	u64 memory_bytes = pci_resource_len(pci, VGPU_BAR_MEMORY);
	int rc;

	rc = pcim_iomap_regions(pci, BIT(VGPU_BAR_REGISTERS), VGPU_NAME);
	if (rc)
		return rc;
	device->registers = pcim_iomap_table(pci)[VGPU_BAR_REGISTERS];
	device->registers_address = pci_resource_start(pci, VGPU_BAR_REGISTERS);
	device->memory_address = pci_resource_start(pci, VGPU_BAR_MEMORY);
	if (!devm_request_mem_region(&pci->dev, device->memory_address, memory_bytes, VGPU_NAME))
		return -EBUSY;
	device->version = ioread32(device->registers + VGPU_REGISTER_VERSION);
	device->features = ioread32(device->registers + VGPU_REGISTER_FEATURES);
	device->channel_count = ioread32(device->registers + VGPU_REGISTER_CHANNEL_COUNT);
	device->channel_bytes = ioread32(device->registers + VGPU_REGISTER_CHANNEL_BYTES);
	device->vm_id = ioread32(device->registers + VGPU_REGISTER_VM_ID);
	if (ioread32(device->registers + VGPU_REGISTER_MAGIC) != VGPU_MAGIC ||
	    device->version >> 16 != VGPU_PROTOCOL_MAJOR) {
		pci_err(pci, "the device speaks protocol %u.%u, this driver %u.%u\n", device->version >> 16,
			device->version & 0xffff, VGPU_PROTOCOL_MAJOR, VGPU_PROTOCOL_MINOR);
		return -EPROTO;
	}
	if (pci_resource_len(pci, VGPU_BAR_REGISTERS) < VGPU_BAR0_BYTES || device->channel_count < 1 ||
	    device->channel_count > VGPU_CHANNELS_MAX || device->channel_bytes == 0 ||
	    device->channel_bytes % PAGE_SIZE || device->channel_count * device->channel_bytes > memory_bytes) {
		pci_err(pci, "the device's sizes make no sense\n");
		return -EPROTO;
	}
	return 0;
}

static void vgpu_interrupts_release(struct vgpu_device *device, u32 channels)
{
	u32 i;

	for (i = 0; i < channels; i++)
		free_irq(pci_irq_vector(device->pci, VGPU_VECTOR(i)), &device->channels[i]);
	free_irq(pci_irq_vector(device->pci, VGPU_VECTOR_STATES), device);
	pci_free_irq_vectors(device->pci);
}

static int vgpu_interrupts_request(struct vgpu_device *device)
{
	struct pci_dev *pci = device->pci;
	int vectors = VGPU_VECTOR(device->channel_count);
	int rc;
	u32 i;

	rc = pci_alloc_irq_vectors(pci, vectors, vectors, PCI_IRQ_MSIX);
	if (rc < 0)
		return rc;
	rc = request_threaded_irq(pci_irq_vector(pci, VGPU_VECTOR_STATES), NULL, vgpu_states_interrupt, IRQF_ONESHOT,
				  VGPU_NAME, device);
	if (rc) {
		pci_free_irq_vectors(pci);
		return rc;
	}
	for (i = 0; i < device->channel_count; i++) {
		rc = request_irq(pci_irq_vector(pci, VGPU_VECTOR(i)), vgpu_channel_interrupt, 0, VGPU_NAME,
				 &device->channels[i]);
		if (rc) {
			vgpu_interrupts_release(device, i);
			return rc;
		}
	}
	return 0;
}

static int vgpu_start(struct vgpu_device *device)
{
	int rc;

	rc = vgpu_map(device);
	if (rc)
		return rc;
	/* A kernel that crashed may have left channels open. */
	iowrite32(1, device->registers + VGPU_REGISTER_RESET);
	pci_set_master(device->pci);
	rc = vgpu_interrupts_request(device);
	if (rc)
		return rc;
	rc = vgpu_device_publish(device);
	if (rc)
		vgpu_interrupts_release(device, device->channel_count);
	return rc;
}

static int vgpu_probe(struct pci_dev *pci, const struct pci_device_id *id)
{
	struct vgpu_device *device;
	int rc;

	/* A process is given its own doorbell page and no other. */
	if (PAGE_SIZE > VGPU_DOORBELL_STRIDE) {
		pci_err(pci, "pages of %lu bytes are too large\n", PAGE_SIZE);
		return -EOPNOTSUPP;
	}
	vgpu_memory_move_high(pci);
	rc = pcim_enable_device(pci);
	if (rc)
		return rc;
	device = vgpu_device_create(pci);
	if (IS_ERR(device))
		return PTR_ERR(device);
	rc = vgpu_start(device);
	if (rc) {
		put_device(&device->dev);
		return rc;
	}
	pci_set_drvdata(pci, device);
	pci_info(pci, "%u channels of %llu KiB at %pR\n", device->channel_count, device->channel_bytes >> 10,
		 &pci->resource[VGPU_BAR_MEMORY]);
	return 0;
}

static void vgpu_remove(struct pci_dev *pci)
{
	struct vgpu_device *device = pci_get_drvdata(pci);

	vgpu_device_end(device);
	vgpu_device_withdraw(device);
	vgpu_interrupts_release(device, device->channel_count);
	put_device(&device->dev);
}

/* Before kexec or power off: the host need not wait for our end. */
static void vgpu_shutdown(struct pci_dev *pci)
{
	vgpu_device_end(pci_get_drvdata(pci));
}

/* From memory or disk: the device was reset, and its channels are closed, where it had no power. */
static int vgpu_resume(struct device *dev)
{
	vgpu_states_changed(pci_get_drvdata(to_pci_dev(dev)));
	return 0;
}

static const struct dev_pm_ops vgpu_pm = {
	.resume = vgpu_resume,
	.restore = vgpu_resume,
};

static const struct pci_device_id vgpu_ids[] = {
	{PCI_DEVICE(VGPU_PCI_VENDOR_ID, VGPU_PCI_DEVICE_ID)},
	{},
};
MODULE_DEVICE_TABLE(pci, vgpu_ids);

static struct pci_driver vgpu_driver = {
	.name = VGPU_NAME,
	.id_table = vgpu_ids,
	.probe = vgpu_probe,
	.remove = vgpu_remove,
	.shutdown = vgpu_shutdown,
	.driver.pm = &vgpu_pm,
};

static int __init vgpu_init(void)
{
	int rc = vgpu_files_init();

	if (rc)
		return rc;
	rc = pci_register_driver(&vgpu_driver);
	if (rc)
		vgpu_files_exit();
	return rc;
}

static void __exit vgpu_exit(void)
{
	pci_unregister_driver(&vgpu_driver);
	vgpu_files_exit();
}

module_init(vgpu_init);
module_exit(vgpu_exit);
MODULE_DESCRIPTION("Virtual GPU: CUDA for guests without one");
MODULE_LICENSE("GPL");
