#include "cpu/kernels.h"

#ifdef KERNELS_X86
#include <immintrin.h>
#include <math.h>

#include "cpu/target.h"
TARGET_BEGIN("avx2,fma,f16c")
#include "base/half.h"
#include "cpu/simd_avx2.h"

#include "cpu/kernels.inc"

const kernels kernels_avx2 = KERNELS("avx2");
TARGET_END
#endif
