package org.literuntime.demo;

import android.content.ContentResolver;
import android.content.res.AssetManager;
import android.graphics.Bitmap;
import android.graphics.BitmapFactory;
import android.net.Uri;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;

/** Reads pictures, no larger than they are needed. */
final class Bitmaps {
  private Bitmaps() {}

  static Bitmap ofAsset(AssetManager assets, String name) throws IOException {
    try (InputStream stream = assets.open(name)) {
      return decoded(stream, name, new BitmapFactory.Options());
    }
  }

  /** @param size the shorter side is at least as long, if the picture's is */
  static Bitmap ofContent(ContentResolver resolver, Uri content, int size) throws IOException {
    BitmapFactory.Options options = new BitmapFactory.Options();
    options.inJustDecodeBounds = true;
    try (InputStream stream = open(resolver, content)) {
      BitmapFactory.decodeStream(stream, null, options);
    }
    options.inJustDecodeBounds = false;
    options.inSampleSize = 1;
    while (Math.min(options.outWidth, options.outHeight) / (2 * options.inSampleSize) >= size) {
      options.inSampleSize *= 2;
    }
    try (InputStream stream = open(resolver, content)) {
      return decoded(stream, content.toString(), options);
    }
  }

  static Picture picture(Bitmap bitmap) {
    int[] pixels = new int[bitmap.getWidth() * bitmap.getHeight()];
    bitmap.getPixels(pixels, 0, bitmap.getWidth(), 0, 0, bitmap.getWidth(), bitmap.getHeight());
    return new Picture(pixels, bitmap.getWidth(), bitmap.getHeight());
  }

  private static InputStream open(ContentResolver resolver, Uri content) throws IOException {
    InputStream stream = resolver.openInputStream(content);
    if (stream == null) {
      throw new FileNotFoundException(content.toString());
    }
    return stream;
  }

  private static Bitmap decoded(InputStream stream, String name, BitmapFactory.Options options) throws IOException {
    // Bitmaps of other kinds may not give their pixels.
    options.inPreferredConfig = Bitmap.Config.ARGB_8888;
    Bitmap bitmap = BitmapFactory.decodeStream(stream, null, options);
    if (bitmap == null) {
      throw new IOException(name + " is not a picture");
    }
    return bitmap;
  }
}
