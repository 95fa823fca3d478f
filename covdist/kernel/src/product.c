/* Sums over rows of products of two columns, for all pairs of packed columns or a band of them.

   A sum of BLOCK rows starts from zero and takes its rows in order by fused multiply-add; then it is added to the matrix.
   So neither the width of vectors nor the shape of tiles changes a bit, and an entry of n rows is off by at most
   (BLOCK + n / BLOCK) roundings. */
#include "kernel.h"
#include "lanes.h"
#include "product.h"

/* A tile's sums fill the registers, less those of its factors: 32 with AVX-512, 16 with AVX2, where tiles of eight columns
   took up to a tenth longer. */
#if defined(__AVX512F__)
enum { TALL_DOUBLES = 8, WIDE_DOUBLES = 16, TALL_FLOATS = 8, WIDE_FLOATS = 32 };
#elif defined(__AVX2__)
enum { TALL_DOUBLES = 4, WIDE_DOUBLES = 12, TALL_FLOATS = 4, WIDE_FLOATS = 24 };
#else
enum { TALL_DOUBLES = 4, WIDE_DOUBLES = 8, TALL_FLOATS = 4, WIDE_FLOATS = 16 };
#endif
enum { SOME = 64, PARTS = 16 }; /* rows of a tile, and parts of others that are asked for before them */
enum { SLICE = 144, LINE = 8 /* doubles of the first cache */, SECOND_CACHE = 2 /* as a prefetch takes it */ };

/* Short loops over arrays that become registers must be unrolled, the whole of them, which clang does by itself. */
#if defined(__clang__)
#define BY_FOUR _Pragma("clang loop unroll_count(4)")
#define UNROLLED
#else
#define BY_FOUR _Pragma("GCC unroll 4")
#define UNROLLED _Pragma("GCC unroll 16")
#endif

/* Ask for a line of each of the next few parts of rows, no more than the processor fetches at a time. With each row of a tile
   it would take registers that are not there: 256 columns took 1.06 times as long. */
INLINED void ask_parts(ahead_t *ahead)
{
    if (!ahead->width || ahead->at >= ahead->end)
        return;
    for (size_t i = 0; i < PARTS; i++)
        __builtin_prefetch(ahead->at + ahead->line + i * ahead->step, 0, SECOND_CACHE);
    ahead->line += LINE * sizeof(double);
    if (ahead->line < ahead->width)
        return;
    ahead->line = 0;
    ahead->at += PARTS * ahead->step;
}

static inline ptrdiff_t least_of(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }

#define REAL double
#define PACK PANEL
#define WIDE WIDE_DOUBLES
#define LANES DOUBLES
#define lanes doubles
#define ALL d_all
#define LOAD d_load
#define STORE d_store
#define FMA d_fma
#define WIDEN load_f8
#define COLUMN column
#define TALL TALL_DOUBLES
#define TILE tile
#define EDGE edge
#define STRIPE stripe
#define PRODUCTS NAME(products)
#include "product_of.h"

#define REAL float
#define PACK FLOAT_PANEL
#define WIDE WIDE_FLOATS
#define LANES FLOATS
#define lanes floats
#define ALL f_all
#define LOAD f_load
#define STORE f_store
#define FMA f_fma
#define WIDEN load_f4
#define COLUMN float_column
#define TALL TALL_FLOATS
#define TILE float_tile
#define EDGE float_edge
#define STRIPE float_stripe
#define PRODUCTS NAME(float_products)
#include "product_of.h"
