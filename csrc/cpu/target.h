/* cpu/target: compiles the rest of a file for an instruction set that the machine may lack, so that no build system has
 * to know. TARGET_BEGIN("avx2,fma") comes before the first include of a header with functions in it, TARGET_END last.
 */
#ifndef CPU_TARGET_H
#define CPU_TARGET_H

#define TARGET_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define TARGET_BEGIN(isa) TARGET_PRAGMA(clang attribute push(__attribute__((target(isa))), apply_to = function))
#define TARGET_END TARGET_PRAGMA(clang attribute pop)
#define TARGET_DOTPROD "dotprod"
#else
#define TARGET_BEGIN(isa) _Pragma("GCC push_options") TARGET_PRAGMA(GCC target(isa))
#define TARGET_END _Pragma("GCC pop_options")
#define TARGET_DOTPROD "arch=armv8.2-a+dotprod"
#endif

#endif
