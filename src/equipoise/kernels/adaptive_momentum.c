/* The adaptive-momentum family's step in one pass over memory; equations are numbered as in AdaptiveMomentum.
 *
 * It gives the same bits as reference_step.py: compile with -ffp-contract=off (every operation rounds once)
 * and without -ffast-math (NaN keeps its meaning: a NaN gradient has sign 0). COUNT, the integer type of the
 * counts, is named on the command line.
 *
 * Tensors are described in columns of k entries each: addresses of theta, grad, count, exp_avg and
 * exp_avg_sq, then the numbers of elements. Columns that a rule does not use are not read.
 * Work goes in blocks that stay in the first-level cache, in short loops that compilers turn into vectors.
 */
#include <math.h>
#include <stdint.h>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

typedef struct {
    const float *table; /* rates of the counts -limit .. limit */
    int64_t limit;
    float decay, beta1, rest1, beta2, rest2, correction1, correction2, eps;
} Settings;

enum { THETA, GRAD, COUNTS, EXP_AVG, EXP_AVG_SQ, SIZE };
#define COLUMN(type, name) ((type *)columns[(name) * k + entry])
#define INLINE static inline __attribute__((always_inline))
#define BLOCK 256 /* measured best of 128 .. 2048 */
#define NEAR 128 /* counts -NEAR .. NEAR - 1 have their rates in registers */
#define LANES 16

typedef struct {
    int32_t limit;
    const float *rates; /* rates[n] for n = -limit .. limit */
    float near[2 * NEAR];
} Rates;

INLINE int32_t clamp(int32_t n, int32_t limit)
{
    n = n > limit ? limit : n;
    return n < -limit ? -limit : n;
}

INLINE int32_t sign(float x) { return (x > 0) - (x < 0); }

static Rates prepare(const Settings *s)
{
    Rates r = {.limit = (int32_t)s->limit, .rates = s->table + s->limit};
    for (int32_t n = -NEAR; n < NEAR; n++)
        r.near[n + NEAR] = r.rates[clamp(n, r.limit)];
    return r;
}

#ifdef __AVX512F__
/* Sixteen near rates at once: a tree of register permutations, about four times as fast as a gather. */
INLINE __m512 near_rates(const Rates *r, __m512i n)
{
    const __m512i index = _mm512_add_epi32(n, _mm512_set1_epi32(NEAR));
    __m512 rate[8];
    for (int j = 0; j < 8; j++)
        rate[j] = _mm512_permutex2var_ps(
            _mm512_loadu_ps(r->near + 32 * j), index, _mm512_loadu_ps(r->near + 32 * j + 16));
    for (int bit = 32, left = 4; left; bit *= 2, left /= 2)
        for (int j = 0; j < left; j++)
            rate[j] = _mm512_mask_blend_ps(
                _mm512_test_epi32_mask(index, _mm512_set1_epi32(bit)), rate[2 * j], rate[2 * j + 1]);
    return rate[0];
}
#endif

/* (2): the rates of the counts n, which lie within the limit */
INLINE void look_up(const Rates *r, const int32_t *n, float *rate, int64_t size)
{
    int64_t i = 0;
#ifdef __AVX512F__
    for (; i + 16 <= size; i += 16) {
        const __m512i counts = _mm512_loadu_si512(n + i);
        const __m512i shifted = _mm512_add_epi32(counts, _mm512_set1_epi32(NEAR));
        const int near = _mm512_cmplt_epu32_mask(shifted, _mm512_set1_epi32(2 * NEAR)) == 0xFFFF;
        _mm512_storeu_ps(rate + i, near ? near_rates(r, counts) : _mm512_i32gather_ps(counts, r->rates, 4));
    }
#endif
    for (; i < size; i++)
        rate[i] = r->rates[n[i]];
}

/* Rules "paper" and "bounded". */
void follow_sign(Settings s, const int64_t *columns, int64_t k)
{
    const Rates r = prepare(&s);
    int32_t n[BLOCK];
    float rate[BLOCK];
    for (int64_t entry = 0; entry < k; entry++) {
        const int64_t end = columns[SIZE * k + entry];
        for (int64_t start = 0; start < end; start += BLOCK) {
            const int64_t size = end - start < BLOCK ? end - start : BLOCK;
            float *restrict theta = COLUMN(float, THETA) + start;
            const float *restrict grad = COLUMN(const float, GRAD) + start;
            COUNT *restrict count = COLUMN(COUNT, COUNTS) + start;
            for (int64_t i = 0; i < size; i++)
                n[i] = clamp(count[i], r.limit);
            look_up(&r, n, rate, size);
            for (int64_t i = 0; i < size; i++) {
                theta[i] = theta[i] * s.decay - rate[i] * grad[i]; /* (3) */
                n[i] = clamp(n[i] + sign(grad[i]), r.limit);       /* (1) for the next step */
            }
            for (int64_t i = 0; i < size; i++)
                count[i] = (COUNT)n[i];
        }
    }
}

/* Sum of g * m in float64, in a fixed order that still vectorises. */
static double agreement(const float *grad, const float *m, int64_t size)
{
    double lanes[LANES] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + LANES <= size; i += LANES)
        for (int lane = 0; lane < LANES; lane++)
            lanes[lane] += (double)(grad[i + lane] * m[i + lane]);
    for (; i < size; i++)
        sum += (double)(grad[i] * m[i]);
    for (int lane = 0; lane < LANES; lane++)
        sum += lanes[lane];
    return sum;
}

/* Rules "agreement" and, with `normalised`, "adam"; with one rate per tensor or per element. */
INLINE void follow_agreement(
    Settings s, const int64_t *columns, int64_t k, const int normalised, const int per_tensor)
{
    const Rates r = prepare(&s);
    int32_t n[BLOCK];
    float rate[BLOCK];
    for (int64_t entry = 0; entry < k; entry++) {
        const int64_t end = columns[SIZE * k + entry];
        if (per_tensor) {
            COUNT *count = COLUMN(COUNT, COUNTS);
            const double agree = agreement(COLUMN(const float, GRAD), COLUMN(const float, EXP_AVG), end);
            *count = (COUNT)clamp(*count - ((agree > 0) - (agree < 0)), r.limit); /* (1) */
            for (int64_t i = 0; i < BLOCK; i++)
                rate[i] = r.rates[*count]; /* (2) */
        }
        for (int64_t start = 0; start < end; start += BLOCK) {
            const int64_t size = end - start < BLOCK ? end - start : BLOCK;
            float *restrict theta = COLUMN(float, THETA) + start;
            const float *restrict grad = COLUMN(const float, GRAD) + start;
            float *restrict m = COLUMN(float, EXP_AVG) + start;
            float *restrict v = COLUMN(float, EXP_AVG_SQ) + start;
            if (!per_tensor) {
                COUNT *restrict count = COLUMN(COUNT, COUNTS) + start;
                for (int64_t i = 0; i < size; i++)
                    n[i] = count[i];
                for (int64_t i = 0; i < size; i++)
                    n[i] = clamp(n[i] - sign(grad[i]) * sign(m[i]), r.limit); /* (1) */
                for (int64_t i = 0; i < size; i++)
                    count[i] = (COUNT)n[i];
                look_up(&r, n, rate, size); /* (2) */
            }
            for (int64_t i = 0; i < size; i++) {
                m[i] = m[i] * s.beta1 + grad[i] * s.rest1; /* (4) */
                float direction = m[i] * s.correction1;
                if (normalised) {
                    v[i] = v[i] * s.beta2 + grad[i] * grad[i] * s.rest2; /* (4) */
                    direction /= sqrtf(v[i]) * s.correction2 + s.eps;
                }
                theta[i] = theta[i] * s.decay - direction * rate[i]; /* (5) */
            }
        }
    }
}

void agreement_element(Settings s, const int64_t *columns, int64_t k)
{
    follow_agreement(s, columns, k, 0, 0);
}

void agreement_tensor(Settings s, const int64_t *columns, int64_t k)
{
    follow_agreement(s, columns, k, 0, 1);
}

void adam_element(Settings s, const int64_t *columns, int64_t k)
{
    follow_agreement(s, columns, k, 1, 0);
}

void adam_tensor(Settings s, const int64_t *columns, int64_t k)
{
    follow_agreement(s, columns, k, 1, 1);
}
