// The two micro-kernels that carry everything that multiplies, on register tiles of MF filters by a
// few vectors:
//   rows   a convolution, its input gradient, a dense layer and its kernel gradient
//   dots   a convolution's kernel gradient, a dense layer's input gradient
// outer is dots for many filters, with the vectors across the filters instead of along the map.
#pragma once
#include <algorithm>

#include "simd.h"

namespace cnnkit {
namespace NS {

// Vectors beside each block of filters: the tile fills the registers, one left for the weight and
// one for each vector of X.
template <int MF> constexpr int beside() {
#if REGISTERS == 32
  return MF == 8 ? 3 : MF == 6 ? 4 : MF == 4 ? 6 : 8;
#else
  return MF == 6 || MF == 4 ? 2 : MF == 2 ? 4 : 8;  // 4 by 3 spills one, in `rows`
#endif
}

// Filters come in blocks of 8 or 6 where these leave none over, else of 4, 2 and 1; where they are
// not packed, of 8 or 6 as long as there are so many.
static int64_t block_of(int64_t F, int64_t f, bool packed = true) {
#if REGISTERS == 32
  if (packed ? F % 8 == 0 : F - f >= 8) return 8;
#endif
  if (packed ? F % 6 == 0 : F - f >= 6) return 6;
  return F - f >= 4 ? 4 : F - f >= 2 ? 2 : 1;
}

// A[t of block][filter of block] = W[f * stride + at[t]], block after block.
static void pack(int64_t F, int64_t T, const float* W, int64_t stride, const int64_t* at, float* A) {
  for (int64_t f = 0, m; f < F; f += m) {
    m = block_of(F, f);
    for (int64_t t = 0; t < T; t++)
      for (int64_t i = 0; i < m; i++) A[f * T + t * m + i] = W[(f + i) * stride + at[t]];
  }
}

// ------------------------------------------------------------------------------------------ rows

// Filters f0 and on, numbers i0 and on; the last of the vectors may overlap the one before.
template <int N, int MF, int NV>
INLINE void rows_tile(const Rows& r, const float* A, int64_t sA, int64_t fA, int64_t f0, int64_t i0,
                      int64_t last) {
  auto at = [&](int v) { return v < NV - 1 ? v * N : last; };
  Vec<N> acc[MF][NV];
  UNROLL for (int f = 0; f < MF; f++)
    UNROLL for (int v = 0; v < NV; v++)
      acc[f][v] = r.bias ? splat<N>(r.bias[f0 + f])
                         : r.across ? load<N>(r.across + i0 + at(v)) : Vec<N>{};
  const float* base = r.X + i0;
  for (int64_t t = 0; t < r.T; t++) {
    const float* x = base + r.off[t];
    Vec<N> xv[NV];
    UNROLL for (int v = 0; v < NV; v++) xv[v] = load<N>(x + at(v));
    UNROLL for (int f = 0; f < MF; f++) {
      const Vec<N> a = splat<N>(A[t * sA + f * fA]);
      UNROLL for (int v = 0; v < NV; v++) acc[f][v] += a * xv[v];
    }
  }
  if (r.mask) {
    const float* mask = r.mask + f0 * r.ldm + i0;
    UNROLL for (int f = 0; f < MF; f++)
      UNROLL for (int v = 0; v < NV; v++)
        acc[f][v] = through(acc[f][v], load<N>(mask + f * r.ldm + at(v)));
  }
  if (r.relu)
    UNROLL for (int f = 0; f < MF; f++)
      UNROLL for (int v = 0; v < NV; v++) acc[f][v] = cut(acc[f][v]);
  float* out = r.out + f0 * r.ldo + i0;
  UNROLL for (int f = 0; f < MF; f++)
    UNROLL for (int v = 0; v < NV; v++) store(out + f * r.ldo + at(v), acc[f][v]);
}

// `blocks` blocks of MF filters from f0 on. Tiles are the outer loop, so that a tile of X stays in
// the L1 cache for all filters.
template <int MF>
struct RowsBlock {
  const Rows& r;
  int64_t f0, blocks;

  template <int N, int NV>
  INLINE void tile(const RowsBlock& b, int64_t i, int64_t last) {
    const Rows& r = b.r;
    const bool packed = r.sA == 0;
    const int64_t sA = packed ? MF : r.sA, fA = packed ? 1 : r.fA, bA = packed ? r.T : r.fA;
    for (int64_t f = b.f0; f < b.f0 + b.blocks * MF; f += MF)
      rows_tile<N, MF, NV>(r, r.A + f * bA, sA, fA, f, i, last);
  }
  template <int N, int NV>
  void run() const {
    int64_t i = 0;
    while (i + NV * N <= r.L) {
      if constexpr (NV > 2)  // one vector alone would wait for its sums: better one and two less
        if (r.L - i > NV * N && r.L - i <= (NV + 1) * N) {
          tile<N, NV - 1>(*this, i, (NV - 2) * N);
          i += (NV - 1) * N;
          break;
        }
      tile<N, NV>(*this, i, (NV - 1) * N);
      i += NV * N;
    }
    if (i < r.L) rest<N, NV>(i);
  }
  // What is left of a line, by as few vectors as hold it.
  template <int N, int NV>
  void rest(int64_t i) const {
    if constexpr (NV > 1)
      if (r.L - i <= (NV - 1) * N) return rest<N, NV - 1>(i);
    if (r.L >= N) tile<N, NV>(*this, i, r.L - N - i);
    else if constexpr (N > 1) run<N / 2, 1>();
  }
};

static void rows(const Rows& r) {
  for (int64_t f = 0, m, n; f < r.F; f += m * n) {
    m = block_of(r.F, f, r.sA == 0);
    n = m < 4 ? 1 : (r.F - f) / m;
    if (m == 6) RowsBlock<6>{r, f, n}.run<VL, beside<6>()>();
    else if (m == 4) RowsBlock<4>{r, f, n}.run<VL, beside<4>()>();
    else if (m == 2) RowsBlock<2>{r, f, n}.run<VL, beside<2>()>();
    else if (m == 1) RowsBlock<1>{r, f, n}.run<VL, beside<1>()>();
#if REGISTERS == 32
    else RowsBlock<8>{r, f, n}.run<VL, beside<8>()>();
#endif
  }
}

// ------------------------------------------------------------------------------------------ dots

// The sums of four vectors at once.
template <int N>
INLINE void total4(const Vec<N>* v, float* s) {
  if constexpr (N < 4) {
    UNROLL for (int k = 0; k < 4; k++) s[k] = total<N>(v[k]);
  } else {
    // neighbours within each quarter, so that one fold halves all quarters alike
    struct First { static constexpr int at(int i, int n) { return i - i % 4 + (i % 4 < 2 ? 2 * (i % 4) : n + 2 * (i % 4 - 2)); } };
    struct Second { static constexpr int at(int i, int n) { return First::at(i, n) + 1; } };
    auto fold = [](Vec<N> a, Vec<N> b) {
      return pick(a, b, Order<N, First>{}) + pick(a, b, Order<N, Second>{});
    };
    float t[N];
    store(t, fold(fold(v[0], v[1]), fold(v[2], v[3])));
    UNROLL for (int i = 0; i < 4; i++) {
      s[i] = t[i];
      UNROLL for (int w = 4; w < N; w += 4) s[i] += t[i + w];
    }
  }
}

template <int N, int MF, int NT>
INLINE void dots_tile(const Dots& d, int64_t f0, int64_t t0) {
  Vec<N> acc[MF * NT];
  UNROLL for (int k = 0; k < MF * NT; k++) acc[k] = Vec<N>{};
  const float* x[NT];
  UNROLL for (int t = 0; t < NT; t++) x[t] = d.X + d.off[t0 + t];
  const float* D = d.D + f0 * d.ldd;
  int64_t i = 0;
  for (; i + N <= d.L; i += N) {
    Vec<N> xv[NT];
    UNROLL for (int t = 0; t < NT; t++) xv[t] = load<N>(x[t] + i);
    UNROLL for (int f = 0; f < MF; f++) {
      const Vec<N> a = load<N>(D + f * d.ldd + i);
      UNROLL for (int t = 0; t < NT; t++) acc[f * NT + t] += a * xv[t];
    }
  }
  if (i < d.L) {  // the last vector overlaps: what was counted already is no longer
    const int64_t last = d.L - N;
    const Ints<N> fresh = lane<N>() >= (int32_t)(i - last);
    UNROLL for (int t = 0; t < NT; t++) {
      const Vec<N> xv = load<N>(x[t] + last);
      UNROLL for (int f = 0; f < MF; f++) {
        const Vec<N> a = load<N>(D + f * d.ldd + last);
        acc[f * NT + t] += (fresh ? a : Vec<N>{}) * xv;
      }
    }
  }
  float sums[(MF * NT + 3) / 4 * 4];
  UNROLL for (int k = 0; k < MF * NT / 4; k++) total4<N>(acc + 4 * k, sums + 4 * k);
  UNROLL for (int k = MF * NT / 4 * 4; k < MF * NT; k++) sums[k] = total<N>(acc[k]);
  float* out = d.out + f0 * d.ldo + t0;
  UNROLL for (int f = 0; f < MF; f++)
    UNROLL for (int t = 0; t < NT; t++)
      out[f * d.ldo + t] = (d.add ? out[f * d.ldo + t] : 0.0f) + sums[f * NT + t];
}

template <int N, int MF, int NT>
static void dots_taps(const Dots& d, int64_t f) {
  if (d.L < N) {
    if constexpr (N > 1) dots_taps<N / 2, MF, NT>(d, f);
    return;
  }
  int64_t t = 0;
  for (; t + NT <= d.T; t += NT) dots_tile<N, MF, NT>(d, f, t);
  for (; t < d.T; t++) dots_tile<N, MF, 1>(d, f, t);
}

static void dots(const Dots& d) {
  for (int64_t f = 0, m; f < d.F; f += m) {
    m = std::min<int64_t>(block_of(d.F, f), 6);
    if (m == 6 && d.F % 6) m = 4;  // of eight: as two blocks, for fewer streams at once
    if (m == 6) dots_taps<VL, 6, beside<6>()>(d, f);
    else if (m == 4) dots_taps<VL, 4, REGISTERS == 32 ? 6 : 3>(d, f);
    else if (m == 2) dots_taps<VL, 2, 4>(d, f);
    else dots_taps<VL, 1, beside<1>()>(d, f);
  }
}

// ----------------------------------------------------------------------------------------- outer

// N x N numbers, rows to columns, from row(i) to column(i): shuffled like two halves of a pack of
// cards, log2(N) times.
template <int N, typename Row, typename Column>
INLINE void flip(Row row, Column column) {
  Vec<N> a[N], b[N];
  UNROLL for (int i = 0; i < N; i++) a[i] = load<N>(row(i));
  for (int stage = 1; stage < N; stage *= 2) {
    UNROLL for (int i = 0; i < N / 2; i++) weave<N>(a[i], a[i + N / 2], b[2 * i], b[2 * i + 1]);
    UNROLL for (int i = 0; i < N; i++) a[i] = b[i];
  }
  UNROLL for (int i = 0; i < N; i++) store(column(i), a[i]);
}

// (R, L), rows `step` apart -> (L, R), rows `width` apart
static void transpose(int64_t R, int64_t L, const float* from, int64_t step, float* to,
                      int64_t width) {
  int64_t r = 0;
  for (; r + VL <= R; r += VL) {
    int64_t i = 0;
    for (; i + VL <= L; i += VL)
      flip<VL>([&](int k) { return from + (r + k) * step + i; },
               [&](int k) { return to + (i + k) * width + r; });
    for (; i < L; i++)
      for (int64_t k = r; k < r + VL; k++) to[i * width + k] = from[k * step + i];
  }
  for (; r < R; r++)
    for (int64_t i = 0; i < L; i++) to[i * width + r] = from[r * step + i];
}

// NT taps by NV vectors of filters: out[t][f] += sum over i of X[off[t] + i] * D[i][f].
template <int NT, int NV>
INLINE void outer_tile(const Dots& d, int64_t t0, int64_t f0) {
  Vec<VL> acc[NT][NV];
  const float* x[NT];
  UNROLL for (int t = 0; t < NT; t++) x[t] = d.X + d.off[t0 + t];
  UNROLL for (int t = 0; t < NT; t++)
    UNROLL for (int v = 0; v < NV; v++) acc[t][v] = Vec<VL>{};
  const float* row = d.D + f0;
  for (int64_t i = 0; i < d.L; i++, row += d.F) {
    Vec<VL> dv[NV];
    UNROLL for (int v = 0; v < NV; v++) dv[v] = load<VL>(row + v * VL);
    UNROLL for (int t = 0; t < NT; t++) {
      const Vec<VL> a = splat<VL>(x[t][i * d.step]);
      UNROLL for (int v = 0; v < NV; v++) acc[t][v] += a * dv[v];
    }
  }
  UNROLL for (int t = 0; t < NT; t++)
    UNROLL for (int v = 0; v < NV; v++) {
      float* out = d.out + (t0 + t) * d.ldo + f0 + v * VL;
      store(out, d.add ? load<VL>(out) + acc[t][v] : acc[t][v]);
    }
}

template <int NT, int NV>
static void outer_taps(const Dots& d, int64_t f) {
  int64_t t = 0;
  for (; t + NT <= d.T; t += NT) outer_tile<NT, NV>(d, t, f);
  for (; t + 3 <= d.T; t += 3) outer_tile<3, NV>(d, t, f);
  for (; t < d.T; t++) outer_tile<1, NV>(d, t, f);
}

// dots with the vectors across the filters, F a multiple of VL, from D flipped, (L, F), to the
// result flipped, (T, F). No sum across a vector is left at the end, a third of the work on small
// maps.
static void outer(const Dots& d) {
#if REGISTERS == 32
  constexpr int wide = 4, taps = 6, few = 12, single = 24;
#else
  constexpr int wide = 3, taps = 4, few = 6, single = 12;
#endif
  int64_t f = 0;
  for (; f + wide * VL <= d.F; f += wide * VL) outer_taps<taps, wide>(d, f);
  for (; f + 2 * VL <= d.F; f += 2 * VL) outer_taps<few, 2>(d, f);
  for (; f + VL <= d.F; f += VL) outer_taps<single / 2, 1>(d, f);
}

static void plane_sums(int64_t F, int64_t L, const float* D, int64_t ldd, float* sums) {
  for (int64_t f = 0; f < F; f++) {
    Vec<VL> acc = Vec<VL>{};
    int64_t i = 0;
    for (; i + VL <= L; i += VL) acc += load<VL>(D + f * ldd + i);
    float sum = total<VL>(acc);
    for (; i < L; i++) sum += D[f * ldd + i];
    sums[f] += sum;
  }
}

}  // namespace NS
}  // namespace cnnkit
