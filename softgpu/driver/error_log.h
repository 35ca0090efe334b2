/* SPDX-License-Identifier: Apache-2.0 */
/* The error log of the driver (cuLogs*): why calls failed, the newest messages. Any thread may call. */
#ifndef SOFTGPU_DRIVER_ERROR_LOG_H
#define SOFTGPU_DRIVER_ERROR_LOG_H

void error_log_add(const char *message);

#endif
