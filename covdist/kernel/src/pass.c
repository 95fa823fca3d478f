/* Deviations from a pilot, their sums and sums of squares, and the range of magnitudes, in one pass over the rows.

   A lane is a column and its rows come in order; multiplications and additions stay apart, as in numpy. BLOCK rows are
   summed from zero, then added: an entry of n rows is off by at most (BLOCK + n / BLOCK) roundings. */
#include "pass.h"
#include "lanes.h"
enum { ACROSS = STRIP / DOUBLES, NEAR = 1 << 14, LINE = 64 };

#define TYPE double
#define LOAD load_f8
#define FULL full_f8
#define VARIANT variant_f8
#define SUM sum_f8
#define COUNT count_f8
#include "pass_of.h"

#define TYPE float
#define LOAD load_f4
#define FULL full_f4
#define VARIANT variant_f4
#define SUM sum_f4
#define COUNT count_f4
#include "pass_of.h"

#define TYPE uint16_t
#define LOAD load_f2
#define FULL full_f2
#define VARIANT variant_f2
#define SUM sum_f2
#define COUNT count_f2
#include "pass_of.h"

#define TYPE uint16_t
#define LOAD load_bf2
#define FULL full_bf2
#define VARIANT variant_bf2
#define SUM sum_bf2
#define COUNT count_bf2
#include "pass_of.h"

/* Whole numbers become doubles first. */
#define WHOLE(name, type)                                                                                              \
    static rows_t doubles_of_##name(rows_t x, double *held)                                                            \
    {                                                                                                                  \
        for (size_t k = 0; k < x.rows; k++)                                                                            \
            for (size_t i = 0; i < STRIP; i++)                                                                         \
                held[k * STRIP + i] = (double)((const type *)(x.data + k * x.stride))[i < x.columns ? i : 0];          \
        return (rows_t){(const char *)held, x.rows, STRIP, STRIP * sizeof(double)};                                    \
    }                                                                                                                  \
    static void sum_##name(rows_t x, pass_t *to, size_t apart)                                                         \
    {                                                                                                                  \
        double held[BLOCK * STRIP];                                                                                    \
        sum_f8(doubles_of_##name(x, held), to, apart);                                                                 \
    }                                                                                                                  \
    static void count_##name(rows_t x, double most, double *counts)                                                    \
    {                                                                                                                  \
        double held[BLOCK * STRIP];                                                                                    \
        count_f8(doubles_of_##name(x, held), most, counts);                                                            \
    }
WHOLE(i1, int8_t)
WHOLE(i2, int16_t)
WHOLE(i4, int32_t)
WHOLE(i8, int64_t)
WHOLE(u1, uint8_t)
WHOLE(u2, uint16_t)
WHOLE(u4, uint32_t)
WHOLE(u8, uint64_t)

/* In the order in which the caller numbers the types; each function takes up to BLOCK rows of up to STRIP columns. */
static const struct {
    size_t size;
    void (*sum)(rows_t, pass_t *, size_t);
    void (*count)(rows_t, double, double *);
} TYPES[] = {
    {8, sum_f8, count_f8}, {4, sum_f4, count_f4}, {2, sum_f2, count_f2}, {2, sum_bf2, count_bf2},
    {1, sum_i1, count_i1}, {2, sum_i2, count_i2}, {4, sum_i4, count_i4}, {8, sum_i8, count_i8},
    {1, sum_u1, count_u1}, {2, sum_u2, count_u2}, {4, sum_u4, count_u4}, {8, sum_u8, count_u8},
};

size_t NAME(size)(size_t type) { return TYPES[type].size; }

static size_t least_of(size_t a, size_t b) { return a < b ? a : b; }

/* Rows from k on, `height` of them, and columns from j on, STRIP of them where there are so many. */
static rows_t strip_of(rows_t x, size_t k, size_t height, size_t j, size_t size)
{
    return (rows_t){x.data + k * x.stride + j * size, height, least_of(STRIP, x.columns - j), x.stride};
}

void NAME(pass)(size_t type, rows_t x, pass_t *to)
{
    size_t padded = (x.columns + STRIP - 1) / STRIP * STRIP, size = TYPES[type].size;
    size_t near = NEAR / (x.columns * size) + 8; /* rows that stay in the first cache until the next strip */
    for (size_t from = 0; from < x.rows; from += BLOCK) {
        size_t end = least_of(x.rows, from + BLOCK);
        memset(to->work, 0, 2 * padded * sizeof *to->work);
        for (size_t k = from, height; k < end; k += height) {
            height = least_of(near, end - k);
            for (size_t j = 0; j < x.columns; j += STRIP) {
                pass_t part = *to;
                part.shift += j;
                part.ahead = height * x.stride;
                part.roots = to->roots ? to->roots + k : 0;
                part.sums = to->work + j;
                part.squares = part.sums + padded;
                part.panels = to->panels ? to->panels + j * x.rows + k * PANEL : 0;
                TYPES[type].sum(strip_of(x, k, height, j, size), &part, PANEL * x.rows);
                to->least = part.least;
                to->largest = part.largest;
            }
        }
        for (size_t j = 0; j < x.columns; j++) {
            to->sums[j] += to->work[j];
            to->squares[j] += to->work[padded + j];
        }
    }
}

/* Add to each column's zeros, and to its magnitudes up to `most`, zeros among them. */
void NAME(census)(size_t type, rows_t x, double most, int64_t *zeros, int64_t *low)
{
    for (size_t k = 0; k < x.rows; k += BLOCK)
        for (size_t j = 0; j < x.columns; j += STRIP) {
            double counts[2 * STRIP];
            rows_t strip = strip_of(x, k, least_of(BLOCK, x.rows - k), j, TYPES[type].size);
            TYPES[type].count(strip, most, counts);
            for (size_t i = 0; i < strip.columns; i++) {
                zeros[j + i] += (int64_t)counts[i];
                low[j + i] += (int64_t)counts[STRIP + i];
            }
        }
}
