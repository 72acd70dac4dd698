package org.literuntime.demo;

import android.content.Context;
import android.content.res.AssetManager;
import android.graphics.Bitmap;
import android.net.Uri;
import android.os.Handler;
import android.os.Looper;
import java.io.IOException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.json.JSONException;
import org.literuntime.LiteRuntimeException;
import org.literuntime.ModelAssets;
import org.literuntime.Options;

/**
 * Loads the model and classifies pictures, one after the other, on a thread of its own. What comes out is told on
 * the main thread.
 */
final class Worker {
  /** Called on the main thread. */
  interface Listener {
    /** The model is loaded. */
    void onReady(Settings settings);

    void onAnswer(Bitmap bitmap, Answer answer);

    void onFailure(String message);
  }

  /** Gives a picture; called on the worker's thread. */
  private interface Source {
    Bitmap get() throws IOException;
  }

  private final ExecutorService thread = Executors.newSingleThreadExecutor();
  private final Handler main = new Handler(Looper.getMainLooper());
  private final Context context;
  private final Listener listener;
  private Classifier classifier;
  private volatile boolean closed;

  Worker(Context context, Listener listener) {
    this.context = context.getApplicationContext();
    this.listener = listener;
    thread.execute(new Runnable() {
      @Override
      public void run() {
        load();
      }
    });
  }

  void classifyAsset(final String name) {
    classify(new Source() {
      @Override
      public Bitmap get() throws IOException {
        return Bitmaps.ofAsset(context.getAssets(), name);
      }
    });
  }

  void classifyContent(final Uri content) {
    classify(new Source() {
      @Override
      public Bitmap get() throws IOException {
        return Bitmaps.ofContent(context.getContentResolver(), content, classifier.size());
      }
    });
  }

  void classifyBitmap(final Bitmap bitmap) {
    classify(new Source() {
      @Override
      public Bitmap get() {
        return bitmap;
      }
    });
  }

  /** Ends the thread and frees the model; nothing is told any more. */
  void close() {
    closed = true;
    thread.execute(new Runnable() {
      @Override
      public void run() {
        if (classifier != null) {
          classifier.close();
        }
      }
    });
    thread.shutdown();
  }

  private void load() {
    try {
      AssetManager assets = context.getAssets();
      final Settings settings = new Settings(Texts.ofAsset(assets, "settings.json"));
      classifier = new Classifier(ModelAssets.load(assets, settings.model, new Options()), settings);
      tell(new Runnable() {
        @Override
        public void run() {
          listener.onReady(settings);
        }
      });
    } catch (IOException | JSONException | LiteRuntimeException | IllegalArgumentException error) {
      fail(error);
    }
  }

  private void classify(final Source source) {
    thread.execute(new Runnable() {
      @Override
      public void run() {
        answer(source);
      }
    });
  }

  private void answer(Source source) {
    if (classifier == null) {
      return;
    }
    try {
      final Bitmap bitmap = source.get();
      final Answer answer = classifier.classify(Bitmaps.picture(bitmap));
      tell(new Runnable() {
        @Override
        public void run() {
          listener.onAnswer(bitmap, answer);
        }
      });
    } catch (IOException | SecurityException | LiteRuntimeException | IllegalArgumentException error) {
      fail(error);
    }
  }

  private void fail(final Exception error) {
    tell(new Runnable() {
      @Override
      public void run() {
        listener.onFailure(String.valueOf(error.getMessage()));
      }
    });
  }

  private void tell(final Runnable news) {
    main.post(new Runnable() {
      @Override
      public void run() {
        if (!closed) {
          news.run();
        }
      }
    });
  }
}
