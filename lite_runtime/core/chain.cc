// Chains: convolutions whose large results only the next one reads are run together, a band of rows at a time. What
// lies between them is never whole: each thread has buffers that hold a band's rows and stay in its cache. The results
// are the same as without. Of several threads each computes its part of the last result's rows, and of the rows before
// whatever those need, at the parts' borders twice.
#include <algorithm>
#include <array>

#include "frame.h"
#include "session.h"

namespace lr {

namespace {
// A result as large for each thread does not stay in a second-level cache of 512 KB beside what it is computed from.
constexpr size_t kLargeBytes = 384 * 1024;
// Of a thread's buffers, where they can be as small.
constexpr size_t kBandBytes = 320 * 1024;
// What an operator reads again for every band, its weights, has to be small beside the band.
constexpr size_t kAgainBytes = 64 * 1024;
constexpr size_t kMostSteps = 3;
}  // namespace

ByRows& Frame::Chain::op(size_t i) const { return *steps[i]->by_rows(); }

size_t Frame::Chain::row_bytes(size_t i) const {
  return steps[i]->node.out[0]->bytes() / static_cast<size_t>(op(i).row_count());
}

size_t Frame::Chain::buffer_bytes(size_t i) const {
  return static_cast<size_t>(round_up(rows[i] * static_cast<int64_t>(row_bytes(i)), 64));
}

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
  const auto threads = static_cast<size_t>(session_.pool.threads());
  for (size_t s = 0; s < steps_.size(); ++s) {
    steps_[s].first = steps_[s].last = s;
  }
  for (size_t s = 0; s < steps_.size(); ++s) {
    if (!can_chain(steps_[s]) || steps_[s].node.out[0]->bytes() < kLargeBytes * threads) continue;
    auto chain = std::make_unique<Chain>();
    chain->steps = {&steps_[s]};
    size_t last = s;
    while (chain->steps.size() < kMostSteps) {
      const size_t next = next_in_chain(last, reads);
      if (next == last) break;
      last = next;
      chain->steps.push_back(&steps_[last]);
    }
    if (last == s) continue;
    for (size_t i = s; i <= last; ++i) {
      steps_[i].first = s;
      steps_[i].last = last;
    }
    chain->threads.resize(threads);
    chain->choose_band();
    steps_[s].chain = std::move(chain);
    s = last;
  }
}

// The last result's rows of one of as many parts as there are threads, a band at a time. For every step, those before
// first, calls compute(i, first, begin, end): rows [begin, end) of its result are to be computed, and of those before
// them the ones from `first` on will be read again.
template <class Compute>
void Frame::Chain::walk(int64_t part, const Compute& compute) const {
  const auto parts = static_cast<int64_t>(threads.size());
  const int64_t total = op(last()).row_count(), stop = total * (part + 1) / parts;
  std::array<int64_t, kMostSteps> first{}, begin{}, end{};
  for (int64_t row = total * part / parts; row < stop; row += band) {
    first[last()] = begin[last()] = row;
    end[last()] = std::min(stop, row + band);
    for (size_t i = last(); i > 0; --i) {
      // A window may lie in the padding above or below all rows.
      first[i - 1] = std::min(op(i).first_read(begin[i]), op(i - 1).row_count());
      begin[i - 1] = std::max(begin[i - 1], first[i - 1]);
      end[i - 1] = std::max(begin[i - 1], op(i).rows_read(end[i]));
    }
    for (size_t i = 0; i <= last(); ++i) {
      compute(i, first[i], begin[i], end[i]);
      begin[i] = end[i];
    }
  }
}

// The most rows with which a thread's buffers are small enough, at least one.
void Frame::Chain::choose_band() {
  const auto use = [&](int64_t wanted) {
    band = wanted;
    rows.assign(last(), 0);
    for (size_t part = 0; part < threads.size(); ++part) {
      walk(static_cast<int64_t>(part), [&](size_t i, int64_t first, int64_t, int64_t end) {
        if (i < last()) rows[i] = std::max(rows[i], end - first);
      });
    }
  };
  use(1);
  while (band < op(last()).row_count() && thread_bytes() <= kBandBytes) use(band + 1);
  if (band > 1 && thread_bytes() > kBandBytes) use(band - 1);
}

size_t Frame::Chain::thread_bytes() const {
  size_t bytes = 0;
  for (size_t i = 0; i < last(); ++i) bytes += buffer_bytes(i);
  return bytes;
}

// Once the steps have their memory; `memory`: thread_bytes() for each thread.
void Frame::Chain::place(char* memory) {
  for (Thread& thread : threads) {
    thread.buffers.resize(last());
    thread.between.resize(last());
    for (size_t i = 0; i <= last(); ++i) {
      Node& node = thread.nodes.emplace_back(steps[i]->node);
      if (i > 0) node.in[0] = &thread.between[i - 1];
      if (i == last()) continue;
      thread.between[i] = *node.out[0];
      node.out[0] = &thread.between[i];
      thread.buffers[i] = memory;
      memory += buffer_bytes(i);
    }
  }
}

void Frame::Chain::run(int64_t part, Thread& thread) const {
  std::array<int64_t, kMostSteps> held{};  // the row that each buffer begins with
  walk(part, [&](size_t i, int64_t first, int64_t begin, int64_t end) {
    if (i < last()) {
      char* buffer = thread.buffers[i];
      const auto row = static_cast<int64_t>(row_bytes(i));
      std::memmove(buffer, buffer + (first - held[i]) * row, static_cast<size_t>((begin - first) * row));
      held[i] = first;
      thread.between[i].data = buffer - first * row;  // where row 0 would be
    }
    if (begin < end) op(i).run_rows(thread.nodes[i], begin, end);
  });
}

void Frame::run_chain(Step& head) {
  Chain& chain = *head.chain;
  head.by_rows()->before_rows(head.node);
  session_.pool.run(static_cast<int64_t>(chain.threads.size()), 1, [&](int64_t begin, int64_t end, int thread) {
    for (int64_t part = begin; part < end; ++part) chain.run(part, chain.threads[static_cast<size_t>(thread)]);
  });
}

}  // namespace lr
