// Chains: operators whose large results only the next one reads are run together, a band of rows at a time, so that
// what lies between them stays in the cache. The results are the same as without. Only on one thread.
#include <algorithm>
#include <array>

#include "frame.h"
#include "session.h"

namespace lr {

namespace {
// A result as large does not stay in a second-level cache of 512 KB beside what it is computed from.
constexpr size_t kLargeBytes = 384 * 1024;
// Of a band of the first operator's result.
constexpr size_t kBandBytes = 192 * 1024;
// What an operator reads again for every band, its weights, has to be small beside the band.
constexpr size_t kAgainBytes = 64 * 1024;
constexpr size_t kMostSteps = 3;
}  // namespace

bool Frame::can_chain(const Step& step) const {
  if (step.kind != Kind::kOperator || step.at_run_time || step.done || step.out.size() != 1) return false;
  if (step.op->is_view() || step.op->overwrites() >= 0 || step.node.out[0]->count() == 0) return false;
  size_t again = 0;
  for (size_t i = 1; i < step.node.in.size(); ++i) {
    if (step.node.in[i] != nullptr && step.node.in[i]->known) again += step.node.in[i]->bytes();
  }
  return again <= kAgainBytes && step.op->row_count(step.node) > 0;
}

// The step that alone reads the result of step s and comes right after it; s when there is none.
size_t Frame::next_in_chain(size_t s, const std::vector<size_t>& reads) const {
  const uint32_t result = steps_[s].out[0];
  if (reads[result] != 1) return s;
  size_t next = s + 1;
  while (next < steps_.size() && steps_[next].done) ++next;
  if (next == steps_.size() || steps_[next].in.empty() || steps_[next].in[0] != result) return s;
  return can_chain(steps_[next]) ? next : s;
}

void Frame::find_chains() {
  const std::vector<size_t> reads = count_reads();
  for (size_t s = 0; s < steps_.size(); ++s) steps_[s].first = steps_[s].last = s;
  if (session_.pool.threads() > 1) return;  // which would meet after every operator of every band
  for (size_t s = 0; s < steps_.size(); ++s) {
    if (!can_chain(steps_[s]) || steps_[s].node.out[0]->bytes() < kLargeBytes) continue;
    size_t last = s, length = 1;
    while (length < kMostSteps) {
      const size_t next = next_in_chain(last, reads);
      if (next == last) break;
      last = next;
      ++length;
    }
    if (length == 1) continue;
    steps_[s].chain = length;
    for (size_t i = s; i <= last; ++i) {
      steps_[i].first = s;
      steps_[i].last = last;
    }
    s = last;
  }
}

void Frame::run_chain(Step& head) {
  std::array<Step*, kMostSteps> steps{};
  std::array<int64_t, kMostSteps> ready{}, wanted{};
  const size_t count = head.chain;
  size_t found = 0;
  for (size_t s = head.first; s <= head.last; ++s) {
    if (!steps_[s].done) steps[found++] = &steps_[s];
  }
  const auto rows = [&](size_t i) { return steps[i]->op->row_count(steps[i]->node); };
  const int64_t total = rows(count - 1);
  const double bands = static_cast<double>(head.node.out[0]->bytes()) / static_cast<double>(kBandBytes);
  const int64_t band = std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(total) / bands));
  for (int64_t end = 0; end < total;) {
    end = std::min(end + band, total);
    wanted[count - 1] = end;
    for (size_t i = count - 1; i > 0; --i) {
      wanted[i - 1] = end == total ? rows(i - 1) : steps[i]->op->rows_read(wanted[i]);
    }
    for (size_t i = 0; i < count; ++i) {
      if (wanted[i] <= ready[i]) continue;
      steps[i]->op->run_rows(steps[i]->node, ready[i], wanted[i]);
      ready[i] = wanted[i];
    }
  }
}

}  // namespace lr
