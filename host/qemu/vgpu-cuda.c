/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The PCI device vgpu-cuda, as the guest sees it.  See vgpu-cuda.h for how it
 * works and vgpu_device.h for its registers.
 */
#include "qemu/osdep.h"

#include "qapi/error.h"
#include "qemu/host-utils.h"
#include "qemu/main-loop.h"
#include "qemu/memfd.h"
#include "qemu/module.h"
#include "qemu/units.h"
#include "hw/pci/msi.h"
#include "hw/pci/msix.h"
#include "migration/vmstate.h"
#if __has_include("hw/core/qdev-properties.h")
#include "hw/core/qdev-properties.h"
#else
#include "hw/qdev-properties.h"
#endif
#if QEMU_VERSION_MAJOR >= 10
#include "system/kvm.h"
#else
#include "sysemu/kvm.h"
#endif

#include "vgpu-cuda.h"

#define VGPU_BAR_REGISTERS 0
#define VGPU_BAR_MEMORY    1
#define VGPU_BAR_MSIX      4

/* More would not fit into the address space that firmware gives to one BAR. */
#define VGPU_MEMORY_BYTES_MAX (16 * GiB)

void vgpu_log(const VgpuState *s, const char *format, ...)
{
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    fprintf(stderr, "[vgpu] vm_id=%u: %s\n", s->vm_id, text);
}

void vgpu_interrupt_raise(VgpuState *s, unsigned vector)
{
    PCIDevice *pci = PCI_DEVICE(s);

    if (msix_enabled(pci)) {
        msix_notify(pci, vector);
    }
}

static const MemoryRegionOps vgpu_register_ops = {
    .read = vgpu_register_read,
    .write = vgpu_register_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 4, .max_access_size = 4 },
    .impl = { .min_access_size = 4, .max_access_size = 4 },
};

/*
 * Interrupts: an executor's eventfd raises its channel's vector.  With KVM the
 * kernel does it by itself while the vector is unmasked; else the main loop.
 */

static void vgpu_interrupt_relay(EventNotifier *notifier)
{
    VgpuChannel *channel = container_of(notifier, VgpuChannel, interrupt);

    if (vgpu_event_take(notifier)) {
        vgpu_interrupt_raise(channel->device, VGPU_VECTOR(vgpu_channel_index(channel)));
    }
}

/* The route and its irqfd exist while the guest has the vector unmasked. */
static int vgpu_vector_use(PCIDevice *pci, unsigned vector, MSIMessage message)
{
    VgpuState *s = VGPU_CUDA(pci);
    VgpuChannel *channel;
    KVMRouteChange change;
    int virq, rc;

    if (vector == VGPU_VECTOR_STATES || vector > s->channel_count) {
        return 0;
    }
    channel = &s->channels[vector - 1];
    change = kvm_irqchip_begin_route_changes(kvm_state);
    virq = kvm_irqchip_add_msi_route(&change, vector, pci);
    if (virq < 0) {
        return virq;
    }
    kvm_irqchip_commit_route_changes(&change);
    rc = kvm_irqchip_add_irqfd_notifier_gsi(kvm_state, &channel->interrupt, NULL, virq);
    if (rc < 0) {
        kvm_irqchip_release_virq(kvm_state, virq);
        return rc;
    }
    channel->virq = virq;
    return 0;
}

static void vgpu_vector_release(PCIDevice *pci, unsigned vector)
{
    VgpuState *s = VGPU_CUDA(pci);
    VgpuChannel *channel;

    if (vector == VGPU_VECTOR_STATES || vector > s->channel_count) {
        return;
    }
    channel = &s->channels[vector - 1];
    if (channel->virq < 0) {
        return;
    }
    kvm_irqchip_remove_irqfd_notifier_gsi(kvm_state, &channel->interrupt, channel->virq);
    kvm_irqchip_release_virq(kvm_state, channel->virq);
    channel->virq = -1;
}

static void vgpu_vector_poll(PCIDevice *pci, unsigned first, unsigned end)
{
    VgpuState *s = VGPU_CUDA(pci);

    for (unsigned vector = MAX(first, 1);
         vector < MIN(end, VGPU_VECTOR(s->channel_count)); vector++) {
        VgpuChannel *channel = &s->channels[vector - 1];

        if (msix_is_masked(pci, vector) &&
            vgpu_event_take(&channel->interrupt)) {
            msix_set_pending(pci, vector);
        }
    }
}

static bool vgpu_interrupts_init(VgpuState *s, Error **errp)
{
    PCIDevice *pci = PCI_DEVICE(s);
    unsigned vectors = VGPU_VECTOR(s->channel_count);

    if (msix_init_exclusive_bar(pci, vectors, VGPU_BAR_MSIX, errp) != 0) {
        return false;
    }
    for (unsigned i = 0; i < vectors; i++) {
        msix_vector_use(pci, i);
    }
    s->irqfd = kvm_msi_via_irqfd_enabled();
    if (s->irqfd && msix_set_vector_notifiers(pci, vgpu_vector_use, vgpu_vector_release,
                                              vgpu_vector_poll) != 0) {
        error_setg(errp, "cannot watch the interrupt vectors");
        msix_uninit_exclusive_bar(pci);
        return false;
    }
    return true;
}

/*
 * Life of the device
 */

static void vgpu_channels_release(VgpuState *s)
{
    for (unsigned i = 0; i < s->ready_channels; i++) {
        VgpuChannel *channel = &s->channels[i];

        if (!s->trace) {
            memory_region_del_eventfd(&s->registers,
                                      VGPU_DOORBELLS + i * VGPU_DOORBELL_STRIDE, 4, false,
                                      0, &channel->doorbell);
        }
        if (!s->irqfd) {
            event_notifier_set_handler(&channel->interrupt, NULL);
        }
        event_notifier_cleanup(&channel->doorbell);
        event_notifier_cleanup(&channel->interrupt);
    }
    s->ready_channels = 0;
    g_free(s->channels);
    s->channels = NULL;
}

static bool vgpu_channels_init(VgpuState *s, Error **errp)
{
    s->channels = g_new0(VgpuChannel, s->channel_count);
    for (unsigned i = 0; i < s->channel_count; i++) {
        VgpuChannel *channel = &s->channels[i];
        int rc;

        channel->device = s;
        channel->virq = -1;
        rc = event_notifier_init(&channel->doorbell, 0);
        if (rc == 0) {
            rc = event_notifier_init(&channel->interrupt, 0);
            if (rc != 0) {
                event_notifier_cleanup(&channel->doorbell);
            }
        }
        if (rc != 0) {
            error_setg_errno(errp, -rc, "cannot create the doorbell of channel %u", i);
            return false;
        }
        if (!s->trace) {
            memory_region_add_eventfd(&s->registers,
                                      VGPU_DOORBELLS + i * VGPU_DOORBELL_STRIDE, 4, false,
                                      0, &channel->doorbell);
        }
        if (!s->irqfd) {
            event_notifier_set_handler(&channel->interrupt, vgpu_interrupt_relay);
        }
        s->ready_channels++;
    }
    return true;
}

static bool vgpu_properties_check(VgpuState *s, Error **errp)
{
    static const char *const priorities[] = {
        [VGPU_PRIORITY_LOW] = "low",
        [VGPU_PRIORITY_MEDIUM] = "medium",
        [VGPU_PRIORITY_HIGH] = "high",
    };
    const char *pool = s->pool_id ?: "A";
    const char *priority = s->priority_name ?: "medium";

    if (pool[0] < 'A' || pool[0] > 'Z' || pool[1] != '\0') {
        error_setg(errp, "pool_id must be one letter, A to Z");
        return false;
    }
    for (s->priority = 0; s->priority < ARRAY_SIZE(priorities); s->priority++) {
        if (strcmp(priority, priorities[s->priority]) == 0) {
            break;
        }
    }
    if (s->priority == ARRAY_SIZE(priorities)) {
        error_setg(errp, "priority must be low, medium or high");
        return false;
    }
    if (s->channel_count < 1 || s->channel_count > VGPU_CHANNELS_MAX) {
        error_setg(errp, "channels must be 1 to %d", VGPU_CHANNELS_MAX);
        return false;
    }
    if (s->channel_bytes == 0 || s->channel_bytes % MiB != 0 ||
        s->channel_bytes > VGPU_MEMORY_BYTES_MAX || s->channel_bytes > UINT32_MAX ||
        s->channel_count * s->channel_bytes > VGPU_MEMORY_BYTES_MAX) {
        error_setg(errp, "channel_bytes must be a multiple of 1M, and all channels "
                         "together at most 16G");
        return false;
    }
    if (s->socket_path &&
        strlen(s->socket_path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path)) {
        error_setg(errp, "socket: the path is too long for a Unix socket");
        return false;
    }
    if (!s->pool_id) {
        s->pool_id = g_strdup(pool);
    }
    return true;
}

static bool vgpu_memory_init(VgpuState *s, Error **errp)
{
    Error *error = NULL;
    /* A BAR's size is a power of two. */
    uint64_t bytes = pow2ceil(s->channel_count * s->channel_bytes);
    /* The host's processes map it: nobody may take pages away from under them. */
    unsigned seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    int fd = qemu_memfd_create("vgpu-bar1", bytes, false, 0, seals, errp);

    if (fd < 0) {
        return false;
    }
    memory_region_init_ram_from_fd(&s->memory, OBJECT(s), "vgpu-memory", bytes,
                                   RAM_SHARED, fd, 0, &error);
    error_propagate(errp, error);
    return !error;
}

static void vgpu_realize(PCIDevice *pci, Error **errp)
{
    VgpuState *s = VGPU_CUDA(pci);

    s->link.socket = -1;
    if (!vgpu_properties_check(s, errp) || !vgpu_memory_init(s, errp)) {
        return;
    }
    memory_region_init_io(&s->registers, OBJECT(s), &vgpu_register_ops, s,
                          "vgpu-registers", VGPU_BAR0_BYTES);
    if (!vgpu_interrupts_init(s, errp)) {
        return;
    }
    if (!vgpu_channels_init(s, errp)) {
        if (s->irqfd) {
            msix_unset_vector_notifiers(pci);
        }
        vgpu_channels_release(s);
        msix_uninit_exclusive_bar(pci);
        return;
    }
    pci_register_bar(pci, VGPU_BAR_REGISTERS, PCI_BASE_ADDRESS_SPACE_MEMORY,
                     &s->registers);
    pci_register_bar(pci, VGPU_BAR_MEMORY,
                     PCI_BASE_ADDRESS_SPACE_MEMORY | PCI_BASE_ADDRESS_MEM_PREFETCH |
                         PCI_BASE_ADDRESS_MEM_TYPE_64,
                     &s->memory);
    vgpu_link_start(s);
}

static void vgpu_exit(PCIDevice *pci)
{
    VgpuState *s = VGPU_CUDA(pci);

    /* The end of the connection ends every executor of this VM. */
    vgpu_link_stop(s);
    if (s->irqfd) {
        msix_unset_vector_notifiers(pci);
    }
    vgpu_channels_release(s);
    msix_uninit_exclusive_bar(pci);
}

static void vgpu_reset(DeviceState *dev)
{
    VgpuState *s = VGPU_CUDA(dev);

    vgpu_channels_close(s);
}

/* Executors and their GPU memory stay on this host. */
static const VMStateDescription vgpu_vmstate = {
    .name = TYPE_VGPU_CUDA,
    .unmigratable = 1,
};

#if QEMU_VERSION_MAJOR >= 10
static const Property vgpu_properties[] = {
#else
static Property vgpu_properties[] = {
#endif
    DEFINE_PROP_STRING("pool_id", VgpuState, pool_id),
    DEFINE_PROP_STRING("priority", VgpuState, priority_name),
    DEFINE_PROP_UINT32("vm_id", VgpuState, vm_id, 0),
    DEFINE_PROP_STRING("socket", VgpuState, socket_path),
    DEFINE_PROP_UINT32("channels", VgpuState, channel_count, 32),
    DEFINE_PROP_SIZE("channel_bytes", VgpuState, channel_bytes,
                     VGPU_CHANNEL_BYTES_DEFAULT),
    DEFINE_PROP_BOOL("trace", VgpuState, trace, false),
#if QEMU_VERSION_MAJOR < 10
    DEFINE_PROP_END_OF_LIST(),
#endif
};

#if QEMU_VERSION_MAJOR > 10 || (QEMU_VERSION_MAJOR == 10 && QEMU_VERSION_MINOR >= 1)
static void vgpu_class_init(ObjectClass *klass, const void *data)
#else
static void vgpu_class_init(ObjectClass *klass, void *data)
#endif
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    PCIDeviceClass *k = PCI_DEVICE_CLASS(klass);

    k->realize = vgpu_realize;
    k->exit = vgpu_exit;
    k->vendor_id = VGPU_PCI_VENDOR_ID;
    k->device_id = VGPU_PCI_DEVICE_ID;
    k->revision = VGPU_PCI_REVISION;
    k->class_id = VGPU_PCI_CLASS;
    dc->desc = "Virtual GPU (MMIO + BAR1 + CUDA Remoting)";
    dc->vmsd = &vgpu_vmstate;
#if QEMU_VERSION_MAJOR > 9 || (QEMU_VERSION_MAJOR == 9 && QEMU_VERSION_MINOR >= 2)
    device_class_set_legacy_reset(dc, vgpu_reset);
#else
    dc->reset = vgpu_reset;
#endif
    device_class_set_props(dc, vgpu_properties);
    set_bit(DEVICE_CATEGORY_DISPLAY, dc->categories);
    object_class_property_set_description(klass, "pool_id",
                                          "the GPU pool, one letter A to Z (A)");
    object_class_property_set_description(klass, "priority",
                                          "low, medium or high (medium)");
    object_class_property_set_description(
        klass, "vm_id",
        "a number that no other VM has (0: the mediator chooses, where allowed)");
    object_class_property_set_description(klass, "socket",
                                          "the mediator's socket (" VGPU_SOCKET_PATH
                                          ", then " VGPU_SOCKET_PATH_FALLBACK ")");
    object_class_property_set_description(klass, "channels",
                                          "how many processes can be connected at once");
    object_class_property_set_description(klass, "channel_bytes",
                                          "shared memory of each");
    object_class_property_set_description(klass, "trace",
                                          "log every doorbell to standard error");
}

static const TypeInfo vgpu_type_info = {
    .name = TYPE_VGPU_CUDA,
    .parent = TYPE_PCI_DEVICE,
    .instance_size = sizeof(VgpuState),
    .class_init = vgpu_class_init,
    .interfaces =
        (InterfaceInfo[]){
            { INTERFACE_CONVENTIONAL_PCI_DEVICE },
            {},
        },
};

static void vgpu_register_types(void)
{
    type_register_static(&vgpu_type_info);
}

type_init(vgpu_register_types)
