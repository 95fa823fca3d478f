/* What the library was compiled from, and which of its instruction sets is the best one here. */
#include "kernel.h"
#if defined(__x86_64__)
#include <cpuid.h>
#endif

EXPORTED const char *covdist_digest(void) { return DIGEST; }

/* 2 is AVX-512, 1 AVX2 with fused multiply-add and float16, and 0 plain C, or NEON on arm64. */
EXPORTED int covdist_level(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    unsigned a, b, features = 0, d;
    __get_cpuid(1, &a, &b, &features, &d);
    int second = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2") &&
                 features & bit_F16C; /* which clang's builtin does not know */
    int third = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    return second + (second && third);
#else
    return 0;
#endif
}
