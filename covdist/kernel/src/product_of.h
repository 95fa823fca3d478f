/* Included once for the products of doubles and once for those of floats:
   REAL, PACK (columns of a panel), WIDE and TALL (columns and rows of a tile), LANES, lanes, ALL, LOAD, STORE, FMA, WIDEN
   (a vector of doubles), and names. */
#define VECTORS (WIDE / LANES)
_Static_assert(SLICE % TALL == 0, "no tile reaches into the next slice");

static inline const REAL *COLUMN(const REAL *panels, size_t rows, size_t column)
{
    return panels + column / PACK * PACK * rows + column % PACK;
}

/* Add sums over the rows to c[i][j]: i is for TALL columns of the left from `first` on, j for `across` vectors of columns
   of the right from `from` on. */
INLINED void TILE(const int across, size_t rows, const REAL *restrict left, size_t first, const REAL *restrict right,
                  size_t from, double *restrict c, size_t stride)
{
    const REAL *a[TALL], *b[VECTORS];
    lanes sums[TALL][VECTORS];
    UNROLLED
    for (int i = 0; i < TALL; i++) {
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
    BY_FOUR
    for (size_t k = 0; k < rows * PACK; k += PACK) {
        lanes factors[VECTORS];
        UNROLLED
        for (int v = 0; v < across; v++)
            factors[v] = LOAD(b[v] + k);
        UNROLLED
        for (int i = 0; i < TALL; i++) {
            lanes one = ALL(a[i][k]);
            UNROLLED
            for (int v = 0; v < across; v++)
                sums[i][v] = FMA(one, factors[v], sums[i][v]);
        }
    }
    UNROLLED
    for (int i = 0; i < TALL; i++) {
        REAL row[WIDE];
        UNROLLED
        for (int v = 0; v < across; v++)
            STORE(row + v * LANES, sums[i][v]);
        UNROLLED
        for (int j = 0; j < across * LANES; j += DOUBLES)
            d_store(c + i * stride + j, d_add(d_load(c + i * stride + j), WIDEN(row + j)));
    }
}

/* The same where entries of the first `high` rows and `wide` columns with low <= j - i <= top alone count. Vectors without
   any are left out where one or two are enough: near the diagonal of 64 columns that saves a tenth of the work. */
static void EDGE(size_t rows, const REAL *left, size_t first, const REAL *right, size_t from, double *c, size_t stride,
                 ptrdiff_t high, ptrdiff_t wide, ptrdiff_t low, ptrdiff_t top)
{
    double held[TALL * WIDE] = {0};
    ptrdiff_t begin = low > 0 ? low / LANES : 0, end = (least_of(wide, high + top) + LANES - 1) / LANES;
    if (end - begin == 1 && (int)LANES >= (int)DOUBLES)
        TILE(1, rows, left, first, right, from + begin * LANES, held + begin * LANES, WIDE);
    else if (end - begin == 2 && (int)LANES >= (int)DOUBLES && VECTORS > 2)
        TILE(2, rows, left, first, right, from + begin * LANES, held + begin * LANES, WIDE);
    else
        TILE(VECTORS, rows, left, first, right, from, held, WIDE);
    for (ptrdiff_t i = 0; i < high; i++)
        for (ptrdiff_t j = i + low > 0 ? i + low : 0; j < least_of(wide, i + top + 1); j++)
            c[i * stride + j] += held[i * WIDE + j];
}

/* Add the products of n packed columns with m others, of up to BLOCK rows, to those entries of c with low <= j - i <= top. */
void PRODUCTS(size_t rows, const REAL *left, size_t n, const REAL *right, size_t m, double *c, size_t stride,
              ptrdiff_t low, ptrdiff_t top)
{
    for (size_t slice = 0; slice < n; slice += SLICE) { /* whose columns stay in the second cache */
        size_t end = n - slice < SLICE ? n : slice + SLICE;
        for (size_t j = 0; j < m; j += WIDE) /* whose columns stay in the first */
            for (size_t i = slice; i < end; i += TALL) {
                ptrdiff_t off = (ptrdiff_t)j - (ptrdiff_t)i, least = off - (TALL - 1), most = off + (WIDE - 1);
                if (most < low || least > top)
                    continue;
                double *at = c + i * stride + j;
                if (n - i >= TALL && m - j >= WIDE && low <= least && most <= top)
                    TILE(VECTORS, rows, left, i, right, j, at, stride);
                else
                    EDGE(rows, left, i, right, j, at, stride, least_of(n - i, TALL), least_of(m - j, WIDE), low - off,
                         top - off);
            }
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
#undef COLUMN
#undef TILE
#undef EDGE
#undef PRODUCTS
