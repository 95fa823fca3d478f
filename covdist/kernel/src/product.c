/* Sums over rows of products of two columns, for all pairs of packed columns or a band of them.

   A sum of BLOCK rows starts from zero and takes its rows in order by fused multiply-add; then it is added to the matrix.
   So neither the width of vectors nor the shape of tiles changes a bit, and an entry of n rows is off by at most
   (BLOCK + n / BLOCK) roundings. */
#include "kernel.h"
#include "lanes.h"
#include "product.h"

/* A tile's sums fill the registers, less those of its factors: 16 with AVX2, 32 with AVX-512. Where there are few columns,
   lower tiles waste less beside the diagonal (64 columns with AVX2: 11 % in place of 22 %). */
#if defined(__AVX512F__)
enum { TALL_DOUBLES = 8, LOW_DOUBLES = 8, TALL_FLOATS = 12, LOW_FLOATS = 12, WIDE_DOUBLES = 16 };
#elif defined(__AVX2__)
enum { TALL_DOUBLES = 6, LOW_DOUBLES = 4, TALL_FLOATS = 6, LOW_FLOATS = 4, WIDE_DOUBLES = 8 };
#else
enum { TALL_DOUBLES = 4, LOW_DOUBLES = 4, TALL_FLOATS = 4, LOW_FLOATS = 4, WIDE_DOUBLES = 8 };
#endif
enum { WIDE_FLOATS = 16, SLICE = 72, FEW = 256 };

#if defined(__clang__)
#define UNROLLED _Pragma("clang loop unroll_count(4)")
#else
#define UNROLLED _Pragma("GCC unroll 4")
#endif

#define REAL double
#define PACK PANEL
#define WIDE WIDE_DOUBLES
#define LANES DOUBLES
#define lanes doubles
#define ALL d_all
#define LOAD d_load
#define STORE d_store
#define FMA d_fma
#define TALL TALL_DOUBLES
#define TILE tall_tile
#define EDGE tall_edge
#define PRODUCTS tall_products
#include "product_of.h"
#define TALL LOW_DOUBLES
#define TILE low_tile
#define EDGE low_edge
#define PRODUCTS low_products
#include "product_of.h"

void NAME(products)(size_t rows, const double *left, size_t n, const double *right, size_t m, double *c, size_t stride,
                    ptrdiff_t low, ptrdiff_t top)
{
    (n < FEW ? low_products : tall_products)(rows, left, n, right, m, c, stride, low, top);
}

#undef REAL
#undef PACK
#undef WIDE
#undef LANES
#undef lanes
#undef ALL
#undef LOAD
#undef STORE
#undef FMA
#define REAL float
#define PACK FLOAT_PANEL
#define WIDE WIDE_FLOATS
#define LANES FLOATS
#define lanes floats
#define ALL f_all
#define LOAD f_load
#define STORE f_store
#define FMA f_fma
#define TALL TALL_FLOATS
#define TILE tall_float_tile
#define EDGE tall_float_edge
#define PRODUCTS tall_float_products
#include "product_of.h"
#define TALL LOW_FLOATS
#define TILE low_float_tile
#define EDGE low_float_edge
#define PRODUCTS low_float_products
#include "product_of.h"

void NAME(float_products)(size_t rows, const float *left, size_t n, const float *right, size_t m, double *c,
                          size_t stride, ptrdiff_t low, ptrdiff_t top)
{
    (n < FEW ? low_float_products : tall_float_products)(rows, left, n, right, m, c, stride, low, top);
}
