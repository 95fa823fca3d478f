/* Sums over rows of products of two columns, for all pairs of packed columns or a band of them.

   A sum of BLOCK rows starts from zero and takes its rows in order by fused multiply-add; then it is added to the matrix.
   So neither the width of vectors nor the shape of tiles changes a bit, and an entry of n rows is off by at most
   (BLOCK + n / BLOCK) roundings. */
#include "kernel.h"
#include "lanes.h"
#include "product.h"

/* A tile's sums fill the registers, less those of its factors: 16 with AVX2, 32 with AVX-512. */
#if defined(__AVX512F__)
enum { TALL_DOUBLES = 8, TALL_FLOATS = 12, SLICE = 96 };
#elif defined(__AVX2__)
enum { TALL_DOUBLES = 6, TALL_FLOATS = 6, SLICE = 66 };
#else
enum { TALL_DOUBLES = 4, TALL_FLOATS = 4, SLICE = 64 };
#endif

#define REAL double
#define WIDE PANEL
#define TALL TALL_DOUBLES
#define LANES DOUBLES
#define lanes doubles
#define ALL d_all
#define LOAD d_load
#define STORE d_store
#define FMA d_fma
#define TILE tile
#define EDGE edge
#define PRODUCTS NAME(products)
#include "product_of.h"

#define REAL float
#define WIDE FLOAT_PANEL
#define TALL TALL_FLOATS
#define LANES FLOATS
#define lanes floats
#define ALL f_all
#define LOAD f_load
#define STORE f_store
#define FMA f_fma
#define TILE float_tile
#define EDGE float_edge
#define PRODUCTS NAME(float_products)
#include "product_of.h"

/* Round packed columns times a factor each to floats, packed as float_products takes them. */
EXPORTED void NAME(rounded)(size_t rows, size_t columns, const double *panels, const double *factors, float *out)
{
    for (size_t j = 0; j < columns; j += FLOAT_PANEL)
        for (size_t within = 0; within < FLOAT_PANEL; within += PANEL) {
            size_t first = j + within, width = first < columns ? columns - first : 0;
            const double *from = panels + first * rows;
            float *to = out + j * rows + within;
            for (size_t k = 0; k < rows; k++)
                for (size_t i = 0; i < PANEL; i++)
                    to[k * FLOAT_PANEL + i] = i < width ? (float)(from[k * PANEL + i] * factors[first + i]) : 0;
        }
}
