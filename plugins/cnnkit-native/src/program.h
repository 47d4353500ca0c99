// A program: what a run of layers does to n images, as operations on values that lie in one arena.
// It comes as a list of numbers, from Python or from anywhere: `parse` looks at every one of them,
// and `run` at the sizes of what it is given, before any pointer is touched.
#pragma once
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels.h"

namespace cnnkit {

struct Refused : std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum Space : int64_t { ARENA, X, Y, DY, DX, SPACES };

// What one operation writes and others read: for image i of n, `size` numbers from
// fixed + n * per_image + i * step of its space on, in them a Map from `first` on. `framed`: all
// that lies outside the map is zero.
struct Value {
  int64_t space, fixed, per_image, step, size, C, H, W, pitch, plane, first, framed;
};

enum Code : int64_t {
  CONV, CONV_DX, CONV_DW, DEPTHWISE, DEPTHWISE_DX, DEPTHWISE_DW, EACH, SCALE, SCALE_BACK, POOL,
  POOL_BACK, SPLIT, MERGE, SOFTMAX, SOFTMAX_BACK,           // so far image by image
  DENSE, DENSE_DX, DENSE_DW, SQUARE, SQUARE_DX, SQUARE_DW,  // the whole batch
  CODES
};

// It writes no value, but the gradient of its weights.
inline bool gives_gradient(int64_t code) {
  return code == CONV_DW || code == DEPTHWISE_DW || code == DENSE_DW || code == SQUARE_DW;
}

// Values and weights go by number, -1 for none. What each field means to whom: see `check`.
struct Operation {
  int64_t code, x, y, z, w, b, packed, form;
  int64_t filters, kh, kw, down, across, row_step, column_step, top, left, groups, kind, winograd;
  float share;  // below zero, of a leaky relu
};

// Room that a convolution by Winograd's rule needs beside its maps: see winograd.h.
struct Bands {
  int64_t count;               // of four rows each
  int64_t in, inside, out;     // one of the six: planes that go in, the same with zeros, results
  int64_t weights, flipped;    // of the kernel gradient: dy flipped
  Bands(const Operation& o, int64_t planes, int64_t results, int64_t H, int64_t pitch)
      : count((H + 3) / 4), in(planes * count * pitch), inside(in + 2 * pitch),
        out(results * count * pitch), weights(planes * results * o.kw),
        flipped(H * pitch * results) {}
};

// One channel of a depthwise convolution, as it lies in the room beside its maps: see depthwise.h.
inline Planes planes_of(const Operation& o, int64_t H, int64_t W) {
  const int64_t down = (o.kh - 1) * o.row_step / o.down, across = (o.kw - 1) * o.column_step / o.across;
  return {o.down, o.across, o.top, o.left, down, across, H + down, W + across};
}

// The offsets that a convolution's geometry comes to.
struct Taps {
  std::vector<int64_t> off, at;           // rows and dots: by tap; where its weight lies
  std::vector<std::vector<int64_t>> back, back_at;  // the input gradient, by phase of the stride
};

// Memory for one run, as pairs of an address and a count of floats.
struct Span {
  int64_t address, size;
};
struct Call {
  int64_t n;
  const Span *spaces, *weights, *grads;  // grads is null going forward
};

struct Half {  // forward, or back
  std::vector<Value> values;
  std::vector<Operation> operations;
  std::vector<Taps> taps;
};

struct Program {
  int64_t fixed, per_image;  // the arena holds fixed + n * per_image numbers
  int64_t input, output;     // numbers of one image that go in and come out
  std::vector<int64_t> weights;  // their sizes
  Half halves[2];

  static Program parse(const int64_t* numbers, int64_t count);
  void run(int half, const Call& call, const Kernels& k) const;
};

}  // namespace cnnkit
