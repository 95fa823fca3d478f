/* What the library was compiled from, and which of its instruction sets is the best one here. */
#include "kernel.h"

EXPORTED const char *covdist_digest(void) { return DIGEST; }

/* 2 is AVX-512, 1 AVX2 with fused multiply-add, and 0 plain C, or NEON on arm64. */
EXPORTED int covdist_level(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    int second = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
    int third = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    return second + (second && third);
#else
    return 0;
#endif
}
