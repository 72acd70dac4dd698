package org.literuntime;

import android.content.res.AssetFileDescriptor;
import android.content.res.AssetManager;
import java.io.ByteArrayOutputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;

/** Loads models from the assets of an Android package. */
public final class ModelAssets {
  private static final int CHUNK = 1 << 16;

  private ModelAssets() {}

  /**
   * Loads an asset. One that is stored uncompressed (noCompress in build.gradle) is mapped where it lies, or copied
   * when its place in the package is no multiple of 8; a compressed one is unpacked into memory.
   *
   * @param name below the assets folder, for example "model.ms"
   */
  public static LiteRuntime load(AssetManager assets, String name, Options options) {
    try {
      AssetFileDescriptor asset = uncompressed(assets, name);
      if (asset == null) {
        return LiteRuntime.fromBytes(unpack(assets, name), options);
      }
      try {
        return LiteRuntime.fromDescriptor(
            asset.getParcelFileDescriptor().getFd(), asset.getStartOffset(), asset.getLength(), options);
      } finally {
        asset.close();
      }
    } catch (IOException error) {
      throw new ModelFileException("asset " + name + ": cannot be read: " + error.getMessage());
    }
  }

  /** The asset, or null when it is compressed or missing: Android gives the same exception for both. */
  private static AssetFileDescriptor uncompressed(AssetManager assets, String name) throws IOException {
    try {
      return assets.openFd(name);
    } catch (FileNotFoundException error) {
      return null;
    }
  }

  private static byte[] unpack(AssetManager assets, String name) throws IOException {
    try (InputStream source = assets.open(name)) {
      ByteArrayOutputStream target = new ByteArrayOutputStream();
      byte[] chunk = new byte[CHUNK];
      for (int count = source.read(chunk); count >= 0; count = source.read(chunk)) {
        target.write(chunk, 0, count);
      }
      return target.toByteArray();
    }
  }
}
