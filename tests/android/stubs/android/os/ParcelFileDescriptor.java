package android.os;

import java.io.Closeable;
import java.io.FileDescriptor;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.reflect.Field;

/** Stands in for Android's where there is none. */
public class ParcelFileDescriptor implements Closeable {
  private final RandomAccessFile file;

  public ParcelFileDescriptor(RandomAccessFile file) {
    this.file = file;
  }

  public int getFd() {
    try {
      Field number = FileDescriptor.class.getDeclaredField("fd");
      number.setAccessible(true);
      return number.getInt(file.getFD());
    } catch (ReflectiveOperationException | IOException error) {
      throw new IllegalStateException(error);
    }
  }

  @Override
  public void close() throws IOException {
    file.close();
  }
}
