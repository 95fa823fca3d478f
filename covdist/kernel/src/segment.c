/* The fold of ordinary rows into an open segment: no special values, no drift of the mean. It stops where it meets any. */
#include "segment.h"
#include "lanes.h"
#include "pass.h"
#include "product.h"

enum { WORK = 6, SAMPLE_STEP = 16 /* as in Python */, LINE = 64, NEAR = 1 << 18, TILE = 256 };
static const double MOST_CANCELLED = 64, LARGEST_FLOAT_SQUARES = 1e30;

/* Say whether a block would cost digits: its mean lies many spreads from the segment's pilot. No column is the last to be
   looked at: several are divided at once. */
static int drifted(const side_t *side, double added)
{
    const double *sums = side->work;
    double weight = side->weight, total = weight + added;
    int64_t found = 0;
    for (size_t j = 0; j < side->rows.columns; j++) {
        double together = side->sums[j] + sums[j], step = sums[j] / added - side->sums[j] / weight;
        double spread = side->squares[j] - side->sums[j] * side->sums[j] / weight + weight * added / total * step * step;
        found |= together * together / total > MOST_CANCELLED * spread;
    }
    return found != 0;
}

/* Rectangular full packed storage holds the columns from here on apart. */
static size_t half_of(size_t columns, size_t products) { return products == PACKED ? (columns + 1) / 2 : columns; }
static size_t least_of(size_t a, size_t b) { return a < b ? a : b; }
static size_t padded(size_t columns) { return (columns + STRIP - 1) / STRIP * STRIP; }

static size_t packed_of(const side_t *side, size_t products)
{
    size_t columns = side->rows.columns, half = half_of(columns, products);
    return padded(half) + padded(columns - half);
}

/* Memory of a side: a block's sums and squares, zeros and low magnitudes, and two numbers that a pass takes. */
static double *squares_of(const side_t *side) { return side->work + padded(side->rows.columns); }
static int64_t *zeros_of(const side_t *side) { return (int64_t *)(side->work + 2 * padded(side->rows.columns)); }
static int64_t *low_of(const side_t *side) { return zeros_of(side) + padded(side->rows.columns); }
static double *pass_of(const side_t *side) { return side->work + 4 * padded(side->rows.columns); }

/* Make the sums and squares of some columns of a block, and their deviations after those of `before` others of `packed`;
   return whether their magnitudes are ordinary. */
static int passed(side_t *side, rows_t rows, size_t from, size_t to, const double *roots, int kept, size_t before,
                  size_t packed)
{
    if (from == to)
        return 1;
    rows_t part = {rows.data + from * NAME(size)(side->type), rows.rows, to - from, rows.stride};
    pass_t made = {.shift = side->shift + from, .roots = roots, .sums = side->work + from,
                   .squares = squares_of(side) + from, .work = pass_of(side), .zeros = zeros_of(side) + from,
                   .low = low_of(side) + from, .small = side->small, .limit = side->largest, .packed = packed,
                   .before = before};
    if (kept && side->factors) {
        made.rounded = side->panels;
        made.factors = side->factors + from;
    } else if (kept)
        made.panels = side->panels;
    NAME(pass)(side->type, part, &made);
    for (size_t j = 0; j < part.columns && !side->subnormal; j++)
        if (made.low[j] > made.zeros[j])
            return 0;
    return !made.beyond;
}

/* Make those of a whole block, and panels where there are products: of the leading half of the columns, and the rest. */
static int prepared(side_t *side, rows_t rows, const double *roots, size_t products)
{
    size_t columns = rows.columns, half = half_of(columns, products), packed = packed_of(side, products);
    memset(side->work, 0, 4 * padded(columns) * sizeof *side->work);
    return passed(side, rows, 0, half, roots, products != NONE, 0, packed) &
           passed(side, rows, half, columns, roots, products != NONE, padded(half), packed);
}

/* Make the pilot of every SAMPLE_STEP-th row, as numpy does: the number next to each column's mean, or the value itself
   where that is constant; return whether all of it is finite, and the magnitudes below the largest. */
static int begun(side_t *side, rows_t rows)
{
    size_t columns = rows.columns, wide = padded(columns);
    double *zero = side->work, *first = zero + wide, *mean = first + wide, *rest = mean + wide, *squares = rest + wide;
    rows_t sample = {rows.data, (rows.rows + SAMPLE_STEP - 1) / SAMPLE_STEP, columns, rows.stride * SAMPLE_STEP};
    rows_t leading = {rows.data, rows.rows > 0, columns, rows.stride};
    double count = (double)sample.rows;
    memset(zero, 0, WORK * wide * sizeof *zero);
    double limit = nextafter(side->largest, 0); /* a whole number may have been rounded to the largest */
    pass_t plain = {.shift = zero, .sums = mean, .squares = rest, .small = 1, .limit = limit};
    pass_t one = {.shift = zero, .sums = first, .squares = rest, .small = 1};
    NAME(total)(side->type, sample, &plain);
    NAME(total)(side->type, leading, &one);
    pass_t about_first = {.shift = first, .sums = rest, .squares = squares, .small = 1};
    NAME(total)(side->type, sample, &about_first);
    memset(rest, 0, wide * sizeof *rest);
    for (size_t j = 0; j < columns; j++)
        mean[j] /= count;
    pass_t about_mean = {.shift = mean, .sums = rest, .squares = zero, .small = 1};
    NAME(total)(side->type, sample, &about_mean);
    for (size_t j = 0; j < columns; j++) {
        double near = mean[j] + rest[j] / count;
        side->shift[j] = squares[j] == 0 ? first[j] : near;
        if (!isfinite(near))
            return 0;
    }
    return !plain.beyond;
}

/* Make the factors that bring the spreads of the first rows near 1. */
static void scaled(side_t *side, rows_t rows)
{
    const double *squares = squares_of(side);
    memset(side->work, 0, 4 * padded(rows.columns) * sizeof *side->work);
    passed(side, rows, 0, rows.columns, 0, 0, 0, 0);
    for (size_t j = 0; j < rows.columns; j++) {
        int exponent;
        frexp(sqrt(squares[j] / (double)rows.rows), &exponent);
        side->factors[j] = ldexp(1, -exponent);
    }
}

static int ordinary(const side_t *side)
{
    const double *sums = side->work, *squares = squares_of(side), *factors = side->factors;
    for (size_t j = 0; j < side->rows.columns; j++)
        if (!isfinite(sums[j]) || !isfinite(squares[j]) ||
            (factors && squares[j] * (factors[j] * factors[j]) > LARGEST_FLOAT_SQUARES))
            return 0;
    return 1;
}

static void commit(side_t *side, double added)
{
    const double *sums = side->work, *squares = squares_of(side);
    const int64_t *zeros = zeros_of(side), *low = low_of(side);
    for (size_t j = 0; j < side->rows.columns; j++) {
        side->sums[j] += sums[j];
        side->squares[j] += squares[j];
        side->zeros[j] += zeros[j];
        side->subnormals[j] += low[j] - zeros[j];
    }
    side->weight += added;
}

/* Some packed columns of a side, whose panels of up to BLOCK rows begin at `first` numbers. */
typedef struct {
    const side_t *side;
    size_t first, columns;
} part_t;

static void add(size_t rows, part_t x, part_t y, double *matrix, size_t stride, ptrdiff_t low, ptrdiff_t top,
                ahead_t *ahead)
{
    const void *of_x = x.side->panels, *of_y = y.side->panels;
    if (x.side->factors)
        NAME(float_products)(rows, (const float *)of_x + x.first, x.columns, (const float *)of_y + y.first, y.columns,
                             matrix, stride, low, top, ahead);
    else
        NAME(products)(rows, (const double *)of_x + x.first, x.columns, (const double *)of_y + y.first, y.columns, matrix,
                       stride, low, top, ahead);
}

/* Add the products of up to BLOCK rows' deviations, before which others lie, to the matrix: of the first side with the
   second or with itself. */
static void multiply_block(const segment_t *s, size_t before, size_t rows, int two, ahead_t *ahead)
{
    const side_t *x = s->sides, *y = x + two;
    size_t of_x = before * packed_of(x, s->products), of_y = before * packed_of(y, s->products);
    size_t n = x->rows.columns, m = y->rows.columns, half = half_of(n, s->products), even = 1 - n % 2, stride = n + even;
    ptrdiff_t all = (ptrdiff_t)(n > m ? n : m);
    part_t first = {x, of_x, half}, rest = {x, of_x + padded(half) * rows, n - half};
    part_t second = {y, of_y, half_of(m, s->products)};
    part_t after = {y, of_y + padded(second.columns) * rows, m - second.columns};
    if (s->products == RECTANGLE)
        add(rows, first, second, s->matrix, m, -all, all, ahead);
    else if (s->products == SQUARE)
        add(rows, first, second, s->matrix, n, -all, 0, ahead);
    else { /* the rows of a leading column lie side by side, and those of the rest after */
        add(rows, first, second, s->matrix + even, stride, 0, all, ahead);
        add(rows, first, after, s->matrix + even + half, stride, -all, all, ahead);
        add(rows, rest, after, s->matrix + (even ? 0 : stride), stride, -all, 0, ahead);
    }
}

static void multiply(const segment_t *s, size_t rows, int two, ahead_t *ahead)
{
    for (size_t k = 0; k < rows; k += BLOCK)
        multiply_block(s, k, rows - k < BLOCK ? rows - k : BLOCK, two, ahead);
}

static rows_t block_of(const side_t *side, size_t done, size_t height)
{
    rows_t block = side->rows;
    block.data += done * block.stride;
    block.rows = block.rows - done < height ? block.rows - done : height;
    return block;
}

/* Return how rows that are read next are asked for, as many as stay in the second cache: waiting for them took a tenth of
   64 columns' time. A product of n columns has n * n / TILE tiles or more, which ask for as large a part of a row with each
   of theirs. */
static ahead_t asked(rows_t next, size_t size)
{
    size_t width = next.columns * size, bytes = least_of(next.rows * next.stride, NEAR);
    size_t rows = least_of(next.rows, NEAR / (width + 1) + 1);
    if (are_parts(next, size))
        return (ahead_t){next.data, next.data + rows * next.stride, next.stride, width, 0};
    return (ahead_t){next.data, next.data + bytes, least_of(TILE * size / (next.columns + 1), LINE), 0, 0};
}

static rows_t none_of(const side_t *side) { return (rows_t){side->rows.data, 0, side->rows.columns, side->rows.stride}; }

/* Return the rows of a side that follow `done` others, or after all of them `next`. */
static ahead_t following(const side_t *side, size_t done, size_t height, rows_t next)
{
    return asked(done < side->rows.rows ? block_of(side, done, height) : next, NAME(size)(side->type));
}

/* Fold rows, `height` at a time, up to the first that want a closer look; return how many were folded. `next` are read after
   them. */
size_t NAME(fold_before)(segment_t *s, rows_t next)
{
    size_t rows = s->sides->rows.rows;
    for (side_t *side = s->sides; side < s->sides + s->count; side++) {
        rows_t first = block_of(side, 0, s->height);
        if (side->begins && !begun(side, first))
            return 0;
        if (side->scales)
            scaled(side, first);
    }
    for (size_t done = 0, height; done < rows; done += height) {
        const double *roots = s->roots ? s->roots + done : 0;
        height = block_of(s->sides, done, s->height).rows;
        double added = s->weights ? 0 : (double)height;
        for (size_t k = 0; s->weights && k < height; k++)
            added += s->weights[done + k];
        for (side_t *side = s->sides; side < s->sides + s->count; side++)
            if (!prepared(side, block_of(side, done, s->height), roots, s->products) || !ordinary(side) ||
                (side->weight > 0 && drifted(side, added)))
                return done;
        ahead_t ahead = following(s->sides, done + height, s->height, next);
        if (s->products)
            multiply(s, height, s->products == RECTANGLE, &ahead);
        for (side_t *side = s->sides; side < s->sides + s->count; side++)
            commit(side, added);
    }
    return rows;
}

EXPORTED size_t NAME(fold)(segment_t *s) { return NAME(fold_before)(s, none_of(s->sides)); }

/* Add the products of given deviations, `height` rows at a time, and nothing else. */
EXPORTED void NAME(multiply)(segment_t *s)
{
    size_t rows = s->sides->rows.rows;
    for (size_t done = 0, height; done < rows; done += height) {
        height = block_of(s->sides, done, s->height).rows;
        for (side_t *side = s->sides; side < s->sides + s->count; side++)
            prepared(side, block_of(side, done, s->height), 0, s->products);
        ahead_t ahead = following(s->sides, done + height, s->height, none_of(s->sides));
        multiply(s, height, s->count == 2, &ahead);
    }
}

/* Make the moments of columns of the sums about their pilot, as numpy does: their means, what a float64 of these leaves out,
   and the sums of squares about them, one after the other. */
EXPORTED void NAME(end)(size_t columns, double weight, const double *pilot, const double *sums, const double *squares,
                        double *moments)
{
    for (size_t j = 0; j < columns; j++) {
        double offset = sums[j] / weight, mean = pilot[j] + offset, back = mean - pilot[j];
        double low = (pilot[j] - (mean - back)) + (offset - back), centred = squares[j] - sums[j] * offset;
        moments[j] = mean;
        moments[columns + j] = isfinite(mean) ? low : 0;
        moments[2 * columns + j] = centred < 0 ? 0 : centred;
    }
}

/* Pack the lower triangle of a square, less what its products about the pilot exceed those about the mean by: `factor` times
   the products of two sums, each rounded and then added, as in numpy. */
EXPORTED void NAME(centre)(size_t n, double factor, const double *sums, const double *square, double *packed)
{
    size_t half = half_of(n, PACKED), even = 1 - n % 2, stride = n + even;
    for (size_t i = 0; i < n; i++) {
        double left = sums[i] * factor;
        for (size_t j = 0; j <= i; j++)
            packed[j < half ? j * stride + even + i : (i - half + 1 - even) * stride + j - half] =
                square[i * n + j] + left * sums[j];
    }
}
