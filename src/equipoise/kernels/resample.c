/* Resampling of images along affine maps and displacements in one pass; it gives the same bits as resample.py.
 *
 * Compile with -ffp-contract=off: every operation rounds once, in the order in which the reference does them.
 * An image is (channels, depth, height, width) float32 without gaps; one in two dimensions has depth 1. Work goes line
 * by line, in blocks that stay in the first-level cache and short loops that compilers turn into vectors.
 */
#include <stdint.h>
#include <stddef.h>

#define BLOCK 64
#define INLINE static inline __attribute__((always_inline))

typedef struct {
    int64_t channels, depth, height, width;
} Shape;

typedef struct { /* where the voxels of a block lie in the input: lower corner, and share of the upper one per axis */
    int32_t at[BLOCK];
    float wz[BLOCK], wy[BLOCK], wx[BLOCK];
} Block;

/* Clamp a coordinate to the image, so that positions beyond the border read the edge; NaN becomes 0. */
INLINE float inside(float c, float last) { return c > 0 ? (c < last ? c : last) : 0; }

INLINE int32_t at_most(int32_t i, int32_t limit) { return i < limit ? i : limit; }

/* Coordinates of n voxels from x0 of line (z, y): `map` has rows z, y, x of (z, y, x, 1). */
INLINE void locate(float *cz, float *cy, float *cx, int n, const float *map, const float *shift, int64_t volume,
                   int32_t z, int32_t y, int32_t x0)
{
    const float *mz = map, *my = map + 4, *mx = map + 8;
    const float rz = (mz[0] * (float)z + mz[1] * (float)y) + mz[3];
    const float ry = (my[0] * (float)z + my[1] * (float)y) + my[3];
    const float rx = (mx[0] * (float)z + mx[1] * (float)y) + mx[3];
    for (int j = 0; j < n; j++) {
        const float x = (float)(x0 + j);
        cz[j] = rz + mz[2] * x;
        cy[j] = ry + my[2] * x;
        cx[j] = rx + mx[2] * x;
    }
    if (shift)
        for (int j = 0; j < n; j++) {
            cz[j] += shift[j];
            cy[j] += shift[j + volume];
            cx[j] += shift[j + 2 * volume];
        }
}

INLINE void find_nearest(Block *b, const float *cz, const float *cy, const float *cx, int n, const Shape *s)
{
    const float lz = (float)(s->depth - 1), ly = (float)(s->height - 1), lx = (float)(s->width - 1);
    const int32_t height = (int32_t)s->height, width = (int32_t)s->width;
    for (int j = 0; j < n; j++) {
        const int32_t iz = (int32_t)(inside(cz[j], lz) + .5f), iy = (int32_t)(inside(cy[j], ly) + .5f);
        b->at[j] = (iz * height + iy) * width + (int32_t)(inside(cx[j], lx) + .5f);
    }
}

INLINE void find_corners(Block *b, const float *cz, const float *cy, const float *cx, int n, const Shape *s)
{
    const float lz = (float)(s->depth - 1), ly = (float)(s->height - 1), lx = (float)(s->width - 1);
    const int32_t height = (int32_t)s->height, width = (int32_t)s->width;
    const int32_t tz = s->depth > 1 ? (int32_t)s->depth - 2 : 0;
    const int32_t ty = height > 1 ? height - 2 : 0, tx = width > 1 ? width - 2 : 0;
    for (int j = 0; j < n; j++) {
        const float z = inside(cz[j], lz), y = inside(cy[j], ly), x = inside(cx[j], lx);
        const int32_t iz = at_most((int32_t)z, tz), iy = at_most((int32_t)y, ty), ix = at_most((int32_t)x, tx);
        b->wz[j] = z - (float)iz;
        b->wy[j] = y - (float)iy;
        b->wx[j] = x - (float)ix;
        b->at[j] = (iz * height + iy) * width + ix;
    }
}

INLINE float plane(const float *p, int64_t ny, int64_t nx, float wy, float wx)
{
    const float near = p[0] * (1 - wx) + p[nx] * wx, far = p[ny] * (1 - wx) + p[ny + nx] * wx;
    return near * (1 - wy) + far * wy;
}

INLINE void blend(float *out, const float *in, const Block *b, int n, const Shape *s, int solid)
{
    const int64_t nz = s->height * s->width, ny = s->height > 1 ? s->width : 0, nx = s->width > 1;
    for (int j = 0; j < n; j++) {
        const float *p = in + b->at[j];
        float value = plane(p, ny, nx, b->wy[j], b->wx[j]);
        if (solid)
            value = value * (1 - b->wz[j]) + plane(p + nz, ny, nx, b->wy[j], b->wx[j]) * b->wz[j];
        out[j] = value;
    }
}

/* One line of one image, all channels; `solid` and `nearest` are constants where this is inlined. */
INLINE void line(const float *in, float *out, const Shape *s, const float *map, const float *shift, int64_t z,
                 int64_t y, int solid, int nearest)
{
    const int64_t volume = s->depth * s->height * s->width, start = (z * s->height + y) * s->width;
    float cz[BLOCK], cy[BLOCK], cx[BLOCK];
    Block b;
    for (int64_t x = 0; x < s->width; x += BLOCK) {
        const int n = (int)(s->width - x < BLOCK ? s->width - x : BLOCK);
        const float *moved = shift ? shift + start + x : NULL;
        locate(cz, cy, cx, n, map, moved, volume, (int32_t)z, (int32_t)y, (int32_t)x);
        if (nearest)
            find_nearest(&b, cz, cy, cx, n, s);
        else
            find_corners(&b, cz, cy, cx, n, s);
        for (int64_t c = 0; c < s->channels; c++) {
            const float *from = in + c * volume;
            float *to = out + c * volume + start + x;
            if (nearest)
                for (int j = 0; j < n; j++)
                    to[j] = from[b.at[j]];
            else
                blend(to, from, &b, n, s, solid);
        }
    }
}

/* Lines first .. last - 1 of all images of a batch, counted through (image, z, y).
 *
 * maps: 3 rows of 4 per image; shifts: NULL, or 3 displacements in voxels for every voxel of every image.
 */
void resample(const float *in, float *out, const Shape *s, const float *maps, const float *shifts, int nearest,
              int64_t first, int64_t last)
{
    const int64_t lines = s->depth * s->height, volume = lines * s->width;
    for (int64_t i = first; i < last; i++) {
        const int64_t n = i / lines, z = i % lines / s->height, y = i % s->height, image = n * s->channels * volume;
        const float *map = maps + 12 * n, *shift = shifts ? shifts + 3 * n * volume : NULL;
        if (nearest)
            line(in + image, out + image, s, map, shift, z, y, 1, 1);
        else if (s->depth > 1)
            line(in + image, out + image, s, map, shift, z, y, 1, 0);
        else
            line(in + image, out + image, s, map, shift, z, y, 0, 0);
    }
}
