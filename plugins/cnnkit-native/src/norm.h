// Batch normalisation of maps (n, C, L), with the form behind it, such as a ReLU: what a layer does
// between the two times that it hears of the other shards. What went into the form is computed again
// going back: that is less work than to keep it.
#pragma once
#include "forms.h"

namespace cnnkit {
namespace NS {

template <int N>
struct Two {
  Vec<N> first, second;
};

// finish(c, sum, sum) with the sums of term(width, c, at).first and .second over all numbers of each
// channel, at place `at` of x. Channels go in blocks, image by image, so that memory is read as it lies; the lanes of
// each channel's vectors are kept apart, in double precision, to the end.
template <typename Term, typename Finish>
INLINE void channel_sums(const Norm& n, Term term, Finish finish) {
  typedef double Wide __attribute__((vector_size(VL * 8)));
  constexpr int BLOCK = 32, LINES = 2;
  constexpr std::integral_constant<int, VL> all{};
  for (int64_t c0 = 0; c0 < n.C; c0 += BLOCK) {
    const int64_t channels = n.C - c0 < BLOCK ? n.C - c0 : BLOCK;
    Wide sums[BLOCK][2] = {};
    for (int64_t i = 0; i < n.n; i++)
      for (int64_t c = c0; c < c0 + channels; c++) {
        const int64_t from = (i * n.C + c) * n.L, to = from + n.L;
        Vec<VL> a[LINES] = {}, b[LINES] = {};
        auto add = [&](int k, const Two<VL>& t) { a[k] += t.first, b[k] += t.second; };
        int64_t at = from;
        for (; at + LINES * VL <= to; at += LINES * VL)
          UNROLL for (int k = 0; k < LINES; k++) add(k, term(all, c, at + k * VL));
        if (at + VL <= to) add(0, term(all, c, at)), at += VL;
        Wide* sum = sums[c - c0];
        if (at < to && n.L >= VL) {  // the last vector overlaps: what was counted is no longer
          const Ints<VL> fresh = lane<VL>() >= (int32_t)(VL - (to - at));
          const Two<VL> t = term(all, c, to - VL);
          add(1, {fresh ? t.first : Vec<VL>{}, fresh ? t.second : Vec<VL>{}});
        } else {
          for (; at < to; at++) {
            const Two<1> t = term(std::integral_constant<int, 1>{}, c, at);
            sum[0][0] += t.first[0], sum[1][0] += t.second[0];
          }
        }
        sum[0] += __builtin_convertvector(a[0] + a[1], Wide);
        sum[1] += __builtin_convertvector(b[0] + b[1], Wide);
      }
    for (int64_t c = c0; c < c0 + channels; c++) {
      double first = 0, second = 0;
      for (int i = 0; i < VL; i++) first += sums[c - c0][0][i], second += sums[c - c0][1][i];
      finish(c, first, second);
    }
  }
}

// About the mean of a channel in the first image, by its whole vectors: a number it is not far from.
static double somewhere(const Norm& n, int64_t c) {
  const int64_t N = n.L < VL ? n.L : n.L / VL * VL;
  const float* x = n.x + c * n.L;
  float sum = 0;
  Vec<VL> acc = Vec<VL>{};
  for (int64_t i = 0; i + VL <= N; i += VL) acc += load<VL>(x + i);
  for (int64_t i = 0; i < N && N < VL; i++) sum += x[i];
  return (total<VL>(acc) + sum) / (float)N;
}

// Of each channel the mean, and the sum of squared distances from it: from those to the mean of the
// first image, which lies at most sqrt(n) deviations away, so that the difference loses few digits.
static void moments(const Norm& n, double* mean, double* squares) {
  const double count = (double)(n.n * n.L);
  for (int64_t c = 0; c < n.C; c++) mean[c] = somewhere(n, c);
  channel_sums(
      n,
      [&](auto width, int64_t c, int64_t at) {
        constexpr int N = decltype(width)::value;
        const Vec<N> off = load<N>(n.x + at) - (float)mean[c];
        return Two<N>{off, off * off};
      },
      [&](int64_t c, double sum, double square) {
        mean[c] += sum / count;
        const double rest = square - sum * sum / count;
        squares[c] = rest < 0 ? 0 : rest;
      });
}

static void normalise(const Norm& n, float* y) {
  with_form(Form(n.form), [&](auto form) {
    using F = decltype(form);
    for (int64_t i = 0; i < n.n * n.C; i++) {
      const float a = n.center[i % n.C], f = n.factor[i % n.C], s = n.shift[i % n.C];
      const float* x = n.x + i * n.L;
      float* out = y + i * n.L;
      along(n.L, [&](auto width, int64_t at) {
        constexpr int N = decltype(width)::value;
        store(out + at, F::template value<N>((load<N>(x + at) - a) * f + s, n.share));
      });
    }
  });
}

// The gradient before the form, and how far x lies from the center.
template <typename F, int N>
INLINE Two<N> passed(const Norm& n, int64_t c, int64_t at, const float* dy) {
  const Vec<N> off = load<N>(n.x + at) - n.center[c];
  const Vec<N> slope = F::template slope<N>(off * n.factor[c] + n.shift[c], n.share);
  return {load<N>(dy + at) * slope, off};
}

// Of each channel the sums of dy * (x - center) and of dy, both before the form.
static void normal_sums(const Norm& n, const float* dy, double* products, double* sums) {
  with_form(Form(n.form), [&](auto form) {
    channel_sums(
        n,
        [&](auto width, int64_t c, int64_t at) {
          constexpr int N = decltype(width)::value;
          const Two<N> p = passed<decltype(form), N>(n, c, at, dy);
          return Two<N>{p.first * p.second, p.first};
        },
        [&](int64_t c, double product, double sum) { products[c] = product, sums[c] = sum; });
  });
}

// dx = (dy - rest - (x - center) * slope) * factor, dy before the form
static void normal_back(const Norm& n, const float* dy, const float* slope, const float* rest,
                        float* dx) {
  with_form(Form(n.form), [&](auto form) {
    using F = decltype(form);
    for (int64_t i = 0; i < n.n * n.C; i++) {
      const int64_t c = i % n.C, at = i * n.L;
      const float f = n.factor[c], p = slope[c], s = rest[c];
      along(n.L, [&](auto width, int64_t j) {
        constexpr int N = decltype(width)::value;
        const Two<N> v = passed<F, N>(n, c, at + j, dy);
        store(dx + at + j, (v.first - s - v.second * p) * f);
      });
    }
  });
}

}  // namespace NS
}  // namespace cnnkit
