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

// Rows or columns of a window that lie on the map: `from` to `to` of its `size`, that begins at
// `start`.
struct Part {
  int64_t from, to;
  Part(int64_t start, int64_t size, int64_t length)
      : from(std::max<int64_t>(0, -start)), to(std::min(size, length - start)) {}
  int64_t count() const { return to - from; }
};

// N windows side by side, of which these rows and columns lie on the map x: the first begins at
// `start`, which may be before it.
template <int N, int S, Kind KIND>
INLINE void pool_window(const Pool& p, const float* x, int64_t start, Part rows, Part columns,
                        float* y, uint8_t* where) {
  auto at = [&](int64_t i, int64_t j) {
    const float* from = x + (start + i * p.x.pitch + j);
    return N == 1 ? splat<N>(*from) : strided<N, S>(from);
  };
  Vec<N> m = at(rows.from, columns.from);
  Ints<N> cell = Ints<N>{} + (int32_t)(rows.from * p.w + columns.from);
  for (int64_t i = rows.from; i < rows.to; i++)
    for (int64_t j = columns.from + (i == rows.from); j < columns.to; j++) {
      const Vec<N> v = at(i, j);
      if constexpr (KIND == MEAN) {
        m += v;
      } else {
        const Ints<N> wins = KIND == MAX ? ~((m >= v) | (m != m)) : ~((m <= v) | (m != m));
        m = wins ? v : m;
        cell = wins ? Ints<N>{} + (int32_t)(i * p.w + j) : cell;
      }
    }
  if (KIND == MEAN) m *= 1.0f / (float)(rows.count() * columns.count());
  if (p.relu) cell = m > Vec<N>{} ? cell : Ints<N>{} + NOBODY;
  store(y, p.relu ? cut(m) : m);
  if (where) {
    const auto bytes = __builtin_convertvector(cell, typename Lanes<N>::B);
    std::memcpy(where, &bytes, N);
  }
}

// Windows that lie between the map's sides go by vectors, up to MOST at a time. The last pair of
// loads reads one number past its window where the stride is 2, so the last of them goes alone.
template <int S, int MOST, Kind KIND>
static void pool_windows(const Pool& p) {
  const Map &x = p.x, &y = p.y;
  const int64_t room = x.W + p.left - p.w;  // of the first window's place in a row
  const int64_t first = std::min(y.W, (p.left + p.across - 1) / p.across);
  const int64_t fits = room < 0 ? 0 : room / p.across + 1 - (S == 2);
  const int64_t last = std::max(first, std::min(y.W, fits));
  const Part whole(0, p.w, p.w);
  for (int64_t c = 0; c < y.C; c++)
    for (int64_t h = 0; h < y.H; h++) {
      const int64_t above = h * p.down - p.top;
      const Part rows(above, p.h, x.H);
      uint8_t* where = p.where ? p.where + (c * y.H + h) * y.W : nullptr;
      auto window = [&](auto width, Part columns, int64_t i) {
        const int64_t start = above * x.pitch + i * p.across - p.left;
        pool_window<decltype(width)::value, S, KIND>(p, row(x, c, 0), start, rows, columns,
                                                     row(y, c, h) + i, where ? where + i : nullptr);
      };
      auto alone = [&](int64_t i) {
        window(std::integral_constant<int, 1>{}, Part(i * p.across - p.left, p.w, x.W), i);
      };
      for (int64_t i = 0; i < first; i++) alone(i);
      along<MOST>(last - first, [&](auto width, int64_t i) { window(width, whole, first + i); });
      for (int64_t i = last; i < y.W; i++) alone(i);
    }
}

template <Kind KIND>
static void pool_strides(const Pool& p) {
  if (p.across == 1) pool_windows<1, VL, KIND>(p);
  else if (p.across == 2) pool_windows<2, VL, KIND>(p);
  else pool_windows<1, 1, KIND>(p);
}

// One window for all of a channel.
static bool is_global(const Pool& p, const Map& x, const Map& y) {
  const bool all = p.h == x.H && p.w == x.W && p.top == 0 && p.left == 0;
  return p.kind == MEAN && !p.relu && y.H == 1 && y.W == 1 && all;
}

static void global_mean(const Pool& p) {
  const float share = 1.0f / (float)(p.h * p.w);
  for (int64_t c = 0; c < p.y.C; c++)
    *row(p.y, c, 0) = share * channel_sum(p.x.pitch != p.x.W, p.x, [&](auto width, int64_t h, int64_t i) {
      return load<decltype(width)::value>(row(p.x, c, h) + i);
    });
}

// Windows of two by two side by side, all of them on the map.
static bool is_pairs(const Pool& p, const Map& x, const Map& y) {
  return p.h == 2 && p.w == 2 && p.down == 2 && p.across == 2 && p.top == 0 && p.left == 0 &&
         2 * y.H <= x.H && 2 * y.W <= x.W;
}

static void pool(const Pool& p) {
  if (is_global(p, p.x, p.y)) return global_mean(p);
  if (is_pairs(p, p.x, p.y) && p.kind != MEAN)
    return p.kind == MAX ? pool_pairs<true>(p) : pool_pairs<false>(p);
  if (p.kind == MAX) pool_strides<MAX>(p);
  else if (p.kind == MIN) pool_strides<MIN>(p);
  else pool_strides<MEAN>(p);
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
  if (is_pairs(p, dx, dy)) {
    clear_from(dx, 2 * dy.H, 2 * dy.W);
    return pairs_back(p, dy, dx);
  }
  if (is_global(p, dx, dy)) {
    const float share = 1.0f / (float)(p.h * p.w);
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
        const int64_t above = h * p.down - p.top, before = w * p.across - p.left;
        auto at = [&](int64_t i, int64_t j) -> float& { return row(dx, c, above + i)[before + j]; };
        if (p.kind == MEAN) {
          const Part rows(above, p.h, dx.H), columns(before, p.w, dx.W);
          const float share = g / (float)(rows.count() * columns.count());
          for (int64_t i = rows.from; i < rows.to; i++)
            for (int64_t j = columns.from; j < columns.to; j++) at(i, j) += share;
        } else {
          const uint32_t k = p.where[(c * dy.H + h) * dy.W + w], w32 = (uint32_t)p.w;
          if (k == NOBODY) at(std::max<int64_t>(0, -above), std::max<int64_t>(0, -before)) += g * 0.0f;
          else at(k / w32, k % w32) += g;
        }
      }
}

}  // namespace NS
}  // namespace cnnkit
