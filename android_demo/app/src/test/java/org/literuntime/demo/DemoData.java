package org.literuntime.demo;

import java.awt.image.BufferedImage;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import javax.imageio.ImageIO;
import org.literuntime.LiteRuntime;
import org.literuntime.Options;

/** The folder that the system property literuntime.data names: assets of lite_package, and what Python answers. */
final class DemoData {
  private DemoData() {}

  static File file(String name) {
    return new File(System.getProperty("literuntime.data"), name);
  }

  static byte[] bytes(String name) throws IOException {
    return Files.readAllBytes(file(name).toPath());
  }

  static String text(String name) throws IOException {
    return new String(bytes(name), StandardCharsets.UTF_8);
  }

  static LiteRuntime model(String name) {
    return LiteRuntime.fromFile(file(name), new Options().threads(1));
  }

  /** What Android's Bitmap would give. */
  static Picture picture(String name) throws IOException {
    BufferedImage image = ImageIO.read(file(name));
    int[] pixels = image.getRGB(0, 0, image.getWidth(), image.getHeight(), null, 0, image.getWidth());
    if (image.getRaster().getNumBands() == 1) {
      // Java takes grey for linear light and would brighten it.
      for (int at = 0; at < pixels.length; at++) {
        int grey = image.getRaster().getSample(at % image.getWidth(), at / image.getWidth(), 0);
        pixels[at] = 0xff000000 | grey * 0x010101;
      }
    }
    return new Picture(pixels, image.getWidth(), image.getHeight());
  }
}
