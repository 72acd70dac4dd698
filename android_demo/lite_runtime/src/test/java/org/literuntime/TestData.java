package org.literuntime;

import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.file.Files;

/** Models and what Python's runtime answers, in the folder that the system property literuntime.data names. */
final class TestData {
  static final Options ONE_THREAD = new Options().threads(1);

  private TestData() {}

  static File file(String name) {
    return new File(System.getProperty("literuntime.data"), name);
  }

  static byte[] bytes(String name) throws IOException {
    return Files.readAllBytes(file(name).toPath());
  }

  static float[] floats(String name) throws IOException {
    FloatBuffer values = ByteBuffer.wrap(bytes(name)).order(ByteOrder.nativeOrder()).asFloatBuffer();
    float[] array = new float[values.remaining()];
    values.get(array);
    return array;
  }

  static LiteRuntime model(String name) {
    return LiteRuntime.fromFile(file(name), ONE_THREAD);
  }
}
