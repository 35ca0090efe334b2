/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of Xen's domains. */
#ifndef XEN_DOMAIN_H
#define XEN_DOMAIN_H

#define DOMAIN_MAX 32751 /* below DOMID_FIRST_RESERVED (Xen's public/xen.h) */

#endif
