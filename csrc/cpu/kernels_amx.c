#include "cpu/kernels.h"

#ifdef KERNELS_X86
#define TILE_ROWS 32
#include <immintrin.h>
#include <math.h>

#include "cpu/target.h"
TARGET_BEGIN("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,amx-tile,amx-int8")
#include "base/half.h"
#include "cpu/simd_avx512.h"

#include "cpu/kernels.inc"

const kernels kernels_amx = KERNELS("amx");
TARGET_END
#endif
