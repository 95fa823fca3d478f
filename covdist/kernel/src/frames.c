/* Chunks that are made where they are written from: rows come into the blocks of a frame, and are summed on the way. */
#include "frames.h"
#include "stream.h"

/* CRC-32C, of Castagnoli's polynomial, bits reflected. */
#if defined(__SSE4_2__)
enum { SUMMED_ON_THE_WAY = 1 };
static uint32_t extended(uint32_t crc, const char *data, size_t bytes)
{
    uint64_t wide = crc;
    for (; bytes >= 8; bytes -= 8, data += 8) {
        uint64_t word;
        memcpy(&word, data, 8);
        wide = _mm_crc32_u64(wide, word);
    }
    crc = (uint32_t)wide;
    for (; bytes; bytes--, data++)
        crc = _mm_crc32_u8(crc, (uint8_t)*data);
    return crc;
}
#else
enum { SUMMED_ON_THE_WAY = 0 }; /* of a few rows the table would take longer */
static uint32_t extended(uint32_t crc, const char *data, size_t bytes)
{
    uint32_t of[256];
    for (uint32_t i = 0; i < 256; i++) {
        of[i] = i;
        for (int bit = 0; bit < 8; bit++)
            of[i] = of[i] >> 1 ^ (of[i] & 1 ? 0x82f63b78 : 0);
    }
    for (; bytes; bytes--, data++)
        crc = crc >> 8 ^ of[(crc ^ (uint8_t)*data) & 0xff];
    return crc;
}
#endif

/* Bytes of a block, of what comes before it and before the first, and two kinds of it (RFC 8878, 3.1.1.2). */
enum { MOST = 128 << 10, HEAD = 3, BEGIN = 13, RAW = 0, REPEAT = 1 };
enum { AT_ONCE = 8 << 10 }; /* bytes that are read from the first cache when they are copied after being summed */

static char *put_number(char *to, uint64_t number, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        *to++ = (char)(number >> 8 * i);
    return to;
}

/* Write what comes before a block, and return where the block begins. */
static char *begun(char *to, size_t chunk, size_t at, size_t size, size_t kind)
{
    if (at == 0) {
        memcpy(to, "\x28\xb5\x2f\xfd\xe0", 5); /* one segment, whose length follows; no checksum, no dictionary */
        to = put_number(to + 5, chunk, 8);
    }
    return put_number(to, size << 3 | kind << 1 | (at + size == chunk), HEAD);
}

/* Go on with the check of all bytes that come in their order. */
static void sum(frame_t *f, const char *data, size_t bytes)
{
    if (f->summed % MOST == 0) {
        char head[BEGIN + HEAD];
        size_t left = f->chunk - f->summed;
        const char *end = begun(head, f->chunk, f->summed, left < MOST ? left : MOST, RAW);
        f->crc = extended(f->summed ? (uint32_t)f->crc : ~0u, head, (size_t)(end - head));
    }
    f->crc = extended((uint32_t)f->crc, data, bytes);
    f->summed += bytes;
}

/* Copy bytes of rows to their place, with `at` bytes of rows before them. */
void NAME(into_frame)(frame_t *f, size_t at, const char *data, size_t bytes)
{
    for (size_t n; bytes; bytes -= n, at += n, data += n) {
        n = bytes < AT_ONCE ? bytes : AT_ONCE;
        n = n < MOST - at % MOST ? n : MOST - at % MOST;
        if (SUMMED_ON_THE_WAY && at == f->summed)
            sum(f, data, n);
        stream(f->memory + BEGIN + at + HEAD * (at / MOST + 1), data, n);
    }
}

/* Complete the frame of a chunk of whose rows the first bytes are there, and the others are 0, with its checksum; return how
   many bytes these take. */
EXPORTED size_t NAME(frame)(const frame_t *f, size_t bytes)
{
    char *to = f->memory;
    int known = f->summed == f->chunk && bytes == f->chunk;
    uint32_t crc = known ? (uint32_t)f->crc : ~0u;
    for (size_t at = 0, size; at < f->chunk; at += size) {
        size_t kind = at < bytes ? RAW : REPEAT, end = kind == RAW ? bytes : f->chunk;
        size = end - at < MOST ? end - at : MOST;
        char *begin = to;
        to = begun(to, f->chunk, at, size, kind);
        to = kind == RAW ? to + size : put_number(to, 0, 1);
        if (!known)
            crc = extended(crc, begin, (size_t)(to - begin));
    }
    to = put_number(to, ~crc, 4);
    return (size_t)(to - f->memory);
}
