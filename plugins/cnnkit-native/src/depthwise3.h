// Depthwise convolutions of 3x3 with stride 1 that keep the sides of the map, as most are: straight
// from map to map. A row comes as one vector and its two neighbours to the side, which serve three
// rows of results each; beyond the ends of a row zeros are shifted in.
#pragma once
#include "multiply.h"

namespace cnnkit {
namespace NS {

struct Before { static constexpr int at(int i, int n) { return i == 0 ? n : i - 1; } };
struct After { static constexpr int at(int i, int) { return i + 1; } };

// One channel of a map: a vector of it may begin where fewer than N numbers are left of a row. What
// follows is then another row, but behind the last row of the last channel nothing may be touched.
struct Plane {
  float* data;
  int64_t H, W, pitch;
  bool last;

  template <int N>
  INLINE bool at_end(const Plane& p, int64_t h) { return p.W < N && p.last && h == p.H - 1; }
  // Numbers at (h, i) and on; zero where the row ends, and where there is no row.
  template <int N>
  INLINE Vec<N> read(const Plane& p, int64_t h, int64_t i) {
    if (h < 0 || h >= p.H) return Vec<N>{};
    const float* from = p.data + h * p.pitch + i;
    if (p.W >= N) return load<N>(from);
    if (at_end<N>(p, h)) {
      float some[N] = {};
      for (int64_t k = 0; k < p.W; k++) some[k] = from[k];
      return load<N>(some);
    }
    return lane<N>() < (int32_t)p.W ? load<N>(from) : Vec<N>{};
  }
  // Rows are written from top to bottom: what is written beyond one's end, the next one mends.
  template <int N>
  INLINE void write(const Plane& p, int64_t h, int64_t i, Vec<N> v) {
    float* to = p.data + h * p.pitch + i;
    if (!at_end<N>(p, h)) return store(to, v);
    for (int64_t k = 0; k < p.W; k++) to[k] = v[k];
  }
};
INLINE Plane plane_of(const Map& m, int64_t c) {
  return {m.data + c * m.plane, m.H, m.W, m.pitch, c == m.C - 1};
}

// The numbers left of, at and right of (h, i) and on.
template <int N, bool FIRST, bool LAST>
INLINE void neighbours(const Plane& p, int64_t h, int64_t i, Vec<N>* v) {
  v[1] = Plane::read<N>(p, h, i);
  const bool inside = h >= 0 && h < p.H;
  v[0] = FIRST ? pick(v[1], Vec<N>{}, Order<N, Before>{})
               : inside ? load<N>(p.data + h * p.pitch + i - 1) : Vec<N>{};
  v[2] = LAST ? pick(v[1], Vec<N>{}, Order<N, After>{})
              : inside ? load<N>(p.data + h * p.pitch + i + 1) : Vec<N>{};
}

// body(width, first, last, i) for vectors at i that cover a row: which of them touch its ends.
template <int N, typename Body>
INLINE void across(int64_t W, Body body) {
  constexpr std::integral_constant<int, N> width{};
  constexpr std::true_type yes{};
  constexpr std::false_type no{};
  if constexpr (N > 2)  // so that a row and the next one always fill a vector
    if (W <= N / 2) return across<N / 2>(W, body);
  if (W <= N) return body(width, yes, yes, 0);
  body(width, yes, no, 0);
  int64_t i = N;
  for (; i + N < W; i += N) body(width, no, no, i);
  body(width, no, yes, W - N);
}

// y = act(bias + w * x); or dx from dy, with w turned round.
static void depthwise3(const Map& x, const Map& y, const float* w, bool turned, const float* bias,
                       bool relu) {
  for (int64_t c = 0; c < y.C; c++) {
    const Plane from = plane_of(x, c), to = plane_of(y, c);
    const float *k = w + 9 * c, b = bias ? bias[c] : 0.0f;
    across<VL>(y.W, [&](auto width, auto first, auto last, int64_t i) {
      constexpr int N = decltype(width)::value;
      Vec<N> tap[9], v[3];
      UNROLL for (int t = 0; t < 9; t++) tap[t] = splat<N>(k[turned ? 8 - t : t]);
      // sums of the row above, of this one and of the one below, as far as they have come
      Vec<N> above = Vec<N>{}, here = splat<N>(b), below;
      for (int64_t h = 0; h <= y.H; h++) {
        below = splat<N>(b);
        neighbours<N, decltype(first)::value, decltype(last)::value>(from, h, i, v);
        UNROLL for (int t = 0; t < 3; t++) {
          above += tap[6 + t] * v[t];
          here += tap[3 + t] * v[t];
          below += tap[t] * v[t];
        }
        if (h > 0) Plane::write<N>(to, h - 1, i, relu ? cut(above) : above);
        above = here;
        here = below;
      }
    });
  }
}

static void depthwise3_dw(const Map& x, const Map& dy, float* dw, float* db, bool add) {
  for (int64_t c = 0; c < dy.C; c++) {
    const Plane from = plane_of(x, c), slope = plane_of(dy, c);
    float sums[12] = {};
    across<VL>(dy.W, [&](auto width, auto first, auto last, int64_t i) {
      constexpr int N = decltype(width)::value;
      constexpr bool LAST = decltype(last)::value;
      Vec<N> acc[12] = {}, v[3];
      // the last vector overlaps the one before: what was counted is no longer
      const int64_t counted = LAST && i > 0 ? (N - slope.W % N) % N : 0;
      auto row = [&](int64_t h) {
        const Vec<N> d = Plane::read<N>(slope, h, i);
        return LAST ? (lane<N>() >= (int32_t)counted ? d : Vec<N>{}) : d;
      };
      Vec<N> above = Vec<N>{}, here = Vec<N>{}, below = row(0);
      for (int64_t h = 0; h < dy.H; h++) {
        above = here;
        here = below;
        below = row(h + 1);
        neighbours<N, decltype(first)::value, LAST>(from, h, i, v);
        UNROLL for (int t = 0; t < 3; t++) {
          acc[t] += below * v[t];
          acc[3 + t] += here * v[t];
          acc[6 + t] += above * v[t];
        }
        acc[9] += here;
      }
      float part[12];
      UNROLL for (int t = 0; t < 12; t += 4) total4<N>(acc + t, part + t);
      UNROLL for (int t = 0; t < 10; t++) sums[t] += part[t];
    });
    for (int t = 0; t < 9; t++) dw[9 * c + t] = (add ? dw[9 * c + t] : 0.0f) + sums[t];
    if (db) db[c] = (add ? db[c] : 0.0f) + sums[9];
  }
}

}  // namespace NS
}  // namespace cnnkit
