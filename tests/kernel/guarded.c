/* Copies, rounds, folds and multiplies seeded rows of random shapes by one instruction set, with every array between two pages that must
   not be touched: at the end of its own pages, at their beginning, and on the heap, where a sanitizer watches both ends.
   What is only read lies in memory that cannot be written. Prints a hash of each case, equal in all three places. */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>
#include "copies.h"
#include "seeded.h"

enum { AT_END, AT_BEGINNING, HEAP, PLACES };
enum { CASES = 400, COPIES = 100, BEGINNING = 300, MOST = 64 }; /* from the latter on, the pilot is made of the rows */

static struct {
    char *from, *data; /* all of the memory, and the array in it */
    size_t bytes;
} held[MOST];
static size_t count;
static int place;

/* Return memory for an array, of no byte more than it has; on pages, only the bytes up to the page's other end are free. */
static void *array(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), inner = (bytes + page - 1) / page * page;
    char *from = 0, *data;
    if (count == MOST)
        abort();
    if (place == HEAP)
        data = malloc(bytes);
    else {
        from = mmap(0, inner + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (from == MAP_FAILED || (inner && mprotect(from + page, inner, PROT_READ | PROT_WRITE)))
            abort();
        data = from + page + (place == AT_END ? inner - bytes : 0);
        bytes = inner + 2 * page;
    }
    held[count].from = from;
    held[count].data = data;
    held[count++].bytes = bytes;
    return data;
}

static void *doubles(size_t numbers, double value)
{
    double *found = array(8 * numbers);
    for (size_t i = 0; i < numbers; i++)
        found[i] = value;
    return found;
}

/* Arrays made so far are not written from now on. */
static void keep(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t i = 0; i < count; i++)
        if (held[i].bytes > 2 * page && held[i].from && mprotect(held[i].from + page, held[i].bytes - 2 * page, PROT_READ))
            abort();
}

static void release(void)
{
    for (; count; count--)
        if (held[count - 1].from)
            munmap(held[count - 1].from, held[count - 1].bytes);
        else
            free(held[count - 1].data);
}

static size_t padded(size_t columns) { return (columns + STRIP - 1) / STRIP * STRIP; }

/* A number of rows or columns: 0, 1, few, or near a multiple of what is taken together. */
static size_t some(const size_t *together, size_t most)
{
    size_t kind = next() % 8;
    if (kind < 2)
        return kind;
    if (kind < 5)
        return 2 + next() % 40;
    size_t near = together[next() % 4] * (1 + next() % 3) + next() % 5;
    return near < 2 + most ? (near < 2 ? 0 : near - 2) : most;
}

static const size_t ROWS[] = {8, 64, 256, 512}, COLUMNS[] = {8, 16, 66, 96};

/* What is read of a side: its rows, at any distance of whole numbers, its pilot, and factors where floats are multiplied. */
static side_t inputs(size_t type, size_t rows, size_t columns, int floats, int special)
{
    size_t size = SIZES[type], stride = (columns + (next() % 2 ? next() % 9 : 0)) * size;
    size_t bytes = rows ? (rows - 1) * stride + columns * size : 0;
    char *data = array(bytes);
    memset(data, 0x55, bytes); /* between the rows */
    for (size_t k = 0; k < rows; k++)
        for (size_t j = 0; j < columns; j++) {
            put(data + k * stride + j * size, type, uniform() < 0.1 ? 0 : 20 + 60 * uniform());
            if (special && next() % 4096 == 0)
                memset(data + k * stride + j * size, special == 1 ? 0xff : 1, size); /* NaN, or a small number */
        }
    side_t side = {.rows = {data, rows, columns, stride}, .type = type, .shift = doubles(padded(columns) + STRIP, 50),
                   .factors = floats ? doubles(padded(columns) + STRIP, 0x1p-4) : 0, .small = type < 4 ? 0x1p-14 : 1, .largest = INFINITY,
                   .subnormal = 1};
    return side;
}

/* What a side's rows are added to, and its memory. */
static void outputs(side_t *side, size_t height, size_t products)
{
    size_t columns = side->rows.columns, room = height * (padded(columns) + 2 * STRIP);
    side->sums = doubles(columns, 0);
    side->squares = doubles(columns, 0);
    side->zeros = doubles(columns, 0);
    side->subnormals = doubles(columns, 0);
    side->work = doubles(6 * padded(columns), NAN);
    size_t bytes = products ? room * (side->factors ? sizeof(float) : sizeof(double)) : 0;
    side->panels = bytes ? memset(array(bytes), 0xff, bytes) : 0;
}

static uint64_t of_case(uint64_t number, size_t *rows, size_t *n, size_t *m)
{
    state = number;
    size_t type = number % 12, products = next() % 4, two = products == RECTANGLE, height = 256 * (1 + next() % 3);
    int weighted = next() % 2, floats = products && next() % 3 == 0, given = products && type == 0 && next() % 2;
    int special = given || next() % 4 ? 0 : 1 + (int)(next() % 2);
    *rows = some(ROWS, 1100);
    *n = some(COLUMNS, 200);
    *m = two ? some(COLUMNS, 200) : *n;
    side_t sides[2] = {inputs(type, *rows, *n, floats, special)};
    if (two)
        sides[1] = inputs(given ? 0 : next() % 12, *rows, *m, floats, special);
    double *weights = weighted ? doubles(*rows, 0.25) : 0, *roots = weighted ? doubles(*rows, 0.5) : 0;
    keep();
    height = height < *rows ? height : *rows;
    for (size_t i = 0; i <= two; i++) {
        outputs(sides + i, height, products);
        if ((sides[i].begins = number >= BEGINNING))
            sides[i].shift = doubles(padded(sides[i].rows.columns) + STRIP, 0);
    }
    size_t entries[] = {0, *n * *n, *n * (*n + 1) / 2, *n * *m};
    double *matrix = products ? doubles(entries[products], 1) : 0;
    segment_t s = {sides, weights, roots, matrix, 1 + two, products, height ? height : 256};
    uint64_t folded = *rows, hash = NO_HASH;
    if (given)
        NAME(multiply)(&s);
    else
        folded = NAME(fold)(&s);
    hash = hashed(hash, &folded, 8);
    for (size_t i = 0; i <= two; i++) {
        size_t bytes = 8 * sides[i].rows.columns;
        hash = hashed(hash, sides[i].sums, bytes);
        hash = hashed(hash, sides[i].squares, bytes);
        hash = hashed(hash, sides[i].zeros, bytes);
        hash = hashed(hash, sides[i].subnormals, bytes);
        hash = hashed(hash, &sides[i].weight, 8);
    }
    hash = hashed(hash, matrix, 8 * entries[products]);
    release();
    return hash;
}

/* Rows whose columns lie side by side or apart, and what follows them, copied to where nothing may be written beyond. */
static uint64_t of_copy(uint64_t number, size_t *outer, size_t *rows, size_t *columns)
{
    state = number + CASES;
    size_t item = (size_t)1 << number % 4, apart = next() % 2, gap = next() % 3;
    *outer = 1 + next() % 3, *rows = 1 + some(COLUMNS, 200) % 100, *columns = 1 + some(COLUMNS, 200);
    size_t lines = apart ? *columns : *rows, line = ((apart ? *rows : *columns) + gap) * item;
    size_t given = (*outer * lines - 1) * line + line - gap * item, taken = *outer * *rows * *columns * item;
    char *from = array(given);
    for (size_t i = 0; i < given; i++)
        from[i] = (char)next();
    keep();
    copy_t copy = {array(taken), from, item, *outer, *rows, *columns, (int64_t)(lines * line),
                   (int64_t)(apart ? item : line), (int64_t)(apart ? line : item), NULL};
    NAME(copy)(&copy, 1);
    uint64_t hash = hashed(NO_HASH, copy.to, taken);
    size_t row = *outer * *columns * item, from_row_to_row = row + number % 3 * 8;
    copy_t turned = copy;
    turned.to = array((*rows - 1) * from_row_to_row + row);
    memset(turned.to, 0, (*rows - 1) * from_row_to_row + row);
    NAME(turn)(&turned, from_row_to_row);
    for (size_t i = 0; i < *outer; i++)
        for (size_t k = 0; k < *rows; k++)
            if (memcmp(turned.to + k * from_row_to_row + i * *columns * item,
                       copy.to + (i * *rows + k) * *columns * item, *columns * item))
                abort();
    size_t chunk = taken + next() % 3 * (next() % 70000), blocks = chunk / (128 << 10) + 2, most = chunk + 3 * blocks + 17;
    frame_t frame = {array(most), chunk, 0, 0};
    copy_t framed = copy;
    framed.to = 0, framed.frame = &frame;
    NAME(copy)(&framed, 1);
    size_t used = NAME(frame)(&frame, taken);
    if (used > most)
        abort();
    hash = hashed(hash, frame.memory, used);
    size_t read = number % 3, kind = (read + 1 + next() % 2) % 3, numbers = taken / (read == FLOAT32 ? 4 : 2);
    size_t bytes = numbers * (kind == FLOAT32 ? 4 : 2);
    char *rounded = array(bytes);
    lost_t lost = {0, 0, 0};
    NAME(rounded)(rounded, kind, copy.to, read, numbers, &lost);
    hash = hashed(hashed(hash, rounded, bytes), &lost, sizeof lost);
    release();
    return hash;
}

static int same(uint64_t of(uint64_t, size_t *, size_t *, size_t *), uint64_t number)
{
    uint64_t hashes[PLACES];
    size_t rows, n, m;
    for (place = 0; place < PLACES; place++)
        hashes[place] = of(number, &rows, &n, &m);
    printf("%llu %zu x %zu, %zu: %016llx\n", (unsigned long long)number, rows, n, m, (unsigned long long)hashes[0]);
    fflush(stdout); /* the case after the last one is the one that fails */
    return hashes[0] == hashes[AT_BEGINNING] && hashes[0] == hashes[HEAP];
}

int main(void)
{
    for (uint64_t number = 0; number < COPIES; number++)
        if (!same(of_copy, number))
            return 1;
    for (uint64_t number = 0; number < CASES; number++)
        if (!same(of_case, number))
            return 1;
    return 0;
}
