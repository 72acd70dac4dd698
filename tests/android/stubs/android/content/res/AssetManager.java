package android.content.res;

import android.os.ParcelFileDescriptor;
import java.io.File;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.io.RandomAccessFile;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;

/**
 * Stands in for Android's where there is none: the assets are entries of the zip file that the system property
 * literuntime.assets names.
 */
public final class AssetManager {
  private static final int LOCAL_HEADER = 30;

  private final File archive = new File(System.getProperty("literuntime.assets"));

  public InputStream open(String name) throws IOException {
    ZipFile zip = new ZipFile(archive);
    ZipEntry entry = zip.getEntry(name);
    if (entry == null) {
      zip.close();
      throw new FileNotFoundException(name);
    }
    return zip.getInputStream(entry);
  }

  public AssetFileDescriptor openFd(String name) throws IOException {
    RandomAccessFile file = new RandomAccessFile(archive, "r");
    for (long at = 0; reversed(file, at, 4) == 0x04034b50; ) {
      long packed = reversed(file, at + 18, 4);
      byte[] text = new byte[(int) reversed(file, at + 26, 2)];
      long data = at + LOCAL_HEADER + text.length + reversed(file, at + 28, 2);
      boolean stored = reversed(file, at + 8, 2) == ZipEntry.STORED;
      file.seek(at + LOCAL_HEADER);
      file.readFully(text);
      if (stored && new String(text, "UTF-8").equals(name)) {
        return new AssetFileDescriptor(new ParcelFileDescriptor(file), data, packed);
      }
      at = data + packed;
    }
    file.close();
    throw new FileNotFoundException("This file can not be opened as a file descriptor; it is probably compressed");
  }

  /** A little-endian number. */
  private static long reversed(RandomAccessFile file, long at, int size) throws IOException {
    file.seek(at);
    long number = 0;
    for (int i = 0; i < size; i++) {
      number |= (long) file.readUnsignedByte() << (8 * i);
    }
    return number;
  }
}
