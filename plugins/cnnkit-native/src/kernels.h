// What every instruction set implements, and the only way from the program to the arithmetic.
#pragma once
#include <cstdint>

namespace cnnkit {

// A stack of planes: element (c, h, w) lies at data[c * plane + h * pitch + w]. A map that a
// convolution reads is padded: the zeros right of one row are those left of the next.
struct Map {
  float* data;
  int64_t C, H, W, pitch, plane;
};

// out[f][i] = act(bias + sum over t < T of A(t, f) * X[off[t] + i]), i < L, f < F.
struct Rows {
  int64_t F, T, L;
  const int64_t* off;
  const float* A;       // packed by Kernels::pack where sA is 0, else A[t * sA + f * fA]
  int64_t sA, fA;
  const float* X;
  const float* bias;    // one per f, or null
  const float* across;  // one per i, or null
  bool relu;
  const float* mask;    // out is 0 times itself where mask[f * ldm + i] is not positive; or null
  int64_t ldm;
  float* out;
  int64_t ldo;
};

// out[f * ldo + t] = (add ? out : 0) + sum over i < L of D[f * ldd + i] * X[off[t] + i].
struct Dots {
  int64_t F, T, L;
  const float* D;
  int64_t ldd;
  const float* X;  // in `outer` the next i lies `step` further
  const int64_t* off;
  float* out;
  int64_t ldo;
  bool add;
  int64_t step = 1;
};

// A convolution with kernels of three by three of n images, or its input gradient: see square.h.
// Channels and filters come in sixteens. The first image's maps; the next lie a step further.
struct Square {
  int64_t n;
  Map x, y;  // going back, dy and dx
  int64_t x_step, y_step, top, left;
  bool back;
  const float* w;     // (filters, channels, 3, 3)
  const float* bias;  // one per filter, or null
  bool relu;
  float* room;
};

// What one takes beside its maps: 36 matrices of the kernel, and of the tiles of x and of y, a cache
// line after each; kernels and maps turned, whole tiles of these with what lies around them.
struct SquareRoom {
  int64_t down, across, at_once;  // tiles of a map; images at once
  int64_t kernels, turned, in, out, x, y, total;
  SquareRoom(const Map& from, const Map& to, int64_t most)
      : down((to.H + 3) / 4), across((to.W + 3) / 4),
        at_once((most + down * across - 1) / (down * across)),
        kernels(36 * (from.C * to.C + 16)), turned(9 * from.C * to.C),
        in(36 * (at_once * down * across * from.C + 16)),
        out(36 * (at_once * down * across * to.C + 16)),
        x(((4 * down + 2) * (4 * across + 2) + 1) * from.C),
        y((16 * down * across + 1) * to.C), total(kernels + turned + in + out + x + y) {}
};
constexpr int64_t MOST_TILES = 32, MOST_TILES_BACK = 64;  // at once; for the gradient of w

enum Form : int64_t {
  COPY, RELU, SIGMOID, TANH, LEAKY_RELU, HARD_SWISH, SILU, GELU, GELU_TANH, FORMS,
  SLOPE = 16  // added to one of them, going back
};

// y = form(a + b + bias), or with SLOPE (a + b + bias) * the form's slope at `at`, which is what went
// into it, but for sigmoid and tanh what came out; b and bias may be null.
struct Each {
  int64_t form;
  float share;  // below zero, of a leaky relu
  Map a;
  const Map* b;
  const Map* bias;
  const Map* at;
  Map y;
};

// A channel padded and parted by the phases of a stride: `down` by `across` planes of H rows of W.
// The last tap lies `rows` and `columns` of a phase from the first.
struct Planes {
  int64_t down, across, top, left, rows, columns, H, W;
  int64_t parted() const { return down * across * H * W; }
  int64_t single() const { return (H + rows) * W + 2 * columns; }  // of y, with zeros around
  int64_t row() const { return W * across; }
  int64_t room() const { return parted() + single() + row(); }
};
constexpr int64_t MOST_TAPS = 64;

// A convolution of each channel by itself. dx is x and dy is y, going back.
struct Depthwise {
  Planes planes;
  int64_t T;
  const int64_t* off;  // by tap, in the planes of x
  Map x, y;
  const float *w, *bias;  // T for each channel, and one; bias may be null
  bool relu;
  float* room;
};

enum Kind : int64_t { MAX = 0, MIN = 1, MEAN = 2 };

struct Pool {
  Kind kind;
  int64_t h, w, down, across, top, left;  // the first window begins above x and left of it
  bool relu;      // cut the result at zero
  Map x, y;       // windows of x, one value of y each, of what lies on x
  uint8_t* where; // for each y, which cell of its window won; NOBODY where relu cut; or null
};
constexpr int32_t NOBODY = 255;

// n images of C channels of L numbers each, and one number per channel of center, factor and shift:
// y = form((x - center) * factor + shift).
struct Norm {
  int64_t n, C, L;
  const float *x, *center, *factor, *shift;
  int64_t form;
  float share;  // below zero, of a leaky relu
};

// n numbers of each of several gradients, which are added up in their order.
struct Parts {
  int64_t n, count;
  const float* const* g;
};

struct Sgd {
  float lr, momentum, decay;
  bool nesterov;
};
struct Adam {
  float rate, beta1, beta2, eps, shrink;  // of Kingma and Ba, corrections folded into rate and eps
};

struct Kernels {
  const char* name;
  void (*pack)(int64_t F, int64_t T, const float* W, int64_t stride, const int64_t* at, float* A);
  void (*rows)(const Rows&);
  void (*dots)(const Dots&);
  void (*outer)(const Dots&);  // the same for F a multiple of 16, with D (L, F) and out (T, F)
  void (*transpose)(int64_t R, int64_t L, const float* from, int64_t step, float* to,
                    int64_t width);
  void (*depthwise)(const Depthwise&);
  void (*depthwise_dx)(const Depthwise&);
  void (*depthwise_dw)(const Depthwise&, float* dw, float* db, bool add);
  void (*each)(const Each&);
  void (*scale)(const Map& x, const float* by, const Map& y);           // by: one per channel
  void (*scale_back)(const Map& dy, const Map& x, float* sums);         // of dy * x, per channel
  void (*pool)(const Pool&);
  void (*pool_back)(const Pool&, const Map& dy, Map dx);
  void (*plane_sums)(int64_t F, int64_t L, const float* D, int64_t ldd, float* sums);
  void (*bands_in)(const Map& x, int64_t above, int64_t bands, float* to, int64_t plane);
  void (*bands_out)(const float* M, int64_t room, int64_t bands, const float* bias, bool relu,
                    const Map* mask, Map y);
  void (*bands_back)(const float* dy, int64_t H, int64_t length, int64_t bands, float* to,
                     int64_t room);
  void (*bands_pack)(int64_t F, int64_t T, const float* w, int64_t stride, const int64_t* at,
                     int64_t step, float* U);
  void (*bands_sum)(int64_t F, int64_t channels, int64_t columns, const float* dU, float* dw);
  void (*square)(const Square&);
  void (*square_dw)(const Square&, float* dw);  // y is dy
  void (*moments)(const Norm&, double* mean, double* squares);
  void (*normalise)(const Norm&, float* y);
  void (*normal_sums)(const Norm&, const float* dy, double* products, double* sums);
  void (*normal_back)(const Norm&, const float* dy, const float* slope, const float* rest,
                      float* dx);
  void (*softmax)(int64_t K, const float* x, float* y);
  void (*softmax_back)(int64_t K, const float* y, const float* dy, float* dx);
  void (*cross_entropy)(int64_t n, int64_t K, const float* z, const int64_t* labels, float share,
                        float scale, float* losses, float* dz);
  void (*sgd)(const Parts&, float* w, float* v, const Sgd&);
  void (*adam)(const Parts&, float* w, float* m, float* v, const Adam&);
};

}  // namespace cnnkit
