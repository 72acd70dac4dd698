// Chains: convolutions whose large results only the next one reads are run together, a band of rows at a time. What
// lies between them is never whole: each thread has buffers that hold a band's rows and stay in its cache. The results
// are the same as without. Of several threads each computes its part of the last result's rows, and of the rows before
// whatever those need, at the parts' borders twice.
#include <algorithm>

#include "frame.h"
#include "session.h"

namespace lr {

namespace {
// Of a result, for each thread. Smaller ones stay in the cache anyway, and little of them goes from core to core.
constexpr size_t kLargeBytes = 72 * 1024;
// Of a thread's buffers, where they can be as small.
constexpr size_t kBandBytes = 320 * 1024;
// What an operator reads again for every band, its weights, has to be small beside the band.
constexpr size_t kAgainBytes = 100 * 1024;
}  // namespace

bool Frame::can_chain(const Step& step) const {
  if (step.kind != Kind::kOperator || step.at_run_time || step.done || step.out.size() != 1) return false;
  const OpTraits traits = step.op->traits();
  if (traits.is_view || traits.overwrites >= 0 || step.node.out[0]->count() == 0) return false;
  size_t again = 0;
  for (size_t i = 1; i < step.node.in.size(); ++i) {
    if (step.node.in[i] != nullptr && step.node.in[i]->known) again += step.node.in[i]->bytes();
  }
  return again <= kAgainBytes && step.by_rows() != nullptr;
}

// The step that alone reads the result of step s and comes right after it; s when there is none.
size_t Frame::next_in_chain(size_t s, const std::vector<size_t>& reads) const {
  const uint32_t result = steps_[s].out[0];
  if (reads[result] != 1) return s;
  size_t next = s + 1;
  while (next < steps_.size() && steps_[next].done) ++next;
  if (next == steps_.size() || steps_[next].in.empty() || steps_[next].in[0] != result) return s;
  const Step& step = steps_[next];
  return can_chain(step) && !step.by_rows()->copies_input() ? next : s;
}

void Frame::find_chains() {
  const std::vector<size_t> reads = count_reads();
  const int threads = session_.pool.threads();
  for (size_t s = 0; s < steps_.size(); ++s) steps_[s].first = steps_[s].last = s;
  for (size_t s = 0; s < steps_.size(); ++s) {
    if (!can_chain(steps_[s]) || steps_[s].node.out[0]->bytes() < kLargeBytes * static_cast<size_t>(threads)) continue;
    auto chain = std::make_unique<Chain>();
    chain->steps = {&steps_[s]};
    size_t last = s;
    while (chain->steps.size() < Chain::kMostSteps) {
      const size_t next = next_in_chain(last, reads);
      if (next == last) break;
      last = next;
      chain->steps.push_back(&steps_[last]);
    }
    if (last == s) continue;
    chain->parts = threads;
    const int64_t computed = chain->choose_band();
    if (5 * computed > 6 * chain->op(0).row_count()) continue;  // too much would be computed twice
    for (size_t i = s; i <= last; ++i) {
      steps_[i].first = s;
      steps_[i].last = last;
    }
    steps_[s].chain = std::move(chain);
    s = last;
  }
}

ByRows& Frame::Chain::op(size_t i) const { return *steps[i]->by_rows(); }

size_t Frame::Chain::row_bytes(size_t i) const {
  return steps[i]->node.out[0]->bytes() / static_cast<size_t>(op(i).row_count());
}

// The last result's rows of one of as many parts as there are threads, a band at a time. For every step, those before
// first, calls compute(i, first, begin, end): rows [begin, end) of its result are to be computed, and of those before
// them the ones from `first` on will be read again.
void Frame::Chain::walk(int64_t part, FunctionRef<void(size_t, int64_t, int64_t, int64_t)> compute) const {
  const size_t last = steps.size() - 1;
  const int64_t total = op(last).row_count(), stop = total * (part + 1) / parts;
  int64_t first[kMostSteps] = {}, begin[kMostSteps] = {}, end[kMostSteps] = {};
  for (int64_t row = total * part / parts; row < stop; row += band) {
    first[last] = begin[last] = row;
    end[last] = std::min(stop, row + band);
    for (size_t i = last; i > 0; --i) {
      // A window may lie in the padding above or below all rows.
      first[i - 1] = std::min(op(i).first_read(begin[i]), op(i - 1).row_count());
      begin[i - 1] = std::max(begin[i - 1], first[i - 1]);
      end[i - 1] = std::max(begin[i - 1], op(i).rows_read(end[i]));
    }
    for (size_t i = 0; i <= last; ++i) {
      compute(i, first[i], begin[i], end[i]);
      begin[i] = end[i];
    }
  }
}

// About the most rows with which a thread's buffers are small enough, at least one. Returns how many rows of the first
// result all parts compute together.
int64_t Frame::Chain::choose_band() {
  const size_t last = steps.size() - 1;
  const int64_t most = op(last).row_count();
  size_t whole = 0;
  for (size_t i = 0; i < last; ++i) whole += steps[i]->node.out[0]->bytes();
  // Long inputs of small rows are not to be walked row by row.
  band = std::clamp<int64_t>(static_cast<int64_t>(kBandBytes * static_cast<size_t>(most) / whole), 1, most);
  for (;;) {
    int64_t rows[kMostSteps] = {}, computed = 0;
    for (int64_t part = 0; part < parts; ++part) {
      walk(part, [&](size_t i, int64_t first, int64_t begin, int64_t end) {
        rows[i] = std::max(rows[i], end - first);
        if (i == 0) computed += end - begin;
      });
    }
    thread_bytes = 0;
    for (size_t i = 0; i < last; ++i) {
      buffers[i] = thread_bytes;
      thread_bytes += (static_cast<size_t>(rows[i]) * row_bytes(i) + 63) / 64 * 64;
    }
    if (band == 1 || thread_bytes <= kBandBytes) return computed;
    band -= div_up(band, 8);
  }
}

// Computes a part with a thread's buffers.
void Frame::Chain::run(int64_t part, char* memory) const {
  int64_t held[kMostSteps] = {};  // the row that each buffer begins with
  const void* in = nullptr;
  walk(part, [&](size_t i, int64_t first, int64_t begin, int64_t end) {
    Node& node = steps[i]->node;
    if (i == 0) in = node.in[0]->data;
    char* out = static_cast<char*>(node.out[0]->data);
    if (i + 1 < steps.size()) {
      char* buffer = memory + buffers[i];
      const auto row = static_cast<int64_t>(row_bytes(i));
      std::memmove(buffer, buffer + (first - held[i]) * row, static_cast<size_t>((begin - first) * row));
      held[i] = first;
      out = buffer - first * row;
    }
    if (begin < end) op(i).run_rows(node, in, out, begin, end);
    in = out;
  });
}

void Frame::run_chain(Step& head) {
  const Chain& chain = *head.chain;
  head.by_rows()->before_rows(head.node);
  session_.pool.run(chain.parts, 1, [&](int64_t begin, int64_t end, int thread) {
    char* memory = chain.memory + static_cast<size_t>(thread) * chain.thread_bytes;
    for (int64_t part = begin; part < end; ++part) chain.run(part, memory);
  });
}

}  // namespace lr
