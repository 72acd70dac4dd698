package org.literuntime.demo;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;

/** What lite_package wrote about the model, in the asset settings.json. */
final class Settings {
  /** Names of assets. */
  final String model;
  final List<String> pictures;

  /** Of each channel of the pixels from 0 to 1. */
  final float[] mean;
  final float[] std;

  private final List<String> labels;

  /** @param text JSON: model, labels, pictures, mean and std */
  Settings(String text) throws JSONException {
    JSONObject json = new JSONObject(text);
    model = json.getString("model");
    labels = strings(json.getJSONArray("labels"));
    pictures = strings(json.getJSONArray("pictures"));
    mean = floats(json.getJSONArray("mean"));
    std = floats(json.getJSONArray("std"));
  }

  /** The name of a class. */
  String label(int index) {
    return index < labels.size() ? labels.get(index) : "class " + index;
  }

  private static List<String> strings(JSONArray array) throws JSONException {
    List<String> values = new ArrayList<>();
    for (int i = 0; i < array.length(); i++) {
      values.add(array.getString(i));
    }
    return Collections.unmodifiableList(values);
  }

  private static float[] floats(JSONArray array) throws JSONException {
    float[] values = new float[array.length()];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) array.getDouble(i);
    }
    return values;
  }
}
