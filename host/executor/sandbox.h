/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a compromised executor can still do.  A guest that took over this process
 * must find no way on: no new programs, no network, no other process's memory, no
 * privileges.  The filter denies, with EPERM, what a CUDA process never needs; a
 * list of what it does need would break with each release of NVIDIA's driver,
 * whose library is the greater part of this process.
 */
#ifndef EXECUTOR_SANDBOX_H
#define EXECUTOR_SANDBOX_H

/*
 * Irrevocable. Called when everything that needs privileges has been opened and before the driver
 * starts. 0, or -errno.
 */
int sandbox_enter(void);

#endif
