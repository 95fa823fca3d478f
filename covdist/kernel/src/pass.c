/* Deviations from a pilot, their sums and sums of squares, and the range of magnitudes, in one pass over the rows.

   A lane is a column and its rows come in order; multiplications and additions stay apart, as in numpy. BLOCK rows are
   summed from zero, then added: an entry of n rows is off by at most (BLOCK + n / BLOCK) roundings. */
#include "pass.h"
#include "lanes.h"
enum { ACROSS = STRIP / DOUBLES, NEAR = 1 << 17, LEAST_NEAR = 32, LINE = 64 };
enum { NOWHERE, AS_DOUBLES, AS_FLOATS }; /* where deviations are kept */

/* What lies here is loaded where it is used: in registers it leaves too few for sums, and one that waits for memory took
   the variances a quarter longer. */
#define IN_MEMORY(pointer) __asm__("" : "+r"(pointer))

/* Say whether a lane's magnitude exceeds another's: they compare as their bits do. */
#define ANY_ABOVE(name, lanes, bits)                                                                                   \
    static inline int name(lanes a, lanes b)                                                                           \
    {                                                                                                                  \
        typedef bits whole __attribute__((vector_size(sizeof(lanes))));                                                \
        whole x, y;                                                                                                    \
        int64_t parts[sizeof(lanes) / 8 + 1], any = 0;                                                                 \
        memcpy(&x, &a, sizeof x);                                                                                      \
        memcpy(&y, &b, sizeof y);                                                                                      \
        x = x > y;                                                                                                     \
        memcpy(parts, &x, sizeof x);                                                                                   \
        for (size_t i = 0; i < sizeof x / 8; i++)                                                                      \
            any |= parts[i];                                                                                           \
        return any != 0;                                                                                               \
    }

typedef doubles d_lanes;
typedef double d_number;
enum { d_count = DOUBLES };
ANY_ABOVE(d_any_above, d_lanes, int64_t)
#if defined(__AVX2__) || defined(__aarch64__)
typedef floats f_lanes;
typedef float f_number;
enum { f_count = FLOATS };
ANY_ABOVE(f_any_above, f_lanes, int32_t)
#endif
#if defined(__AVX2__) /* magnitudes of half of a float's size, as their bits */
typedef __m256i h_lanes;
enum { h_count = 16 };
#define h_all(value) _mm256_set1_epi16((int16_t)(value))
#define h_load(p) _mm256_and_si256(_mm256_loadu_si256((const __m256i *)(p)), _mm256_set1_epi16(INT16_MAX))
#define h_min _mm256_min_epi16
#define h_max _mm256_max_epi16
ANY_ABOVE(h_any_above, h_lanes, int16_t)
#endif

#define TYPE double
#define LOAD load_f8
#define FULL full_f8
#define VARIANT variant_f8
#define SUM sum_f8
#include "pass_of.h"

#define TYPE float
#define LOAD load_f4
#if defined(__AVX2__) || defined(__aarch64__)
#define MAGNITUDE(p) f_abs(f_load(p))
#define RANGE(of) f_##of
#endif
#define FULL full_f4
#define VARIANT variant_f4
#define SUM sum_f4
#include "pass_of.h"

#define TYPE uint16_t
#define LOAD load_f2
#if defined(__AVX2__)
#define MAGNITUDE(p) h_load(p)
#define RANGE(of) h_##of
#define BOUND(of) to->of##_bits
#define LARGEST INT16_MAX
#endif
#define FULL full_f2
#define VARIANT variant_f2
#define SUM sum_f2
#include "pass_of.h"

#define TYPE uint16_t
#define LOAD load_bf2
#if defined(__AVX2__)
#define MAGNITUDE(p) h_load(p)
#define RANGE(of) h_##of
#define BOUND(of) to->of##_bits
#define LARGEST INT16_MAX
#endif
#define FULL full_bf2
#define VARIANT variant_bf2
#define SUM sum_bf2
#include "pass_of.h"

/* Whole numbers become doubles first. */
#define WHOLE(name, type)                                                                                              \
    static void sum_##name(const rows_t *x, pass_t *to, size_t height)                                                 \
    {                                                                                                                  \
        double held[BLOCK * STRIP];                                                                                    \
        for (size_t k = 0; k < x->rows; k++)                                                                           \
            for (size_t i = 0; i < STRIP; i++)                                                                         \
                held[k * STRIP + i] = (double)((const type *)(x->data + k * x->stride))[i < x->columns ? i : 0];       \
        sum_f8(&(rows_t){(const char *)held, x->rows, STRIP, STRIP * sizeof(double)}, to, height);                     \
    }
WHOLE(i1, int8_t)
WHOLE(i2, int16_t)
WHOLE(i4, int32_t)
WHOLE(i8, int64_t)
WHOLE(u1, uint8_t)
WHOLE(u2, uint16_t)
WHOLE(u4, uint32_t)
WHOLE(u8, uint64_t)

enum { COUNTED = BLOCK / 2 }; /* rows whose counts a byte holds */

#define TYPE uint8_t
#define NUMBERS numbers_1
#define COUNT count_1
#include "count_of.h"

#define TYPE uint16_t
#define NUMBERS numbers_2
#define COUNT count_2
#include "count_of.h"

#define TYPE uint32_t
#define NUMBERS numbers_4
#define COUNT count_4
#include "count_of.h"

#define TYPE uint64_t
#define NUMBERS numbers_8
#define COUNT count_8
#include "count_of.h"

/* In the order in which the caller numbers the types: their bytes; where 1 has its bits, as its exponent and the digits
   after it; whether there is a sign bit. `sum` takes up to BLOCK rows of up to STRIP columns. */
static const struct {
    size_t size, one, digits, sign;
    void (*sum)(const rows_t *, pass_t *, size_t);
    void (*count)(const rows_t *, uint64_t, uint64_t, int64_t *, int64_t *);
} TYPES[] = {
    {8, 1023, 52, 1, sum_f8, count_8}, {4, 127, 23, 1, sum_f4, count_4}, {2, 15, 10, 1, sum_f2, count_2},
    {2, 127, 7, 1, sum_bf2, count_2},  {1, 1, 0, 0, sum_i1, count_1},    {2, 1, 0, 0, sum_i2, count_2},
    {4, 1, 0, 0, sum_i4, count_4},     {8, 1, 0, 0, sum_i8, count_8},    {1, 1, 0, 0, sum_u1, count_1},
    {2, 1, 0, 0, sum_u2, count_2},     {4, 1, 0, 0, sum_u4, count_4},    {8, 1, 0, 0, sum_u8, count_8},
};

size_t NAME(size)(size_t type) { return TYPES[type].size; }

static size_t least_of(size_t a, size_t b) { return a < b ? a : b; }

/* Rows from k on, `height` of them, and columns from j on, STRIP of them where there are so many. */
static rows_t strip_of(rows_t x, size_t k, size_t height, size_t j, size_t size)
{
    return (rows_t){x.data + k * x.stride + j * size, height, least_of(STRIP, x.columns - j), x.stride};
}

static void bound(size_t type, pass_t *to)
{
    to->small_bits = (TYPES[type].one + (uint64_t)ilogb(to->small)) << TYPES[type].digits;
    to->limit_bits = ((2 * TYPES[type].one + 1) << TYPES[type].digits) - 1;
}

/* Add rows to sums that go on from one row to the next, in one block however many they are. */
void NAME(total)(size_t type, rows_t x, pass_t *to)
{
    bound(type, to);
    pass_t part = *to;
    part.ahead = x.data;
    for (size_t k = 0; k < x.rows; k += BLOCK)
        for (size_t j = 0; j < x.columns; j += STRIP) {
            rows_t strip = strip_of(x, k, least_of(BLOCK, x.rows - k), j, TYPES[type].size);
            part.shift = to->shift + j;
            part.sums = to->sums + j;
            part.squares = to->squares + j;
            TYPES[type].sum(&strip, &part, 0);
        }
    to->beyond |= part.beyond;
}

/* Add to each column's zeros, and to its magnitudes whose bits are below `small`, zeros among them. */
static void census(size_t type, const rows_t *x, uint64_t small, int64_t *zeros, int64_t *low)
{
    uint64_t sign = (uint64_t)TYPES[type].sign << (8 * TYPES[type].size - 1);
    for (size_t k = 0; k < x->rows; k += COUNTED) {
        rows_t some = strip_of(*x, k, least_of(COUNTED, x->rows - k), 0, 0);
        TYPES[type].count(&some, sign, small, zeros, low);
    }
}

/* Return how many rows stay in the second cache until the next strip; no few are left over, as each strip takes a while to
   begin. */
static size_t near_of(size_t row)
{
    size_t near = BLOCK;
    while (near > LEAST_NEAR && near * row > NEAR)
        near /= 2;
    return near;
}

void NAME(pass)(size_t type, rows_t x, pass_t *to)
{
    size_t padded = (x.columns + STRIP - 1) / STRIP * STRIP, size = TYPES[type].size, near = near_of(x.columns * size);
    bound(type, to);
    pass_t part = *to; /* once: what was written by halves is slow to be copied whole */
    size_t apart = are_parts(x, size), strips = padded / STRIP;
    part.step = apart ? x.stride : x.stride / strips;
    for (size_t from = 0; from < x.rows; from += BLOCK) {
        size_t end = least_of(x.rows, from + BLOCK), rows = end - from, first = from * to->packed + to->before * rows;
        memset(to->work, 0, 2 * padded * sizeof *to->work);
        for (size_t k = from, height; k < end; k += height) {
            height = least_of(near, end - k);
            part.roots = to->roots ? to->roots + k : 0;
            for (size_t j = 0; j < x.columns; j += STRIP) {
                rows_t strip = strip_of(x, k, height, j, size);
                part.below = 0;
                part.shift = to->shift + j;
                part.ahead = x.data + (k + height) * x.stride + (apart ? j * size : j / STRIP * height * part.step);
                part.sums = to->work + j;
                part.squares = part.sums + padded;
                part.panels = to->panels ? to->panels + first + j * rows + (k - from) * PANEL : 0;
                part.rounded = to->rounded ? to->rounded + first + j * rows + (k - from) * FLOAT_PANEL : 0;
                part.factors = to->rounded ? to->factors + j : 0;
                TYPES[type].sum(&strip, &part, rows);
                if (part.below) /* the rows are still in the cache */
                    census(type, &strip, to->small_bits, to->zeros + j, to->low + j);
            }
        }
        for (size_t j = 0; j < x.columns; j++) {
            to->sums[j] += to->work[j];
            to->squares[j] += to->work[padded + j];
        }
    }
    to->beyond |= part.beyond;
}
