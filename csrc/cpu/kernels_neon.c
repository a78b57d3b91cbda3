#include "cpu/kernels.h"

#ifdef KERNELS_ARM
#include <arm_neon.h>
#include <math.h>

#include "cpu/target.h"
TARGET_BEGIN(TARGET_DOTPROD)
#include "base/half.h"
#include "cpu/simd_neon.h"

#include "cpu/kernels.inc"

const kernels kernels_neon = KERNELS("neon");
TARGET_END
#endif
