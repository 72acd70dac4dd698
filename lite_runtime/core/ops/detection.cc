// Choosing among detected boxes: NonMaxSuppression (as in ONNX) and DetectionPostProcess (as in TFLite).
#include <algorithm>
#include <cmath>
#include <limits>

#include "op.h"
#include "ops/boxes.h"

namespace lr {
namespace {

constexpr int64_t kMostBoxes = std::numeric_limits<int32_t>::max();

// A score that is no number takes no part: it would have no place in the order.
bool takes_part(float score, float threshold, bool or_equal) {
  return or_equal ? score >= threshold : score > threshold;
}

// Inputs (boxes [batch, n, 4], scores [batch, classes, n][, most per class[, overlap[, score]]]). A box is two
// opposite corners (y, x, y, x), or with center_point_box (x, y, width, height) around its centre. The result
// [k, 3] holds batch, class and box (int32), by batch, then class, then score.
class NonMaxSuppressionOp : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(2, 5);
    node.expect_dtype(0, DType::kFloat32);
    node.expect_dtype(1, DType::kFloat32);
    const Shape &boxes = node.in[0]->shape, &scores = node.in[1]->shape;
    const bool fits = boxes.rank() == 3 && scores.rank() == 3 && boxes[2] == 4 && boxes[0] == scores[0] &&
                      boxes[1] == scores[2] && boxes[1] <= kMostBoxes;
    if (!fits) node.invalid("boxes %s and scores %s do not fit", boxes.str().c_str(), scores.str().c_str());
    node.value(0);
    node.value(1);
    const int64_t most = node.has(2) ? one_int(node, 2) : 0;
    const float threshold = node.has(3) ? one_float(node, 3) : 0.0f;
    const float least = node.has(4) ? one_float(node, 4) : -std::numeric_limits<float>::infinity();
    chosen_.clear();
    for (int64_t b = 0; b < boxes[0]; ++b) choose(node, b, most, threshold, least);
    node.set_out(0, DType::kInt32, Shape{static_cast<int64_t>(chosen_.size() / 3), 3});
  }

  void run(Node& node) override { std::copy(chosen_.begin(), chosen_.end(), node.out[0]->as<int32_t>()); }

 private:
  static int64_t one_int(const Node& node, size_t i) {
    const std::vector<int64_t> values = node.ints(i);
    if (values.size() != 1) node.invalid("input %zu must hold one number, has %zu", i, values.size());
    return values[0];
  }
  static float one_float(const Node& node, size_t i) {
    const std::vector<float> values = node.floats(i);
    if (values.size() != 1) node.invalid("input %zu must hold one number, has %zu", i, values.size());
    return values[0];
  }

  static Box read_box(const float* p, bool centered) {
    if (centered) return {p[1] - p[3] / 2, p[0] - p[2] / 2, p[1] + p[3] / 2, p[0] + p[2] / 2};
    return {std::min(p[0], p[2]), std::min(p[1], p[3]), std::max(p[0], p[2]), std::max(p[1], p[3])};
  }

  void choose(const Node& node, int64_t batch, int64_t most, float threshold, float least) {
    const bool centered = node.attr<schema::NonMaxSuppression>()->center_point_box() != 0;
    const int64_t n = node.in[0]->shape[1], classes = node.in[1]->shape[1];
    std::vector<Box> boxes;
    for (int64_t i = 0; i < n; ++i) boxes.push_back(read_box(node.in[0]->as<float>() + (batch * n + i) * 4, centered));
    for (int64_t c = 0; c < classes; ++c) {
      const float* scores = node.in[1]->as<float>() + (batch * classes + c) * n;
      std::vector<int32_t> candidates;
      for (int64_t i = 0; i < n; ++i) {
        if (takes_part(scores[i], least, false)) candidates.push_back(static_cast<int32_t>(i));
      }
      for (int32_t box : suppress_overlaps(boxes, scores, 1, std::move(candidates), threshold, most)) {
        chosen_.insert(chosen_.end(), {static_cast<int32_t>(batch), static_cast<int32_t>(c), box});
      }
    }
  }

  std::vector<int32_t> chosen_;  // what infer found: the shape depends on it
};

// Inputs (encodings [1, n, 4], scores [1, n, classes], anchors [n, 4]); outputs boxes [1, k, 4] (top, left,
// bottom, right), classes [1, k], scores [1, k] and their number [1], all float32, zero behind the last.
// Scores may begin with a background class, which num_classes does not count.
class DetectionPostProcessOp : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(3, 3);
    for (size_t i = 0; i < 3; ++i) node.expect_dtype(i, DType::kFloat32);
    const auto* attr = node.attr<schema::DetectionPostProcess>();
    const Shape &codes = node.in[0]->shape, &scores = node.in[1]->shape, &anchors = node.in[2]->shape;
    const bool fits = codes.rank() == 3 && codes[0] == 1 && codes[2] == 4 && codes[1] <= kMostBoxes &&
                      scores.rank() == 3 && scores[0] == 1 && scores[1] == codes[1] && anchors.rank() == 2 &&
                      anchors[0] == codes[1] && anchors[1] == 4;
    if (!fits) {
      node.invalid("encodings %s, scores %s and anchors %s do not fit", codes.str().c_str(), scores.str().c_str(),
                   anchors.str().c_str());
    }
    const int64_t classes = attr->num_classes();
    if (classes < 1 || (scores[2] != classes && scores[2] - 1 != classes)) {
      node.invalid("num_classes %lld does not fit %lld scores", static_cast<long long>(classes),
                   static_cast<long long>(scores[2]));
    }
    constexpr int64_t kMost = 1 << 20;
    const auto in_range = [](int64_t value) { return value >= 1 && value <= kMost; };
    if (!in_range(attr->max_detections()) || !in_range(attr->max_classes_per_detection()) ||
        (attr->use_regular_nms() && !in_range(attr->detections_per_class()))) {
      node.invalid("the largest numbers of detections or classes are out of range");
    }
    if (attr->scale() == nullptr || attr->scale()->size() != 4) node.invalid("scale must have 4 values");
    const int64_t k = attr->max_detections() * attr->max_classes_per_detection();
    node.set_out(0, DType::kFloat32, Shape{1, k, 4});
    node.set_out(1, DType::kFloat32, Shape{1, k});
    node.set_out(2, DType::kFloat32, Shape{1, k});
    node.set_out(3, DType::kFloat32, Shape{1});
  }

  void run(Node& node) override {
    const auto* attr = node.attr<schema::DetectionPostProcess>();
    const std::vector<Box> boxes = decode(node);
    const std::vector<Found> found = attr->use_regular_nms() ? by_class(node, boxes) : by_box(node, boxes);
    for (Tensor* out : node.out) std::memset(out->data, 0, out->bytes());
    for (size_t i = 0; i < found.size(); ++i) {
      std::memcpy(node.out[0]->as<Box>() + i, &boxes[static_cast<size_t>(found[i].box)], sizeof(Box));
      if (node.out.size() > 1) node.out[1]->as<float>()[i] = static_cast<float>(found[i].label);
      if (node.out.size() > 2) node.out[2]->as<float>()[i] = found[i].score;
    }
    if (node.out.size() > 3) *node.out[3]->as<float>() = static_cast<float>(found.size());
  }

 private:
  struct Found {
    int32_t box;
    int64_t label;
    float score;
  };

  // An encoding is the centre (y, x), scaled and relative to the anchor, and the logarithms of its size.
  static std::vector<Box> decode(const Node& node) {
    const auto& scale = *node.attr<schema::DetectionPostProcess>()->scale();  // of height, width, x, y
    std::vector<Box> boxes(static_cast<size_t>(node.in[2]->shape[0]));
    for (size_t i = 0; i < boxes.size(); ++i) {
      const float *code = node.in[0]->as<float>() + 4 * i, *anchor = node.in[2]->as<float>() + 4 * i;
      const float y = code[0] / scale[3] * anchor[2] + anchor[0], x = code[1] / scale[2] * anchor[3] + anchor[1];
      const float half_height = 0.5f * std::exp(code[2] / scale[0]) * anchor[2];
      const float half_width = 0.5f * std::exp(code[3] / scale[1]) * anchor[3];
      boxes[i] = {y - half_height, x - half_width, y + half_height, x + half_width};
    }
    return boxes;
  }

  struct Scores {
    const float* first;  // of box 0, behind the background
    int64_t step, classes;
    explicit Scores(const Node& node)
        : step(node.in[1]->shape[2]), classes(node.attr<schema::DetectionPostProcess>()->num_classes()) {
      first = node.in[1]->as<float>() + (step - classes);
    }
  };

  static std::vector<int32_t> above(const std::vector<Box>& boxes, const float* scores, int64_t step, float least) {
    std::vector<int32_t> candidates;
    for (size_t i = 0; i < boxes.size(); ++i) {
      if (takes_part(scores[static_cast<int64_t>(i) * step], least, true))
        candidates.push_back(static_cast<int32_t>(i));
    }
    return candidates;
  }

  // Boxes compete by their best score, whatever the class; each chosen one tells its best classes.
  static std::vector<Found> by_box(const Node& node, const std::vector<Box>& boxes) {
    const auto* attr = node.attr<schema::DetectionPostProcess>();
    const Scores scores(node);
    const int64_t labels = std::min(attr->max_classes_per_detection(), scores.classes);
    std::vector<float> best;
    for (size_t i = 0; i < boxes.size(); ++i) {
      const float* row = scores.first + static_cast<int64_t>(i) * scores.step;
      best.push_back(*std::max_element(row, row + scores.classes));
    }
    std::vector<Found> found;
    std::vector<int64_t> order(static_cast<size_t>(scores.classes));
    for (int32_t box :
         suppress_overlaps(boxes, best.data(), 1, above(boxes, best.data(), 1, attr->nms_score_threshold()),
                           attr->nms_iou_threshold(), attr->max_detections())) {
      const float* row = scores.first + box * scores.step;
      for (size_t c = 0; c < order.size(); ++c) order[c] = static_cast<int64_t>(c);
      std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return row[a] > row[b]; });
      for (int64_t k = 0; k < labels; ++k) {
        const int64_t label = order[static_cast<size_t>(k)];
        found.push_back({box, label, row[label]});
      }
    }
    return found;
  }

  // Boxes compete within each class; the best of all classes remain.
  static std::vector<Found> by_class(const Node& node, const std::vector<Box>& boxes) {
    const auto* attr = node.attr<schema::DetectionPostProcess>();
    const Scores scores(node);
    std::vector<Found> found;
    for (int64_t c = 0; c < scores.classes; ++c) {
      const float* of_class = scores.first + c;
      const auto chosen = suppress_overlaps(boxes, of_class, scores.step,
                                            above(boxes, of_class, scores.step, attr->nms_score_threshold()),
                                            attr->nms_iou_threshold(), attr->detections_per_class());
      for (int32_t box : chosen) found.push_back({box, c, of_class[box * scores.step]});
    }
    std::stable_sort(found.begin(), found.end(), [](const Found& a, const Found& b) { return a.score > b.score; });
    if (static_cast<int64_t>(found.size()) > attr->max_detections()) {
      found.resize(static_cast<size_t>(attr->max_detections()));
    }
    return found;
  }
};

LR_REGISTER_OP(NonMaxSuppression, NonMaxSuppressionOp)
LR_REGISTER_OP(DetectionPostProcess, DetectionPostProcessOp)

}  // namespace
}  // namespace lr
