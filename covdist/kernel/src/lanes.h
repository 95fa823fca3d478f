/* Vectors of doubles and of floats for the instruction set that is compiled for. All have a fused multiply-add. */
#ifndef COVDIST_LANES_H
#define COVDIST_LANES_H
#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

static inline float float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline float bfloat16(uint16_t bits) { return float_of_bits((uint32_t)bits << 16); }

#if defined(__aarch64__)
static inline float float16(uint16_t bits)
{
    __fp16 value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
#else
/* In a float's place the exponent is off by 112, also that of subnormals, whose leading bit the product supplies. */
static inline float float16(uint16_t bits)
{
    uint32_t magnitude = (uint32_t)(bits & 0x7fff) << 13, sign = (uint32_t)(bits & 0x8000) << 16;
    float value = magnitude < 0x0f800000 ? float_of_bits(magnitude) * 0x1p112f
                                         : float_of_bits(magnitude | 0x7f800000); /* infinity, NaN */
    return sign ? -value : value;
}
#endif

/* Loads one vector of another type, element by element. */
#define LOAD(name, type, value)                                                                                        \
    static inline doubles load_##name(const type *p)                                                                   \
    {                                                                                                                  \
        double held[DOUBLES];                                                                                          \
        for (int i = 0; i < DOUBLES; i++)                                                                              \
            held[i] = value;                                                                                           \
        return d_load(held);                                                                                           \
    }

/* Where products and sums are one instruction, a difference is the rest of a product with 1, which rounds once too:
   conversions and sums wait for the same units, and variances took a twentieth to a tenth longer. */
#if defined(__AVX512F__)
typedef __m512d doubles;
typedef __m512 floats;
enum { DOUBLES = 8, FLOATS = 16 };
#define d_all _mm512_set1_pd
#define d_load _mm512_loadu_pd
#define d_store _mm512_storeu_pd
#define d_add _mm512_add_pd
#define d_less(a, b) _mm512_fmsub_pd(a, d_all(1), b)
#define d_mul _mm512_mul_pd
#define d_min _mm512_min_pd
#define d_max _mm512_max_pd
#define d_fma _mm512_fmadd_pd
#define d_abs _mm512_abs_pd
#define f_all _mm512_set1_ps
#define f_load _mm512_loadu_ps
#define f_store _mm512_storeu_ps
#define f_fma _mm512_fmadd_ps
#define f_min _mm512_min_ps
#define f_max _mm512_max_ps
#define f_abs _mm512_abs_ps
#define d_round(p, a) _mm256_storeu_ps(p, _mm512_cvtpd_ps(a))
static inline doubles load_f4(const float *p) { return _mm512_cvtps_pd(_mm256_loadu_ps(p)); }
static inline doubles load_f2(const uint16_t *p)
{
    return _mm512_cvtps_pd(_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)));
}
static inline doubles load_bf2(const uint16_t *p)
{
    __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
    return _mm512_cvtps_pd(_mm256_castsi256_ps(_mm256_slli_epi32(wide, 16)));
}

#elif defined(__AVX2__)
typedef __m256d doubles;
typedef __m256 floats;
enum { DOUBLES = 4, FLOATS = 8 };
#define d_all _mm256_set1_pd
#define d_load _mm256_loadu_pd
#define d_store _mm256_storeu_pd
#define d_add _mm256_add_pd
#define d_less(a, b) _mm256_fmsub_pd(a, d_all(1), b)
#define d_mul _mm256_mul_pd
#define d_min _mm256_min_pd
#define d_max _mm256_max_pd
#define d_fma _mm256_fmadd_pd
#define d_abs(a) _mm256_andnot_pd(_mm256_set1_pd(-0.0), a)
#define f_all _mm256_set1_ps
#define f_load _mm256_loadu_ps
#define f_store _mm256_storeu_ps
#define f_fma _mm256_fmadd_ps
#define f_min _mm256_min_ps
#define f_max _mm256_max_ps
#define f_abs(a) _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a)
#define d_round(p, a) _mm_storeu_ps(p, _mm256_cvtpd_ps(a))
static inline doubles load_f4(const float *p) { return _mm256_cvtps_pd(_mm_loadu_ps(p)); }
static inline doubles load_f2(const uint16_t *p)
{
    return _mm256_cvtps_pd(_mm_cvtph_ps(_mm_loadl_epi64((const __m128i *)p)));
}
static inline doubles load_bf2(const uint16_t *p)
{
    __m128i wide = _mm_unpacklo_epi16(_mm_setzero_si128(), _mm_loadl_epi64((const __m128i *)p));
    return _mm256_cvtps_pd(_mm_castsi128_ps(wide));
}

#else
#if defined(__SSE2__)
typedef __m128d doubles;
enum { DOUBLES = 2 };
#define d_all _mm_set1_pd
#define d_load _mm_loadu_pd
#define d_store _mm_storeu_pd
#define d_add _mm_add_pd
#define d_less _mm_sub_pd
#define d_mul _mm_mul_pd
#define d_min _mm_min_pd
#define d_max _mm_max_pd
#define d_abs(a) _mm_andnot_pd(_mm_set1_pd(-0.0), a)
#define d_round(p, a) _mm_storel_pi((__m64 *)(p), _mm_cvtpd_ps(a))
static inline doubles d_fma(doubles a, doubles b, doubles c) /* by libm: right on any processor, slow */
{
    return _mm_set_pd(fma(_mm_cvtsd_f64(_mm_unpackhi_pd(a, a)), _mm_cvtsd_f64(_mm_unpackhi_pd(b, b)),
                          _mm_cvtsd_f64(_mm_unpackhi_pd(c, c))),
                      fma(_mm_cvtsd_f64(a), _mm_cvtsd_f64(b), _mm_cvtsd_f64(c)));
}
#elif defined(__aarch64__)
typedef float64x2_t doubles;
enum { DOUBLES = 2 };
#define d_all vdupq_n_f64
#define d_load vld1q_f64
#define d_store vst1q_f64
#define d_add vaddq_f64
#define d_less vsubq_f64
#define d_mul vmulq_f64
#define d_min vminq_f64
#define d_max vmaxq_f64
#define d_abs vabsq_f64
#define d_round(p, a) vst1_f32(p, vcvt_f32_f64(a))
#define d_fma(a, b, c) vfmaq_f64(c, a, b)
#else
typedef double doubles;
enum { DOUBLES = 1 };
#define d_all(a) (a)
#define d_load(p) (*(p))
#define d_store(p, a) (*(p) = (a))
#define d_add(a, b) ((a) + (b))
#define d_less(a, b) ((a) - (b))
#define d_mul(a, b) ((a) * (b))
#define d_min(a, b) ((a) < (b) ? (a) : (b))
#define d_max(a, b) ((a) > (b) ? (a) : (b))
#define d_abs fabs
#define d_round(p, a) (*(p) = (float)(a))
#define d_fma fma
#endif
#if defined(__aarch64__)
typedef float32x4_t floats;
enum { FLOATS = 4 };
#define f_all vdupq_n_f32
#define f_load vld1q_f32
#define f_store vst1q_f32
#define f_fma(a, b, c) vfmaq_f32(c, a, b)
#define f_min vminq_f32
#define f_max vmaxq_f32
#define f_abs vabsq_f32
#else
typedef float floats;
enum { FLOATS = 1 };
#define f_all(a) (a)
#define f_load(p) (*(p))
#define f_store(p, a) (*(p) = (a))
#define f_fma fmaf
#endif
#if defined(__aarch64__)
static inline doubles load_f4(const float *p) { return vcvt_f64_f32(vld1_f32(p)); }
#else
LOAD(f4, float, p[i])
#endif
LOAD(f2, uint16_t, float16(p[i]))
LOAD(bf2, uint16_t, bfloat16(p[i]))
#endif
static inline doubles load_f8(const double *p) { return d_load(p); }
#undef LOAD
#endif
