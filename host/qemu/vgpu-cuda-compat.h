/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What QEMU called otherwise before 7.2, back to the 4.2 of XCP-ng, under today's
 * names.  Newer differences are where they matter.
 */
#ifndef VGPU_CUDA_COMPAT_H
#define VGPU_CUDA_COMPAT_H

#define VGPU_QEMU_BEFORE(major, minor)                                                   \
    (QEMU_VERSION_MAJOR < (major) ||                                                     \
     (QEMU_VERSION_MAJOR == (major) && QEMU_VERSION_MINOR < (minor)))

#if __has_include("qemu-common.h")
#include "qemu-common.h" /* qemu_get_vm_name */
#endif

#if VGPU_QEMU_BEFORE(5, 0)
#define device_class_set_props(device_class, properties)                                 \
    ((device_class)->props = (properties))
#endif

#if VGPU_QEMU_BEFORE(5, 1)
#define object_class_property_set_description(object_class, name, text)                  \
    object_class_property_set_description(object_class, name, text, &error_abort)
#endif

#if VGPU_QEMU_BEFORE(5, 2)
#define OBJECT_DECLARE_SIMPLE_TYPE(Type, NAME) typedef struct Type Type;
#define VGPU_CUDA(object)                      OBJECT_CHECK(VgpuState, (object), TYPE_VGPU_CUDA)
#endif

/* The argument before the descriptor was "shared", and there was no offset. */
#if VGPU_QEMU_BEFORE(6, 0)
#define memory_region_init_ram_from_fd(region, owner, name, bytes, flags, fd, offset,    \
                                       errp)                                             \
    memory_region_init_ram_from_fd(region, owner, name, bytes, true, fd, errp)
#elif VGPU_QEMU_BEFORE(6, 1)
#define memory_region_init_ram_from_fd(region, owner, name, bytes, flags, fd, offset,    \
                                       errp)                                             \
    memory_region_init_ram_from_fd(region, owner, name, bytes, true, fd, offset, errp)
#endif

/* Each added route was committed at once. */
#if VGPU_QEMU_BEFORE(7, 0)
typedef struct KVMState *KVMRouteChange;
#define kvm_irqchip_begin_route_changes(state) (state)
#define kvm_irqchip_add_msi_route(change, vector, device)                                \
    kvm_irqchip_add_msi_route(*(change), vector, device)
#define kvm_irqchip_commit_route_changes(change) ((void)(change))
#endif

#endif
