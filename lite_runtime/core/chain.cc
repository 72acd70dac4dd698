// Chains: operators whose large results only the next one reads are run together, a band of rows at a time, so that
// what lies between them stays in the cache. The results are the same as without. Of several threads each takes a part
// of the rows; what reads two threads' rows is computed afterwards.
#include <algorithm>
#include <array>

#include "frame.h"
#include "session.h"

namespace lr {

namespace {
// A result as large for each thread does not stay in a second-level cache of 512 KB beside what it is computed from.
constexpr size_t kLargeBytes = 384 * 1024;
// Of a band of the first operator's result.
constexpr size_t kBandBytes = 192 * 1024;
// What an operator reads again for every band, its weights, has to be small beside the band.
constexpr size_t kAgainBytes = 64 * 1024;
constexpr size_t kMostSteps = 3;
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
  const auto threads = static_cast<size_t>(session_.pool.threads());
  for (size_t s = 0; s < steps_.size(); ++s) {
    steps_[s].first = steps_[s].last = s;
    steps_[s].chain.clear();
  }
  for (size_t s = 0; s < steps_.size(); ++s) {
    if (!can_chain(steps_[s]) || steps_[s].node.out[0]->bytes() < kLargeBytes * threads) continue;
    std::vector<Step*> chain = {&steps_[s]};
    size_t last = s;
    while (chain.size() < kMostSteps) {
      const size_t next = next_in_chain(last, reads);
      if (next == last) break;
      last = next;
      chain.push_back(&steps_[last]);
    }
    if (chain.size() == 1) continue;
    for (size_t i = s; i <= last; ++i) {
      steps_[i].first = s;
      steps_[i].last = last;
    }
    steps_[s].chain = std::move(chain);
    s = last;
  }
}

// Rows [begin, end) of the result of each step.
struct Frame::ChainRows {
  std::array<int64_t, kMostSteps> begin{}, end{};
};

// What a thread can compute alone: of the first step its share of the rows, of the others what reads none but these.
Frame::ChainRows Frame::chain_part(const std::vector<Step*>& steps, int64_t part, int64_t parts) {
  const int64_t rows = steps[0]->by_rows()->row_count();
  ChainRows r;
  r.begin[0] = rows * part / parts;
  r.end[0] = rows * (part + 1) / parts;
  for (size_t i = 1; i < steps.size(); ++i) {
    const ByRows& op = *steps[i]->by_rows();
    const int64_t total = op.row_count();
    while (part > 0 && r.begin[i] < total && op.first_read(r.begin[i]) < r.begin[i - 1]) ++r.begin[i];
    r.end[i] = part + 1 == parts ? total : r.begin[i];
    while (r.end[i] < total && op.rows_read(r.end[i] + 1) <= r.end[i - 1]) ++r.end[i];
  }
  return r;
}

// Runs the steps' rows a band at a time.
void Frame::run_bands(const std::vector<Step*>& steps, const ChainRows& rows) {
  const Step& head = *steps[0];
  const size_t last = steps.size() - 1;
  const double bands = static_cast<double>(head.node.out[0]->bytes()) / static_cast<double>(kBandBytes);
  const auto total = static_cast<double>(steps[last]->by_rows()->row_count());
  const int64_t band = std::max<int64_t>(1, static_cast<int64_t>(total / bands));
  std::array<int64_t, kMostSteps> ready = rows.begin, wanted{};
  int64_t end = rows.begin[last];
  do {
    end = std::min(end + band, rows.end[last]);
    wanted[last] = end;
    for (size_t i = last; i > 0; --i) {
      const bool all = end == rows.end[last];
      wanted[i - 1] = all ? rows.end[i - 1] : std::min(rows.end[i - 1], steps[i]->by_rows()->rows_read(wanted[i]));
    }
    for (size_t i = 0; i <= last; ++i) {
      if (wanted[i] <= ready[i]) continue;
      steps[i]->by_rows()->run_rows(steps[i]->node, ready[i], wanted[i]);
      ready[i] = wanted[i];
    }
  } while (end < rows.end[last]);
}

void Frame::run_chain(Step& head) {
  const std::vector<Step*>& steps = head.chain;
  const int64_t parts = session_.pool.threads();
  head.by_rows()->before_rows(head.node);
  session_.pool.run(parts, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t part = begin; part < end; ++part) run_bands(steps, chain_part(steps, part, parts));
  });
  for (size_t i = 1; i < steps.size(); ++i) {
    for (int64_t part = 1; part < parts; ++part) {
      const int64_t begin = chain_part(steps, part - 1, parts).end[i], end = chain_part(steps, part, parts).begin[i];
      if (begin < end) steps[i]->by_rows()->run_rows(steps[i]->node, begin, end);
    }
  }
}

}  // namespace lr
