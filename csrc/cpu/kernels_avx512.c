#include "cpu/kernels.h"

#ifdef KERNELS_X86
#include <immintrin.h>
#include <math.h>

#include "cpu/target.h"
TARGET_BEGIN("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")
#include "base/half.h"
#include "cpu/simd_avx512.h"

#include "cpu/kernels.inc"

const kernels kernels_avx512 = KERNELS("avx512");
TARGET_END
#endif
