#include <math.h>

#include "base/half.h"
#include "cpu/kernels.h"
#include "cpu/simd_scalar.h"

#include "cpu/kernels.inc"

const kernels kernels_scalar = KERNELS("scalar");
