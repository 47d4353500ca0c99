// Convolutions with kernels of three by three from a quarter of the products, by Winograd's square
// F(4 x 4, 3 x 3): a tile of four by four of y comes from six by six of x as
//   y = A' [ (G w G') * (B' x B) ] A      and so      dw = G' [ (A dy A') * (B' x B) ] G
// where * goes from all channels to all filters: for each of the 36 places a product of matrices
// with a row for each tile. Vectors lie across channels and filters, so maps are turned on their way
// in and out, and it takes tiles of several images to make up for transforming the weights.
// Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks (2015).
#pragma once
#include <vector>

#include "winograd.h"

namespace cnnkit {
namespace NS {

// 36 matrices of `rows` by `columns`, a cache line between them: a tile writes to all of them, and
// at steps of a power of two they would throw each other out of the cache.
struct Matrices {
  float* data;
  int64_t rows, columns;
  float* at(int64_t p, int64_t row) const {
    return data + p * (rows * columns + 16) + row * columns;
  }
};

// A map turned, (H, W, C): where its numbers lie, and where those of each place of the map's rows
// do; places between two rows come to one behind it.
struct Turned {
  float* data;
  int64_t W, C;
  std::vector<int64_t> places;

  Turned(float* data, int64_t H, int64_t W, const Map& m, int64_t top, int64_t left)
      : data(data), W(W), C(m.C), places((m.H - 1) * m.pitch + m.W, H * W) {
    std::memset(data, 0, H * W * C * sizeof(float));
    for (int64_t h = 0; h < m.H; h++)
      for (int64_t w = 0; w < m.W; w++) places[h * m.pitch + w] = (h + top) * W + w + left;
  }
  float* place(int64_t i) const { return data + places[i] * C; }

  // Sixteen places at a time, or as many as a vector holds: the last ones overlap those before.
  template <typename Block, typename Number>
  INLINE void walk(const Turned& t, Block block, Number number) {
    const int64_t L = (int64_t)t.places.size();
    for (int64_t c = 0; c < t.C; c += VL) {
      if (L < VL)
        for (int64_t i = 0; i < L; i++)
          for (int64_t k = c; k < c + VL; k++) number(i, k);
      else
        for (int64_t i = 0; i < L; i += VL) block(std::min(i, L - VL), c);
    }
  }
  void take(const float* from, int64_t plane) const {
    walk(*this, [&](int64_t i, int64_t c) {
      flip<VL>([&](int k) { return from + (c + k) * plane + i; },
               [&](int k) { return place(i + k) + c; });
    }, [&](int64_t i, int64_t c) { place(i)[c] = from[c * plane + i]; });
  }
  void give(float* to, int64_t plane) const {
    walk(*this, [&](int64_t i, int64_t c) {
      flip<VL>([&](int k) { return place(i + k) + c; },
               [&](int k) { return to + (c + k) * plane + i; });
    }, [&](int64_t i, int64_t c) { to[c * plane + i] = place(i)[c]; });
  }
};

// A line as a type of its own, so that it is known where it is used.
#define LINE(rule) [](const Vec<VL>* from, Vec<VL>* to) { rule<VL>(from, to); }

// `line`, from IN numbers to OUT, along the columns of a tile and then along its rows; a vector
// holds the same place of the tiles of several channels.
template <int IN, int OUT, typename From, typename Line, typename To>
INLINE void both_ways(From from, Line line, To to) {
  Vec<VL> half[OUT * IN];
  UNROLL for (int j = 0; j < IN; j++) {
    Vec<VL> v[IN], t[OUT];
    UNROLL for (int i = 0; i < IN; i++) v[i] = from(i, j);
    line(v, t);
    UNROLL for (int i = 0; i < OUT; i++) half[i * IN + j] = t[i];
  }
  UNROLL for (int i = 0; i < OUT; i++) {
    Vec<VL> t[OUT];
    line(half + i * IN, t);
    UNROLL for (int j = 0; j < OUT; j++) to(i, j, t[j]);
  }
}

// Every tile of IN by IN, four apart, by `line` to a row of the matrices, from `row` on.
template <int IN, typename Line>
static void tiles_in(const Turned& x, const SquareRoom& r, Matrices to, int64_t row, Line line) {
  const int64_t C = x.C, step = x.W * C;
  for (int64_t h = 0; h < r.down; h++)
    for (int64_t w = 0; w < r.across; w++, row++)
      for (int64_t c = 0; c < C; c += VL) {
        const float* from = x.data + 4 * (h * step + w * C) + c;
        float* at = to.at(0, row) + c;
        const int64_t next = to.at(1, 0) - to.at(0, 0);
        both_ways<IN, 6>([&](int i, int j) { return load<VL>(from + i * step + j * C); }, line,
                         [&](int i, int j, Vec<VL> v) { store(at + (6 * i + j) * next, v); });
      }
}

// All tiles of y from rows of the matrices, from `row` on.
static void tiles_out(const Square& s, const SquareRoom& r, Matrices from, int64_t row,
                      const Turned& y) {
  const int64_t C = y.C, step = y.W * C, next = from.at(1, 0) - from.at(0, 0);
  for (int64_t h = 0; h < r.down; h++)
    for (int64_t w = 0; w < r.across; w++, row++)
      for (int64_t c = 0; c < C; c += VL) {
        const Vec<VL> bias = s.bias ? load<VL>(s.bias + c) : Vec<VL>{};
        const float* at = from.at(0, row) + c;
        float* to = y.data + 4 * (h * step + w * C) + c;
        both_ways<6, 4>([&](int i, int j) { return load<VL>(at + (6 * i + j) * next); },
                        LINE(four_of), [&](int i, int j, Vec<VL> v) {
                          v += bias;
                          store(to + i * step + j * C, s.relu ? cut(v) : v);
                        });
      }
}

// G w G' of kernels as w (filters, channels, 3, 3) has them, or of these turned round with filters
// for channels; `turned` is room for the kernels' nine numbers side by side.
static void kernels_in(const Square& s, float* turned, Matrices to) {
  const int64_t C = to.rows, F = to.columns;
  if (!s.back) transpose(F, C * 9, s.w, C * 9, turned, F);
  else for (int64_t c = 0; c < C; c++) transpose(F, 9, s.w + c * F * 9, 9, turned + c * 9 * F, F);
  for (int64_t c = 0; c < C; c++)
    for (int64_t f = 0; f < F; f += VL)
      both_ways<3, 6>(
          [&](int i, int j) {
            const int place = s.back ? 8 - (3 * i + j) : 3 * i + j;
            return load<VL>(turned + (c * 9 + place) * F + f);
          },
          LINE(weights_in), [&](int i, int j, Vec<VL> v) { store(to.at(6 * i + j, c) + f, v); });
}

// What both ways share: how the room is parted, and maps and kernels in it.
struct Parted {
  const SquareRoom r;
  const int64_t C, F, each;  // channels, filters, tiles of a map
  float *turned, *in, *out;
  const Turned x, y;
  const Matrices U;
  Parted(const Square& s, int64_t most)
      : r(s.x, s.y, most), C(s.x.C), F(s.y.C), each(r.down * r.across),
        turned(s.room + r.kernels), in(turned + r.turned), out(in + r.in),
        x(out + r.out, 4 * r.down + 2, 4 * r.across + 2, s.x, s.top, s.left),
        y(out + r.out + r.x, 4 * r.down, 4 * r.across, s.y, 0, 0), U{s.room, C, F} {}
};

// The offsets of channels that lie `step` apart.
static std::vector<int64_t> channels(int64_t C, int64_t step) {
  std::vector<int64_t> off(C);
  for (int64_t c = 0; c < C; c++) off[c] = c * step;
  return off;
}

// work(first image, how many, their tiles), as many images at once as the room is for.
template <typename Work>
INLINE void by_images(const Square& s, const Parted& p, Work work) {
  for (int64_t from = 0; from < s.n; from += p.r.at_once) {
    const int64_t images = std::min(p.r.at_once, s.n - from);
    work(from, images, images * p.each);
  }
}

static void square(const Square& s) {
  const Parted p(s, MOST_TILES);
  const auto off = channels(p.C, p.F);
  kernels_in(s, p.turned, p.U);
  by_images(s, p, [&](int64_t from, int64_t images, int64_t tiles) {
    const Matrices V{p.in, tiles, p.C}, M{p.out, tiles, p.F};
    for (int64_t i = 0; i < images; i++) {
      p.x.take(s.x.data + (from + i) * s.x_step, s.x.plane);
      tiles_in<6>(p.x, p.r, V, i * p.each, LINE(six_of));
    }
    for (int k = 0; k < 36; k++)
      rows({tiles, p.C, p.F, off.data(), V.at(k, 0), 1, p.C, p.U.at(k, 0), nullptr, nullptr, false,
            nullptr, 0, M.at(k, 0), p.F});
    for (int64_t i = 0; i < images; i++) {
      tiles_out(s, p.r, M, i * p.each, p.y);
      p.y.give(s.y.data + (from + i) * s.y_step, s.y.plane);
    }
  });
}

// dw (filters, channels, 3, 3); y is dy.
static void square_dw(const Square& s, float* dw) {
  const Parted p(s, MOST_TILES_BACK);
  const auto off = channels(p.C, 1);
  by_images(s, p, [&](int64_t from, int64_t images, int64_t tiles) {
    const Matrices V{p.in, tiles, p.C}, Z{p.out, tiles, p.F};
    for (int64_t i = 0; i < images; i++) {
      p.x.take(s.x.data + (from + i) * s.x_step, s.x.plane);
      tiles_in<6>(p.x, p.r, V, i * p.each, LINE(six_of));
      p.y.take(s.y.data + (from + i) * s.y_step, s.y.plane);
      tiles_in<4>(p.y, p.r, Z, i * p.each, LINE(spread));
    }
    for (int k = 0; k < 36; k++)
      outer({p.F, p.C, tiles, Z.at(k, 0), 0, V.at(k, 0), off.data(), p.U.at(k, 0), p.F, from > 0,
             p.C});
  });
  for (int64_t c = 0; c < p.C; c++)
    for (int64_t f = 0; f < p.F; f += VL)
      both_ways<6, 3>(
          [&](int i, int j) { return load<VL>(p.U.at(6 * i + j, c) + f); }, LINE(weights_out),
          [&](int i, int j, Vec<VL> v) { store(p.turned + (c * 9 + 3 * i + j) * p.F + f, v); });
  transpose(p.C * 9, p.F, p.turned, p.F, dw, p.C * 9);
}

}  // namespace NS
}  // namespace cnnkit
