// Rectangles and the suppression of those that overlap a better one.
#pragma once

#include <cstdint>
#include <vector>

namespace lr {

struct Box {
  float top, left, bottom, right;  // top <= bottom, left <= right for a rectangle with an area
};

// Area of the intersection by that of the union; 0 when either has no area.
float overlap(const Box& a, const Box& b);

// Of the candidates (numbers of boxes), best score first and equal ones in their order, those that overlap
// none chosen before by more than `threshold`; at most `most` of them.
std::vector<int32_t> suppress_overlaps(const std::vector<Box>& boxes, const float* scores, int64_t score_step,
                                       std::vector<int32_t> candidates, float threshold, int64_t most);

}  // namespace lr
