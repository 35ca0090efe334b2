/* SPDX-License-Identifier: Apache-2.0 */
/* What all devices are alike in: the limits of launches. */
#ifndef SOFTGPU_DRIVER_DEVICE_H
#define SOFTGPU_DRIVER_DEVICE_H

#include "cuda_abi.h"

/* Programs choose their PTX by this; the limits below are those of compute capability 9.0 (CUDA C++ guide). */
#define DEVICE_CAPABILITY_MAJOR 9
#define DEVICE_CAPABILITY_MINOR 0

#define DEVICE_WARP_LANES		     32
#define DEVICE_BLOCK_THREADS_MAXIMUM	     1024
#define DEVICE_BLOCK_X_MAXIMUM		     1024
#define DEVICE_BLOCK_Y_MAXIMUM		     1024
#define DEVICE_BLOCK_Z_MAXIMUM		     64
#define DEVICE_GRID_X_MAXIMUM		     2147483647
#define DEVICE_GRID_Y_MAXIMUM		     65535
#define DEVICE_GRID_Z_MAXIMUM		     65535
#define DEVICE_SHARED_BYTES_DEFAULT	     49152  /* without asking for more */
#define DEVICE_SHARED_BYTES_OPTIN	     232448 /* 227 KiB */
#define DEVICE_SHARED_BYTES_MULTIPROCESSOR   233472
#define DEVICE_SHARED_BYTES_RESERVED	     1024 /* per block, by the system */
#define DEVICE_REGISTERS		     65536
#define DEVICE_MULTIPROCESSOR_THREADS	     2048
#define DEVICE_MULTIPROCESSOR_BLOCKS_MAXIMUM 32

/* Extents of textures, surfaces and arrays, in texels (CUDA C++ programming guide, compute capability 9.0). */
#define DEVICE_TEXTURE_WIDTH_MAXIMUM  131072
#define DEVICE_TEXTURE_HEIGHT_MAXIMUM 65536
#define DEVICE_TEXTURE_3D_MAXIMUM     16384
#define DEVICE_LAYERED_MAXIMUM	      32768
#define DEVICE_LAYERS_MAXIMUM	      2048
#define DEVICE_CUBEMAP_MAXIMUM	      32768
#define DEVICE_CUBEMAP_LAYERS_MAXIMUM 2046
#define DEVICE_LINEAR_MAXIMUM	      268435456
#define DEVICE_PITCH_WIDTH_MAXIMUM    131072
#define DEVICE_PITCH_HEIGHT_MAXIMUM   65000
#define DEVICE_PITCH_BYTES_MAXIMUM    2097120
#define DEVICE_TEXTURE_ALIGNMENT      512
#define DEVICE_PITCH_ALIGNMENT	      32

/* One for each CPU. */
int device_multiprocessor_count(void);

#endif
