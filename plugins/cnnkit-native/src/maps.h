// What walks over maps and multiplies nothing: element by element, and pools. Maps of any pitch.
#pragma once
#include <algorithm>

#include "forms.h"

namespace cnnkit {
namespace NS {

INLINE float* row(const Map& m, int64_t c, int64_t h) { return m.data + c * m.plane + h * m.pitch; }

// ------------------------------------------------------------------------------ element by element

template <bool BACK, typename F>
INLINE void each_by(const Each& e) {
  const Map& y = e.y;
  for (int64_t c = 0; c < y.C; c++)
    for (int64_t h = 0; h < y.H; h++) {
      const float* a = row(e.a, c, h);
      const float* b = e.b ? row(*e.b, c, h) : nullptr;
      const float* bias = e.bias ? row(*e.bias, c, h) : nullptr;
      const float* at = BACK ? row(*e.at, c, h) : nullptr;
      float* out = row(y, c, h);
      along(y.W, [&](auto width, int64_t i) {
        constexpr int N = decltype(width)::value;
        Vec<N> v = load<N>(a + i);
        if (b) v += load<N>(b + i);
        if (bias) v += load<N>(bias + i);
        if constexpr (BACK) v *= F::template slope<N>(load<N>(at + i), e.share);
        else v = F::template value<N>(v, e.share);
        store(out + i, v);
      });
    }
}

// Maps without gaps are one row: vectors fill up where rows are short.
static Map in_one_row(const Map& m) { return {m.data, 1, 1, m.C * m.H * m.W, 0, 0}; }
static bool has_gaps(const Map* m) {
  return m && (m->pitch != m->W || (m->C > 1 && m->plane != m->H * m->W));
}

static void each(const Each& e) {
  const Map *maps[] = {&e.a, &e.y, e.b, e.bias, e.at};
  bool gaps = false;
  for (const Map* m : maps) gaps |= has_gaps(m);
  Map flat[5];
  for (int i = 0; i < 5 && !gaps; i++)
    if (maps[i]) maps[i] = &(flat[i] = in_one_row(*maps[i]));
  const Each f{e.form, e.share, *maps[0], maps[2], maps[3], maps[4], *maps[1]};
  with_form(Form(e.form % SLOPE), [&](auto form) {
    using F = decltype(form);
    e.form >= SLOPE ? each_by<true, F>(f) : each_by<false, F>(f);
  });
}

// ---------------------------------------------------------------------------- channel by channel

static void scale(const Map& x, const float* by, const Map& y) {
  for (int64_t c = 0; c < y.C; c++) {
    const float share = by[c];
    for (int64_t h = 0; h < y.H; h++) {
      const float* in = row(x, c, h);
      float* out = row(y, c, h);
      along(y.W, [&](auto width, int64_t i) {
        store(out + i, load<decltype(width)::value>(in + i) * share);
      });
    }
  }
}

// The sum of term(width, h, i) over a channel of m, its rows taken as one where it has no gaps.
template <typename Term>
INLINE float channel_sum(bool gaps, const Map& m, Term term) {
  const int64_t H = gaps ? m.H : 1, W = gaps ? m.W : m.H * m.W;
  Vec<VL> acc = Vec<VL>{};
  float rest = 0;
  for (int64_t h = 0; h < H; h++) {
    int64_t i = 0;
    for (; i + VL <= W; i += VL) acc += term(std::integral_constant<int, VL>{}, h, i);
    for (; i < W; i++) rest += term(std::integral_constant<int, 1>{}, h, i)[0];
  }
  return total<VL>(acc) + rest;
}

static void scale_back(const Map& dy, const Map& x, float* sums) {
  const bool gaps = x.pitch != x.W || dy.pitch != dy.W;
  for (int64_t c = 0; c < x.C; c++)
    sums[c] = channel_sum(gaps, x, [&](auto width, int64_t h, int64_t i) {
      constexpr int N = decltype(width)::value;
      return load<N>(row(dy, c, h) + i) * load<N>(row(x, c, h) + i);
    });
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

// One window for all of a channel.
static bool is_global(const Pool& p, const Map& x, const Map& y) {
  return p.kind == MEAN && !p.relu && y.H == 1 && y.W == 1 && p.h == x.H && p.w == x.W;
}

static void global_mean(const Pool& p) {
  const float share = 1.0f / (float)(p.h * p.w);
  for (int64_t c = 0; c < p.y.C; c++)
    *row(p.y, c, 0) = share * channel_sum(p.x.pitch != p.x.W, p.x, [&](auto width, int64_t h, int64_t i) {
      return load<decltype(width)::value>(row(p.x, c, h) + i);
    });
}

static void pool(const Pool& p) {
  if (is_global(p, p.x, p.y)) return global_mean(p);
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
  const float share = 1.0f / (float)(p.h * p.w);
  if (is_global(p, dx, dy)) {
    for (int64_t c = 0; c < dx.C; c++)
      for (int64_t h = 0; h < dx.H; h++) {
        float* const to = row(dx, c, h);
        std::fill(to, to + dx.W, *row(dy, c, 0) * share);
      }
    return;
  }
  clear_from(dx, 0, 0);
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
