/* Included once for the products of doubles and once for those of floats:
   REAL, PACK (columns of a panel), WIDE and TALL (columns and rows of a tile), LANES, lanes, ALL, LOAD, STORE, FMA, WIDEN
   (a vector of doubles), and names. */
#define VECTORS (WIDE / LANES)
#define WHOLE ((int)LANES >= (int)DOUBLES) /* whether one vector can be added to the matrix */
#define NARROW (TALL * (VECTORS > 4 ? 1 : VECTORS)) /* rows of a tile of one vector */
_Static_assert(SLICE % NARROW == 0, "no tile reaches into the next slice");

static inline const REAL *COLUMN(const REAL *panels, size_t rows, size_t column)
{
    return panels + column / PACK * PACK * rows + column % PACK;
}

/* Make sums over the rows for `tall` columns of the left from `first` on and `across` vectors of columns of the right from
   `from` on, and add them to c[i][j], or write them there where it is `fresh`. */
INLINED void TILE(const int tall, const int across, const int fresh, size_t rows, const REAL *restrict left, size_t first,
                  const REAL *restrict right, size_t from, double *restrict c, size_t stride, ahead_t *ahead)
{
    const REAL *a[NARROW], *b[VECTORS];
    const size_t step = ahead->at < ahead->end && !ahead->width ? ahead->step : 0;
    const char *next = step ? ahead->at : (const char *)c;
    lanes sums[NARROW][VECTORS];
    UNROLLED
    for (int i = 0; i < tall; i++) {
        a[i] = COLUMN(left, rows, first + i);
        UNROLLED
        for (int j = 0; j < across * LANES; j += LINE)
            __builtin_prefetch(c + i * stride + j, 1);
        __builtin_prefetch(c + i * stride + across * LANES - 1, 1);
        UNROLLED
        for (int v = 0; v < across; v++)
            sums[i][v] = ALL(0);
    }
    UNROLLED
    for (int v = 0; v < across; v++)
        b[v] = COLUMN(right, rows, from + v * LANES);
    for (size_t k = 0, stop; k < rows * PACK;) {
        stop = k + SOME * PACK < rows * PACK ? k + SOME * PACK : rows * PACK;
        ask_parts(ahead);
        BY_FOUR
        for (; k < stop; k += PACK) {
            lanes factors[VECTORS];
            __builtin_prefetch(next, 0, SECOND_CACHE);
            next += step;
            UNROLLED
            for (int v = 0; v < across; v++)
                factors[v] = LOAD(b[v] + k);
            UNROLLED
            for (int i = 0; i < tall; i++) {
                lanes one = ALL(a[i][k]);
                UNROLLED
                for (int v = 0; v < across; v++)
                    sums[i][v] = FMA(one, factors[v], sums[i][v]);
            }
        }
    }
    ahead->at += step * rows;
    UNROLLED
    for (int i = 0; i < tall; i++) {
        REAL row[WIDE];
        UNROLLED
        for (int v = 0; v < across; v++)
            STORE(row + v * LANES, sums[i][v]);
        UNROLLED
        for (int j = 0; j < across * LANES; j += DOUBLES) {
            double *to = c + i * stride + j;
            d_store(to, fresh ? WIDEN(row + j) : d_add(d_load(to), WIDEN(row + j)));
        }
    }
}

/* The same where entries of the first `high` rows and `wide` columns with low <= j - i <= top alone count. Vectors without
   any are left out where one or two are enough: near the diagonal of 64 columns that saves a tenth of the work. */
INLINED void EDGE(const int tall, const int across, size_t rows, const REAL *left, size_t first, const REAL *right,
                  size_t from, double *c, size_t stride, ptrdiff_t high, ptrdiff_t wide, ptrdiff_t low, ptrdiff_t top,
                  ahead_t *ahead)
{
    double held[NARROW * WIDE];
    ptrdiff_t begin = low > 0 ? low / LANES : 0, end = (least_of(wide, high + top) + LANES - 1) / LANES;
    if (WHOLE && VECTORS > 1 && across > 1 && end - begin == 1)
        TILE(tall, 1, 1, rows, left, first, right, from + begin * LANES, held + begin * LANES, WIDE, ahead);
    else if (WHOLE && VECTORS > 2 && across > 2 && end - begin == 2)
        TILE(tall, 2, 1, rows, left, first, right, from + begin * LANES, held + begin * LANES, WIDE, ahead);
    else
        TILE(tall, across, 1, rows, left, first, right, from, held, WIDE, ahead);
    for (ptrdiff_t i = 0; i < high; i++)
        for (ptrdiff_t j = i + low > 0 ? i + low : 0; j < least_of(wide, i + top + 1); j++)
            c[i * stride + j] += held[i * WIDE + j];
}

/* The products of the left columns from i to `end` of n with `across` vectors of those of the right from j on, of m. The last
   few of the left take tiles of half the height: for the last 4 of 100 columns whole ones made a twelfth of all sums. */
INLINED void STRIPE(const int tall, const int across, size_t rows, const REAL *left, size_t i, size_t end, size_t n,
                    const REAL *right, size_t j, size_t m, double *c, size_t stride, ptrdiff_t low, ptrdiff_t top,
                    ahead_t *ahead)
{
    for (; i < end; i += tall) {
        ptrdiff_t off = (ptrdiff_t)j - (ptrdiff_t)i, least = off - (tall - 1), most = off + (across * LANES - 1);
        if (most < low || least > top)
            continue;
        double *at = c + i * stride + j;
        if ((ptrdiff_t)(n - i) >= tall && (ptrdiff_t)(m - j) >= across * LANES && low <= least && most <= top)
            TILE(tall, across, 0, rows, left, i, right, j, at, stride, ahead);
#if defined(__AVX512F__) /* elsewhere half as many sums would not hide how long each waits for the last */
        else if ((ptrdiff_t)(n - i) <= tall / 2)
            EDGE(tall / 2, across, rows, left, i, right, j, at, stride, n - i, least_of(m - j, across * LANES),
                 low - off, top - off, ahead);
#endif
        else
            EDGE(tall, across, rows, left, i, right, j, at, stride, least_of(n - i, tall),
                 least_of(m - j, across * LANES), low - off, top - off, ahead);
    }
}

/* Add the products of n packed columns with m others, of up to BLOCK rows, to those entries of c with low <= j - i <= top.
   Where one vector or two are left of the columns, tiles are taller: as many sums fill the registers. */
void PRODUCTS(size_t rows, const REAL *left, size_t n, const REAL *right, size_t m, double *c, size_t stride,
              ptrdiff_t low, ptrdiff_t top, ahead_t *ahead)
{
    for (size_t slice = 0; slice < n; slice += SLICE) { /* whose columns stay in the second cache */
        size_t end = n - slice < SLICE ? n : slice + SLICE;
        for (size_t j = 0; j < m; j += WIDE) /* whose columns stay in the first */
            if (WHOLE && VECTORS > 1 && m - j <= LANES)
                STRIPE(NARROW, 1, rows, left, slice, end, n, right, j, m, c, stride, low, top, ahead);
            else if (VECTORS == 3 && m - j <= 2 * LANES)
                STRIPE(NARROW / 2, 2, rows, left, slice, end, n, right, j, m, c, stride, low, top, ahead);
            else
                STRIPE(TALL, VECTORS, rows, left, slice, end, n, right, j, m, c, stride, low, top, ahead);
    }
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
#undef WIDEN
#undef TALL
#undef VECTORS
#undef WHOLE
#undef NARROW
#undef COLUMN
#undef TILE
#undef EDGE
#undef STRIPE
#undef PRODUCTS
