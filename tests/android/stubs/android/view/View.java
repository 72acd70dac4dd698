package android.view;

/** Stands in for Android's where there is none, for the compiler alone. */
public class View {
  public final <T extends View> T findViewById(int id) {
    throw new UnsupportedOperationException();
  }

  public void setEnabled(boolean enabled) {
    throw new UnsupportedOperationException();
  }
}
