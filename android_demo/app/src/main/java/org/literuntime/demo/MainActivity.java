package org.literuntime.demo;

import android.app.Activity;
import android.content.ActivityNotFoundException;
import android.content.Intent;
import android.graphics.Bitmap;
import android.os.Bundle;
import android.provider.MediaStore;
import android.view.LayoutInflater;
import android.view.View;
import android.view.ViewGroup;
import android.widget.ImageView;
import android.widget.ProgressBar;
import android.widget.TextView;
import org.literuntime.LiteRuntime;

/** Shows a picture, the five classes the model finds likeliest, and how long that took. */
public final class MainActivity extends Activity implements Worker.Listener {
  private static final int CAMERA = 1;
  private static final int GALLERY = 2;
  private static final int PER_MILLE = 1000;

  private Worker worker;
  private Settings settings;
  private int shown;

  @Override
  protected void onCreate(Bundle saved) {
    super.onCreate(saved);
    setContentView(R.layout.main);
    worker = new Worker(this, this);
  }

  @Override
  protected void onDestroy() {
    worker.close();
    super.onDestroy();
  }

  /** Button of main.xml. */
  public void onNext(View button) {
    if (settings == null || settings.pictures.isEmpty()) {
      return;
    }
    worker.classifyAsset(settings.pictures.get(shown % settings.pictures.size()));
    shown++;
  }

  /** Button of main.xml. The camera's own app takes the picture, so no permission is needed. */
  public void onCamera(View button) {
    start(new Intent(MediaStore.ACTION_IMAGE_CAPTURE), CAMERA);
  }

  /** Button of main.xml. */
  public void onGallery(View button) {
    Intent intent = new Intent(Intent.ACTION_GET_CONTENT);
    intent.setType("image/*");
    intent.addCategory(Intent.CATEGORY_OPENABLE);
    start(intent, GALLERY);
  }

  private void start(Intent intent, int request) {
    try {
      startActivityForResult(intent, request);
    } catch (ActivityNotFoundException error) {
      onFailure(getString(R.string.no_app));
    }
  }

  @Override
  protected void onActivityResult(int request, int result, Intent data) {
    if (result != RESULT_OK || data == null) {
      return;
    }
    if (request == CAMERA && data.getExtras() != null) {
      Bitmap bitmap = (Bitmap) data.getExtras().get("data");
      if (bitmap != null) {
        worker.classifyBitmap(bitmap);
      }
    } else if (request == GALLERY && data.getData() != null) {
      worker.classifyContent(data.getData());
    }
  }

  @Override
  public void onReady(Settings read) {
    settings = read;
    text(R.id.engine, getString(R.string.engine, read.model, LiteRuntime.version(), LiteRuntime.isa()));
    findViewById(R.id.camera).setEnabled(true);
    findViewById(R.id.gallery).setEnabled(true);
    findViewById(R.id.next).setEnabled(!read.pictures.isEmpty());
    onNext(null);
  }

  @Override
  public void onAnswer(Bitmap bitmap, Answer answer) {
    ((ImageView) findViewById(R.id.picture)).setImageBitmap(bitmap);
    text(R.id.latency, getString(R.string.latency, answer.running, answer.preparing));
    ViewGroup rows = (ViewGroup) findViewById(R.id.guesses);
    rows.removeAllViews();
    for (Answer.Guess guess : answer.guesses) {
      View row = LayoutInflater.from(this).inflate(R.layout.guess, rows, false);
      ((TextView) row.findViewById(R.id.label)).setText(guess.label);
      ((TextView) row.findViewById(R.id.chance)).setText(getString(R.string.chance, 100 * guess.chance));
      ((ProgressBar) row.findViewById(R.id.bar)).setProgress((int) (PER_MILLE * guess.chance));
      rows.addView(row);
    }
  }

  @Override
  public void onFailure(String message) {
    text(R.id.latency, message);
  }

  private void text(int view, String words) {
    ((TextView) findViewById(view)).setText(words);
  }
}
