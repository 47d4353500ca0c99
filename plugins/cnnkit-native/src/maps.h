// What walks over maps and multiplies nothing: element by element, and pools. Maps of any pitch.
#pragma once
#include "simd.h"

namespace cnnkit {
namespace NS {

INLINE float* row(const Map& m, int64_t c, int64_t h) { return m.data + c * m.plane + h * m.pitch; }

template <int N>
INLINE Vec<N> sigmoid_of(Vec<N> x) {
  // exp(-|x|) cannot overflow; a NaN is neither above nor below zero
  const Vec<N> small = exponential<N>(x > Vec<N>{} ? -x : x);
  const Vec<N> one = splat<N>(1.0f);
  return (x > Vec<N>{} ? one : small) / (one + small);
}

// ------------------------------------------------------------------------------ element by element

static void each(const Each& e) {
  const Map& y = e.y;
  for (int64_t c = 0; c < y.C; c++)
    for (int64_t h = 0; h < y.H; h++) {
      const float* a = row(e.a, c, h);
      const float* b = e.b ? row(*e.b, c, h) : nullptr;
      const float* bias = e.bias ? row(*e.bias, c, h) : nullptr;
      const float* mask = e.mask ? row(*e.mask, c, h) : nullptr;
      float* out = row(y, c, h);
      along(y.W, [&](auto width, int64_t i) {
        constexpr int N = decltype(width)::value;
        Vec<N> v = load<N>(a + i);
        if (e.form == SIGMOID_SLOPE) {
          const Vec<N> m = load<N>(mask + i);
          store(out + i, v * m * (1.0f - m));
          return;
        }
        if (b) v += load<N>(b + i);
        if (bias) v += load<N>(bias + i);
        if (e.form == RELU) v = cut(v);
        if (e.form == SIGMOID) v = sigmoid_of<N>(v);
        if (mask) v = through(v, load<N>(mask + i));
        store(out + i, v);
      });
    }
}

// ------------------------------------------------------------------------------------------ pools

// N numbers from every S-th place.
template <int N, int S>
INLINE Vec<N> strided(const float* p) {
  if constexpr (S == 1) {
    return load<N>(p);
  } else {
    Vec<N> even, odd;
    split<N>(load<N>(p), load<N>(p + N), even, odd);
    return even;
  }
}

// Two by two side by side, the pool of almost every network.
template <bool LARGEST>
static void pool_pairs(const Pool& p) {
  for (int64_t c = 0; c < p.y.C; c++)
    for (int64_t h = 0; h < p.y.H; h++) {
      const float *top = row(p.x, c, 2 * h), *low = top + p.x.pitch;
      float* y = row(p.y, c, h);
      uint8_t* where = p.where ? p.where + (c * p.y.H + h) * p.y.W : nullptr;
      along(p.y.W, [&](auto width, int64_t i) {
        constexpr int N = decltype(width)::value;
        auto best = [](Vec<N> a, Vec<N> b) { return LARGEST ? larger(a, b) : smaller(a, b); };
        Vec<N> tl, tr, bl, br;
        split<N>(load<N>(top + 2 * i), load<N>(top + 2 * i + N), tl, tr);
        split<N>(load<N>(low + 2 * i), load<N>(low + 2 * i + N), bl, br);
        const Vec<N> t = best(tl, tr), b = best(bl, br), m = best(t, b);
        store(y + i, p.relu ? cut(m) : m);
        if (where) {
          const Ints<N> right_t = (LARGEST ? tl < tr : tl > tr) & 1;
          const Ints<N> right_b = (LARGEST ? bl < br : bl > br) & 1;
          Ints<N> cell = (LARGEST ? t < b : t > b) ? right_b + 2 : right_t;
          if (p.relu) cell = m > Vec<N>{} ? cell : Ints<N>{} + NOBODY;
          const auto bytes = __builtin_convertvector(cell, typename Lanes<N>::B);
          std::memcpy(where + i, &bytes, N);
        }
      });
    }
}

// The last pair of loads of a row reads one number past its window where the stride is 2, so the
// last vector of each row goes number by number there: see `pool`.
template <int S, int MOST>
static void pool_windows(const Pool& p) {
  const float share = 1.0f / (float)(p.h * p.w);
  const bool more = p.kind == MAX;
  for (int64_t c = 0; c < p.y.C; c++)
    for (int64_t h = 0; h < p.y.H; h++) {
      float* y = row(p.y, c, h);
      uint8_t* where = p.where ? p.where + (c * p.y.H + h) * p.y.W : nullptr;
      auto window = [&](auto width, int64_t i) {
        constexpr int N = decltype(width)::value;
        Vec<N> m = Vec<N>{};
        Ints<N> cell = Ints<N>{};
        for (int64_t k = 0; k < p.h * p.w; k++) {
          const float* at = row(p.x, c, h * p.down + k / p.w) + i * p.across + k % p.w;
          const Vec<N> v = N == 1 ? splat<N>(*at) : strided<N, S>(at);
          if (k == 0) {
            m = v;
          } else if (p.kind == MEAN) {
            m += v;
          } else {
            const Ints<N> wins = more ? ~((m >= v) | (m != m)) : ~((m <= v) | (m != m));
            m = wins ? v : m;
            cell = wins ? Ints<N>{} + (int32_t)k : cell;
          }
        }
        if (p.kind == MEAN) m *= share;
        if (p.relu) cell = m > Vec<N>{} ? cell : Ints<N>{} + NOBODY;
        store(y + i, p.relu ? cut(m) : m);
        if (where) {
          const auto bytes = __builtin_convertvector(cell, typename Lanes<N>::B);
          std::memcpy(where + i, &bytes, N);
        }
      };
      const int64_t vectors = S == 1 ? p.y.W : p.y.W - 1;
      if (MOST > 1) along<MOST>(vectors, window);
      for (int64_t i = MOST > 1 ? vectors : 0; i < p.y.W; i++)
        window(std::integral_constant<int, 1>{}, i);
    }
}

static void pool(const Pool& p) {
  const bool pairs = p.h == 2 && p.w == 2 && p.down == 2 && p.across == 2;
  if (pairs && p.kind != MEAN) return p.kind == MAX ? pool_pairs<true>(p) : pool_pairs<false>(p);
  if (p.across == 1) return pool_windows<1, VL>(p);
  if (p.across == 2) return pool_windows<2, VL>(p);
  pool_windows<1, 1>(p);
}

// dx of non-overlapping pairs: every place is written once.
static void pairs_back(const Pool& p, const Map& dy, Map dx) {
  const float quarter = 0.25f;
  for (int64_t c = 0; c < dy.C; c++)
    for (int64_t h = 0; h < dy.H; h++) {
      const float* s = row(dy, c, h);
      const uint8_t* where = p.kind == MEAN ? nullptr : p.where + (c * dy.H + h) * dy.W;
      float *top = row(dx, c, 2 * h), *low = top + dx.pitch;
      along(dy.W, [&](auto width, int64_t i) {
        constexpr int N = decltype(width)::value;
        const Vec<N> g = load<N>(s + i), zero = g * 0.0f;  // of NaN, NaN
        Vec<N> at[4];
        if (where) {
          typename Lanes<N>::B bytes;
          std::memcpy(&bytes, where + i, N);
          const Ints<N> cell = __builtin_convertvector(bytes, Ints<N>);
          UNROLL for (int k = 0; k < 4; k++) at[k] = cell == k ? g : zero;
        } else {
          UNROLL for (int k = 0; k < 4; k++) at[k] = g * quarter;
        }
        Vec<N> a, b;
        weave<N>(at[0], at[1], a, b);
        store(top + 2 * i, a);
        store(top + 2 * i + N, b);
        weave<N>(at[2], at[3], a, b);
        store(low + 2 * i, a);
        store(low + 2 * i + N, b);
      });
    }
}

static void clear_from(const Map& m, int64_t h, int64_t w) {  // what lies right of w and below h
  for (int64_t c = 0; c < m.C; c++)
    for (int64_t i = 0; i < m.H; i++) {
      const int64_t from = i < h ? w : 0;
      if (from < m.W) clear(row(m, c, i) + from, m.W - from);
    }
}

static void pool_back(const Pool& p, const Map& dy, Map dx) {
  if (p.h == 2 && p.w == 2 && p.down == 2 && p.across == 2) {
    clear_from(dx, 2 * dy.H, 2 * dy.W);
    return pairs_back(p, dy, dx);
  }
  clear_from(dx, 0, 0);
  const float share = 1.0f / (float)(p.h * p.w);
  for (int64_t c = 0; c < dy.C; c++)
    for (int64_t h = 0; h < dy.H; h++)
      for (int64_t w = 0; w < dy.W; w++) {
        const float g = row(dy, c, h)[w];
        float* corner = row(dx, c, h * p.down) + w * p.across;
        if (p.kind == MEAN) {
          for (int64_t k = 0; k < p.h * p.w; k++) corner[k / p.w * dx.pitch + k % p.w] += g * share;
        } else {
          const uint8_t k = p.where[(c * dy.H + h) * dy.W + w];
          if (k == NOBODY) corner[0] += g * 0.0f;
          else corner[k / p.w * dx.pitch + k % p.w] += g;
        }
      }
}

}  // namespace NS
}  // namespace cnnkit
