/* cpu/limits: how fast this machine reads memory and multiplies, measured by loops that do nothing else. */
#ifndef CPU_LIMITS_H
#define CPU_LIMITS_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define LIMITS_LINE 512 /* bytes: what a reader's loop takes, and what slices are cut to */

/* Both return something that depends on all they have done, so that nothing can be left out. */
typedef uint64_t limits_read_fn(const unsigned char *p, size_t n);
typedef uint64_t limits_peak_fn(int64_t loops);

/* The loops of an instruction set. A multiply and an add count as two operations. */
typedef struct limits_loops {
  const char *isa;
  limits_read_fn *read;
  limits_peak_fn *f32, *int8;
  double f32_ops, int8_ops; /* of one loop */
} limits_loops;

extern const limits_loops limits_avx2, limits_avx512, limits_neon;

/* The matrix unit of some processors with AVX-512: whether it is there and the system grants it to this process, and a
 * loop over int8 on it. */
#define LIMITS_AMX_OPS (2.0 * 4 * 16 * 16 * 64)
int limits_amx_granted(void);
limits_peak_fn limits_amx_int8;

/* Documented at llama2_limits_measure() in llama2.h; threads and bytes are in their ranges. */
llama2_status limits_measure(const char *isa, int32_t threads, uint64_t bytes, llama2_limits *limits);

#endif
