/* Included once for each type of numbers that vectors load, TYPE: its LOAD, and the names that stand for the others; where
   magnitudes are compared in other vectors than doubles, MAGNITUDE and RANGE too, and BOUND where those hold bits. What
   is compared need not be right where there is NaN, which the sums show. */
#ifndef RANGE
#define MAGNITUDE(p) d_abs(LOAD(p))
#define RANGE(of) d_##of
#endif
#ifndef LARGEST
#define LARGEST INFINITY
#endif
#ifndef BOUND
#define BOUND(of) (RANGE(number))(to->of)
#endif

/* Fill up columns whose vectors would reach beyond the row, with the row's first number; `width` may be a vector's. */
INLINED rows_t FULL(const rows_t *x, TYPE *held, const size_t width)
{
    for (size_t k = 0; k < x->rows; k++)
        for (size_t i = 0; i < width; i++)
            held[k * STRIP + i] = ((const TYPE *)(x->data + k * x->stride))[i < x->columns ? i : 0];
    return (rows_t){(const char *)held, x->rows, STRIP, STRIP * sizeof(TYPE)};
}

/* `height` is that of a panel; `kept` says whether deviations go into panels, and which. */
INLINED void VARIANT(rows_t x, pass_t *to, size_t height, const int across, const int weighted, const int kept)
{
    doubles S[ACROSS], Q[ACROSS];
    const char *data = x.data, *ahead = to->ahead;
    const double *shift = to->shift;
    const size_t stride = x.stride, step = to->step;
    double *panels = to->panels;
    float *rounded = to->rounded;
    RANGE(lanes) least = RANGE(all)(LARGEST), largest = RANGE(all)(0);
    for (int v = 0; v < across; v++) {
        S[v] = d_load(to->sums + v * DOUBLES);
        Q[v] = d_load(to->squares + v * DOUBLES);
    }
    for (size_t k = 0; k < x.rows; k++) {
        const TYPE *row = (const TYPE *)data;
        for (size_t i = 0; i < 2 * STRIP * sizeof(TYPE); i += LINE) /* where rows are halved, a step is as long */
            __builtin_prefetch(ahead + i);
        data += stride;
        ahead += step;
        IN_MEMORY(shift);
        for (int v = 0; v < across * DOUBLES; v += RANGE(count)) {
            RANGE(lanes) size = MAGNITUDE(row + v);
            least = RANGE(min)(size, least);
            largest = RANGE(max)(size, largest);
        }
        doubles root = d_all(weighted ? to->roots[k] : 1);
        for (int v = 0, i = 0; v < across; v++, i += DOUBLES) { /* one by one: there are registers for no more */
            doubles D = d_less(LOAD(row + i), d_load(shift + i));
            if (weighted)
                D = d_mul(D, root);
            S[v] = d_add(S[v], weighted ? d_mul(D, root) : D);
            Q[v] = d_add(Q[v], d_mul(D, D));
            if (kept == AS_DOUBLES)
                d_store(panels + i / PANEL * PANEL * height + k * PANEL + i % PANEL, D);
            else if (kept == AS_FLOATS)
                d_round(rounded + i / FLOAT_PANEL * FLOAT_PANEL * height + k * FLOAT_PANEL + i % FLOAT_PANEL,
                        d_mul(D, d_load(to->factors + i)));
        }
    }
    to->below |= RANGE(any_above)(RANGE(all)(BOUND(small)), least);
    to->beyond |= RANGE(any_above)(largest, RANGE(all)(BOUND(limit)));
    for (int v = 0; v < across; v++) {
        d_store(to->sums + v * DOUBLES, S[v]);
        d_store(to->squares + v * DOUBLES, Q[v]);
    }
}

static void SUM(const rows_t *strip, pass_t *to, size_t height)
{
    TYPE held[BLOCK * STRIP];
    rows_t x = *strip;
    if (x.columns <= DOUBLES && !to->panels && !to->rounded) { /* one vector */
        x = FULL(strip, held, RANGE(count));
        if (to->roots)
            VARIANT(x, to, 0, 1, 1, NOWHERE);
        else
            VARIANT(x, to, 0, 1, 0, NOWHERE);
        return;
    }
    if (x.columns < STRIP)
        x = FULL(strip, held, STRIP);
    if (to->rounded && to->roots)
        VARIANT(x, to, height, ACROSS, 1, AS_FLOATS);
    else if (to->rounded)
        VARIANT(x, to, height, ACROSS, 0, AS_FLOATS);
    else if (to->panels && to->roots)
        VARIANT(x, to, height, ACROSS, 1, AS_DOUBLES);
    else if (to->panels)
        VARIANT(x, to, height, ACROSS, 0, AS_DOUBLES);
    else if (to->roots)
        VARIANT(x, to, height, ACROSS, 1, NOWHERE);
    else
        VARIANT(x, to, height, ACROSS, 0, NOWHERE);
}
#undef TYPE
#undef LOAD
#undef MAGNITUDE
#undef RANGE
#undef BOUND
#undef LARGEST
#undef FULL
#undef VARIANT
#undef SUM
