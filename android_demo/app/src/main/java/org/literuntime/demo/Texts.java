package org.literuntime.demo;

import android.content.res.AssetManager;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;

/** Reads texts of the assets. */
final class Texts {
  private static final int CHUNK = 4096;

  private Texts() {}

  static String ofAsset(AssetManager assets, String name) throws IOException {
    try (InputStream source = assets.open(name)) {
      ByteArrayOutputStream target = new ByteArrayOutputStream();
      byte[] chunk = new byte[CHUNK];
      for (int count = source.read(chunk); count >= 0; count = source.read(chunk)) {
        target.write(chunk, 0, count);
      }
      return target.toString("UTF-8");
    }
  }
}
