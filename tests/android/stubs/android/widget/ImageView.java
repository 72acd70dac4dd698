package android.widget;

import android.graphics.Bitmap;
import android.view.View;

/** Stands in for Android's where there is none, for the compiler alone. */
public class ImageView extends View {
  public void setImageBitmap(Bitmap bm) {
    throw new UnsupportedOperationException();
  }
}
