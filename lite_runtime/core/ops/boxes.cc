#include "ops/boxes.h"

#include <algorithm>

namespace lr {

float overlap(const Box& a, const Box& b) {
  const auto area = [](const Box& box) { return (box.bottom - box.top) * (box.right - box.left); };
  const bool rectangles = a.bottom > a.top && a.right > a.left && b.bottom > b.top && b.right > b.left;
  if (!rectangles) return 0.0f;
  const float height = std::max(0.0f, std::min(a.bottom, b.bottom) - std::max(a.top, b.top));
  const float width = std::max(0.0f, std::min(a.right, b.right) - std::max(a.left, b.left));
  const float common = height * width;
  return common / (area(a) + area(b) - common);
}

std::vector<int32_t> suppress_overlaps(const std::vector<Box>& boxes, const float* scores, int64_t score_step,
                                       std::vector<int32_t> candidates, float threshold, int64_t most) {
  std::stable_sort(candidates.begin(), candidates.end(),
                   [&](int32_t i, int32_t j) { return scores[i * score_step] > scores[j * score_step]; });
  std::vector<int32_t> chosen;
  for (int32_t candidate : candidates) {
    if (static_cast<int64_t>(chosen.size()) >= most) break;
    const Box& box = boxes[static_cast<size_t>(candidate)];
    const bool hidden = std::any_of(chosen.begin(), chosen.end(), [&](int32_t better) {
      return overlap(boxes[static_cast<size_t>(better)], box) > threshold;
    });
    if (!hidden) chosen.push_back(candidate);
  }
  return chosen;
}

}  // namespace lr
