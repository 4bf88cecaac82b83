// Traces of training steps, each a list of buffers with sizes and lifetimes, placed by the planner.
#include <algorithm>
#include <initializer_list>
#include <map>
#include <memory>
#include <stdexcept>

#include "runtime/passes/place_buffers.h"
#include "tests/bench/step_cases.h"

namespace fornax::bench {

namespace {

constexpr std::int64_t kAlignment = 256, kHalf = 2, kSingle = 4;  // bytes

/// Records buffers while a step is told kernel by kernel.
class Trace {
 public:
  /// A buffer that the next kernel writes.
  int buffer(std::int64_t elements, std::int64_t element_bytes = kHalf) {
    const std::int64_t bytes = elements * element_bytes;
    buffers_.bytes.push_back((bytes + kAlignment - 1) / kAlignment * kAlignment);
    buffers_.begin.push_back(now_);
    buffers_.end.push_back(now_ + 1);
    return buffers_.count() - 1;
  }
  /// One kernel that touches these.
  void kernel(std::initializer_list<int> touched) {
    for (const int id : touched) touch(id);
    ++now_;
  }
  int written(std::int64_t elements, std::initializer_list<int> read) {
    const int id = buffer(elements);
    for (const int other : read) touch(other);
    ++now_;
    return id;
  }
  /// The gradient of a parameter; see finish().
  int gradient(std::int64_t elements, std::initializer_list<int> read) {
    gradients_.push_back(written(elements, read));
    return gradients_.back();
  }
  /// Gradients are used by their own updates at once, or all by one update at the end.
  Lifetimes finish(bool update_at_end) {
    if (update_at_end)
      for (const int id : gradients_) touch(id);
    buffers_.known = buffers_.begin, buffers_.ended = buffers_.end;
    return buffers_;
  }

 private:
  void touch(int id) { buffers_.end[static_cast<std::size_t>(id)] = now_ + 1; }

  Lifetimes buffers_;
  std::vector<int> gradients_;
  int now_ = 0;
};

struct TransformerShape {
  std::int64_t layers, batch, tokens, width, vocabulary;
  bool stored_scores = false;  ///< attention keeps its probabilities
  bool recompute = false;      ///< the backward pass repeats a layer's forward pass
  bool update_at_end = false;
  bool late_wgrad = false;  ///< dgrad before wgrad
};

/// A decoder of GPT-2's form in bf16 (Radford et al. 2019).
class Transformer {
 public:
  explicit Transformer(const TransformerShape& shape)
      : s_(shape), rows_(shape.batch * shape.tokens), d_(shape.width) {}

  Lifetimes step() {
    int x = trace_.written(rows_ * d_, {});
    std::vector<Layer> layers;
    for (std::int64_t i = 0; i < s_.layers; ++i) {
      layers.push_back(forward(x));
      x = layers.back().out;
    }
    const int normed = trace_.written(rows_ * d_, {x});
    const int logits = trace_.written(rows_ * s_.vocabulary, {normed});
    const int d_logits = trace_.written(rows_ * s_.vocabulary, {logits});
    const int d_normed = trace_.written(rows_ * d_, {d_logits});
    trace_.gradient(s_.vocabulary * d_, {d_logits, normed});
    int dx = trace_.written(rows_ * d_, {d_normed, x});
    for (auto layer = layers.rbegin(); layer != layers.rend(); ++layer)
      dx = backward(s_.recompute ? forward(layer->in) : *layer, dx);
    trace_.gradient(s_.vocabulary * d_, {dx});
    return trace_.finish(s_.update_at_end);
  }

 private:
  struct Layer {
    int in, norm1, moments1, qkv, attended, attention_saved, middle, norm2, moments2, hidden,
        activated, out;
  };

  int norm(int x, int& moments) {
    const int y = trace_.buffer(rows_ * d_);
    moments = trace_.buffer(rows_ * 2, kSingle);
    trace_.kernel({x});
    return y;
  }

  std::int64_t scores() const { return s_.batch * (d_ / 64) * s_.tokens * s_.tokens; }

  void attend(Layer& l) {
    if (s_.stored_scores) {
      const int scores_of_heads = trace_.written(scores(), {l.qkv});
      l.attention_saved = trace_.written(scores(), {scores_of_heads});
      l.attended = trace_.written(rows_ * d_, {l.attention_saved, l.qkv});
      return;
    }
    l.attended = trace_.buffer(rows_ * d_);
    l.attention_saved = trace_.buffer(rows_ * d_ / 64, kSingle);  // log of the row sums
    trace_.kernel({l.qkv});
  }

  Layer forward(int x) {
    Layer l{};
    l.in = x;
    l.norm1 = norm(x, l.moments1);
    l.qkv = trace_.buffer(rows_ * 3 * d_);
    trace_.buffer(4 << 20, 1);  // workspace of the library's product
    trace_.kernel({l.norm1});
    attend(l);
    const int projected = trace_.written(rows_ * d_, {l.attended});
    l.middle = trace_.written(rows_ * d_, {x, projected});
    l.norm2 = norm(l.middle, l.moments2);
    l.hidden = trace_.written(rows_ * 4 * d_, {l.norm2});
    l.activated = trace_.written(rows_ * 4 * d_, {l.hidden});
    const int down = trace_.written(rows_ * d_, {l.activated});
    l.out = trace_.written(rows_ * d_, {l.middle, down});
    return l;
  }

  int d_attention(const Layer& l, int d_attended) {
    if (s_.stored_scores) {
      const int d_probabilities = trace_.written(scores(), {d_attended, l.qkv});
      const int d_scores = trace_.written(scores(), {d_probabilities, l.attention_saved});
      return trace_.written(rows_ * 3 * d_, {d_scores, l.qkv, l.attention_saved, d_attended});
    }
    const int d_qkv = trace_.buffer(rows_ * 3 * d_);
    trace_.buffer(rows_ * d_, kSingle);  // sums of dq over blocks of keys
    trace_.kernel({d_attended, l.qkv, l.attended, l.attention_saved});
    return d_qkv;
  }

  int d_norm(int dy, int x, int moments, int also_read) {
    const int dx = trace_.buffer(rows_ * d_);
    trace_.gradient(2 * d_, {dy, x, moments, also_read});
    return dx;
  }

  int backward(const Layer& l, int dx) {
    const std::int64_t four = 4 * d_ * d_;
    const int d_activated = trace_.written(rows_ * 4 * d_, {dx});
    if (!s_.late_wgrad) trace_.gradient(four, {dx, l.activated});
    const int d_hidden = trace_.written(rows_ * 4 * d_, {d_activated, l.hidden});
    if (s_.late_wgrad) trace_.gradient(four, {dx, l.activated});
    const int d_norm2 = trace_.written(rows_ * d_, {d_hidden});
    trace_.gradient(four, {d_hidden, l.norm2});
    const int d_middle = d_norm(d_norm2, l.middle, l.moments2, dx);
    const int d_attended = trace_.written(rows_ * d_, {d_middle});
    trace_.gradient(d_ * d_, {d_middle, l.attended});
    const int d_qkv = d_attention(l, d_attended);
    const int d_norm1 = trace_.written(rows_ * d_, {d_qkv});
    trace_.gradient(3 * d_ * d_, {d_qkv, l.norm1});
    return d_norm(d_norm1, l.in, l.moments1, d_middle);
  }

  TransformerShape s_;
  std::int64_t rows_, d_;
  Trace trace_;
};

/// A U-Net (Ronneberger et al. 2015): images of side x side, channels doubled at every level.
class UNet {
 public:
  UNet(int depth, std::int64_t batch, std::int64_t side, std::int64_t channels)
      : depth_(depth), batch_(batch), side_(side), channels_(channels) {}

  Lifetimes step() {
    int x = trace_.written(pixels(0) * channels_, {});
    std::vector<int> skips;
    for (int level = 0; level < depth_; ++level) {
      x = block(x, level);
      skips.push_back(x);
      x = trace_.written(pixels(level + 1) * width(level), {x});
    }
    x = block(x, depth_);
    for (int level = depth_ - 1; level >= 0; --level) {
      const std::int64_t elements = pixels(level) * width(level);
      const int raised = trace_.written(elements, {x});
      x = block(trace_.written(2 * elements, {raised, skips[static_cast<std::size_t>(level)]}),
                level);
    }
    int dx = trace_.written(pixels(0) * channels_, {x});
    for (auto b = blocks_.rbegin(); b != blocks_.rend(); ++b) dx = backward(*b, dx);
    return trace_.finish(true);
  }

 private:
  struct Block {
    int in, first, first_normed, second, out, level;
  };
  std::int64_t pixels(int level) const { return batch_ * (side_ >> level) * (side_ >> level); }
  std::int64_t width(int level) const { return channels_ << level; }

  int block(int x, int level) {
    const std::int64_t elements = pixels(level) * width(level);
    Block b{x, 0, 0, 0, 0, level};
    b.first = trace_.buffer(elements);
    trace_.buffer(8 << 20, 1);  // workspace of the library's convolution
    trace_.kernel({x});
    b.first_normed = trace_.written(elements, {b.first});
    b.second = trace_.written(elements, {b.first_normed});
    b.out = trace_.written(elements, {b.second});
    blocks_.push_back(b);
    return b.out;
  }

  int backward(const Block& b, int dy) {
    const std::int64_t elements = pixels(b.level) * width(b.level);
    const int d_second = trace_.written(elements, {dy, b.second});
    const int d_normed = trace_.written(elements, {d_second});
    trace_.gradient(9 * width(b.level) * width(b.level), {d_second, b.first_normed});
    const int d_first = trace_.written(elements, {d_normed, b.first});
    trace_.gradient(9 * width(b.level) * width(b.level), {d_first, b.in});
    return trace_.written(elements, {d_first});
  }

  int depth_;
  std::int64_t batch_, side_, channels_;
  Trace trace_;
  std::vector<Block> blocks_;
};

Lifetimes trace_of(const std::string& name) {
  const std::map<std::string, TransformerShape> transformers = {
      {"gpt2", {12, 8, 1024, 768, 50304}},
      {"gpt2_late_wgrad", {12, 8, 1024, 768, 50304, false, false, false, true}},
      {"gpt2_stored_scores", {12, 8, 1024, 768, 50304, true}},
      {"gpt_1.3b_recompute", {24, 4, 2048, 2048, 50304, false, true}},
      {"gpt_1.3b_update_at_end", {24, 4, 2048, 2048, 50304, false, true, true}},
      {"gpt_6.7b_recompute", {32, 2, 4096, 4096, 32000, false, true}}};
  if (const auto at = transformers.find(name); at != transformers.end())
    return Transformer(at->second).step();
  if (name == "unet") return UNet(4, 8, 256, 64).step();
  throw std::runtime_error(name + ": no such trace");
}

/// The most bytes that are live at one moment.
std::int64_t lower_bound_bytes(const Lifetimes& buffers) {
  std::map<int, std::int64_t> change;
  for (std::size_t i = 0; i < buffers.bytes.size(); ++i) {
    change[buffers.begin[i]] += buffers.bytes[i];
    change[buffers.end[i]] -= buffers.bytes[i];
  }
  std::int64_t live = 0, most = 0;
  for (const auto& moment : change) most = std::max(most, live += moment.second);
  return most;
}

void expect_no_overlap(const Lifetimes& b, const Placement& placed) {
  const auto& offset = placed.offset_bytes;
  for (std::size_t i = 0; i < b.bytes.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (b.begin[i] < b.end[j] && b.begin[j] < b.end[i] && offset[i] < offset[j] + b.bytes[j] &&
          offset[j] < offset[i] + b.bytes[i])
        throw std::runtime_error("two live buffers share bytes");
}

}  // namespace

Case load_placement(const Settings& settings) {
  const auto buffers = std::make_shared<Lifetimes>(trace_of(settings.text("trace", "")));
  const std::int64_t bound = lower_bound_bytes(*buffers);
  const Placement placed = place_buffers(*buffers, bound);
  expect_no_overlap(*buffers, placed);
  Case loaded;
  loaded.plan.nodes = buffers->count();
  loaded.plan.arena_bytes = placed.height_bytes;
  loaded.plan.lower_bound_bytes = bound;
  loaded.check = {{static_cast<double>(placed.height_bytes)}};
  loaded.step = [buffers, bound] { place_buffers(*buffers, bound); };
  return loaded;
}

}  // namespace fornax::bench
