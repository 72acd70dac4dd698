package org.literuntime.demo;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.json.JSONException;
import org.junit.Test;

/** The app's way from a picture to its answer, on what lite_package wrote for the digits. */
public final class ClassifierTest {
  private static final double TOLERANCE = 1e-5;

  private static Classifier classifier() throws Exception {
    Settings settings = new Settings(DemoData.text("assets/settings.json"));
    return new Classifier(DemoData.model("assets/" + settings.model), settings);
  }

  @Test
  public void digitsAreReadAsInPython() throws Exception {
    ByteBuffer chances = ByteBuffer.wrap(DemoData.bytes("chances.bin")).order(ByteOrder.nativeOrder());
    Settings settings = new Settings(DemoData.text("assets/settings.json"));
    assertEquals(10, settings.pictures.size());
    try (Classifier classifier = classifier()) {
      assertEquals(28, classifier.size());
      for (int digit = 0; digit < 10; digit++) {
        Answer answer = classifier.classify(DemoData.picture("assets/" + settings.pictures.get(digit)));
        assertEquals(5, answer.guesses.size());
        assertEquals("digit " + digit, answer.guesses.get(0).label);
        double sum = 0;
        for (Answer.Guess guess : answer.guesses) {
          int index = Integer.parseInt(guess.label.substring("digit ".length()));
          assertEquals(chances.getDouble(8 * (10 * digit + index)), guess.chance, TOLERANCE);
          assertTrue(sum == 0 || guess.chance <= answer.guesses.get(0).chance);
          sum += guess.chance;
        }
        assertTrue(sum <= 1 + TOLERANCE);
        assertTrue(answer.running > 0 && answer.preparing > 0);
      }
    }
  }

  @Test
  public void modelsThatTakeNoPicturesAreRefused() throws Exception {
    Settings settings = new Settings(DemoData.text("assets/settings.json"));
    assertThrows(IllegalArgumentException.class, () -> new Classifier(DemoData.model("two_inputs.ms"), settings));
    assertThrows(IllegalArgumentException.class, () -> new Classifier(DemoData.model("vector.ms"), settings));
  }

  @Test
  public void settingsThatLackSomethingAreRefused() {
    assertThrows(JSONException.class, () -> new Settings("{\"model\": \"x.ms\"}"));
    assertThrows(JSONException.class, () -> new Settings("no JSON"));
  }

  @Test
  public void classesWithoutALabel() throws Exception {
    Settings settings = new Settings(DemoData.text("assets/settings.json"));
    assertEquals("digit 9", settings.label(9));
    assertEquals("class 10", settings.label(10));
  }
}
