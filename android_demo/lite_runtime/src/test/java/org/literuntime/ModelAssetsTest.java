package org.literuntime;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import android.content.res.AssetManager;
import java.io.File;
import org.junit.Test;

/** Assets stored in a zip file, as in an Android package; AssetManager is the stand-in of tests/android. */
public final class ModelAssetsTest {
  private static final AssetManager ASSETS = new AssetManager();

  @Test
  public void storedAndCompressedAssets() throws Exception {
    for (String name : new String[] {"stored.ms", "compressed.ms"}) {
      try (LiteRuntime runtime = ModelAssets.load(ASSETS, name, TestData.ONE_THREAD)) {
        runtime.setInput(0, TestData.floats("cnn.in0"));
        runtime.run();
        assertArrayEquals(TestData.floats("cnn.python0"), runtime.floats(0), 0);
      }
    }
  }

  @Test
  public void missingAsset() {
    File open = new File("/proc/self/fd");
    int before = open.list().length;
    LiteRuntimeException error = assertThrows(ModelFileException.class, () -> ModelAssets.load(ASSETS, "none.ms", TestData.ONE_THREAD));
    assertTrue(error.getMessage(), error.getMessage().contains("none.ms"));
    assertTrue(open.list().length <= before);
  }
}
