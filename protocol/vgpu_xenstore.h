/* SPDX-License-Identifier: GPL-2.0-or-later OR Apache-2.0 */
/*
 * A job of a guest of Xen in XenStore. The keys are relative to the guest's own /local/domain/ID/data, which is the
 * only place where XenStore lets a guest write. Numbers are decimal text.
 *
 *   host:  vgpu-job/ready     VGPU_XENSTORE_PARTS_MAX: the host takes jobs
 *   guest: vgpu-job/request/N the request's part N, from 0 on, in pieces of VGPU_XENSTORE_PART_BYTES
 *   guest: vgpu-job/submit    "NUMBER PARTS", last; the host watches it
 *   host:  vgpu-job/answer/N  likewise
 *   host:  vgpu-job/done      "NUMBER PARTS", last; the guest watches it
 *
 * NUMBER is the guest's, and not that of its last job. One job of a guest runs at a time; of jobs that are submitted
 * meanwhile the last one is taken.
 *
 * The sizes: XenStore refuses a guest's node above 2 KiB and more than 1000 nodes (xenstored's --entry-size and
 * --entry-nb; oxenstored's quota-maxsize and quota-maxentity), and a message above 4 KiB (XENSTORE_PAYLOAD_MAX).
 */
#ifndef VGPU_XENSTORE_H
#define VGPU_XENSTORE_H

#define VGPU_XENSTORE_JOB     "vgpu-job"
#define VGPU_XENSTORE_READY   VGPU_XENSTORE_JOB "/ready"
#define VGPU_XENSTORE_REQUEST VGPU_XENSTORE_JOB "/request"
#define VGPU_XENSTORE_SUBMIT  VGPU_XENSTORE_JOB "/submit"
#define VGPU_XENSTORE_ANSWER  VGPU_XENSTORE_JOB "/answer"
#define VGPU_XENSTORE_DONE    VGPU_XENSTORE_JOB "/done"

#define VGPU_XENSTORE_PART_BYTES 1024
#define VGPU_XENSTORE_PARTS_MAX	 64
#define VGPU_XENSTORE_BYTES_MAX	 (VGPU_XENSTORE_PART_BYTES * VGPU_XENSTORE_PARTS_MAX)

#endif
